"""Loss, delay and set-up time: whether a service fares worse than its neighbours here, and than itself elsewhere."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from probe.analysis.statistics import Array, Interval, shift
from probe.analysis.stretches import LEAST_HOUSEHOLDS, LEAST_UNITS, majority, without_any
from probe.analysis.units import METRICS, Metric, Network, Series

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


class _Usual:
    """Medians by household and hour, and by network, of each purpose and metric."""

    def __init__(self, all_series: Sequence[Series]) -> None:
        self._by_hour: dict[tuple[Network, str, str, str, int], list[tuple[str, float]]] = defaultdict(list)
        self._by_network: dict[tuple[str, str, str], list[tuple[Network, float]]] = defaultdict(list)
        for series in all_series:
            for metric in series.metrics:
                values = measured(series, metric)
                seen = np.isfinite(values)
                for at in np.flatnonzero(seen):
                    household = series.households[series.who[at]]
                    key = (series.network, series.purpose, metric, household, int(series.hour[at]))
                    self._by_hour[key].append((series.service, float(values[at])))
                if seen.sum() >= LEAST_UNITS:
                    there = (series.network, float(np.median(values[seen])))
                    self._by_network[series.service, series.purpose, metric].append(there)

    def others(self, series: Series, metric: str, household: str, hour: int) -> float:
        """The median of the household's other services in this hour."""
        found = self._by_hour[series.network, series.purpose, metric, household, hour]
        return float(np.median([value for service, value in found if service != series.service] or [np.nan]))

    def elsewhere(self, series: Series, metric: str) -> float:
        """The median of the other networks' medians of this service."""
        found = self._by_network[series.service, series.purpose, metric]
        return float(np.median([value for network, value in found if network != series.network] or [np.nan]))


def measured(series: Series, metric: str) -> Array:
    """The metric of each unit, in which differences are compared."""
    values = series.metrics[metric]
    return np.log(np.maximum(values, 1e-3)) if metric == "setup_s" else values


def _impairment(series: Series, metric: Metric, usual: _Usual) -> Impairment | None:
    values, margin = measured(series, metric), MARGINS[metric]
    others = np.array(
        [
            usual.others(series, metric, series.households[who], int(hour)) if np.isfinite(value) else np.nan
            for who, hour, value in zip(series.who, series.hour, values, strict=True)
        ]
    )
    known = np.isfinite(values) & np.isfinite(others)
    counts = np.bincount(series.who[known], minlength=len(series.households))
    voters = np.flatnonzero(counts >= LEAST_UNITS)
    if len(voters) < LEAST_HOUSEHOLDS:
        return None
    p, worse = 1.0, []
    excess = float(np.median(values[known])) - usual.elsewhere(series, metric)
    if excess >= margin and not _drifts((values - others)[known], series.hour[known]):
        for voter in voters:
            mine = known & (series.who == voter)
            enough = np.median(values[mine]) - np.median(others[mine]) >= margin
            worse.append(shift(values[mine] - margin, others[mine]).p if enough else 1.0)
        p = without_any(worse) if sum(one < 1 for one in worse) >= majority(len(voters)) else 1.0
    if p == 1.0:
        return Impairment(metric, p, 0.0, Interval(0.0, 0.0), len(voters))
    found = shift(values[known], others[known])
    ends = [found.estimate, *found.interval]
    estimate, low, high = np.exp(ends) if metric == "setup_s" else ends
    return Impairment(metric, p, float(estimate), Interval(float(low), float(high)), len(voters))


def _drifts(excess: Array, hour: Array) -> bool:
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
