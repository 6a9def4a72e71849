"""What a direction was like, against packets whose fate is known."""

import random
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.media.quality import (
    MAX_BINS,
    MAX_OUTAGES,
    Direction,
    Outage,
    Passage,
    direction,
    round_trip,
    worst_window,
)
from probe.record import line

BEGAN = 500.0
OFFSET = 1_000_000.0  # between the two clocks


def sent(count: int, *, every: float = 0.02, size: int = 180) -> list[Passage]:
    """Packets that all arrive after 50 ms."""
    times = [BEGAN + index * every for index in range(count)]
    return [Passage(7 + index, size, time, time + OFFSET + 0.05) for index, time in enumerate(times)]


def without(passages: Sequence[Passage], *gone: int) -> list[Passage]:
    return [one._replace(arrived=None) if index in gone else one for index, one in enumerate(passages)]


def delayed(passages: Sequence[Passage], delays: Sequence[float]) -> list[Passage]:
    return [
        one._replace(arrived=one.sent + OFFSET + delay) for one, delay in zip(passages, delays, strict=True)
    ]


def test_nothing_sent_is_a_direction_of_zeros() -> None:
    assert direction([], began=BEGAN) == Direction()
    assert Direction().effective_loss() == 0
    assert worst_window([], began=BEGAN) is None


def test_all_arriving_is_told_whatever_the_clocks_say() -> None:
    one = direction(sent(150), began=BEGAN)

    assert (one.sent, one.arrived, one.lost, one.loss, one.tail) == (150, 150, 0, 0.0, 0)
    assert (one.bytes_sent, one.bytes_arrived) == (27_000, 27_000)
    assert (one.seconds, one.last, one.first_loss) == (2.98, 2.98, None)
    assert (one.jitter, one.spread, one.trend, one.burst_ratio) == (0, 0, 0, 1)
    assert one.series.sent == one.series.arrived == (50, 50, 50)
    assert one.series.bytes == (9_000, 9_000, 9_000)
    assert one.series.delay_ms == (0, 0, 0)


def test_nothing_arriving_is_one_run_and_has_no_delay() -> None:
    one = direction(without(sent(100), *range(100)), began=BEGAN)

    assert (one.arrived, one.lost, one.loss, one.runs, one.longest_run, one.tail) == (0, 100, 1, 1, 100, 100)
    assert (one.burst_ratio, one.first_loss, one.last, one.trend) == (1, 0, None, None)
    assert one.series.delay_ms == (None, None)
    assert one.outages == (Outage(start=0, seconds=1.98, packets=100),)


def test_losses_in_a_row_are_counted_as_runs_and_dated() -> None:
    one = direction(without(sent(100), 10, 20, 21, 22, 98, 99), began=BEGAN)

    assert (one.lost, one.runs, one.longest_run, one.tail) == (6, 3, 3, 2)
    assert one.burst_ratio == pytest.approx(2 * 0.94)
    assert (one.first_loss, one.last) == (0.2, 1.94)
    assert one.outages == ()


def test_random_loss_has_a_burst_ratio_of_one_and_a_radio_has_not() -> None:
    chance = random.Random(1)
    flow = sent(5000)
    thinly = direction(without(flow, *(n for n in range(5000) if chance.random() < 0.1)), began=BEGAN)
    bursts = direction(without(flow, *(n for n in range(5000) if n % 50 < 5)), began=BEGAN)

    assert thinly.burst_ratio == pytest.approx(1, abs=0.08)
    assert bursts.burst_ratio == pytest.approx(4.5, abs=0.01)


def test_the_order_of_the_passages_does_not_matter_and_numbers_may_have_gaps() -> None:
    flow = without(sent(300)[::3], 5, 6)
    mixed = random.Random(3).sample(flow, len(flow))

    assert direction(mixed, began=BEGAN) == direction(flow, began=BEGAN)
    assert direction(flow, began=BEGAN).reordered == 0


def test_overtaken_packets_and_copies_are_counted() -> None:
    delays = [0.05] * 100
    delays[10] = delays[50] = 0.075  # overtaken by one packet each
    flow = delayed(sent(100), delays)
    flow[30] = flow[30]._replace(copies=3)
    flow[31] = flow[31]._replace(arrived=None, copies=2)

    one = direction(flow, began=BEGAN)

    assert (one.reordered, one.duplicates) == (2, 2)


def test_late_packets_are_counted_from_the_fastest() -> None:
    one = direction(
        delayed(sent(100), [0.3] * 60 + [0.37] * 20 + [0.4] * 5 + [0.45] * 10 + [0.55] * 5), began=BEGAN
    )

    assert (one.late_60, one.late_100, one.late_200) == (40, 15, 5)
    assert one.spread == pytest.approx(0.15)
    assert [one.effective_loss(playout) for playout in (0.06, 0.1, 0.15, 0.2)] == [0.4, 0.15, 0.15, 0.05]


def test_jitter_is_the_mean_of_the_running_estimate() -> None:
    # RFC 3550 appendix A.8 with |D| = 8 ms from the second packet on: J tends to 8 ms by sixteenths.
    one = direction(delayed(sent(400), [0.05, 0.058] * 200), began=BEGAN)
    estimate, series = 0.0, []
    for _ in range(399):
        estimate += (0.008 - estimate) / 16
        series.append(estimate)

    assert one.jitter == pytest.approx(sum(series) / len(series), abs=1e-6)
    assert one.jitter_p95 == pytest.approx(0.008)


