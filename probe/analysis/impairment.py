"""Loss, delay and set-up time: whether a service fares worse than its neighbours here, and than itself elsewhere."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy import special

from probe.analysis.statistics import Array, Interval, Ints, partial_conjunction, shift
from probe.analysis.stretches import LEAST_HOUSEHOLDS, LEAST_UNITS, majority
from probe.analysis.units import METRICS, Bools, Metric, Network, Series

# What is worth saying: five points of loss, a tenth of a second, twice as long to set up (in logarithms).
MARGINS: Mapping[str, float] = {
    "loss_up": 0.05,
    "loss_down": 0.05,
    "rtt_ms": 100.0,
    "setup_s": float(np.log(2)),
}


@dataclass(frozen=True)
class Impairment:
    """How much worse a metric is than that of other services in the same hours of the same households."""

    metric: Metric
    p: float  # that a majority of households is no worse off than by the margin
    estimate: float  # Hodges and Lehmann's shift; of `setup_s` a ratio
    interval: Interval
    households: int


def impairments(all_series: Sequence[Series]) -> list[list[Impairment]]:
    """For each series what was measured of it: nothing where too few households did."""
    usual = _Usual(all_series)
    return [
        [
            found
            for metric in METRICS
            if metric in series.metrics and (found := _impairment(series, metric, usual))
        ]
        for series in all_series
    ]


_Line: TypeAlias = tuple[Network, str]


class _Usual:
    """What other services measured in the same hours of the same households, and other networks of the same service."""

    def __init__(self, all_series: Sequence[Series]) -> None:
        twins: dict[_Line, list[Series]] = defaultdict(list)
        self._by_network: dict[tuple[str, str, str], list[tuple[Network, float]]] = defaultdict(list)
        for series in all_series:
            if series.metrics:
                twins[series.network, series.purpose].append(series)
            for metric in (name for name in METRICS if name in series.metrics):
                values = measured(series, metric)
                seen = values[np.isfinite(values)]
                if len(seen) >= LEAST_UNITS:
                    there = (series.network, float(np.median(seen)))
                    self._by_network[series.service, series.purpose, metric].append(there)
        self._hours = {line: _Hours(together) for line, together in twins.items()}

    def hours(self, series: Series) -> "_Hours":
        """The hours of the households of this network."""
        return self._hours[series.network, series.purpose]

    def elsewhere(self, series: Series, metric: Metric) -> float:
        """The median of the other networks' medians of this service."""
        found = self._by_network[series.service, series.purpose, metric]
        others = [value for network, value in found if network != series.network]
        return float(np.median(others)) if others else np.nan


class _Hours:
    """Everything that was measured of one purpose on one network, by household and hour."""

    def __init__(self, twins: Sequence[Series]) -> None:
        index = {
            name: at for at, name in enumerate(dict.fromkeys(n for one in twins for n in one.households))
        }
        who = np.concatenate([np.array([index[name] for name in one.households])[one.who] for one in twins])
        hour = np.concatenate([one.hour for one in twins])
        found, joint = np.unique(who * (np.ptp(hour) + 1) + hour - hour.min(), return_inverse=True)
        ends = np.cumsum([len(one.hour) for one in twins])
        self._twins = [(one, joint[end - len(one.hour) : end]) for one, end in zip(twins, ends, strict=True)]
        self._at = {one.service: at for one, at in self._twins}
        self._many = len(found)
        self._counts = {metric: self._counted(metric) for metric in METRICS}

    def _counted(self, metric: Metric) -> Ints:
        """How many services were measured in each of them."""
        seen = [at[np.isfinite(one.metrics[metric])] for one, at in self._twins if metric in one.metrics]
        return np.bincount(np.concatenate(seen), minlength=self._many) if seen else np.zeros(self._many, int)

    def known(self, series: Series, metric: Metric) -> Bools:
        """Units that were measured, and other services in their hours."""
        return np.isfinite(series.metrics[metric]) & (self._counts[metric][self._at[series.service]] > 1)

    def others(self, series: Series, metric: Metric, known: Bools) -> Array:
        """The medians of the household's other services in the hours of these units."""
        others = [
            (at, measured(one, metric))
            for one, at in self._twins
            if one.service != series.service and metric in one.metrics
        ]
        at, values = (np.concatenate(parts) for parts in zip(*others, strict=True))
        at, values = at[np.isfinite(values)], values[np.isfinite(values)]
        values = values[np.lexsort((values, at))]
        counts = np.bincount(at, minlength=self._many)
        first = np.cumsum(counts) - counts
        asked = self._at[series.service][known]
        low, high = first[asked] + (counts[asked] - 1) // 2, first[asked] + counts[asked] // 2
        return np.asarray((values[low] + values[high]) / 2)


def measured(series: Series, metric: Metric) -> Array:
    """The metric of each unit, in which differences are compared."""
    values = series.metrics[metric]
    return np.log(np.maximum(values, 1e-3)) if metric == "setup_s" else values


def _impairment(series: Series, metric: Metric, usual: _Usual) -> Impairment | None:
    hours = usual.hours(series)
    known = hours.known(series, metric)
    who, margin = series.who[known], MARGINS[metric]
    voters = np.flatnonzero(np.bincount(who, minlength=len(series.households)) >= LEAST_UNITS)
    if len(voters) < LEAST_HOUSEHOLDS:
        return None
    p, values = 1.0, measured(series, metric)[known]
    if float(np.median(values)) - usual.elsewhere(series, metric) >= margin:
        others = hours.others(series, metric, known)
        if not _drifts(values - others, series.hour[known]):
            p = _chance(who, voters, values, others, margin)
    if p == 1.0:
        return Impairment(metric, p, 0.0, Interval(0.0, 0.0), len(voters))
    found = shift(values, others)
    ends = [found.estimate, *found.interval]
    estimate, low, high = np.exp(ends) if metric == "setup_s" else ends
    return Impairment(metric, p, float(estimate), Interval(float(low), float(high)), len(voters))


def _chance(who: Ints, voters: Ints, values: Array, others: Array, margin: float) -> float:
    """How surprising it is that a majority of households is worse off by the margin."""
    worse = []
    for voter in voters:
        mine, theirs = values[who == voter], others[who == voter]
        enough = np.median(mine) - np.median(theirs) >= margin
        worse.append(shift(mine - margin, theirs).p if enough else 1.0)
    needed = majority(len(voters))
    return partial_conjunction(worse, needed) if sum(one < 1 for one in worse) >= needed else 1.0


def _drifts(excess: Array, hour: Ints) -> bool:
    """Whether it grows little by little, as load does, rather than at once: a line fits better than a step."""
    order = np.argsort(hour, kind="stable")
    y, x = excess[order], hour[order].astype(float)
    if len(y) < 2 * LEAST_UNITS or np.ptp(x) == 0 or np.ptp(y) == 0:
        return False
    r = float(np.corrcoef(x, y)[0, 1])
    total = float(np.sum((y - y.mean()) ** 2))
    n = np.arange(1, len(y))
    left = np.cumsum(y)[:-1]
    # What a step after each value takes from the sum of squares.
    taken = n * (left / n - y.mean()) ** 2 + (len(y) - n) * ((y.sum() - left) / (len(y) - n) - y.mean()) ** 2
    # A correlation that chance gives once in a hundred is no drift.
    known = abs(r) * np.sqrt(len(y)) > special.ndtri(0.995)
    return bool(known and r * r * total >= float(np.max(taken)))
