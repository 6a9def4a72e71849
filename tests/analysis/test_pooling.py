"""The fit of groups against a grid."""

import numpy as np
import pytest
from scipy import stats

from probe.analysis.pooling import pooled


def test_the_fit_of_groups_is_the_best_of_a_grid() -> None:
    failing, of = (0, 2, 9, 1, 5, 0, 12), (20, 20, 20, 8, 9, 30, 14)
    found = pooled(list(zip(failing, of, strict=True)))
    grid = max(
        (stats.betabinom.logpmf(failing, of, m * kappa, (1 - m) * kappa).sum(), m, kappa)
        for m in np.linspace(0.05, 0.95, 181)
        for kappa in np.geomspace(0.2, 50, 200)
    )

    assert found.mean == pytest.approx(grid[1], abs=0.005)
    assert found.kappa == pytest.approx(grid[2], rel=0.03)


def test_groups_that_are_alike_are_nearly_one_and_few_groups_are_not_fitted() -> None:
    alike, few = pooled([(10, 100)] * 8), pooled([(3, 3), (0, 3)])

    assert alike.kappa > 100
    assert few.kappa == 4
    assert few.further == pytest.approx(stats.beta(4 * few.mean, 4 - 4 * few.mean).interval(0.95))
