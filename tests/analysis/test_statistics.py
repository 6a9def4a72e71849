"""Each statistic against a published worked example, or a second implementation."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from probe.analysis.statistics import (
    at_least,
    benjamini_hochberg,
    cochran_mantel_haenszel,
    fisher,
    holm,
    jeffreys,
    jeffreys_each,
    partial_conjunction,
    shift,
)

# Benjamini and Hochberg, JRSS B 57, 1995, section 4: at 0.05 Bonferroni's kind finds three, theirs four.
THROMBOLYSIS = (
    0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528,
    0.7590, 1.000,
)  # fmt: skip
# Agresti, Categorical Data Analysis, 1990, p. 231: penicillin and rabbits, as in R's help of mantelhaen.test.
RABBITS = [(0, 6, 0, 5), (3, 6, 0, 6), (6, 6, 2, 6), (5, 6, 6, 6), (2, 2, 5, 5)]
# UCBAdmissions of R by department: men admitted, men, women admitted, women (Bickel et al., Science 187, 1975).
BERKELEY = [
    (512, 825, 89, 108), (353, 560, 17, 25), (120, 325, 202, 593), (138, 417, 131, 375), (53, 191, 94, 393),
    (22, 373, 24, 341),
]  # fmt: skip
# Hollander and Wolfe, 1973, p. 69: permeability of the human chorioamnion, as in R's help of wilcox.test.
AT_TERM = (0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46)
EARLY = (1.15, 0.88, 0.90, 0.74, 1.21)


@pytest.mark.parametrize(("of", "high"), [(5, 0.38), (10, 0.22), (20, 0.12), (50, 0.05)])
def test_none_failing_leaves_the_upper_limits_that_are_published(of: int, high: float) -> None:
    """Brown, Cai, DasGupta 2001, table 5, to two digits."""
    assert jeffreys(0, of).low == 0
    assert jeffreys(0, of).high == pytest.approx(high, abs=0.005)


def test_the_jeffreys_interval_has_the_quantiles_of_its_beta() -> None:
    assert jeffreys(3, 10) == pytest.approx(stats.beta(3.5, 7.5).interval(0.95))
    assert jeffreys(10, 10).high == 1


def test_many_intervals_at_once_are_those_of_each() -> None:
    counts = [(0, 4), (3, 10), (7, 7), (1, 2000)]
    low, high = jeffreys_each(*zip(*counts, strict=True))

    assert list(zip(low, high, strict=True)) == [jeffreys(*one) for one in counts]
    assert [end[0] for end in jeffreys_each([0], [0])] == [0, 1]


@given(st.integers(0, 40), st.integers(0, 40), st.floats(0.01, 0.99))
def test_the_tail_of_the_binomial_is_scipys(failing: int, works: int, share: float) -> None:
    assert at_least(np.array([failing]), np.array([failing + works]), np.array([share])) == pytest.approx(
        stats.binom.sf(failing - 1, failing + works, share), abs=1e-12
    )


def test_the_lady_tasting_tea() -> None:
    """Fisher, The Design of Experiments, 1935: three of four cups right, p = 17/70."""
    assert fisher(3, 4, 1, 4) == pytest.approx(17 / 70)


@given(st.integers(0, 15), st.integers(0, 15), st.integers(0, 15), st.integers(0, 15))
def test_fishers_test_is_scipys(a: int, b: int, c: int, d: int) -> None:
    theirs = stats.fisher_exact([[a, b], [c, d]], alternative="greater").pvalue

    assert fisher(a, a + b, c, c + d) == pytest.approx(theirs, abs=1e-9)


def test_cochran_mantel_haenszel_is_as_r_prints_it() -> None:
    """mantelhaen.test(Rabbits): X-squared = 3.9286, p-value = 0.04747, common odds ratio 7."""
    found = cochran_mantel_haenszel(RABBITS)

    assert found.statistic == pytest.approx(3.9286, abs=5e-5)
    assert found.two_sided == pytest.approx(0.04747, abs=5e-6)
    assert found.odds_ratio == pytest.approx(7)
    assert found.more == pytest.approx(found.two_sided / 2)


def test_stratifying_takes_away_what_was_only_the_mix_of_strata() -> None:
    """mantelhaen.test(UCBAdmissions): X-squared = 1.4269, p-value = 0.2323, common odds ratio 0.9046968."""
    found = cochran_mantel_haenszel(BERKELEY)
    men, women = sum(row[0] for row in BERKELEY), sum(row[2] for row in BERKELEY)

    assert fisher(men, sum(row[1] for row in BERKELEY), women, sum(row[3] for row in BERKELEY)) < 1e-15
    assert found.statistic == pytest.approx(1.4269, abs=5e-5)
    assert found.two_sided == pytest.approx(0.2323, abs=5e-5)
    assert found.odds_ratio == pytest.approx(0.9046968, abs=5e-8)
    assert found.more > 0.5


def test_strata_in_which_nothing_differs_say_nothing() -> None:
    assert cochran_mantel_haenszel([(3, 3, 2, 2), (0, 4, 0, 0)]).two_sided == 1
    assert cochran_mantel_haenszel([]).more == 1


def test_mann_whitney_and_hodges_lehmann_are_as_published() -> None:
    """wilcox.test(x, y, alternative = "greater"): W = 35, p-value = 0.1272."""
    found = shift(AT_TERM, EARLY)

    assert found.p == pytest.approx(0.1272, abs=5e-5)
    assert found.estimate == pytest.approx(0.305)
    assert found.delta == pytest.approx(2 * 35 / 50 - 1)


def test_the_interval_of_a_shift_is_that_of_every_possible_order() -> None:
    ranks = range(1, 16)
    u_values = sorted(sum(ours) - 55 for ours in combinations(ranks, 10))
    below = next(u for u in range(51) if sum(value <= u for value in u_values) / len(u_values) > 0.025)
    differences = sorted(x - y for x in AT_TERM for y in EARLY)

    found = shift(AT_TERM, EARLY).interval

    assert found == pytest.approx((differences[below - 1], differences[50 - below]))


def test_four_against_four_cannot_say_more_than_one_in_seventy() -> None:
    assert shift((5, 6, 7, 8), (1, 2, 3, 4)).p == pytest.approx(1 / 70)
    assert shift((2.0,), (1.0,)).interval == (-np.inf, np.inf)


def test_the_interval_of_many_holds_the_truth_as_often_as_it_says() -> None:
    random = np.random.default_rng(1)
    held = [
        low <= 1 <= high
        for _ in range(400)
        for low, high in [shift(random.exponential(size=25) + 1, random.exponential(size=30)).interval]
    ]

    assert np.mean(held) == pytest.approx(0.95, abs=0.03)


def test_one_test_alone_moves_nothing_where_two_are_asked_for() -> None:
    assert partial_conjunction((1e-200, 0.4), 2) == pytest.approx(0.4)
    assert partial_conjunction((1e-200,), 2) == 1
    assert partial_conjunction((0.01, 0.03, 0.2), 1) == pytest.approx(
        stats.combine_pvalues([0.01, 0.03, 0.2], method="fisher").pvalue
    )


@given(st.lists(st.floats(1e-9, 1), min_size=2, max_size=9))
def test_a_majority_is_as_surprising_with_any_one_left_out(chances: list[float]) -> None:
    needed = len(chances) // 2 + 1
    without = [
        partial_conjunction([*chances[:at], *chances[at + 1 :]], needed - 1) for at in range(len(chances))
    ]

    assert max(without) <= partial_conjunction(chances, needed) * (1 + 1e-9)


def test_holm_and_benjamini_hochberg_find_what_their_paper_found() -> None:
    assert (holm(THROMBOLYSIS) <= 0.05).sum() == 3
    assert (benjamini_hochberg(THROMBOLYSIS) <= 0.05).sum() == 4
    assert benjamini_hochberg(THROMBOLYSIS) == pytest.approx(stats.false_discovery_control(THROMBOLYSIS))
    assert holm(()).size == benjamini_hochberg(()).size == 0


def test_holm_is_as_worked_by_hand() -> None:
    assert holm((0.01, 0.04, 0.03, 0.005)) == pytest.approx((0.03, 0.06, 0.06, 0.02))
