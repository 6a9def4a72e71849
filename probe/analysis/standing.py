"""What may be said of each service on each network: stretches that stand up to all the others asked about."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np

from probe.analysis.impairment import Impairment, impairments
from probe.analysis.outage import EVERYWHERE, Elsewhere, tally, without
from probe.analysis.statistics import benjamini_hochberg, holm
from probe.analysis.stretches import (
    HARDLY,
    LEAST_HOUSEHOLDS,
    LEAST_UNITS,
    MOST,
    Stretch,
    enough,
    stretches,
)
from probe.analysis.units import Bools, Series

FIRM = 0.05  # chance that any firm claim of a report is false
TENTATIVE = 0.1  # share of false ones among all claims of a report
ALTERNATES = 3  # stretches of failing, before it comes and goes

State: TypeAlias = Literal["fails", "intermittent", "degraded", "works", "insufficient"]
Why: TypeAlias = Literal["", "too_few", "disagree", "chance", "version", "everywhere"]
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
    impairment: Impairment | None = None  # of what is degraded in loss or time


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
    """One for each series, in their order; then one for each service that several countries measured.

    Where a service is down everywhere no network is asked about these hours.
    """
    elsewhere = Elsewhere(all_series)
    everywhere = [
        _Draft(one, stretches(one, one.failing, elsewhere.base(one)), []) for one in elsewhere.everywhere()
    ]
    down: dict[tuple[str, str], list[Stretch]] = {
        (draft.series.service, draft.series.purpose): [
            stretch
            for stretch in draft.failing
            if stretch.p * len(everywhere) <= FIRM
            and elsewhere.is_down(draft.series, stretch)
            and not elsewhere.came_with_a_version(draft.series, draft.series.failing, stretch)
        ]
        for draft in everywhere
    }
    drafts = [
        *(_draft(without(one, down.get((one.service, one.purpose), ())), elsewhere) for one in all_series),
        *everywhere,
    ]
    asked = [*all_series, *(draft.series for draft in everywhere)]
    impaired = [
        *impairments([draft.series for draft in drafts[: len(all_series)]]),
        *([] for _ in everywhere),
    ]
    p_values: list[float] = []
    for draft, worse in zip(drafts, impaired, strict=True):
        p_values += [stretch.p for stretch in (*draft.failing, *draft.impaired)] + [one.p for one in worse]
    adjusted = zip(holm(p_values), benjamini_hochberg(p_values), strict=True)
    made = []
    for series, draft, worse in zip(asked, drafts, impaired, strict=True):
        failing, degraded = (
            [_Judged(stretch, *next(adjusted)) for stretch in found]
            for found in (draft.failing, draft.impaired)
        )
        phases = _phases(draft.series, failing, degraded, elsewhere)
        if not phases:
            phases = (
                _insufficient(
                    series, "too_few" if len(series.hour) == len(draft.series.hour) else "everywhere"
                ),
            )
        worst = min(((*next(adjusted), one) for one in worse), key=lambda one: one[:2], default=None)
        if worst and worst[1] <= TENTATIVE and [phase.state for phase in phases] == ["works"]:
            phases = (_slow(phases[0], *worst),)
        made.append(Standing(series=draft.series, phases=phases))
    return made


def _slow(phase: Phase, firm: float, tentative: float, impairment: Impairment) -> Phase:
    """It works, but loses or lags far more than its neighbours."""
    return replace(
        phase,
        state="degraded",
        p=firm if firm <= FIRM else tentative,
        firm=firm <= FIRM,
        cause="works elsewhere",
        impairment=impairment,
    )


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


def _draft(series: Series, elsewhere: Elsewhere) -> _Draft:
    if not enough(series):
        return _Draft(series, [], [])
    base = elsewhere.base(series)
    failing = stretches(series, series.failing, base)
    same = np.array_equal(series.failing, series.impaired)
    return _Draft(series, failing, failing if same else stretches(series, series.impaired, base))


def _phases(
    series: Series, failing: list[_Judged], impaired: list[_Judged], elsewhere: Elsewhere
) -> tuple[Phase, ...]:
    """Nothing where there is too little to cut into stretches."""
    if (
        series.network != EVERYWHERE
        and sum(one.stands and one.stretch.tendency == "most" for one in failing) >= ALTERNATES
    ):
        return (_alternating(series, failing, elsewhere),)
    phases = [_phase(series, one, elsewhere) for one in failing]
    if all(phase.state in ("works", "insufficient") for phase in phases):
        degraded = [_phase(series, one, elsewhere, impaired=True) for one in impaired]
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


def _phase(series: Series, judged: _Judged, elsewhere: Elsewhere, *, impaired: bool = False) -> Phase:
    stretch = judged.stretch
    troubled = series.impaired if impaired else series.failing
    state: State = "insufficient"
    why: Why = "disagree" if stretch.tendency == "unclear" else "chance"
    if stretch.households < LEAST_HOUSEHOLDS or stretch.of < LEAST_UNITS:
        why = "too_few"
    if stretch.tendency == "hardly":
        state, why = "works", ""
    elif judged.stands and elsewhere.came_with_a_version(series, troubled, stretch):
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
    cause = _cause(series, stretch, elsewhere)
    if cause == "fails everywhere" and series.network != EVERYWHERE:
        return replace(phase, state="insufficient", why="everywhere")
    return replace(phase, cause=cause, mechanism=_mechanism(series, stretch))


def _alternating(series: Series, failing: Iterable[_Judged], elsewhere: Elsewhere) -> Phase:
    """Many stretches of failing are one finding: it comes and goes."""
    parts = [
        _phase(series, one, elsewhere) for one in failing if one.stands and one.stretch.tendency == "most"
    ]
    other = Counter(part.why for part in parts if part.state != "fails").most_common(1)
    parts = [part for part in parts if part.state == "fails"]
    if len(parts) < ALTERNATES:
        return _insufficient(series, other[0][0])
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


def _cause(series: Series, stretch: Stretch, elsewhere: Elsewhere) -> Cause:
    """Interference where it is proven; else what the same service does abroad in the same hours."""
    if series.network == EVERYWHERE:
        return "fails everywhere" if elsewhere.is_down(series, stretch) else "open"
    fails = stretch.inside & series.impaired
    if 2 * series.proven[fails].sum() > fails.sum():
        return "interference"
    votes = [vote for one in elsewhere.abroad(series) if (vote := _vote_abroad(one, stretch)) is not None]
    if "works" in votes:
        return "works elsewhere"
    return "fails everywhere" if votes and set(votes) == {"fails"} else "open"


def _vote_abroad(series: Series, stretch: Stretch) -> Literal["works", "fails", "open"] | None:
    """What most households there say of these hours, two at least and each with one vote: one may be forged."""
    there = (series.hour >= stretch.first) & (series.hour <= stretch.last)
    of, failing, _ = tally([(series, there)])
    if of.sum() < LEAST_UNITS or len(of) < LEAST_HOUSEHOLDS:
        return None
    shares = failing / of
    if 2 * np.count_nonzero(shares <= HARDLY) > len(shares):
        return "works"
    return "fails" if 2 * np.count_nonzero(shares >= MOST) > len(shares) else "open"


def _mechanism(series: Series, stretch: Stretch) -> str:
    """What most of the failing units name; empty where they name nothing or disagree."""
    if not len(series.mechanism):
        return ""
    named = [name for name in series.mechanism[stretch.inside & series.impaired] if name]
    (name, count), *_ = Counter(named).most_common(1) or [("", 0)]
    return name if 2 * count > len(named) else ""
