from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.schedule.conditions import metered_by, on_battery, said


def supply(root: Path, name: str, **files: str) -> None:
    folder = root / "sys/class/power_supply" / name
    folder.mkdir(parents=True)
    for file, text in files.items():
        (folder / file).write_text(text + "\n")


def test_a_machine_without_a_battery_tells_nothing(tmp_path: Path) -> None:
    assert on_battery(tmp_path) is None


@pytest.mark.parametrize(
    ("status", "plugged", "answer"),
    [("Discharging", "0", True), ("Discharging", "1", False), ("Charging", "1", False), ("Full", "0", False)],
)
def test_a_laptop_says_whether_it_is_plugged_in(
    tmp_path: Path, status: str, plugged: str, answer: bool
) -> None:
    supply(tmp_path, "BAT0", type="Battery", status=status)
    supply(tmp_path, "AC", type="Mains", online=plugged)

    assert on_battery(tmp_path) is answer


def test_the_battery_of_a_mouse_is_not_the_machines(tmp_path: Path) -> None:
    supply(tmp_path, "hid", type="Battery", status="Discharging", scope="Device")

    assert on_battery(tmp_path) is None


@pytest.mark.parametrize(
    ("value", "answer"), [(0, None), (1, True), (2, False), (3, True), (4, False), (9, None)]
)
def test_networkmanagers_word_is_read(value: int, answer: bool | None) -> None:
    assert metered_by(f'{{"type":"u","data":{value}}}\n') is answer


@given(st.text())
def test_any_other_answer_tells_nothing(told: str) -> None:
    assert metered_by(told) is None or told.strip()


def test_a_command_that_is_not_there_or_fails_says_nothing() -> None:
    assert said(("no-such-command-at-all",)) == ""
    assert said(("false",)) == ""