def test_the_trend_is_the_slope_of_the_delay_and_minds_no_outliers() -> None:
    flow = sent(1500)
    chance = random.Random(5)
    drifting = [0.05 + 0.00005 * 0.02 * n + (2.0 if chance.random() < 0.03 else 0) for n in range(1500)]
    filling = [0.05 + 0.02 * 0.02 * n for n in range(1500)]

    assert direction(delayed(flow, drifting), began=BEGAN).trend == pytest.approx(0.00005, abs=1e-6)
    assert direction(delayed(flow, filling), began=BEGAN).trend == pytest.approx(0.02, abs=1e-6)
    assert direction(delayed(flow, filling)[:100], began=BEGAN).trend is None


def test_an_outage_is_half_a_second_without_an_arrival() -> None:
    one = direction(without(sent(500), *range(50, 74), *range(100, 126), 300, *range(400, 450)), began=BEGAN)

    assert one.outages == (
        Outage(start=2, seconds=0.52, packets=26),
        Outage(start=8, seconds=1, packets=50),
    )


def test_the_longest_outages_are_kept() -> None:
    flow = sent(200, every=0.5)
    gone = [n for n in range(200) if n % 4 == 0] + [101]
    one = direction(without(flow, *gone), began=BEGAN)

    assert len(one.outages) == MAX_OUTAGES
    assert Outage(start=50, seconds=1, packets=2) in one.outages
    assert [outage.start for outage in one.outages] == sorted(outage.start for outage in one.outages)


def test_what_a_queue_holds_back_is_counted_where_it_arrives() -> None:
    # 50 packets a second into a queue that serves 25.
    flow = sent(100)
    one = direction(delayed(flow, [0.05 + 0.02 * n for n in range(100)]), began=BEGAN)

    assert one.series.sent == (50, 50, 0, 0)
    assert one.series.arrived == (50, 50, 0, 0)
    assert one.series.bytes == (25 * 180,) * 4
    assert one.series.delay_ms == (490, 1490, None, None)


def test_a_long_stage_keeps_a_bounded_series() -> None:
    one = direction(sent(2000, every=0.2), began=BEGAN)

    assert one.sent == 2000
    assert len(one.series.sent) == MAX_BINS


def test_a_direction_survives_its_json() -> None:
    one = direction(without(sent(500), 3, *range(100, 150)), began=BEGAN)

    assert msgspec.json.decode(line(one), type=Direction) == one
    assert line(Direction()) == b"{}\n"


def test_the_worst_window_is_the_one_that_was_heard_worst() -> None:
    chance = random.Random(9)
    flow = without(sent(1500), *(n for n in range(600, 1100) if chance.random() < 0.5))
    worst = worst_window(flow, began=BEGAN)

    assert worst is not None
    assert worst.sent == 500
    assert worst.first_loss == pytest.approx(12, abs=0.3)
    assert worst.loss > 0.4 > direction(flow, began=BEGAN).loss


def test_a_delay_that_begins_in_mid_stage_makes_a_bad_window() -> None:
    worst = worst_window(delayed(sent(1500), [0.05] * 750 + [0.4] * 750), began=BEGAN)

    assert worst is not None
    assert (worst.sent, worst.late_200, worst.effective_loss()) == (500, 500, 1)


def test_a_slow_stage_has_windows_of_enough_packets_and_a_short_one_is_its_own() -> None:
    slow = worst_window(sent(600, every=0.1), began=BEGAN)
    short = worst_window(sent(300), began=BEGAN)

    assert slow is not None
    assert slow.sent == 250
    assert short == direction(sent(300), began=BEGAN)
    assert worst_window(sent(249), began=BEGAN) is None


def test_round_trips_are_summed_up() -> None:
    trips = round_trip([0.04, 0.05] * 50)

    assert trips is not None
    assert (trips.count, trips.min, trips.median, trips.max) == (100, 0.04, 0.045, 0.05)
    assert (trips.p95, trips.p99, trips.deviation) == (0.05, 0.05, 0.01)
    assert round_trip([]) is None
    assert (single := round_trip([0.04])) is not None
    assert (single.p99, single.deviation) == (0.04, 0)


TIMES = st.floats(-1e6, 1e6)


@given(
    st.lists(
        st.builds(
            Passage,
            st.integers(0, 1 << 20),
            st.integers(0, 1400),
            TIMES,
            st.none() | TIMES,
            st.integers(1, 9),
        ),
        max_size=30,
    ),
    TIMES,
)
def test_any_passages_make_a_direction_that_adds_up(passages: list[Passage], began: float) -> None:
    one = direction(passages, began=began)

    assert one.sent == one.arrived + one.lost == len(passages)
    assert one.late_200 <= one.late_100 <= one.late_60 <= one.arrived
    assert one.tail <= one.longest_run <= one.lost
    assert one.runs <= one.lost
    assert 0 <= one.effective_loss() <= 1
    assert sum(one.series.arrived) <= sum(one.series.sent) <= one.sent
    assert sum(one.series.bytes) <= one.bytes_arrived <= one.bytes_sent
    assert msgspec.json.decode(line(one), type=Direction) == one


@given(st.integers(250, 700), st.sets(st.integers(0, 699), max_size=400))
def test_no_window_is_worse_than_the_worst(count: int, gone: set[int]) -> None:
    flow = without(sent(count), *gone)
    worst = worst_window(flow, began=BEGAN)
    windows = [flow[start : start + 500] for start in range(0, max(1, count - 499), 50)]

    assert worst is not None
    for window in windows:
        lost = sum(one.arrived is None for one in window)
        assert lost / len(window) <= worst.loss + 1e-6


def test_ten_thousand_packets_cost_no_more_than_a_sort_or_two() -> None:
    chance = random.Random(2)
    flow = delayed(sent(10_000), [chance.random() / 10 for _ in range(10_000)])
    one = direction(without(flow, *chance.sample(range(10_000), 500)), began=BEGAN)

    assert (one.sent, one.lost) == (10_000, 500)
