"""When something changed: exact segmentation of failing shares, and an interval for each date.

A series is bins in order of time, each with how much failed and how much was tried; both may be weighted,
so that no household counts for more than the others together.
"""

from dataclasses import dataclass

import numpy as np
from scipy import special

from probe.analysis.statistics import Array

LEAST_UNITS = 5.0  # in a segment
PLACES = 128  # hours are bins: six hours in a month
PENALTY = 3.0  # times ln n for each change; 2 ln n would be BIC's for a share and a place


@dataclass(frozen=True)
class Change:
    """It changed after bin `after`, at the latest with bin `by`, most likely with bin `best`."""

    after: int
    by: int
    best: int


def changes(failing: Array, of: Array, *, level: float = 0.95) -> tuple[Change, ...]:
    """The changes of the cheapest segmentation, each with the interval that holds it at `level`.

    Optimal partitioning (Jackson et al., IEEE Signal Processing Letters 12, 2005: what PELT computes,
    without its pruning) with the binomial's cost, over 128 places at most; each change then moves to the
    likeliest bin between its neighbours. The interval is the smallest set of bins that holds `level` of
    the posterior there, both shares integrated out under Jeffreys' prior (Smith, Biometrika 62, 1975).
    """
    step = -(-len(of) // PLACES) or 1
    starts = np.arange(0, len(of), step)
    coarse = (
        [] if not len(of) else _segmentation(np.add.reduceat(failing, starts), np.add.reduceat(of, starts))
    )
    ends = [*(place * step for place in coarse), len(of)]
    found: list[Change] = []
    for high in ends[1:]:
        low = found[-1].best if found else 0
        found.append(_dated(failing[low:high], of[low:high], low, level))
    return tuple(found)


def _segmentation(failing: Array, of: Array) -> list[int]:
    fails, tried = np.append(0, np.cumsum(failing)), np.append(0, np.cumsum(of))
    penalty = PENALTY * np.log(max(2.0, tried[-1]))
    best, last = np.full(len(tried), np.inf), np.zeros(len(tried), dtype=int)
    best[0] = -penalty
    # A segment may begin wherever enough was tried until here.
    starts = np.searchsorted(tried, tried - LEAST_UNITS, side="right")
    for end in range(1, len(tried)):
        begin = slice(0, starts[end])
        # Weights are not whole: differences of sums may miss nought by a rounding.
        x, n = np.maximum(0, fails[end] - fails[begin]), tried[end] - tried[begin]
        rest = np.maximum(0, n - x)
        cost = best[begin] - 2 * (special.xlogy(x, x / n) + special.xlogy(rest, rest / n))
        if cost.size:
            last[end] = int(np.argmin(cost))
            best[end] = cost[last[end]] + penalty
    places, at = [], int(last[-1])
    while at:
        places.append(at)
        at = int(last[at])
    return places[::-1]


def _dated(failing: Array, of: Array, low: int, level: float) -> Change:
    fails, tried = np.cumsum(failing), np.cumsum(of)
    x, n = fails[:-1], tried[:-1]
    log_posterior = special.betaln(x + 0.5, n - x + 0.5) + special.betaln(
        fails[-1] - x + 0.5, tried[-1] - n - fails[-1] + x + 0.5
    )
    posterior = special.softmax(log_posterior)
    order = np.argsort(-posterior, kind="stable")
    held = order[: int(np.searchsorted(np.cumsum(posterior[order]), level)) + 1]
    return Change(after=low + int(held.min()), by=low + int(held.max()) + 1, best=low + int(order[0]) + 1)
