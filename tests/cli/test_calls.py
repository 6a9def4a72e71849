"""Whether the user agrees to test calls: asked once for each far end, and never where nobody is there."""

import io
import sys
from pathlib import Path

import msgspec
import pytest
import typer

from probe.catalogue import Catalogue, FarEnd
from probe.cli.agreeing import Asking
from probe.cli.calls import agreed
from probe.configs import load
from probe.plan import Options
from probe.toml_file import ConfigError
from tests.cli.test_run import probe

CONFIGS = Path(__file__).parent.parent.parent / "configs"
SHIPPED = load(CONFIGS)
URL = "https://calls.example.org:8443#the-secret-key"
WHATSAPP = SHIPPED.select(("whatsapp",))


class Terminal(io.StringIO):
    """Somebody who types these lines."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def typing(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Nobody types anything until a test says so."""
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    return monkeypatch


def asked(
    home: Path,
    url: str | None = URL,
    *,
    agree: bool = False,
    country: str = "",
    catalogue: Catalogue = SHIPPED,
    service: str = "whatsapp",
    only: tuple[str, ...] = (),
) -> Options:
    asking = Asking(home=home, configs=CONFIGS, catalogue=catalogue, tests="default", country=country)
    return agreed(asking, catalogue.select((service,)), Options(only=only), url, agree=agree)


def is_placed(options: Options) -> bool:
    return options.far_end is not None


