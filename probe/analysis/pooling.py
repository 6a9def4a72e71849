"""Groups that lend each other strength: what one group more would show. Pure; docs/statistics.md says what for.

Counts of many reports are fitted side by side: one by one, the fits would take longer than everything else that
claims ask.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from scipy import special

from probe.analysis.statistics import Array, Interval, Ints

FEW_GROUPS = 5  # below it the spread between groups cannot be estimated
FIXED_KAPPA = 4.0
Counts: TypeAlias = Sequence[tuple[int, int]]  # failing, of: one for each group
# Of the logit of the mean and the logarithm of kappa: where all groups are alike the likelihood grows with kappa
# for ever.
_LEAST, _MOST = np.array([-8.0, np.log(0.1)]), np.array([8.0, np.log(1e4)])
_CLOSE, _STEPS = 1e-4, 400  # when a fit is done


class Pooled(NamedTuple):
    """What shares of groups are drawn from: a beta distribution."""

    mean: float
    kappa: float  # how alike the groups are: the prior counts as so many units
    further: Interval  # between what bounds the share of one more group is expected, 95 %


def pooled(counts: Sequence[Counts]) -> list[Pooled]:
    """Partial pooling of shares `p_g ~ Beta(m * kappa, (1 - m) * kappa)` by their marginal likelihood, for each.

    With fewer than five groups kappa is 4 and m the mean of the groups' own Jeffreys means, each group
    counting once (Gelman et al., Bayesian Data Analysis, 3rd ed., 5.3).
    """
    pairs = [np.array(groups, dtype=np.int64).reshape(-1, 2) for groups in counts]
    mean = np.array([np.mean((x + 0.5) / (n + 1)) for x, n in (groups.T for groups in pairs)])
    kappa = np.full(len(pairs), FIXED_KAPPA)
    many = np.flatnonzero([len(groups) >= FEW_GROUPS for groups in pairs])
    start = np.stack([special.logit(mean[many]), np.full(len(many), np.log(10.0))], axis=1)
    found = nelder_mead(_unlikelihood([pairs[at] for at in many]), start, _LEAST, _MOST)
    mean[many], kappa[many] = special.expit(found[:, 0]), np.exp(found[:, 1])
    low, high = (special.betaincinv(mean * kappa, (1 - mean) * kappa, tail) for tail in (0.025, 0.975))
    found = np.stack([mean, kappa, low, high], axis=1).tolist()
    return [Pooled(m, k, Interval(*ends)) for m, k, *ends in found]


_Cost: TypeAlias = Callable[[Ints, Array], Array]  # of these problems, each at its place: one row each


def _unlikelihood(problems: Sequence[Ints]) -> _Cost:
    """The likelihood's negative logarithm, but for a constant. Of groups with equal counts it is asked once."""
    distinct = [np.unique(groups, axis=0, return_inverse=True) for groups in problems]
    parts = [
        (x.astype(float), (n - x).astype(float), again) for (x, n), again in ((d.T, a) for d, a in distinct)
    ]

    def cost(which: Ints, at: Array) -> Array:
        mean, kappa = special.expit(at[:, 0]), np.exp(at[:, 1])
        fails, works = mean * kappa, (1 - mean) * kappa
        found = np.empty(len(which))
        none = special.betaln(fails, works)
        for row, problem in enumerate(which):
            x, rest, again = parts[problem]
            found[row] = -np.sum((special.betaln(x + fails[row], rest + works[row]) - none[row])[again])
        return found

    return cost


def nelder_mead(cost: _Cost, start: Array, least: Array, most: Array) -> Array:
    """Where many functions of two variables are least, within bounds: each goes the way that scipy's would.

    Nelder, Mead, Computer Journal 7, 1965.
    """
    start = np.clip(start, least, most)
    simplex = np.repeat(start[:, None, :], 3, axis=1)
    for axis in (0, 1):
        simplex[:, axis + 1, axis] = np.where(start[:, axis] == 0, 0.00025, 1.05 * start[:, axis])
    simplex = np.clip(np.where(simplex > most, 2 * most - simplex, simplex), least, most)
    everyone = np.arange(len(start))
    costs = np.stack([cost(everyone, simplex[:, corner]) for corner in range(3)], axis=1)
    for _ in range(_STEPS):
        order = np.argsort(costs, axis=1)
        simplex = np.take_along_axis(simplex, order[:, :, None], axis=1)
        costs = np.take_along_axis(costs, order, axis=1)
        wide = np.abs(simplex[:, 1:] - simplex[:, :1]).max(axis=(1, 2)) > _CLOSE
        steep = np.abs(costs[:, 1:] - costs[:, :1]).max(axis=1) > _CLOSE
        going = np.flatnonzero(wide | steep)
        if not len(going):
            break
        simplex[going], costs[going] = _step(cost, going, simplex[going], costs[going], least, most)
    return simplex[:, 0]


def _step(
    cost: _Cost, which: Ints, simplex: Array, costs: Array, least: Array, most: Array
) -> tuple[Array, Array]:
    """Move the worst corner, or shrink towards the best."""
    middle, worst = (simplex[:, 0] + simplex[:, 1]) / 2, simplex[:, 2]
    moved = np.clip(2 * middle - worst, least, most)
    reached = cost(which, moved)
    best, good, better = reached < costs[:, 0], reached < costs[:, 1], reached < costs[:, 2]
    # Twice as far where that was best; half as far, on this side or the other, where it was no good.
    far = np.select([best, better], [2.0, 0.5], -0.5)[:, None]
    second = np.clip((1 + far) * middle - far * worst, least, most)
    tried = best | ~good
    found = np.full(len(which), np.inf)
    found[tried] = cost(which[tried], second[tried])
    taken = np.select([best, better], [found < reached, found <= reached], found < costs[:, 2])
    moved[taken], reached[taken] = second[taken], found[taken]
    kept = taken | best | good
    simplex[kept, 2], costs[kept, 2] = moved[kept], reached[kept]
    for corner in (1, 2):
        half = np.clip(simplex[~kept, 0] + 0.5 * (simplex[~kept, corner] - simplex[~kept, 0]), least, most)
        simplex[~kept, corner], costs[~kept, corner] = half, cost(which[~kept], half)
    return simplex, costs
