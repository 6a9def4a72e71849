"""What a volunteer wants measured regularly, and what was done of it: two small files of the home, `timer/*.json`."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import msgspec

from probe import durable
from probe.record import Record, line

R = TypeVar("R", bound=Record)

SPREAD = (
    0.15  # of the interval: runs are not due at the same minutes every day, nor at those of other volunteers
)
_DAYS = 40  # that spending is remembered


class Timer(Record):
    """What was asked for. `arguments` go to `probe run` as they are."""

    backend: str
    every: float  # seconds
    minute: int  # of the hour at which the platform calls; drawn once
    python: str
    home: str
    arguments: tuple[str, ...] = ()
    day_bytes: int = 20_000_000
    month_bytes: int = 300_000_000
    on_battery: bool = False  # whether to measure on battery too
    metered: bool = False  # whether to measure on metered networks too
    delay: float = 900.0  # seconds that a due run waits at most, at random, where the platform adds none


class State(Record):
    """What was done: when the last run began, when the next is due, and what each day cost (UTC, bytes)."""

    started: datetime | None = None
    due: datetime | None = None
    spent: dict[str, int] = {}


def folder(home: Path) -> Path:
    """Where the timer keeps its files, its lock and its log."""
    return home / "timer"


def running(home: Path) -> Path:
    """The lock that a run holds, so that a timer does not measure beside it."""
    return folder(home) / "run.lock"


def read(home: Path) -> Timer | None:
    """The timer that was installed from this home; None if none was, or its file is damaged."""
    return _read(folder(home) / "timer.json", Timer)


def keep(home: Path, timer: Timer) -> None:
    """Write it down. Raises OSError."""
    durable.write(folder(home) / "timer.json", line(timer))


def forget(home: Path) -> None:
    """From now on a platform that still calls gets no run. Raises OSError."""
    durable.remove(folder(home) / "timer.json")


def state(home: Path) -> State:
    """What was done; nothing if that is not known."""
    return _read(folder(home) / "state.json", State) or State()


def note(home: Path, state: State) -> None:
    """Write it down, before what it says is done. Raises OSError."""
    durable.write(folder(home) / "state.json", line(state))


def is_due(timer: Timer, state: State, now: datetime) -> bool:
    """Whether a run is due. A time that lies too far ahead was noted under a wrong clock, and does not count."""
    if state.due is None:
        return True
    return now >= state.due or state.due - now > timedelta(seconds=timer.every * (1 + SPREAD))


def allowance(timer: Timer, state: State, now: datetime) -> int:
    """Bytes that today and this month still allow."""
    today, month = f"{now:%Y-%m-%d}", f"{now:%Y-%m}"
    of_month = sum(octets for day, octets in state.spent.items() if day.startswith(month))
    return max(0, min(timer.day_bytes - state.spent.get(today, 0), timer.month_bytes - of_month))


def begun(timer: Timer, state: State, now: datetime, *, reserved: int, chance: float) -> State:
    """The state when a run begins. All it may cost counts as spent, so that a killed run cannot exceed the budget.

    `chance` is between 0 and 1 and moves the next run by up to `SPREAD` of the interval either way.
    """
    after = timer.every * (1 + SPREAD * (2 * chance - 1))
    return spend(
        msgspec.structs.replace(state, started=now, due=now + timedelta(seconds=after)), now, reserved
    )


def spend(state: State, now: datetime, octets: int) -> State:
    """The state when so many bytes more (or, if negative, less than reserved) were spent today."""
    today, oldest = f"{now:%Y-%m-%d}", f"{now - timedelta(days=_DAYS):%Y-%m-%d}"
    spent = {day: octets for day, octets in state.spent.items() if day >= oldest}
    spent[today] = max(0, spent.get(today, 0) + octets)
    return msgspec.structs.replace(state, spent=spent)


def _read(path: Path, shape: type[R]) -> R | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=shape)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
