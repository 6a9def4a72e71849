"""What the other series say of one: how its households fare otherwise, and how the service fares elsewhere."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from probe.analysis.statistics import Array, Ints, cochran_mantel_haenszel
from probe.analysis.stretches import LEAST_HOUSEHOLDS, LEAST_OF_ONE, LEAST_UNITS, MOST, Stretch, enough
from probe.analysis.units import LEAST_OTHERS, Bools, Network, Series

ALONE = 0.05  # a change that every version of the program sees by itself
EVERYWHERE = Network("", 0, "everywhere", "everywhere")
_Place: TypeAlias = tuple[str, int, str]
_Subject: TypeAlias = tuple[str, str]
_Name = TypeVar("_Name", str, tuple[str, str])


class Elsewhere:
    """What the other series say: of a household, and of the same service elsewhere."""

    def __init__(self, all_series: Sequence[Series]) -> None:
        self._of_service: dict[_Subject, list[Series]] = defaultdict(list)
        self._shares: dict[_Subject, list[tuple[str, float]]] = defaultdict(list)
        of_place: dict[_Place, list[Series]] = defaultdict(list)
        for series in all_series:
            subject = series.service, series.purpose
            self._of_service[subject].append(series)
            of_place[series.network[:3]].append(series)
            if enough(series):
                self._shares[subject].append((series.network.country, _share(series)))
        self._households = {place: _Households(there) for place, there in of_place.items()}
        if all_series:
            self._households[EVERYWHERE[:3]] = _Households(all_series)

    def base(self, series: Series) -> Array:
        """How much of each household's units would fail anyway, by its other services and by other countries."""
        own = self._households[series.network[:3]].otherwise(series)
        return np.maximum(self._abroad_share(series), own)

    def _abroad_share(self, series: Series) -> float:
        """What fails abroad, as long as it is not the rule there: then it is the service that is down."""
        here = series.network.country
        there = self._shares[series.service, series.purpose]
        abroad = [share for country, share in there if here and country not in ("", here)]
        share = float(np.median(abroad)) if abroad else 0.0
        return share if share < 0.5 else 0.0

    def abroad(self, series: Series) -> list[Series]:
        """The same service on networks of other countries, where both countries are known."""
        here, twins = series.network.country, self._of_service[series.service, series.purpose]
        return [one for one in twins if here and one.network.country not in ("", here)]

    def _works_with_another_version(self, series: Series, first: int, last: int, version: int) -> bool:
        """Whether another version of the program sees the service work anywhere in those hours."""
        works = of = 0
        for one in self._of_service[series.service, series.purpose]:
            there = (one.hour >= first) & (one.hour <= last) & (one.version != version)
            works, of = works + int((~one.failing[there]).sum()), of + int(there.sum())
        return of >= LEAST_UNITS and works >= MOST * of

    def came_with_a_version(self, series: Series, troubled: Bools, stretch: Stretch) -> bool:
        """Whether the trouble is the program's: no version sees a change by itself, or another sees none."""
        inside, versions = stretch.inside, series.version
        newest = int(np.bincount(versions[inside]).argmax())
        if stretch.began is None:
            return self._works_with_another_version(series, stretch.first, stretch.last, newest)
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
        return cochran_mantel_haenszel(strata).more > ALONE

    def everywhere(self) -> list[Series]:
        """All units of each service and purpose that households of two or more countries measured."""
        return [
            _together(twins)
            for twins in self._of_service.values()
            if len({one.network.country for one in twins} - {""}) > 1
        ]

    def is_down(self, series: Series, stretch: Stretch) -> bool:
        """Whether it fails in this stretch in every country that has enough to say, in two or more."""
        countries: dict[str, list[tuple[Series, Bools]]] = defaultdict(list)
        for one in self._of_service[series.service, series.purpose]:
            there = (one.hour >= stretch.first) & (one.hour <= stretch.last)
            countries[one.network.country].append((one, there))
        verdicts = [by_itself for parts in countries.values() if (by_itself := _by_itself(parts)) is not None]
        return len(verdicts) > 1 and all(verdicts)


def _by_itself(parts: Sequence[tuple[Series, Bools]]) -> bool | None:
    """Whether it fails for most households of a country without proof, each with one vote; None: too few to say.

    Where most for whom it fails hold proof of interference it is that country's doing.
    """
    of, failing, proven = tally(parts)
    if of.sum() < LEAST_UNITS or len(of) < LEAST_HOUSEHOLDS:
        return None
    fails = failing / of >= MOST
    held = fails & (2 * proven > failing)
    return bool(2 * fails.sum() > len(fails) and 2 * held.sum() <= fails.sum())


