"""Groups that lend each other strength: what one group more would show. Pure; docs/statistics.md says what for."""

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from scipy import special

from probe.analysis.statistics import Array, Interval

FEW_GROUPS = 5  # below it the spread between groups cannot be estimated
FIXED_KAPPA = 4.0
Counts: TypeAlias = Sequence[tuple[int, int]]  # failing, of: one for each group
# Of the logit of the mean and the logarithm of kappa: where all groups are alike the likelihood grows with kappa
# for ever.
_BOUNDS = ((-8.0, 8.0), (np.log(0.1), np.log(1e4)))


class Pooled(NamedTuple):
    """What shares of groups are drawn from: a beta distribution."""

    mean: float
    kappa: float  # how alike the groups are: the prior counts as so many units
    further: Interval  # between what bounds the share of one more group is expected, 95 %


def pooled(counts: Counts) -> Pooled:
    """Partial pooling of shares `p_g ~ Beta(m * kappa, (1 - m) * kappa)` by their marginal likelihood.

    With fewer than five groups kappa is 4 and m the mean of the groups' own Jeffreys means, each group
    counting once (Gelman et al., Bayesian Data Analysis, 3rd ed., 5.3).
    """
    groups = np.array(counts, dtype=np.float64).reshape(-1, 2)
    mean, kappa = float(np.mean((groups[:, 0] + 0.5) / (groups[:, 1] + 1))), FIXED_KAPPA
    if len(groups) >= FEW_GROUPS:
        mean, kappa = _fitted(groups, mean)
    low, high = special.betaincinv(mean * kappa, (1 - mean) * kappa, (0.025, 0.975))
    return Pooled(mean, kappa, Interval(float(low), float(high)))


def _fitted(groups: Array, start: float) -> tuple[float, float]:
    from scipy import optimize

    # Most households of a report see all or nothing fail: of equal counts one is asked, for all of them.
    distinct, times = np.unique(groups, axis=0, return_counts=True)
    x, rest = distinct[:, 0], distinct[:, 1] - distinct[:, 0]

    def minus_log_likelihood(at: Array) -> float:
        mean, kappa = special.expit(at[0]), np.exp(at[1])
        a, b = mean * kappa, (1 - mean) * kappa
        return -float(times @ (special.betaln(x + a, rest + b) - special.betaln(a, b)))

    begin = (special.logit(start), np.log(10.0))
    found = optimize.minimize(minus_log_likelihood, begin, bounds=_BOUNDS, method="Nelder-Mead")
    return float(special.expit(found.x[0])), float(np.exp(found.x[1]))
