"""far-end.toml: the example is good, and every mistake has one sentence."""

from pathlib import Path

import pytest

from probe.far_end.settings import FarEndSettings, endpoint, example, load
from probe.media.shape import OTHER_PORT, Shape
from probe.toml_file import ConfigError, read

GOOD = 'listen = ["127.0.0.1:8443"]\n'


def loaded(folder: Path, text: str) -> FarEndSettings:
    (folder / "far-end.toml").write_text(text)
    return load(folder / "far-end.toml")


def test_the_example_is_good_and_so_is_everything_it_has_in_comments(tmp_path: Path) -> None:
    plain = loaded(tmp_path, example())
    lines = []
    for line in example().splitlines():
        bare = line.removeprefix("# ")
        is_setting = line.startswith("# ") and (bare.startswith("[") or " = " in bare) and "`" not in line
        lines.append(bare if is_setting else line)
    everything = loaded(tmp_path, "\n".join(lines).replace('"..."', '"0123456789abcdef"').replace("[::]", "[::1]")
                        .replace("0.0.0.0", "127.0.0.1"))  # fmt: skip

    assert plain.udp
    assert plain.limits.calls == 60
    assert everything.turn is not None
    assert everything.keys == ("0123456789abcdef",)
    assert everything.media == ("203.0.113.5", "2001:db8::5")
    assert everything.seen_as == {"10.0.0.5": "203.0.113.5"}


def test_the_example_listens_where_the_shipped_shapes_go(tmp_path: Path) -> None:
    shapes = Path(__file__).parents[2] / "configs" / "shapes"
    ports = {read(path, Shape).port for path in shapes.glob("*.toml")}

    assert ports
    assert ports | {OTHER_PORT} <= set(loaded(tmp_path, example()).udp)


def test_the_firewall_of_the_instructions_lets_through_what_the_example_listens_on(tmp_path: Path) -> None:
    settings = loaded(tmp_path, example())
    page = (Path(__file__).parents[2] / "docs" / "run-a-far-end.md").read_text()

    for transport, ports in (("udp", settings.udp), ("tcp", settings.tcp)):
        assert f"{transport} dport {{ {', '.join(map(str, ports))} }} accept" in page


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    settings = loaded(tmp_path, 'listen = ["0.0.0.0:443"]\ncertificate = "a.pem"\nkey = "/b/key.pem"\n')

    assert settings.certificate == str(tmp_path / "a.pem")
    assert settings.key == "/b/key.pem"


@pytest.mark.parametrize(
    ("text", "key", "reason"),
    [
        ("listen = [", "", "is not TOML"),
        ("", "", "missing required field `listen`"),
        ("listen = []", "listen", "length"),
        (GOOD + "colour = 1", "", "unknown field `colour`"),
        ('listen = ["localhost:443"]', "listen[0]", "host names cannot be listened on"),
        ('listen = ["127.0.0.1"]', "listen[0]", "is not ADDRESS:PORT"),
        ('listen = ["127.0.0.1:99999"]', "listen[0]", "is not ADDRESS:PORT"),
        ('listen = ["::1:443"]', "listen[0]", "stands in [ ]"),
        ('listen = ["[127.0.0.1]:443"]', "listen[0]", "stands in [ ]"),
        ('listen = ["0.0.0.0:443"]', "listen[0]", "needs a certificate"),
        (
            'listen = ["0.0.0.0:443"]\ncertificate = "a"\nkey = "b"\nproxied = true',
            "listen[0]",
            "anybody could say there who they are",
        ),
        (GOOD + 'certificate = "a.pem"', "certificate", "needed both, or neither"),
        (GOOD + 'media = ["0.0.0.0"]', "media[0]", "name them, or leave `media` out"),
        (GOOD + 'media = ["far-end.example"]', "media[0]", "is not an IP address"),
        (GOOD + 'media = ["224.0.0.1"]', "media[0]", "is no address of one machine"),
        (GOOD + '[seen_as]\n"10.0.0.5" = "2001:db8::1"', "seen_as.'10.0.0.5'", "of the same family"),
        (GOOD + "udp = [443, 70000]", "udp[1]", "<= 65535"),
        (GOOD + "udp = [443, 3478, 443]", "udp", "the port 443 is there twice"),
        (GOOD + 'keys = ["secret"]', "keys[0]", "shorter than 12"),
        (GOOD + '[turn]\nhost = ""\nsecret = "0123456789ab"', "turn.host", "is empty"),
        (GOOD + '[turn]\nhost = "relay.example"\nsecret = "x"', "turn.secret", "shorter than 12"),
        (GOOD + "[limits]\nseconds = 0", "limits.seconds", ">= 1"),
    ],
)
def test_a_mistake_has_a_file_a_key_and_a_reason(tmp_path: Path, text: str, key: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text)

    assert caught.value.file == str(tmp_path / "far-end.toml")
    assert caught.value.key == key
    assert reason in caught.value.reason


def test_a_file_that_is_not_there_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "none.toml")


def test_loopback_may_go_without_a_certificate_and_behind_a_proxy(tmp_path: Path) -> None:
    assert loaded(tmp_path, 'listen = ["127.0.0.1:8080", "[::1]:8080"]\nproxied = true\n').proxied


@pytest.mark.parametrize(("text", "taken"), [("1.2.3.4:5", ("1.2.3.4", 5)), ("[::]:443", ("::", 443))])
def test_an_endpoint_is_taken_apart(text: str, taken: tuple[str, int]) -> None:
    assert endpoint(text) == taken