def test_who_agrees_is_told_where_to_what_it_costs_and_not_asked_again(
    tmp_path: Path, typing: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typing.setattr(sys, "stdin", Terminal("y\n"))
    options = asked(tmp_path)
    told = capsys.readouterr()

    assert options.far_end is not None
    assert (options.far_end.host, options.far_end.port) == ("calls.example.org", 8443)
    assert options.far_end.key == "the-secret-key"
    assert told.out.strip() == ""  # the library writes a space
    for part in ("calls.example.org", " MB each way", "Its operator sees your address", "Place them?"):
        assert part in told.err

    typing.setattr(sys, "stdin", io.StringIO())  # nobody is there any more
    assert is_placed(asked(tmp_path))
    assert is_placed(asked(tmp_path, "https://calls.example.org"))
    assert capsys.readouterr().err == ""


def test_another_far_end_is_asked_for_anew(tmp_path: Path, typing: pytest.MonkeyPatch) -> None:
    typing.setattr(sys, "stdin", Terminal("y\n"))
    asked(tmp_path)
    typing.setattr(sys, "stdin", io.StringIO())

    with pytest.raises(typer.Exit):
        asked(tmp_path, "https://other.example.org")


@pytest.mark.parametrize("answer", ["n\n", "\n"])
def test_who_does_not_agree_is_measured_without_calls_and_asked_again(
    tmp_path: Path, typing: pytest.MonkeyPatch, answer: str
) -> None:
    for _ in range(2):
        typing.setattr(sys, "stdin", Terminal(answer))
        assert not is_placed(asked(tmp_path))
        assert sys.stdin.read() == ""  # the answer was read
    assert list(tmp_path.iterdir()) == []


def test_where_nobody_is_there_it_is_refused_and_says_what_to_say(
    tmp_path: Path, typing: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as caught:
        asked(tmp_path)
    told = capsys.readouterr()

    assert (caught.value.exit_code, told.out) == (2, "")
    assert 'say --agree, or --far-end "" to measure without calls' in told.err
    assert "calls.example.org" in told.err
    assert "the-secret-key" not in told.err


def test_agree_agrees_without_being_asked_and_is_not_remembered(
    tmp_path: Path, typing: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert is_placed(asked(tmp_path, agree=True))
    assert capsys.readouterr().err == ""
    with pytest.raises(typer.Exit):
        asked(tmp_path)


@pytest.mark.parametrize("url", [None, ""])
def test_without_a_far_end_nobody_is_asked(
    tmp_path: Path, typing: pytest.MonkeyPatch, url: str | None
) -> None:
    assert SHIPPED.settings.far_end.url == ""
    assert not is_placed(asked(tmp_path, url))


def test_the_configured_far_end_is_used_unless_the_user_names_another_or_none(
    tmp_path: Path, typing: pytest.MonkeyPatch
) -> None:
    settings = msgspec.structs.replace(
        SHIPPED.settings, far_end=FarEnd(url="https://own.example", trust="any")
    )
    own = msgspec.structs.replace(SHIPPED, settings=settings)

    assert (configured := asked(tmp_path, None, agree=True, catalogue=own).far_end) is not None
    assert (configured.host, configured.trust) == ("own.example", "any")
    assert (named := asked(tmp_path, URL, agree=True, catalogue=own).far_end) is not None
    assert named.host == "calls.example.org"
    assert not is_placed(asked(tmp_path, "", catalogue=own))


def test_what_sends_no_media_needs_no_consent(tmp_path: Path, typing: pytest.MonkeyPatch) -> None:
    assert is_placed(asked(tmp_path, only=("messaging",)))


def test_a_wrong_url_is_one_sentence_without_its_key(tmp_path: Path, typing: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="must begin with https://") as caught:
        asked(tmp_path, "http://calls.example.org#the-secret-key", agree=True)

    assert "calls.example.org" in str(caught.value)
    assert "the-secret-key" not in str(caught.value)
    assert "\n" not in str(caught.value).strip()


def test_a_consent_that_cannot_be_kept_is_given_all_the_same(
    tmp_path: Path, typing: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typing.setattr(sys, "stdin", Terminal("y\n"))

    (tmp_path / "file").write_text("not a folder")

    assert is_placed(asked(tmp_path / "file" / "nowhere"))
    assert "you will be asked again" in capsys.readouterr().err


def test_what_is_kept_of_a_consent_is_the_host_alone(tmp_path: Path, typing: pytest.MonkeyPatch) -> None:
    typing.setattr(sys, "stdin", Terminal("y\n"))
    asked(tmp_path)

    (kept,) = tmp_path.iterdir()
    assert kept.read_text() == '{"far_ends":["calls.example.org"]}\n'


def test_where_calls_are_advised_against_only_a_far_end_named_by_the_user_is_called(
    tmp_path: Path, typing: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = msgspec.structs.replace(SHIPPED.settings, far_end=FarEnd(url="https://own.example"))
    own = msgspec.structs.replace(SHIPPED, settings=settings)

    assert not is_placed(asked(tmp_path, None, agree=True, catalogue=own, country="AE"))
    assert "test calls are left out in United Arab Emirates" in capsys.readouterr().err
    assert is_placed(asked(tmp_path, agree=True, catalogue=own, country="AE"))
    assert is_placed(asked(tmp_path, None, agree=True, catalogue=own, country="DE"))


async def test_a_run_without_anybody_there_ends_before_a_packet_is_sent(tmp_path: Path) -> None:
    code, out, err = await probe(
        "run", "whatsapp", "--home", str(tmp_path), "--results", str(tmp_path), "--far-end", URL
    )

    assert (code, out) == (2, "")
    assert "Nobody is there to agree" in err
    assert "the-secret-key" not in err
    assert list(tmp_path.glob("*.jsonl")) == []


def test_a_password_in_the_url_is_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        asked(tmp_path, "https://anna:hush@calls.example.org")

    assert "hush" not in str(refused.value)


def test_calls_to_ourselves_through_turn_say_what_they_cost(
    tmp_path: Path, typing: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    turn = msgspec.structs.replace(SHIPPED.settings.turn, host="turn.example.org", secret="x")
    settings = msgspec.structs.replace(SHIPPED.settings, turn=turn)

    asked(tmp_path, "", catalogue=msgspec.structs.replace(SHIPPED, settings=settings), service="webrtc")

    assert "go through turn.example.org" in capsys.readouterr().err
