"""Nothing before the volunteer's word: asked once, kept, asked anew when it means more, and taken back."""

import asyncio
import io
import json
import os
import pty
import sys
from pathlib import Path

import msgspec
import pytest
import typer

from probe import consent
from probe.cli.agreeing import Asking, note_after, required
from probe.configs import load
from probe.schedule import timer as timers
from probe.upload import keys
from probe.upload.queue import Queue
from tests.build import NOON
from tests.cli.test_calls import Terminal
from tests.cli.test_run import network, probe
from tests.upload.runs import run_file

CONFIGS = Path(__file__).parent.parent.parent / "configs"
SHIPPED = load(CONFIGS)


@pytest.fixture
def typing(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    return monkeypatch


def asking(home: Path, *, country: str = "DE", tests: consent.Tests = "default") -> Asking:
    return Asking(home=home, configs=CONFIGS, catalogue=SHIPPED, tests=tests, country=country)


def test_the_first_run_explains_asks_and_is_not_asked_again(
    tmp_path: Path, typing: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typing.setattr(sys, "stdin", Terminal("y\n"))
    required(asking(tmp_path), agree=False)
    said = capsys.readouterr()

    assert said.out.strip() == ""
    for part in (
        "WHAT IS SENT", "TO WHOM IT LOOKS LIKE WHAT", "WHO CAN SEE IT", "WHAT IS NEVER KEPT", "HOW FAR TESTS GO",
        "WHAT TO WEIGH", "HOW TO STOP", "Google", "Quad9", "Do you agree to the default tests?",
    ):  # fmt: skip
        assert part in said.err
    assert all(len(line) <= 80 for line in said.err.splitlines())
    assert consent.read(tmp_path).country == "DE"

    typing.setattr(sys, "stdin", io.StringIO())
    required(asking(tmp_path), agree=False)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("answer", ["n\n", "\n"])
def test_who_does_not_agree_sends_nothing_and_nothing_is_kept(
    tmp_path: Path, typing: pytest.MonkeyPatch, answer: str
) -> None:
    typing.setattr(sys, "stdin", Terminal(answer))

    with pytest.raises(typer.Exit):
        required(asking(tmp_path), agree=False)
    assert list(tmp_path.iterdir()) == []


def test_the_country_is_asked_for_and_its_note_is_shown_before_the_question(
    tmp_path: Path, typing: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typing.setattr(sys, "stdin", Terminal("ir\nn\n"))

    with pytest.raises(typer.Exit):
        required(asking(tmp_path, country=""), agree=False)
    said = capsys.readouterr().err
    assert 0 < said.index("In which country") < said.index("IRAN: ") < said.index("Do you agree")
    assert "Not legal advice" in said.replace("\n", " ")


@pytest.mark.parametrize(
    ("environment", "offered"),
    [({"LANG": "ru_RU.UTF-8"}, "[RU]"), ({"LANG": "C.UTF-8", "LC_CTYPE": "C.UTF-8"}, "[-]"), ({}, "[-]")],
)
def test_the_country_that_is_offered_is_that_of_the_language_whether_installed_or_not(
    tmp_path: Path,
    typing: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    environment: dict[str, str],
    offered: str,
) -> None:
    for name in ("LC_ALL", "LC_CTYPE", "LC_MESSAGES", "LANG"):
        typing.delenv(name, raising=False)
    for name, value in environment.items():
        typing.setenv(name, value)
    typing.setattr(sys, "stdin", Terminal("Россия\nРУ\nde\ny\n"))
    required(asking(tmp_path, country=""), agree=False)

    assert offered in capsys.readouterr().err
    assert consent.read(tmp_path).country == "DE"  # what is no code is asked again


def test_a_country_that_the_network_names_is_told_once_after_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    consent.keep(tmp_path, consent.Consent(tests="default"))
    for _ in range(2):
        note_after(tmp_path, CONFIGS, "BY")
    note_after(tmp_path, CONFIGS, "DE")

    assert capsys.readouterr().err.count("BELARUS: ") == 1


def test_what_changed_is_named_when_it_is_asked_again(
    tmp_path: Path, typing: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    covers = tuple(one for one in consent.scope(SHIPPED, "default") if one != "service telegram")
    consent.keep(tmp_path, consent.Consent(tests="default", covers=covers))

    with pytest.raises(typer.Exit):
        required(asking(tmp_path), agree=False)
    assert "The tests have changed since you agreed. New: service telegram." in capsys.readouterr().err


def test_agree_holds_for_this_once_and_writes_nothing(
    tmp_path: Path, typing: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    required(asking(tmp_path), agree=True)
    assert (list(tmp_path.iterdir()), capsys.readouterr().err) == ([], "")
    with pytest.raises(typer.Exit):
        required(asking(tmp_path), agree=False)


async def test_a_run_without_a_word_ends_before_a_packet_is_sent(tmp_path: Path) -> None:
    async with network(tmp_path) as home:
        code, out, err = await probe("run", "--home", str(home), "-4", "--json")
        assert (code, out) == (2, "")
        assert "Nobody is there to agree: say --agree, or `probe consent --agree` once and for all." in err
        assert not list((home / "results").glob("*.jsonl"))

        code, _, _ = await probe("consent", "--agree", "--home", str(home))
        assert code == 0
        code, out, err = await probe("run", "tincan", "--home", str(home), "-4", "--json")
        assert (code, err) == (0, "")
        (path,) = (home / "results").glob("*.jsonl")
        assert json.loads(path.read_bytes().splitlines()[0])["consent"] == "default"

        code, _, err = await probe("run", "tincan", "--home", str(home), "-4", "--tests", "extended")
        assert code == 2


async def test_show_says_what_was_agreed_to(tmp_path: Path) -> None:
    await probe("consent", "--agree", "--tests", "extended", "--country", "ru", "--home", str(tmp_path))
    code, out, _ = await probe("consent", "show", "--home", str(tmp_path), "--json")
    told = json.loads(out)

    assert (code, told["tests"], told["country"], told["keys"]) == (0, "extended", "RU", [])
    _, out, _ = await probe("consent", "show", "--home", str(tmp_path))
    assert "results to     nobody" in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--agree", "--upload"), "--upload: there is no collector in the settings"),
        (("--agree", "--calls"), "--calls: there is no far end in the settings"),
        (("--agree", "--country", "Russia"), "--country: Russia: is not a two-letter country code"),
        (("withdraw", "--erase"), "say --yes with --erase"),
        (("forget", "--network", "RU-AS1"), "RU-AS1: there is no such key"),
    ],
)
async def test_wrong_usage_is_said(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    code, out, err = await probe("consent", *arguments, "--home", str(tmp_path))

    assert (code, out) == (2, "")
    assert says in err


async def test_withdrawing_erases_what_is_kept_if_it_is_told_to(tmp_path: Path) -> None:
    results = tmp_path / "results"
    path, other = run_file(results, 1), run_file(results, 2)
    (results / "README.md").write_text("stays")
    consent.keep(tmp_path, consent.with_collector(consent.Consent(tests="all"), "x.example", NOON))
    Queue(tmp_path).add(path)
    timers.note(tmp_path, timers.State(started=NOON))  # when somebody measured, and which runs were theirs
    (timers.folder(tmp_path) / "log.jsonl.1").write_text("{}\n")
    assert len(keys.networks(tmp_path)) == 1

    code, out, _ = await probe("consent", "withdraw", "--home", str(tmp_path))
    assert (code, consent.read(tmp_path)) == (0, consent.Consent())
    assert other.exists()
    assert Queue(tmp_path).waiting() != []

    code, out, _ = await probe("consent", "withdraw", "--erase", "--yes", "--json", "--home", str(tmp_path))
    assert (code, json.loads(out)["erased"]) == (0, 6)
    left = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    assert left == {"results/README.md", "queue/lock"}


async def test_a_run_joins_the_queue_when_uploads_are_agreed_to_and_not_otherwise(tmp_path: Path) -> None:
    async with network(tmp_path) as home:
        _, _, before = await probe("run", "tincan", "--agree", "--home", str(home), "-4")
        assert Queue(home).waiting() == []
        consent.keep(home, consent.with_collector(consent.Consent(), "x.example", NOON))
        _, _, after = await probe("run", "tincan", "--agree", "--home", str(home), "-4")
    newest = max((home / "results").glob("*.jsonl"), key=lambda path: path.stat().st_mtime)

    (run,) = Queue(home).waiting()
    assert Queue(home).take(run).exact == newest.read_bytes()
    assert "waits to be sent" not in before
    assert f"`probe upload --dry-run {run}` shows every byte" in after


async def test_where_there_is_no_room_nothing_is_measured_and_nothing_is_deleted(tmp_path: Path) -> None:
    async with network(tmp_path) as home:
        settings = home / "configs" / "probe.toml"
        settings.write_text(settings.read_text() + f"\n[queue]\nfree = {1 << 60}\n")
        consent.keep(home, consent.with_collector(consent.Consent(), "x.example", NOON))
        run = Queue(home).add(run_file(home / "results"))
        code, out, err = await probe("run", "tincan", "--agree", "--home", str(home), "-4")

    assert (code, out) == (1, "")
    assert (
        "of the disk are free, less than queue.free asks for; nothing is measured until there is room" in err
    )
    assert Queue(home).waiting() == [run]


async def test_at_a_terminal_the_question_is_answered_by_typing(tmp_path: Path) -> None:
    master, slave = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "probe", "consent", "--home", str(tmp_path), "--country", "QA",
        stdin=slave, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env={"COLUMNS": "80"},
    )  # fmt: skip
    os.write(master, b"y\n")
    _, err = await process.communicate()
    os.close(slave)
    os.close(master)

    assert process.returncode == 0
    assert b"QATAR: " in err
    kept = consent.read(tmp_path)
    assert (kept.tests, kept.country, kept.noted) == ("default", "QA", ("QA",))
    assert msgspec.json.decode((tmp_path / "consent.json").read_bytes())["covers"]
