from pathlib import Path

import pytest

from probe.countries import load
from probe.toml_file import ConfigError

CONFIGS = Path(__file__).parent.parent / "configs"
ONE = '[[countries]]\ncountry = "XX"\nname = "X"\nnote = "n"\nsource = "s"\nconfidence = "low"\n'


def test_the_shipped_notes_say_who_says_so_and_how_sure_that_is() -> None:
    notes = load(CONFIGS)

    assert {"RU", "IR", "BY", "CN", "TM", "AE", "OM", "QA", "ET"} <= set(notes)
    assert all(note.source and note.note.endswith(".") for note in notes.values())
    assert notes["AE"].avoid == ("calls",)
    assert notes["IR"].avoid == ("extended",)


def test_no_note_advises_on_circumvention() -> None:
    """Where that is banned, printing it would harm whom it means to help."""
    text = (CONFIGS / "countries.toml").read_text().lower()

    assert not any(word in text for word in ("tor browser", "psiphon", "lantern", "wireguard", "bridges"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (ONE + ONE, "countries: XX is there twice"),
        (ONE.replace("XX", "xx"), "country"),
        (ONE.replace("low", "certain"), "confidence"),
    ],
)
def test_a_wrong_note_is_refused_by_name(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "countries.toml").write_text(f"checked = 2026-11-25\n{text}")

    with pytest.raises(ConfigError, match=says):
        load(tmp_path)


def test_configurations_without_notes_have_none(tmp_path: Path) -> None:
    assert load(tmp_path) == {}
