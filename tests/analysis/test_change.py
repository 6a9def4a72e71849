"""Change points against every possible segmentation, against ruptures, and against the truth."""

from itertools import combinations

import numpy as np
import pytest
import ruptures
from scipy import special

from probe.analysis.change import LEAST_UNITS, PENALTY, changes

CALM_THEN_DEAD = np.repeat([0.0, 1.0], [30, 12])


def cost(failing: np.ndarray, of: np.ndarray) -> float:
    x, n = failing.sum(), of.sum()
    return float(-2 * (special.xlogy(x, x / n) + special.xlogy(n - x, 1 - x / n)))


class Binomial(ruptures.base.BaseCost):  # type: ignore[misc]
    """The same cost for ruptures, on a signal of (failing, of)."""

    model = ""
    min_size = 1

    def fit(self, signal: np.ndarray) -> "Binomial":
        self.signal = signal
        return self

    def error(self, start: int, end: int) -> float:
        return cost(self.signal[start:end, 0], self.signal[start:end, 1])


def test_no_other_segmentation_is_cheaper() -> None:
    random = np.random.default_rng(4)
    for _ in range(30):
        of = random.integers(1, 4, 14).astype(float)
        failing = random.binomial(of.astype(int), np.repeat(random.random(2), 7)).astype(float)
        penalty = PENALTY * np.log(of.sum())
        totals = {}
        for many in range(4):
            for places in combinations(range(1, 14), many):
                parts = np.split(np.arange(14), places)
                if all(of[part].sum() >= LEAST_UNITS for part in parts):
                    totals[places] = sum(cost(failing[part], of[part]) for part in parts) + many * penalty

        found = tuple(change.best for change in changes(failing, of))

        assert totals[found] == pytest.approx(min(totals.values()))


def test_ruptures_finds_the_same_places() -> None:
    random = np.random.default_rng(5)
    share = np.repeat([0.05, 0.9, 0.1], [60, 40, 80])
    of = random.integers(1, 5, len(share)).astype(float)
    failing = random.binomial(of.astype(int), share).astype(float)
    search = ruptures.Pelt(custom_cost=Binomial(), min_size=5, jump=1).fit(np.column_stack([failing, of]))

    theirs = search.predict(pen=PENALTY * np.log(of.sum()))[:-1]

    assert [change.best for change in changes(failing, of)] == theirs
    assert len(theirs) == 2


def test_a_sudden_end_is_dated_to_one_or_two_bins() -> None:
    (change,) = changes(CALM_THEN_DEAD, np.ones(42))

    assert (change.best, change.by) == (30, 30)
    assert 28 <= change.after <= 29


def test_the_interval_of_a_date_holds_the_truth_as_often_as_it_says() -> None:
    random = np.random.default_rng(6)
    held = []
    for _ in range(400):
        place = int(random.integers(40, 80))
        failing = (random.random(120) < np.where(np.arange(120) < place, 0.1, 0.7)).astype(float)
        found = changes(failing, np.ones(120))
        held += [found[0].after < place <= found[0].by] if len(found) == 1 else []

    assert len(held) > 350
    assert np.mean(held) > 0.93


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3])
def test_what_does_not_change_hardly_ever_seems_to(share: float) -> None:
    random = np.random.default_rng(7)
    seemed = [bool(changes((random.random(200) < share).astype(float), np.ones(200))) for _ in range(300)]

    assert np.mean(seemed) < 0.02


def test_too_little_has_no_changes() -> None:
    assert changes(np.ones(3), np.ones(3)) == ()
    assert changes(np.zeros(0), np.zeros(0)) == ()
