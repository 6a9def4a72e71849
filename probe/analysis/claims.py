"""From cells to claims: what may be said of services in countries, how sure it is, and what speaks against it."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import datetime
from itertools import pairwise, zip_longest
from typing import TYPE_CHECKING, Literal, TypeAlias

from probe.analysis.outage import EVERYWHERE
from probe.analysis.pooling import Pooled, pooled
from probe.analysis.standing import FIRM, Cause, Phase, Standing, standings
from probe.analysis.statistics import fisher
from probe.analysis.units import Metric, Names, all_series, to_time
from probe.record import Record

if TYPE_CHECKING:
    import pyarrow as pa

What: TypeAlias = Literal[
    "fails", "works", "degraded", "intermittent", "differs", "began", "ended", "down", "insufficient"
]
TOGETHER = 24  # hours in which the beginnings on several networks are one event
_CALM: tuple[What, ...] = ("works", "insufficient")
TROUBLE = ("fails", "intermittent", "degraded")
TROUBLED = (*TROUBLE, "differs", "began", "ended", "down")  # what is tested before it is said


class Span(Record):
    """It changed after the first of these hours, at the latest in the second."""

    after: datetime
    by: datetime


class Numbers(Record):
    """What a claim rests on: household-hours, and the share that a further household would see fail."""

    failing: int
    of: int
    households: int
    share: float
    low: float
    high: float
    p: float  # the largest of its networks', adjusted for everything the report asks


class Doubt(Record):
    """Something that speaks against a claim, or that it leaves open; `probe.analysis.sentences` has the words."""

    about: Literal["dissent", "cause", "too_few", "disagree", "chance", "version", "everywhere", "works_on"]
    count: int = 0
    of: int = 0


class Excess(Record):
    """How much worse a metric is than other services' in the same hours: a difference, of `setup_s` a ratio."""

    metric: Metric
    estimate: float
    low: float
    high: float


class Claim(Record):
    """One thing that may be said of a purpose of a service on networks of a country, or everywhere.

    `of` is how many networks of the country had enough data. `sure` is "firm" where the chance that any
    firm claim of the report is false is at most 5 %, "tentative" where at most a tenth of all its claims
    are; what needs no test has neither. `cause` says how far the trouble is known to be interference.
    """

    what: What
    service: str
    purpose: str
    country: str  # empty: everywhere
    networks: tuple[str, ...]
    of: int
    numbers: Numbers
    since: Span | None = None
    until: Span | None = None
    sure: Literal["firm", "tentative", ""] = ""
    cause: Cause = "open"
    mechanism: str = ""
    access: str = ""  # of what differs: the access on which it fails
    excess: tuple[Excess, ...] = ()  # of what is degraded: of each network at most one
    against: tuple[Doubt, ...] = ()


def claims(cells: "pa.Table", names: Names) -> list[Claim]:
    """Everything that may be said, by service and purpose; trouble before what works.

    Give it every cell there is, and pick services afterwards: how a household fares otherwise, and how a
    service fares abroad, are part of the evidence.
    """
    return of_standings(standings(all_series(cells, names)))


def of_standings(all_standings: Sequence[Standing]) -> list[Claim]:
    """The claims of what stands on each network."""
    grouped: dict[tuple[str, str], list[Standing]] = defaultdict(list)
    for one in all_standings:
        grouped[one.series.service, one.series.purpose].append(one)
    made: list[_Draft] = []
    for group in grouped.values():
        made += _down(group)
        group = [one for one in group if one.series.network != EVERYWHERE]
        countries: dict[str, list[Standing]] = defaultdict(list)
        for one in group:
            countries[one.series.network.country].append(one)
        for country in countries.values():
            made += _of_country(country)
    return [_claim(draft) for draft in made]


