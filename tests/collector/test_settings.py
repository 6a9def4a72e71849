"""collector.toml: the example is good, and every mistake has one sentence."""

from pathlib import Path

import pytest

from probe.collector.settings import CollectorSettings, Limits, Segments, example, load
from probe.toml_file import ConfigError

GOOD = 'listen = ["127.0.0.1:8480"]\nstorage = "runs"\n'


def loaded(folder: Path, text: str) -> CollectorSettings:
    (folder / "collector.toml").write_text(text)
    return load(folder / "collector.toml")


def test_the_example_is_good_and_says_what_the_defaults_are(tmp_path: Path) -> None:
    made = loaded(tmp_path, example().replace("# key =", "key ="))

    assert (made.limits, made.segments) == (Limits(), Segments())
    assert made.free == loaded(tmp_path, GOOD).free
    assert made.key == str(tmp_path / "key.pem")


def test_paths_are_relative_to_the_file_and_the_key_lies_in_the_storage(tmp_path: Path) -> None:
    made = loaded(tmp_path, GOOD)

    assert (made.storage, made.key) == (str(tmp_path / "runs"), str(tmp_path / "runs" / "key.pem"))


@pytest.mark.parametrize(
    ("text", "key", "reason"),
    [
        ("listen = [", "", "is not TOML"),
        ('storage = "x"', "", "missing required field `listen`"),
        ('listen = ["127.0.0.1:1"]', "", "missing required field `storage`"),
        (GOOD + "colour = 1", "", "unknown field `colour`"),
        (GOOD.replace("127.0.0.1", "localhost"), "listen[0]", "host names cannot be listened on"),
        (GOOD.replace("127.0.0.1", "1.1.1.1"), "listen[0]", "is public, and this is plain HTTP"),
        (GOOD + 'name = "Two words"', "name", "lower-case letters"),
        (GOOD + 'name = "../x"', "name", "lower-case letters"),
        (GOOD + "[limits]\nhourly = 0", "limits.hourly", ">= 1"),
        (GOOD + "[limits]\ndocument = 100_000_000", "limits.waiting", "less than two runs"),
        (GOOD + "[segments]\nseconds = 7200", "segments.seconds", "<= 3600"),
    ],
)
def test_a_mistake_has_a_file_a_key_and_a_reason(tmp_path: Path, text: str, key: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text)

    assert caught.value.file == str(tmp_path / "collector.toml")
    assert caught.value.key == key
    assert reason in caught.value.reason


def test_a_private_address_may_be_listened_on(tmp_path: Path) -> None:
    assert loaded(tmp_path, GOOD.replace("127.0.0.1", "10.0.0.5")).listen == ("10.0.0.5:8480",)
