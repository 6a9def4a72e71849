"""The E-model against computed check values, and against the mistakes that others made with it."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.media.emodel import (
    FULLBAND,
    WIDEBAND,
    delay_impairment,
    fullband,
    mos,
    narrowband,
    other_scales,
    score,
    wideband,
)
from probe.media.quality import Direction, RoundTrip, round_trip

G711, CONCEALED, G729A = (0, 4.3), (0, 25.1), (11, 19)


def trip(seconds: float) -> RoundTrip:
    found = round_trip([seconds])
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("delay", "idd", "r", "opinion"),
    [
        (0.15, 0.164, 93.04, 4.406),
        (0.2, 3.044, 90.16, 4.343),
        (0.25, 8.917, 84.28, 4.175),
        (0.3, 14.761, 78.44, 3.964),
        (0.4, 24.070, 69.13, 3.556),
        (0.5, 30.636, 62.56, 3.232),
    ],
)
def test_delay_costs_what_the_table_says(delay: float, idd: float, r: float, opinion: float) -> None:
    rating = narrowband(delay, 0, ie=0, bpl=4.3)

    assert delay_impairment(delay) == pytest.approx(idd, abs=6e-4)
    assert rating == pytest.approx(r, abs=6e-3)
    assert mos(rating) == pytest.approx(opinion, abs=6e-4)


@pytest.mark.parametrize(
    ("codec", "percent", "r", "opinion"),
    [
        (G711, 1, 75.28, 3.834),
        (G711, 5, 42.12, 2.169),
        (CONCEALED, 1, 89.56, 4.328),
        (CONCEALED, 3, 83.06, 4.134),
        (CONCEALED, 5, 77.42, 3.923),
        (CONCEALED, 10, 66.13, 3.411),
        (G729A, 0, 82.20, 4.104),
        (G729A, 2, 74.20, 3.787),
        (G729A, 5, 64.70, 3.340),
    ],
)
def test_loss_costs_what_the_table_says(
    codec: tuple[float, float], percent: float, r: float, opinion: float
) -> None:
    rating = narrowband(0.1, percent / 100, ie=codec[0], bpl=codec[1])

    assert rating == pytest.approx(r, abs=6e-3)
    assert mos(rating) == pytest.approx(opinion, abs=6e-4)


def test_an_unharmed_call_and_a_bursty_one() -> None:
    assert narrowband(0, 0, ie=0, bpl=4.3) == 93.2
    assert mos(93.2) == pytest.approx(4.409, abs=6e-4)
    assert narrowband(0, 0.05, ie=0, bpl=25.1, burst_ratio=2) == pytest.approx(75.99, abs=6e-3)


# The published constants are rounded; the check values were computed before that.
ROUNDED = 0.007


@pytest.mark.parametrize(
    ("delay", "opinions"),
    [(0.05, (4.183, 4.086, 3.719, 3.345, 2.842)), (0.2, (4.103, 3.998, 3.611, 3.226, 2.718))],
)
def test_wideband_opus_scores_what_the_table_says(delay: float, opinions: tuple[float, ...]) -> None:
    found = [mos(wideband(delay, p / 100, ie=20.0, bpl=19.5), WIDEBAND) for p in (0, 1, 5, 10, 20)]

    assert found == pytest.approx(opinions, abs=ROUNDED)


@pytest.mark.parametrize(
    ("ie", "bpl", "opinions"),
    [
        (10.7, 9.8, (4.401, 4.204, 3.358, 2.647)),
        (10.7, 8.0, (4.401, 4.157, 3.170, 2.436)),
        (10.2, 4.3, (4.408, 3.929, 2.515, 1.852)),
    ],
)
def test_fullband_opus_scores_what_the_table_says(ie: float, bpl: float, opinions: tuple[float, ...]) -> None:
    found = [mos(fullband(0.05, p / 100, ie=ie, bpl=bpl), FULLBAND) for p in (0, 1, 5, 10)]

    assert found == pytest.approx(opinions, abs=ROUNDED)


DELAYS, LOSSES, BURSTS = st.floats(0, 3), st.floats(0, 1), st.floats(0, 20)


@pytest.mark.parametrize(("rate", "scale"), [(narrowband, 1.0), (wideband, WIDEBAND), (fullband, FULLBAND)])
@given(
    st.tuples(DELAYS, LOSSES, BURSTS),
    st.tuples(DELAYS, LOSSES, BURSTS),
    st.floats(0, 40),
    st.floats(1, 40),
)
def test_no_opinion_rises_with_delay_loss_or_bursts(
    rate: Callable[..., float],
    scale: float,
    at: tuple[float, float, float],
    more: tuple[float, float, float],
    ie: float,
    bpl: float,
) -> None:
    def opinion(delay: float, loss: float, burst: float) -> float:
        return mos(rate(delay, loss, ie=ie, bpl=bpl, burst_ratio=burst), scale)

    delay, loss, burst = at
    here = opinion(delay, loss, burst)
    assert 1 <= here <= 4.5
    assert opinion(delay + more[0], loss, burst) <= here + 1e-9
    assert opinion(delay, min(1, loss + more[1]), burst) <= here + 1e-9
    assert opinion(delay, loss, burst + more[2]) <= here + 1e-9


@given(st.floats(-500, 500), st.floats(0, 500))
def test_a_better_rating_is_never_a_worse_opinion(r: float, more: float) -> None:
    assert 1 <= mos(r) <= mos(r + more) + 1e-9 <= 4.5 + 1e-8


@pytest.mark.parametrize("edge", [0.1, 0.15, 0.1773])
def test_nothing_leaps_with_delay(edge: float) -> None:
    """Others' formulas fell to 1 at 101 ms, or rose to 4.5 at 151 ms: `0.1 * delay - 150` for `0.1 * (delay - 150)`."""
    before, after = (mos(narrowband(edge + step, 0.05, ie=0, bpl=4.3)) for step in (-0.001, 0.001))

    assert before - after == pytest.approx(0, abs=0.01)
    opinions = [mos(narrowband(delay, 0.05, ie=0, bpl=4.3)) for delay in (0.149, 0.151, 0.3, 0.5)]
    assert opinions == sorted(opinions, reverse=True)
    assert opinions[-1] < opinions[0] - 0.5