@dataclass(frozen=True)
class _Draft:
    """A claim before its numbers: what is said of these phases, among everything that stands there."""

    what: What
    parts: Sequence[tuple[Standing, Phase]]
    among: Sequence[Standing]
    _: KW_ONLY
    since: Span | None = None
    until: Span | None = None
    access: str = ""
    against: tuple[Doubt, ...] = ()

    @property
    def counts(self) -> list[tuple[int, int]]:
        """Failing and of, for each household of each network."""
        return [pair for _, phase in self.parts for pair in phase.counts if pair[1]]


def _of_country(country: Sequence[Standing]) -> list[_Draft]:
    made = []
    for state in TROUBLE:
        for firm in (True, False):
            now = [s for s in country if s.now.state == state and s.now.firm == firm and _ours(s.now)]
            made += [_trouble(now, country)] if now else []
    made += _differs(country) + _events(country)
    for calm in _CALM:
        now = [s for s in country if s.now.state == calm]
        made += [_Draft(calm, [(s, s.now) for s in now], country, against=_doubts(now))] if now else []
    return made


def _ours(phase: Phase) -> bool:
    """Whether it is the networks' doing, and not that the service is down."""
    return phase.state in TROUBLE and phase.cause != "fails everywhere"


def _trouble(now: Sequence[Standing], country: Sequence[Standing]) -> _Draft:
    works = sum(s.now.state == "works" for s in country)
    against = (*_doubts(now), *([Doubt(about="works_on", count=works)] if works else []))
    state: What = now[0].now.state
    return _Draft(
        state, [(s, s.now) for s in now], country, since=_span([s.now for s in now]), against=against
    )


def _doubts(now: Sequence[Standing]) -> tuple[Doubt, ...]:
    dissenting, households = (sum(getattr(s.now, name) for s in now) for name in ("dissenting", "households"))
    doubts = [Doubt(about="dissent", count=dissenting, of=households)] if dissenting else []
    if any(s.now.state in TROUBLE and s.now.cause == "open" for s in now):
        doubts.append(Doubt(about="cause"))
    for about in ("too_few", "disagree", "chance", "version", "everywhere"):
        count = sum(s.now.why == about for s in now)
        doubts += [Doubt(about=about, count=count)] if count else []
    return tuple(doubts)


def _down(group: Sequence[Standing]) -> list[_Draft]:
    """A service that fails in every country at once is down, and no network is blamed."""
    networks = [one for one in group if one.series.network != EVERYWHERE]
    made = []
    for one in group:
        for phase, after in zip_longest(one.phases, one.phases[1:]):
            if phase.state == "fails" and phase.cause == "fails everywhere":
                until = _hours([after.began]) if after and after.began else None
                made.append(_Draft("down", [(one, phase)], networks, since=_span([phase]), until=until))
    return made


def _differs(country: Sequence[Standing]) -> list[_Draft]:
    """Where it fails on every network of one access and on none of the other's, of two or more each."""
    for access, other in (("mobile", "fixed"), ("fixed", "mobile")):
        ours = [s for s in country if s.series.network.access == access and s.now.state != "insufficient"]
        theirs = [s for s in country if s.series.network.access == other and s.now.state != "insufficient"]
        if min(len(ours), len(theirs)) < 2 or any(s.now.state != "works" for s in theirs):
            continue
        if not all(s.now.state == "fails" and _ours(s.now) for s in ours):
            continue
        fails, households = _votes(ours)
        others, other_households = _votes(theirs)
        if fisher(fails, households, other_households - others, other_households) <= FIRM:
            parts = [(s, s.now) for s in ours]
            return [_Draft("differs", parts, country, access=access, since=_span([p for _, p in parts]))]
    return []


def _votes(some: Sequence[Standing]) -> tuple[int, int]:
    """How many households say what their network's standing says; each counts once."""
    households = sum(s.now.households for s in some)
    return households - sum(s.now.dissenting for s in some), households


