from datetime import timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from probe.schedule import timer as timers
from probe.schedule.timer import SPREAD, State, Timer, allowance, begun, is_due, spend
from tests.build import NOON

SIX_HOURS = Timer(backend="cron", every=21600.0, minute=7, python="python3", home="/nowhere")


def test_a_timer_and_what_it_did_are_read_back_and_forgotten(tmp_path: Path) -> None:
    timers.keep(tmp_path, SIX_HOURS)
    timers.note(tmp_path, State(started=NOON, spent={"2026-11-23": 5}))

    assert timers.read(tmp_path) == SIX_HOURS
    assert timers.state(tmp_path).spent == {"2026-11-23": 5}
    timers.forget(tmp_path)
    assert timers.read(tmp_path) is None


def test_damaged_files_are_none(tmp_path: Path) -> None:
    (tmp_path / "timer").mkdir()
    for name in ("timer.json", "state.json"):
        (tmp_path / "timer" / name).write_bytes(b"\xff{")

    assert timers.read(tmp_path) is None
    assert timers.state(tmp_path) == State()


@given(st.floats(0, 1))
def test_a_run_is_due_once_an_interval_at_a_time_of_its_own(chance: float) -> None:
    state = begun(SIX_HOURS, State(), NOON, reserved=0, chance=chance)

    assert not is_due(SIX_HOURS, state, NOON)
    assert not is_due(SIX_HOURS, state, NOON + timedelta(seconds=21600 * (1 - SPREAD) - 1))
    assert is_due(SIX_HOURS, state, NOON + timedelta(seconds=21600 * (1 + SPREAD) + 1))


def test_two_volunteers_are_not_due_at_the_same_time() -> None:
    due = [begun(SIX_HOURS, State(), NOON, reserved=0, chance=chance).due for chance in (0.0, 0.5, 1.0)]

    assert due == [NOON + timedelta(seconds=21600 * part) for part in (1 - SPREAD, 1, 1 + SPREAD)]


def test_a_missed_run_is_due_at_the_first_call_and_only_once() -> None:
    state = begun(SIX_HOURS, State(), NOON, reserved=0, chance=0.5)
    later = NOON + timedelta(days=3)

    assert is_due(SIX_HOURS, state, later)
    assert not is_due(SIX_HOURS, begun(SIX_HOURS, state, later, reserved=0, chance=0.5), later)


def test_a_clock_that_was_years_ahead_does_not_stop_the_timer_for_years() -> None:
    state = begun(SIX_HOURS, State(), NOON.replace(year=2036), reserved=0, chance=0.5)

    assert is_due(SIX_HOURS, state, NOON)


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 9_000_000)), max_size=60))
def test_no_sequence_of_runs_costs_more_than_a_day_or_a_month_allows(runs: list[tuple[int, int]]) -> None:
    """Each is told what is left and takes at most that; a killed one is taken to have spent it all."""
    state, spent = State(), dict[str, int]()
    for days, wanted in sorted(runs):
        now = NOON.replace(day=1) + timedelta(days=days)
        allowed = allowance(SIX_HOURS, state, now)
        state = begun(SIX_HOURS, state, now, reserved=allowed, chance=0.5)
        if wanted % 3:  # it ends and says what it took
            took = min(wanted, allowed)
            state = spend(state, now, took - allowed)
        else:
            took = allowed
        spent[f"{now:%Y-%m-%d}"] = spent.get(f"{now:%Y-%m-%d}", 0) + took

    assert all(octets <= SIX_HOURS.day_bytes for octets in spent.values())
    for month in {day[:7] for day in spent}:
        assert sum(octets for day, octets in spent.items() if day.startswith(month)) <= SIX_HOURS.month_bytes


def test_a_month_that_is_used_up_leaves_nothing_of_its_days() -> None:
    state = State(spent={f"2026-11-{day:02}": 19_000_000 for day in range(1, 16)} | {"2026-10-31": 5_000_000})

    assert allowance(SIX_HOURS, state, NOON) == 300_000_000 - 15 * 19_000_000
    assert allowance(SIX_HOURS, spend(state, NOON, 15_000_000), NOON) == 0
    assert allowance(SIX_HOURS, state, NOON.replace(month=12, day=1)) == 20_000_000


def test_what_was_spent_long_ago_is_forgotten() -> None:
    state = State(spent={"2025-01-01": 5, "2026-11-20": 7})

    assert spend(state, NOON, 1).spent == {"2026-11-20": 7, "2026-11-23": 1}