def test_loss_is_a_share_and_not_a_number_of_packets() -> None:
    few, many = Direction(sent=500, arrived=495, lost=5), Direction(sent=5000, arrived=4950, lost=50)

    assert score(few, None) == score(many, None)


def test_a_score_carries_its_model_and_its_inputs() -> None:
    one = Direction(sent=1500, arrived=1425, lost=75, loss=0.05, late_100=75, burst_ratio=1.02)
    found = score(one, trip(0.08))

    assert found is not None
    assert found.model == "G.107.2 fullband, Opus SWB VBR 25"
    assert (found.delay, found.loss, found.burst_ratio, found.ie, found.bpl) == (0.16, 0.1, 1.02, 20.2, 11.3)
    assert found.r == pytest.approx(fullband(0.16, 0.1, ie=20.2, bpl=11.3), abs=5e-3)
    assert found.mos == pytest.approx(mos(found.r, FULLBAND), abs=1e-3)


def test_the_other_scales_are_for_comparison_with_other_tools() -> None:
    wide, narrow = other_scales(Direction(sent=1000, lost=50, burst_ratio=2), trip(0.0), playout=0.06)

    assert wide.model == "G.107.1 wideband, Opus WB VBR 13"
    assert wide.mos == pytest.approx(mos(wideband(0.08, 0.05, ie=20.0, bpl=19.5), WIDEBAND), abs=1e-3)
    assert narrow.model == "G.107 narrowband, G.711 with concealment"
    assert (narrow.r, narrow.delay) == (75.99, 0.08)


def test_bursts_are_taken_by_the_codecs_own_constant() -> None:
    one = score(Direction(sent=1000, lost=50, burst_ratio=1.6), None)

    assert one is not None
    assert one.bpl == 9.2
    assert one.r == pytest.approx(fullband(0.12, 0.05, ie=20.2, bpl=9.2), abs=5e-3)


def test_too_few_packets_have_no_score() -> None:
    few = Direction(sent=249, arrived=249)

    assert score(few, trip(0.05)) is None
    assert other_scales(few, trip(0.05)) == ()


@given(st.integers(250, 5000), LOSSES, BURSTS, st.floats(0, 2), st.tuples(LOSSES, BURSTS, st.floats(0, 2)))
def test_no_score_rises_as_a_direction_gets_worse(
    sent: int, loss: float, burst: float, rtt: float, more: tuple[float, float, float]
) -> None:
    lost = min(sent, int((loss + more[0]) * sent))
    here = Direction(sent=sent, lost=int(loss * sent), burst_ratio=burst), trip(rtt)
    worse = Direction(sent=sent, lost=lost, burst_ratio=burst + more[1]), trip(rtt + more[2])
    better, poorer = (score(*here), *other_scales(*here)), (score(*worse), *other_scales(*worse))

    for one, two in zip(better, poorer, strict=True):
        assert one is not None
        assert two is not None
        assert 1 <= two.mos <= one.mos <= 4.5
