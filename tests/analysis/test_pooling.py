"""The fit of groups against a grid, and against scipy's way to the same place."""

import numpy as np
import pytest
from scipy import optimize, stats

from probe.analysis.pooling import FEW_GROUPS, Counts, nelder_mead, pooled
from probe.analysis.statistics import Array, Ints


def test_the_fit_of_groups_is_the_best_of_a_grid() -> None:
    failing, of = (0, 2, 9, 1, 5, 0, 12), (20, 20, 20, 8, 9, 30, 14)
    (found,) = pooled([list(zip(failing, of, strict=True))])
    grid = max(
        (stats.betabinom.logpmf(failing, of, m * kappa, (1 - m) * kappa).sum(), m, kappa)
        for m in np.linspace(0.05, 0.95, 181)
        for kappa in np.geomspace(0.2, 50, 200)
    )

    assert found.mean == pytest.approx(grid[1], abs=0.005)
    assert found.kappa == pytest.approx(grid[2], rel=0.03)


def test_groups_that_are_alike_are_nearly_one_and_few_groups_are_not_fitted() -> None:
    alike, few = pooled([[(10, 100)] * 8, [(3, 3), (0, 3)]])

    assert alike.kappa > 100
    assert few.kappa == 4
    assert few.further == pytest.approx(stats.beta(4 * few.mean, 4 - 4 * few.mean).interval(0.95))


def test_many_fits_at_once_are_those_of_each() -> None:
    random = np.random.default_rng(4)
    problems: list[Counts] = []
    for groups in range(1, 30):
        of = random.integers(1, 200, groups)
        problems.append(
            list(zip(random.binomial(of, random.beta(0.3, 2, groups)).tolist(), of.tolist(), strict=True))
        )

    assert pooled(problems) == [pooled([one])[0] for one in problems]
    assert any(len(one) < FEW_GROUPS for one in problems)
    assert pooled([]) == []


def test_each_fit_goes_the_way_of_scipys() -> None:
    """Rosenbrock's valleys: curved, and for some beyond the bounds."""
    random = np.random.default_rng(4)
    where, start = random.uniform(-2, 2, 40), random.uniform(-2, 2, (40, 2))
    least, most = np.array([-2.0, -1.0]), np.array([2.0, 1.5])

    def valley(at: Array, place: Array | float) -> Array:
        return np.asarray((place - at[..., 0]) ** 2 + 2 * (at[..., 1] - at[..., 0] ** 2) ** 2)

    def each(which: Ints, at: Array) -> Array:
        return valley(at, where[which])

    found = nelder_mead(each, start, least, most)
    for at, place, begun in zip(found, where, np.clip(start, least, most), strict=True):
        theirs = optimize.minimize(
            valley, begun, (place,), bounds=list(zip(least, most, strict=True)), method="Nelder-Mead"
        )
        assert theirs.success
        assert at == pytest.approx(theirs.x, abs=1e-12)