def tally(parts: Sequence[tuple[Series, Bools]]) -> tuple[Array, Array, Array]:
    """How many of these units each household has, wherever it measured; how many fail, and with proof."""
    index: dict[str, int] = {}
    who = np.concatenate([
        np.array([index.setdefault(name, len(index)) for name in one.households], np.int64)[one.who[there]]
        for one, there in parts
    ])  # fmt: skip
    of, failing, proven = (
        np.bincount(who, np.concatenate(units)).astype(np.float64)
        for units in zip(
            *((there[there], one.failing[there], one.proven[there]) for one, there in parts), strict=True
        )
    )
    return of[of > 0], failing[of > 0], proven[of > 0]


def _share(series: Series) -> float:
    """What fails for the household in the middle, of those with a vote."""
    of, failing = _per_household(series)
    voters = of >= LEAST_OF_ONE
    return float(np.median(failing[voters] / of[voters]))


class _Households:
    """How often each service fails for each household of a place."""

    def __init__(self, there: Sequence[Series]) -> None:
        self._index = _numbered(name for one in there for name in one.households)
        self._services = _numbered(one.service for one in there)
        subjects = _numbered((one.service, one.purpose) for one in there)
        keys = [self._of(one) * len(subjects) + subjects[one.service, one.purpose] for one in there]
        # A household may have measured the same on several networks of the place.
        key, again = np.unique(np.concatenate(keys), return_inverse=True)
        of, failing = (
            np.bincount(again, weights=np.concatenate(counts))
            for counts in zip(*map(_per_household, there), strict=True)
        )
        seen = of >= LEAST_OF_ONE
        who, subject = np.divmod(key[seen], len(subjects))
        share = failing[seen] / of[seen]
        order = np.lexsort((share, who))
        self._who, self._share = who[order], share[order]
        self._service = np.array([self._services[service] for service, _ in subjects])[subject[order]]

    def _of(self, series: Series) -> Ints:
        return np.array([self._index[name] for name in series.households], dtype=np.int64)

    def otherwise(self, series: Series) -> Array:
        """How much of each household's units of other services fails: their lower quartile, if they are enough.

        The quartile, for where calls of every service are blocked, messages still tell how the line is.
        """
        others = self._service != self._services[series.service]
        share, counts = self._share[others], np.bincount(self._who[others], minlength=len(self._index))
        first = np.cumsum(counts) - counts
        enough = np.flatnonzero(counts >= LEAST_OTHERS)
        quartile = np.zeros(len(self._index))
        quartile[enough] = share[(first + counts // 4)[enough]]
        return quartile[self._of(series)]


def _numbered(names: Iterable[_Name]) -> dict[_Name, int]:
    return {name: at for at, name in enumerate(dict.fromkeys(names))}


def _per_household(series: Series) -> tuple[NDArray[Any], NDArray[Any]]:
    """How many units each household has, and how many of them fail."""
    many = len(series.households)
    return np.bincount(series.who, minlength=many), np.bincount(series.who, series.failing, minlength=many)


def _together(twins: Sequence[Series]) -> Series:
    households = tuple(sorted({name for one in twins for name in one.households}))
    index = {name: at for at, name in enumerate(households)}
    order = np.argsort(np.concatenate([one.hour for one in twins]), kind="stable")

    def joined(parts: Iterable[NDArray[Any]]) -> NDArray[Any]:
        return np.concatenate(list(parts))[order]

    return Series(
        service=twins[0].service,
        purpose=twins[0].purpose,
        network=EVERYWHERE,
        households=households,
        who=joined(np.array([index[name] for name in one.households])[one.who] for one in twins),
        hour=joined(one.hour for one in twins),
        failing=joined(one.failing for one in twins),
        impaired=joined(one.impaired for one in twins),
        proven=joined(one.proven for one in twins),
        version=joined(one.version for one in twins),
    )


def without(series: Series, stretches: Sequence[Stretch]) -> Series:
    """The series without the hours of some stretches."""
    if not stretches:
        return series
    keep = np.ones(len(series.hour), dtype=np.bool_)
    for stretch in stretches:
        keep &= (series.hour < stretch.first) | (series.hour > stretch.last)
    return replace(
        series,
        who=series.who[keep],
        hour=series.hour[keep],
        failing=series.failing[keep],
        impaired=series.impaired[keep],
        proven=series.proven[keep],
        version=series.version[keep],
        mechanism=series.mechanism[keep] if len(series.mechanism) else series.mechanism,
        metrics={name: values[keep] for name, values in series.metrics.items()},
    )