def _events(country: Sequence[Standing]) -> list[_Draft]:
    """What began and what ended, once for all networks on which it did within a day."""
    began, ended = [], []
    for s in country:
        for before, after in pairwise(s.phases):
            if after.began and before.state == "works" and _ours(after):
                began.append((s, after, after.began))
            if after.began and after.state == "works" and _ours(before):
                ended.append((s, before, after.began))
    made = []
    for group in _together(began):
        parts = [(s, phase) for s, phase, _ in group]
        made.append(_Draft("began", parts, country, since=_hours([hours for *_, hours in group])))
    for group in _together(ended):
        parts = [(s, phase) for s, phase, _ in group]
        since, until = _span([phase for _, phase in parts]), _hours([hours for *_, hours in group])
        made.append(_Draft("ended", parts, country, since=since, until=until))
    return made


_Event: TypeAlias = tuple[Standing, Phase, tuple[int, int]]


def _together(events: Iterable[_Event]) -> list[list[_Event]]:
    groups: list[list[_Event]] = []
    for event in sorted(events, key=lambda event: event[2][1]):
        if groups and event[2][1] - groups[-1][0][2][1] <= TOGETHER:
            groups[-1].append(event)
        else:
            groups.append([event])
    return groups


def _span(phases: Sequence[Phase]) -> Span | None:
    """From the first to the last beginning; none if any began before anybody looked."""
    hours = [phase.began for phase in phases if phase.began]
    return _hours(hours) if len(hours) == len(phases) else None


def _hours(hours: Sequence[tuple[int, int]]) -> Span:
    return Span(after=to_time(min(h[0] for h in hours)), by=to_time(max(h[1] for h in hours)))


def _claim(draft: _Draft) -> Claim:
    series, phases = draft.parts[0][0].series, [phase for _, phase in draft.parts]
    everywhere = draft.what == "down"
    # Of a service that is down every network is named, also those of one name in two countries.
    named = [
        name_of(one, draft.among) for one in (draft.among if everywhere else [s for s, _ in draft.parts])
    ]
    return Claim(
        what=draft.what,
        service=series.service,
        purpose=series.purpose,
        country="" if everywhere else series.network.country,
        networks=tuple(named if everywhere else dict.fromkeys(named)),
        of=sum(s.now.state != "insufficient" for s in draft.among),
        since=draft.since,
        until=draft.until,
        sure=("firm" if all(p.firm for p in phases) else "tentative") if draft.what in TROUBLED else "",
        cause=_weakest(phases),
        mechanism=_common([p.mechanism for p in phases]),
        access=draft.access,
        numbers=_numbers(phases, pooled(draft.counts)),
        excess=tuple(
            Excess(
                metric=one.metric,
                estimate=round(float(one.estimate), 4),
                low=round(float(one.interval.low), 4),
                high=round(float(one.interval.high), 4),
            )
            for phase in phases
            if (one := phase.impairment)
        ),
        against=draft.against,
    )


def name_of(standing: Standing, among: Iterable[Standing]) -> str:
    """The network's name, with its access where the operator has both."""
    network = standing.series.network
    twin = any(
        s.series.network[:2] == network[:2] and s.series.network.access != network.access for s in among
    )
    name = network.name or f"AS{network.asn}"
    return f"{name} ({network.access})" if twin else name


def _weakest(phases: Sequence[Phase]) -> Cause:
    order: tuple[Cause, ...] = ("fails everywhere", "open", "works elsewhere", "interference")
    return min((phase.cause for phase in phases), key=order.index)


def _common(mechanisms: Sequence[str]) -> str:
    """The one mechanism they share, as deep as they share it."""
    shared = []
    for parts in zip(*(name.split(".") for name in mechanisms), strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return ".".join(shared)


def _numbers(phases: Sequence[Phase], share: Pooled) -> Numbers:
    return Numbers(
        failing=int(sum(phase.failing for phase in phases)),
        of=int(sum(phase.of for phase in phases)),
        households=int(sum(phase.households for phase in phases)),
        share=round(share.mean, 4),
        low=round(share.further.low, 4),
        high=round(share.further.high, 4),
        p=float(max(phase.p for phase in phases)),
    )
