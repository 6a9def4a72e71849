"""The statistics of few volunteers. Pure functions; docs/statistics.md says what each is used for.

Shares lie between 0 and 1. Every p is one-sided unless it says otherwise: the question is always whether
something fails more, or is worse, than it would by itself.
"""

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import special

Array: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]


class Interval(NamedTuple):
    """Both ends belong to it."""

    low: float
    high: float


def jeffreys(failing: float, of: float, *, level: float = 0.95) -> Interval:
    """The Jeffreys interval of a share, with its ends closed at 0 of n and n of n.

    Brown, Cai, DasGupta, "Interval Estimation for a Binomial Proportion", Statistical Science 16, 2001.
    """
    low, high = jeffreys_each([failing], [of], level=level)
    return Interval(float(low[0]), float(high[0]))


def jeffreys_each(
    failing: Sequence[float] | Array, of: Sequence[float] | Array, *, level: float = 0.95
) -> tuple[Array, Array]:
    """The lower and the upper ends of many Jeffreys intervals; of 0 of 0 they are 0 and 1."""
    x, n, tail = np.asarray(failing, float), np.asarray(of, float), (1 - level) / 2
    low, high = (special.betaincinv(x + 0.5, n - x + 0.5, end) for end in (tail, 1 - tail))
    return np.where(x <= 0, 0.0, low), np.where(x >= n, 1.0, high)


def at_least(failing: Ints, of: Ints, share: Array) -> Array:
    """How often `failing` or more of `of` fail by chance, where each fails with probability `share`."""
    return np.where(failing <= 0, 1.0, special.betainc(np.maximum(failing, 1), of - failing + 1, share))


def fisher(failing: int, of: int, other_failing: int, other_of: int) -> float:
    """Fisher's exact test that more fail among the first than among the others."""
    total, fails = of + other_of, failing + other_failing
    most = min(of, fails)
    counts = np.arange(failing, most + 1)
    logs = _log_choose(fails, counts) + _log_choose(total - fails, of - counts) - _log_choose(total, of)
    return float(min(1.0, np.exp(logs).sum()))


def _log_choose(n: float, k: Array | Ints | float) -> Array:
    return np.asarray(special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1))


class Association(NamedTuple):
    """What Cochran-Mantel-Haenszel finds over all strata."""

    statistic: float  # chi-squared with one degree of freedom, with continuity correction
    two_sided: float
    more: float  # one-sided: the first group fails more
    odds_ratio: float  # Mantel and Haenszel's common odds ratio; infinite where nothing else fails


def cochran_mantel_haenszel(strata: Sequence[tuple[int, int, int, int]]) -> Association:
    """Whether the first group fails more in strata of (failing, of, others failing, of others).

    Mantel, Haenszel, JNCI 22, 1959; Agresti, Categorical Data Analysis, 2002, 6.3.2. Strata in which
    nothing differs say nothing; if none does, p is 1.
    """
    tables = np.array([row for row in strata if row[1] and row[3]], dtype=np.float64).reshape(-1, 4)
    a, first, b, others = tables.T
    n, fails = first + others, a + b
    expected = first * fails / n
    spread = float(np.sum(first * others * fails * (n - fails) / (n**2 * np.maximum(n - 1, 1))))
    if spread <= 0:
        return Association(0.0, 1.0, 1.0, float("nan"))
    gap = float(np.sum(a - expected))
    statistic = max(0.0, abs(gap) - 0.5) ** 2 / spread
    against = float(np.sum(b * (first - a) / n))
    ratio = float(np.sum(a * (others - b) / n)) / against if against else float("inf")
    z = np.copysign(np.sqrt(statistic), gap)
    return Association(statistic, float(special.chdtrc(1, statistic)), float(special.ndtr(-z)), ratio)


class Shift(NamedTuple):
    """How far one sample lies above another."""

    p: float  # Mann-Whitney, one-sided: the first is larger
    estimate: float  # Hodges and Lehmann: the median of all differences
    interval: Interval
    delta: float  # Cliff's: -1 to 1


def shift(ours: Sequence[float] | Array, others: Sequence[float] | Array, *, level: float = 0.95) -> Shift:
    """Mann-Whitney's test with Hodges and Lehmann's shift and its distribution-free interval.

    The interval's ends are ordered differences (Hollander, Wolfe, Nonparametric Statistical Methods,
    1973, 4.3): exact up to 400 pairs, by the normal approximation above.
    """
    from scipy import stats

    n, m = len(ours), len(others)
    differences = np.sort(np.subtract.outer(np.asarray(ours, float), np.asarray(others, float)), axis=None)
    exact = n * m <= 400 and not np.any(differences == 0)
    test = stats.mannwhitneyu(ours, others, alternative="greater", method="exact" if exact else "asymptotic")
    rank = _rank_of_end(n, m, (1 - level) / 2)
    ends = (differences[rank - 1], differences[n * m - rank]) if rank else (-np.inf, np.inf)
    return Shift(
        float(test.pvalue),
        float(np.median(differences)),
        Interval(float(ends[0]), float(ends[1])),
        float(np.sign(differences).mean()),
    )


def _rank_of_end(n: int, m: int, tail: float) -> int:
    """Which ordered difference, from either end, bounds the interval; 0 where samples are too small."""
    if n * m > 400:
        spread = np.sqrt(n * m * (n + m + 1) / 12)
        return max(0, int(np.floor(n * m / 2 + special.ndtri(tail) * spread)))
    below = np.cumsum(_mann_whitney_counts(n, m)) / special.comb(n + m, n)
    return int(np.searchsorted(below, tail, side="right"))


def _mann_whitney_counts(n: int, m: int) -> Array:
    """In how many orders of n and m values U is 0, 1, 2 ... (the Gaussian binomial coefficients)."""
    counts = np.zeros(n * m + 1)
    counts[0] = 1
    for i in range(1, n + 1):
        for j in range(len(counts) - 1, m + i - 1, -1):
            counts[j] -= counts[j - m - i]
        for j in range(i, len(counts)):
            counts[j] += counts[j - i]
    return counts


def partial_conjunction(p_values: Sequence[float] | Array, at_least: int) -> float:
    """How surprising it is if fewer than `at_least` of these independent tests have something to find.

    Fisher's combination of all but the `at_least - 1` smallest: whatever so many tests say alone moves
    nothing (Benjamini, Heller, "Screening for Partial Conjunction Hypotheses", Biometrics 64, 2008).
    """
    if len(p_values) < at_least:
        return 1.0
    rest = np.sort(np.clip(p_values, 1e-300, 1.0))[at_least - 1 :]
    return float(special.chdtrc(2 * len(rest), -2 * np.sum(np.log(rest))))


def holm(p_values: Sequence[float]) -> Array:
    """Adjusted so that the chance of any false claim stays below the level (Holm, Scand. J. Stat. 6, 1979)."""
    p = np.asarray(p_values, float)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return adjusted


def benjamini_hochberg(p_values: Sequence[float]) -> Array:
    """Adjusted so that the share of false ones among claims stays below the level (JRSS B 57, 1995)."""
    from scipy import stats

    return np.asarray(stats.false_discovery_control(p_values)) if len(p_values) else np.empty(0)
