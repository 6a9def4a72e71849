"""The receive log: what it keeps decodes to what happened."""

from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from probe.far_end.receive_log import MOST, ReceiveLog
from tests.far_end.guest import numbers, times


@given(st.lists(st.tuples(st.integers(0, (1 << 20) - 1), st.floats(0, 5)), max_size=60), st.floats(0, 1e7))
def test_numbers_and_times_decode_to_what_arrived(arrivals: list[tuple[int, float]], began: float) -> None:
    log, seen, passed = ReceiveLog(), set[int](), list(accumulate(gap for _, gap in arrivals))
    for (number, _), at in zip(arrivals, passed, strict=True):
        assert log.hear(number, began + at) == (number not in seen)
        seen.add(number)

    assert numbers(log.heard()) == [number for number, _ in arrivals]
    for micros, at in zip(times(log.heard()), passed, strict=True):
        assert abs(micros - (at - passed[0]) * 1e6) <= 1


def test_time_never_runs_backwards_whatever_the_clocks_say() -> None:
    log = ReceiveLog()
    for number, at in enumerate([10.0, 10.5, 10.2, 9.0, 10.6]):
        log.hear(number, at)

    assert times(log.heard()) == [0, 500_000, 500_000, 500_000, 600_000]


def test_silence_is_kept_beside() -> None:
    log = ReceiveLog()
    log.hear(7, 1.0)
    log.keep_silent(7)

    assert log.heard().mute == (7,)


def test_it_is_full_before_it_is_too_long_to_hand_out() -> None:
    log = ReceiveLog()
    for number in range(MOST):
        assert not log.is_full
        log.hear(number, number * 0.02)
    assert log.is_full
