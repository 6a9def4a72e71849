"""Many runs side by side: what fares how, where, since when, and what was left out."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from probe.analysis import elsewhere, expressions
from probe.analysis.cells import cells, names
from probe.analysis.claims import Claim, claims
from probe.analysis.engine import Tables, told
from probe.analysis.expressions import FAILING, STATES, By
from probe.analysis.statistics import Interval, jeffreys_each
from probe.analysis.units import network_name
from probe.model import State, Verdict
from probe.record import Record

ENOUGH_VANTAGES, ENOUGH_UNITS = 2, 5  # below either, nothing is said of the network


class Forged(Exception):
    """There are rows that no run gives; which file they are in is for whoever looks at each."""


class Ask(Record):
    """What is asked: networks by what, of which services, since when."""

    by: By = "asn"
    services: tuple[str, ...] = ()
    since: datetime | None = None


class Column(Record):
    """One network, country, label, kind of network, family or day."""

    key: str
    name: str
    country: str
    networks: int
    vantages: int
    runs: int
    first: datetime
    last: datetime


class Entry(Record):
    """How one purpose of a service fares in one column.

    state       the most common of the runs in most units, or in the last ones if all of those fail (`lately`)
    units, bad  vantage x network x hour that allow a statement; those in which it fails or is impaired
    low, high   the share of bad units lies between them (Jeffreys, 95 %), were units independent; None without units
    since       the first hour of the unbroken failing at the end; None if it fails all the time, or not at the end
    enough      whether there are units and vantage points enough to speak of the network and not of these runs
    states      runs by state
    """

    service: str
    purpose: str
    key: str
    state: State
    mechanism: str
    rule: str
    because: str
    identity: str
    units: int
    bad: int
    low: float | None
    high: float | None
    vantages: int
    bad_vantages: int
    runs: int
    first: datetime
    last: datetime
    since: datetime | None
    enough: bool
    states: dict[State, int]

    @property
    def lately(self) -> bool:
        """Whether it failed in the last hours that were measured, and not in most of all: it may be over by now."""
        return 2 * self.bad <= self.units and self.state in FAILING

    @property
    def verdict(self) -> Verdict:
        """The entry as a verdict, for whoever says verdicts in words."""
        return Verdict(
            state=self.state,
            mechanism=self.mechanism or None,
            rule=self.rule,
            because=self.because,
            identity=self.identity,  # type: ignore[arg-type] # it was checked when its file was read
        )


class Layer(Record):
    """How often one step went through (`failure` is empty) or failed so, and the mean seconds it took."""

    service: str
    purpose: str
    key: str
    step: str
    failure: str
    count: int
    seconds: float


class Comparison(Record):
    """Everything there is to say of these runs."""

    by: By
    columns: tuple[Column, ...]
    entries: tuple[Entry, ...]
    layers: tuple[Layer, ...]
    runs: int


@contextmanager
def settled(tables: Tables) -> Iterator[Tables]:
    """The tables with the verdicts that other networks settle, for several questions: they are settled but once."""
    if "alone" in tables.verdict.columns:
        yield tables
        return
    with elsewhere.answers(tables.verdict, tables.measurement).cache() as answers:
        yield tables._replace(verdict=elsewhere.applied(tables.verdict, answers))


def compare(tables: Tables, ask: Ask) -> Comparison:
    """Ask the tables."""
    since = ask.since.astimezone(UTC).replace(tzinfo=None) if ask.since else None
    asked: dict[str, Any] = {"by": ask.by, "services": ask.services, "since": since}
    with (
        expressions.stays(expressions.chosen(tables.verdict, **asked), tables.run).cache() as stays,
        settled(tables) as found,
    ):
        columns = told(expressions.places(stays))
        chosen = expressions.chosen(found.verdict, **asked)
        matrix = told(expressions.matrix(expressions.units(chosen, stays)))
        reasons = defaultdict(list)
        for row in told(expressions.reasons(chosen)):
            reasons[row["service"], row["purpose"], row["key"]].append(row)
    layers = expressions.layers(tables.observation, **asked)
    ends = zip(*jeffreys_each([row["bad"] for row in matrix], [row["units"] for row in matrix]), strict=True)
    return Comparison(
        by=ask.by,
        columns=tuple(_column(row, ask.by) for row in columns),
        entries=tuple(
            _entry(row, reasons[row["service"], row["purpose"], row["key"]], Interval(*map(float, interval)))
            for row, interval in zip(matrix, ends, strict=True)
        ),
        layers=tuple(Layer(**row) for row in told(layers)),
        runs=sum(row["runs"] for row in columns),
    )


def claimed(tables: Tables, ask: Ask) -> list[Claim]:
    """What may be said of networks, from every run since then: other services and countries are part of the evidence.

    Only the claims of the services that were asked for are given.
    """
    since = ask.since.astimezone(UTC).replace(tzinfo=None) if ask.since else None
    with settled(tables) as asked:
        verdicts = expressions.chosen(elsewhere.supported(asked.verdict), by="asn", since=since)
        found = claims(cells(verdicts, tables.run), names(verdicts))
    return [claim for claim in found if not ask.services or claim.service in ask.services]


def _column(row: Mapping[str, Any], by: By) -> Column:
    named = by == "asn" and row["asn"]
    return Column(
        key=row["key"],
        name=network_name(row["asn"], row["as_name"], "") if named else row["key"],
        country=row["country"] if row["countries"] == 1 else "",
        networks=row["asns"],
        vantages=row["vantages"],
        runs=row["runs"],
        first=_utc(row["first"]),
        last=_utc(row["last"]),
    )


def _utc(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC)


def _entry(row: Mapping[str, Any], reasons: Sequence[Mapping[str, Any]], share: Interval) -> Entry:
    units, bad = row["units"], row["bad"]
    counts: Counter[State] = Counter()
    for reason in reasons:
        counts[reason["state"]] += reason["runs"]
    failing = 2 * bad > units or (row["since"] is not None and bad > 0)
    wanted = FAILING if failing else ("reachable",) if units else ("inconclusive", "not_tested")
    first = next((reason for reason in reasons if reason["state"] in wanted), None)
    if first is None:
        raise Forged(f"{row['service']} {row['purpose']}: states that no verdict has")
    return Entry(
        service=row["service"],
        purpose=row["purpose"],
        key=row["key"],
        state=first["state"],
        mechanism=first["mechanism"],
        rule=first["rule"],
        because=first["because"],
        identity=first["identity"],
        units=units,
        bad=bad,
        low=round(share.low, 4) if units else None,
        high=round(share.high, 4) if units else None,
        vantages=row["vantages"],
        bad_vantages=row["bad_vantages"],
        runs=counts.total(),
        first=_utc(row["first"]),
        last=_utc(row["last"]),
        since=_utc(row["since"]) if row["since"] and row["last_good"] else None,
        enough=row["vantages"] >= ENOUGH_VANTAGES and units >= ENOUGH_UNITS,
        states={state: counts[state] for state in STATES if counts[state]},
    )
