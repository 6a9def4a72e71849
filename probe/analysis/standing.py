"""What may be said of each service on each network: stretches that stand up to all the others asked about."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np

from probe.analysis.statistics import Array, benjamini_hochberg, cochran_mantel_haenszel, holm
from probe.analysis.stretches import (
    HARDLY,
    LEAST_HOUSEHOLDS,
    LEAST_OF_ONE,
    LEAST_UNITS,
    MOST,
    Stretch,
    enough,
    stretches,
)
from probe.analysis.units import LEAST_OTHERS, Bools, Series

FIRM = 0.05  # chance that any firm claim of a report is false
TENTATIVE = 0.1  # share of false ones among all claims of a report
ALTERNATES = 3  # stretches of failing, before it comes and goes

State: TypeAlias = Literal["fails", "intermittent", "degraded", "works", "insufficient"]
Why: TypeAlias = Literal["", "too_few", "disagree", "chance", "version"]
Cause: TypeAlias = Literal["interference", "works elsewhere", "fails everywhere", "open"]


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A stretch of time in which one thing may be said of a service on a network."""

    state: State
    first: int
    last: int
    began: tuple[int, int] | None
    failing: int
    of: int
    households: int
    dissenting: int
    counts: tuple[tuple[int, int], ...]  # failing and of, for each household
    p: float  # adjusted for everything the report asks
    firm: bool
    cause: Cause = "open"
    mechanism: str = ""
    why: Why = ""  # of what is insufficient


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A service on a network over time; the last phase is how it is now."""

    series: Series
    phases: tuple[Phase, ...]

    @property
    def now(self) -> Phase:
        """The last phase."""
        return self.phases[-1]


def standings(all_series: Sequence[Series]) -> list[Standing]:
    """One for each series, in their order."""
    world = _World(all_series)
    drafts = [_draft(series, world) for series in all_series]
    p_values = [stretch.p for draft in drafts for stretch in (*draft.failing, *draft.impaired)]
    firm, tentative = iter(holm(p_values)), iter(benjamini_hochberg(p_values))
    made = []
    for draft in drafts:
        failing, impaired = (
            [_Judged(stretch, float(next(firm)), float(next(tentative))) for stretch in found]
            for found in (draft.failing, draft.impaired)
        )
        made.append(Standing(series=draft.series, phases=_phases(draft.series, failing, impaired, world)))
    return made


@dataclass(frozen=True)
class _Draft:
    series: Series
    failing: list[Stretch]
    impaired: list[Stretch]


@dataclass(frozen=True)
class _Judged:
    stretch: Stretch
    holm: float
    hochberg: float

    @property
    def stands(self) -> bool:
        return self.hochberg <= TENTATIVE


def _draft(series: Series, world: "_World") -> _Draft:
    if not enough(series):
        return _Draft(series, [], [])
    base = world.base(series)
    failing = stretches(series, series.failing, base)
    same = np.array_equal(series.failing, series.impaired)
    return _Draft(series, failing, failing if same else stretches(series, series.impaired, base))


class _World:
    """What the other series say: of a household, and of the same service elsewhere."""

    def __init__(self, all_series: Sequence[Series]) -> None:
        self._of_household: dict[tuple[object, str], dict[tuple[str, str], float]] = defaultdict(dict)
        self._of_service: dict[tuple[str, str], list[Series]] = defaultdict(list)
        for series in all_series:
            self._of_service[series.service, series.purpose].append(series)
            of = np.bincount(series.who, minlength=len(series.households))
            failing = np.bincount(series.who, weights=series.failing, minlength=len(of))
            for name, x, n in zip(series.households, failing, of, strict=True):
                if n >= LEAST_OF_ONE:
                    self._of_household[series.network[:3], name][series.service, series.purpose] = x / n

    def base(self, series: Series) -> Array:
        """How much of each household's units would fail anyway, by its other services and by other countries."""
        abroad = self._abroad_share(series)
        return np.array([max(abroad, self._own(series, name)) for name in series.households])

    def _own(self, series: Series, household: str) -> float:
        shares = self._of_household[series.network[:3], household]
        others = [share for (service, _), share in shares.items() if service != series.service]
        # The lower quartile: where calls of every service are blocked, messages still tell how the line is.
        return sorted(others)[len(others) // 4] if len(others) >= LEAST_OTHERS else 0.0

    def _abroad_share(self, series: Series) -> float:
        """What fails abroad, as long as it is not the rule there: then it is the service that is down."""
        shares = [float(one.failing.mean()) for one in self.abroad(series) if enough(one)]
        share = float(np.median(shares)) if shares else 0.0
        return share if share < 0.5 else 0.0

    def abroad(self, series: Series) -> list[Series]:
        """The same service on networks of other countries."""
        twins = self._of_service[series.service, series.purpose]
        return [one for one in twins if one.network.country != series.network.country]

    def works_with_another_version(self, series: Series, first: int, last: int, version: int) -> bool:
        """Whether another version of the program sees the service work anywhere in those hours."""
        works = of = 0
        for one in self._of_service[series.service, series.purpose]:
            there = (one.hour >= first) & (one.hour <= last) & (one.version != version)
            works, of = works + int((~one.failing[there]).sum()), of + int(there.sum())
        return of >= LEAST_UNITS and works >= MOST * of


def _phases(
    series: Series, failing: list[_Judged], impaired: list[_Judged], world: _World
) -> tuple[Phase, ...]:
    if not failing:
        return (_insufficient(series, "too_few"),)
    if sum(one.stands and one.stretch.tendency == "most" for one in failing) >= ALTERNATES:
        return (_alternating(series, failing, world),)
    phases = [_phase(series, one, world) for one in failing]
    if all(phase.state in ("works", "insufficient") for phase in phases):
        degraded = [_phase(series, one, world, impaired=True) for one in impaired]
        if any(phase.state == "degraded" for phase in degraded):
            phases = degraded
    return tuple(_merged(phases))


def _insufficient(series: Series, why: Why) -> Phase:
    return Phase(
        state="insufficient",
        first=int(series.hour.min()),
        last=int(series.hour.max()),
        began=None,
        failing=int(series.failing.sum()),
        of=len(series.hour),
        households=len(series.households),
        dissenting=0,
        counts=_counts(series, series.failing, np.ones(len(series.hour), dtype=np.bool_)),
        p=1.0,
        firm=False,
        why=why,
    )


def _counts(series: Series, troubled: Bools, inside: Bools) -> tuple[tuple[int, int], ...]:
    many = len(series.households)
    of = np.bincount(series.who[inside], minlength=many)
    failing = np.bincount(series.who[inside & troubled], minlength=many)
    return tuple(zip(failing.tolist(), of.tolist(), strict=True))


def _phase(series: Series, judged: _Judged, world: _World, *, impaired: bool = False) -> Phase:
    stretch = judged.stretch
    troubled = series.impaired if impaired else series.failing
    state: State = "insufficient"
    why: Why = "disagree" if stretch.tendency == "unclear" else "chance"
    if stretch.households < LEAST_HOUSEHOLDS or stretch.of < LEAST_UNITS:
        why = "too_few"
    if stretch.tendency == "hardly":
        state, why = "works", ""
    elif judged.stands and _came_with_a_version(series, troubled, stretch, world):
        why = "version"
    elif judged.stands:
        state, why = ("fails" if stretch.tendency == "most" else "intermittent"), ""
        state = "degraded" if impaired else state
    phase = Phase(
        state=state,
        first=stretch.first,
        last=stretch.last,
        began=stretch.began,
        failing=stretch.failing,
        of=stretch.of,
        households=stretch.households,
        dissenting=stretch.dissenting,
        counts=_counts(series, troubled, stretch.inside),
        p=judged.holm if judged.holm <= FIRM else judged.hochberg,
        firm=judged.holm <= FIRM,
        why=why,
    )
    if state in ("works", "insufficient"):
        return phase
    cause = _cause(series, stretch, world)
    return replace(phase, cause=cause, mechanism=_mechanism(series, stretch))


def _alternating(series: Series, failing: Iterable[_Judged], world: _World) -> Phase:
    """Many stretches of failing are one finding: it comes and goes."""
    parts = [_phase(series, one, world) for one in failing if one.stands and one.stretch.tendency == "most"]
    parts = [part for part in parts if part.state == "fails"]
    if len(parts) < ALTERNATES:
        return _insufficient(series, "version")
    best = min(parts, key=lambda part: part.p)
    return replace(
        best,
        state="intermittent",
        first=int(series.hour.min()),
        last=int(series.hour.max()),
        began=None,
        failing=int(series.failing.sum()),
        of=len(series.hour),
        households=len(series.households),
        counts=_counts(series, series.failing, np.ones(len(series.hour), dtype=np.bool_)),
        cause=Counter(part.cause for part in parts).most_common(1)[0][0],
    )


def _merged(phases: Iterable[Phase]) -> list[Phase]:
    """Neighbours of which the same is said are one."""
    made: list[Phase] = []
    for phase in phases:
        if made and made[-1].state == phase.state:
            before = made.pop()
            larger = max(before, phase, key=lambda one: one.of)
            phase = replace(
                larger,
                first=before.first,
                last=phase.last,
                began=before.began,
                failing=before.failing + phase.failing,
                of=before.of + phase.of,
                households=max(before.households, phase.households),
                counts=tuple(
                    (x + y, n + m) for (x, n), (y, m) in zip(before.counts, phase.counts, strict=True)
                ),
                p=min(before.p, phase.p),
                firm=before.firm or phase.firm,
            )
        made.append(phase)
    return made


def _came_with_a_version(series: Series, troubled: Bools, stretch: Stretch, world: _World) -> bool:
    """Whether the trouble is the program's: no version sees a change by itself, or another sees none."""
    inside, versions = stretch.inside, series.version
    newest = int(np.bincount(versions[inside]).argmax())
    if stretch.began is None:
        return world.works_with_another_version(series, stretch.first, stretch.last, newest)
    if len(np.unique(versions)) == 1:
        return False
    strata = [
        (
            int(troubled[inside & (versions == one)].sum()),
            int((inside & (versions == one)).sum()),
            int(troubled[~inside & (versions == one)].sum()),
            int((~inside & (versions == one)).sum()),
        )
        for one in np.unique(versions)
    ]
    return cochran_mantel_haenszel(strata).more > FIRM


def _cause(series: Series, stretch: Stretch, world: _World) -> Cause:
    """Interference where it is proven; else what the same service does abroad in the same hours."""
    fails = stretch.inside & series.impaired
    if 2 * series.proven[fails].sum() > fails.sum():
        return "interference"
    shares = []
    for one in world.abroad(series):
        there = (one.hour >= stretch.first) & (one.hour <= stretch.last)
        if there.sum() >= LEAST_UNITS and len(np.unique(one.who[there])) >= LEAST_HOUSEHOLDS:
            shares.append(float(one.failing[there].mean()))
    if any(share <= HARDLY for share in shares):
        return "works elsewhere"
    return "fails everywhere" if shares and all(share >= MOST for share in shares) else "open"


def _mechanism(series: Series, stretch: Stretch) -> str:
    """What most of the failing units name; empty where they name nothing or disagree."""
    named = [
        name
        for name, inside, impaired in zip(series.mechanism, stretch.inside, series.impaired, strict=False)
        if inside and impaired and name
    ]
    (name, count), *_ = Counter(named).most_common(1) or [("", 0)]
    return name if 2 * count > len(named) else ""
