"""RTP streams as RFC 3550 counts them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.far_end.streams import Streams
from probe.webrtc.rtp import Packet


def packet(
    sequence: int, arrived: float, timestamp: int = 0, *, ssrc: int = 7, media: str = "audio"
) -> Packet:
    return Packet(media, ssrc, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, False, bytes(80), arrived)  # type: ignore[arg-type]


def test_a_steady_stream_has_no_jitter_and_no_loss() -> None:
    streams = Streams()
    for n in range(100):
        streams.hear(packet(65500 + n, 5.0 + n * 0.02, (1 << 32) - 960 * 50 + n * 960))
    (stream,) = streams.counted()

    assert (stream.received, stream.expected, stream.octets) == (100, 100, 8000)
    assert stream.jitter < 1e-6


def test_jitter_is_what_appendix_a_8_computes() -> None:
    """Every second packet is 10 ms late: |D| is 10 ms each time, and J tends to it by sixteenths."""
    streams, expected = Streams(), 0.0
    for n in range(50):
        streams.hear(packet(n, n * 0.02 + (0.01 if n % 2 else 0.0), n * 960))
        expected += ((0.01 if n else 0.0) - expected) / 16

    assert streams.counted()[0].jitter == pytest.approx(expected, abs=1e-5)


def test_video_has_a_clock_of_its_own() -> None:
    streams = Streams()
    for n in range(50):
        streams.hear(packet(n, n / 30, n * 3000, media="video"))

    assert streams.counted()[0].jitter < 1e-6


def test_streams_are_told_apart_and_no_more_than_eight_are_counted() -> None:
    streams = Streams()
    for n in range(100):
        streams.hear(packet(n, n * 0.02, ssrc=n % 20))

    assert [stream.ssrc for stream in streams.counted()] == list(range(8))


@given(st.integers(0, 0xFFFF), st.lists(st.integers(0, 3000), min_size=1, max_size=60))
def test_expected_is_from_the_first_to_the_last_number_whatever_the_order(
    first: int, offsets: list[int]
) -> None:
    streams = Streams()
    for offset in offsets:
        streams.hear(packet(first + offset, 1.0))
    (stream,) = streams.counted()

    assert stream.expected == max(offsets) - min(offsets) + 1
    assert stream.received == len(offsets)
