"""One series cut where it changes, and what its households say of each stretch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from probe.analysis.change import Change, changes
from probe.analysis.statistics import Array, Ints, at_least, jeffreys, partial_conjunction
from probe.analysis.units import Bools, Series

Tendency: TypeAlias = Literal["most", "some", "hardly", "unclear"]

LEAST_HOUSEHOLDS = 2
LEAST_UNITS = 5
LEAST_OF_ONE = 3  # units, before a household has a vote
MOST = 0.8  # of a household's units
ABOVE = 0.2  # what fails by itself, before it is said to fail now and then
SLACK = 0.1  # of it may be chance's or a poor route's
HARDLY = 0.2
FLOOR = 0.2  # a household's units that may fail for reasons of its own
# In a stretch that can be claimed two households or more fail so much oftener than by themselves, and a
# little, that the excess sums up to this many units at least.
ROW, MARGIN = 5.0, 0.05
OPEN = 0.5  # how much might still fail where hardly any does


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Units between two changes, and the households' votes on it.

    `p` answers whether a majority of households fails more than by itself, and pays for having looked at
    every place where a stretch could begin and end.
    """

    first: int  # hours since the epoch
    last: int
    began: tuple[int, int] | None  # it changed after the first of these hours, at the latest in the second
    tendency: Tendency
    p: float
    failing: int
    of: int
    households: int
    dissenting: int  # households with a vote that say otherwise
    inside: Bools


def enough(series: Series) -> bool:
    """Whether so many households and units were there that something may be said at all."""
    counts = np.bincount(series.who)
    return int((counts >= LEAST_OF_ONE).sum()) >= LEAST_HOUSEHOLDS and len(series.who) >= LEAST_UNITS


def stretches(series: Series, troubled: Bools, base: Array) -> list[Stretch]:
    """The series in order of time. `base` is how much of each household's units fails by itself."""
    hours, at = np.unique(series.hour, return_inverse=True)
    found = _changes(series.who, troubled, at, base)
    starts = [0, *(change.best for change in found), len(hours)]
    made = []
    for number, (low, high) in enumerate(zip(starts, starts[1:], strict=False)):
        inside = (at >= low) & (at < high)
        change = found[number - 1] if number else None
        made.append(
            _stretch(
                series,
                troubled,
                inside,
                base,
                began=(int(hours[change.after]), int(hours[change.by])) if change else None,
                looks=_looks(low, high, len(hours)),
            )
        )
    return made


def _looks(low: int, high: int, bins: int) -> int:
    """How many stretches of this kind could have been picked: the whole, those at an end, or any within."""
    ends = (low == 0) + (high == bins)
    return 3 * (1, 2 * bins, bins * bins)[2 - ends]


def _changes(who: Ints, troubled: Bools, at: Ints, base: Array) -> tuple[Change, ...]:
    """Where it changes, if so much fails in a row anywhere that a stretch of it could be claimed."""
    # No household weighs more than all the others together.
    counts = np.bincount(who)
    weights = np.minimum(1.0, (len(who) - counts) / np.maximum(counts, 1))[who]
    score = np.cumsum(np.append(0.0, weights * (troubled - np.maximum(FLOOR, base)[who] - MARGIN)))
    if np.max(score - np.minimum.accumulate(score)) < ROW:
        return ()
    failing, of = np.bincount(at, weights=weights * troubled), np.bincount(at, weights=weights)
    return changes(failing.astype(np.float64), of.astype(np.float64))


def _stretch(
    series: Series,
    troubled: Bools,
    inside: Bools,
    base: Array,
    *,
    began: tuple[int, int] | None,
    looks: int,
) -> Stretch:
    who, fails = series.who[inside], troubled[inside]
    of = np.bincount(who, minlength=len(series.households))
    failing = np.bincount(who, weights=fails, minlength=len(series.households)).astype(int)
    voters = np.flatnonzero(of >= LEAST_OF_ONE)
    shares = failing[voters] / of[voters]
    usual = np.maximum(FLOOR, base)[voters]
    tendency = _tendency(shares, usual, failing[voters], of[voters])
    p = 1.0
    if tendency in ("most", "some"):
        by_chance = usual + (SLACK if tendency == "some" else 0.0)
        chances = at_least(failing[voters], of[voters], np.minimum(1.0, by_chance))
        p = min(1.0, looks * partial_conjunction(chances, majority(len(voters))))
    return Stretch(
        first=int(series.hour[inside].min()),
        last=int(series.hour[inside].max()),
        began=began,
        tendency=tendency,
        p=p,
        failing=int(fails.sum()),
        of=len(who),
        households=int((of > 0).sum()),
        dissenting=int((~_agrees(shares, usual, tendency)).sum()),
        inside=inside,
    )


def majority(voters: int) -> int:
    """More than half of them."""
    return voters // 2 + 1


def _agrees(shares: Array, usual: Array, tendency: Tendency) -> Bools:
    match tendency:
        case "most":
            return shares >= np.maximum(MOST, usual + ABOVE)
        case "some":
            return shares >= usual + ABOVE
        case "hardly":
            return shares <= HARDLY
        case _:
            return np.ones(len(shares), dtype=np.bool_)


def _tendency(shares: Array, usual: Array, failing: Ints, of: Ints) -> Tendency:
    if len(shares) < LEAST_HOUSEHOLDS or of.sum() < LEAST_UNITS:
        return "unclear"
    needed = majority(len(shares))
    for tendency in _ORDER:
        agree = _agrees(shares, usual, tendency)
        if agree.sum() < needed:
            continue
        if tendency == "hardly" and jeffreys(failing[agree].sum(), of[agree].sum()).high > OPEN:
            continue
        return tendency
    return "unclear"


_ORDER: Sequence[Tendency] = ("most", "some", "hardly")
