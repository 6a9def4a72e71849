"""What a report shows beside the comparison: everything over time, test calls, and how steps failed last."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from probe import rules
from probe.analysis import expressions
from probe.analysis.compare import Ask, Column, Comparison, settled
from probe.analysis.engine import Tables, told
from probe.analysis.expressions import Step
from probe.record import Record

_STEPS: tuple[tuple[timedelta, Step], ...] = (
    (timedelta(days=4), "h"),
    (timedelta(days=150), "D"),
    (timedelta(days=900), "W"),
)


class Point(Record):
    """Units of one hour, day, week or month that allow a statement, and those in which it fails."""

    service: str
    purpose: str
    key: str
    at: datetime
    units: int
    bad: int


class Flow(Record):
    """Test calls and flows of one hour, day, week or month: shares lost in the mean, median round trip."""

    key: str
    service: str
    at: datetime
    flows: int
    loss_up: float | None
    loss_down: float | None
    rtt_ms: float | None


class Failed(Record):
    """One way in which a step failed, first and last, and the last time's endpoint. `host` is empty if it was lent."""

    service: str
    purpose: str
    key: str
    step: str
    failure: str
    first: datetime
    last: datetime
    host: str
    port: int
    code: str


class Program(Record):
    """What made so many of the runs; `rules_stored` is 0 where nothing was thought when they were made."""

    software: str
    source: str
    rules_stored: int
    runs: int


class Evidence(Record):
    """Times are UTC; `step` is in what they are divided: hours, days, weeks or months."""

    step: Step
    points: tuple[Point, ...]
    flows: tuple[Flow, ...]
    failures: tuple[Failed, ...]
    programs: tuple[Program, ...]
    rules: int


def evidence(tables: Tables, ask: Ask, comparison: Comparison) -> Evidence:
    """Ask the tables what the comparison of them does not hold."""
    since = ask.since.astimezone(UTC).replace(tzinfo=None) if ask.since else None
    step = _step(comparison.columns)
    asked: dict[str, Any] = {"by": ask.by, "services": ask.services, "since": since}
    with (
        expressions.stays(expressions.chosen(tables.verdict, **asked), tables.run).cache() as stays,
        settled(tables) as found,
    ):
        units = expressions.units(expressions.chosen(found.verdict, **asked), stays, step)
        history = told(expressions.history(units))
    own = expressions.own(tables.observation, **asked)
    lent = {row["host"] for row in told(expressions.lent(tables.measurement))}
    runs = tables.run if since is None else tables.run.filter(tables.run.started >= since)
    return Evidence(
        step=step,
        points=tuple(Point(**_timed(row)) for row in history),
        flows=tuple(Flow(**_timed(row)) for row in told(expressions.flows(own, step))),
        failures=tuple(
            Failed(**_timed(row) | {"host": "" if row["host"] in lent else row["host"]})
            for row in told(expressions.failures(own))
        ),
        programs=tuple(Program(**row) for row in told(expressions.programs(runs))),
        rules=rules.VERSION,
    )


def _step(columns: Sequence[Column]) -> Step:
    span = max(column.last for column in columns) - min(column.first for column in columns)
    return next((step for least, step in _STEPS if span <= least), "M")


def _timed(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.replace(tzinfo=UTC) if isinstance(value, datetime) else value
        for name, value in row.items()
    }
