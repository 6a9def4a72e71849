import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.failure import Malformed
from probe.noise.frames import MOST, FirstFrame, frame
from tests.fuzz import fuzz


@given(st.binary(max_size=600), st.binary(max_size=50), st.integers(1, 100))
def test_the_first_frame_is_found_however_it_is_cut_and_whatever_follows(
    payload: bytes, more: bytes, size: int
) -> None:
    stream, reader = frame(payload) + more, FirstFrame()
    found = None
    for at in range(0, len(stream), size):
        found = reader.take(stream[at : at + size])
        if found is not None:
            break

    assert found == payload


def test_a_frame_at_the_cap_is_taken_and_one_beyond_is_refused_before_it_comes() -> None:
    assert FirstFrame().take(frame(bytes(MOST))) == bytes(MOST)
    with pytest.raises(Malformed) as caught:
        FirstFrame().take((MOST + 1).to_bytes(3, "big"))
    assert caught.value.code == "frame"


def test_a_declared_frame_of_sixteen_megabytes_is_refused_after_three_bytes() -> None:
    reader = FirstFrame()
    assert reader.take(b"\xfe\xff") is None
    with pytest.raises(Malformed):
        reader.take(b"\xff")


@fuzz("noise frames", st.lists(st.binary(max_size=70_000), max_size=5))
def test_no_bytes_whatever_break_the_reader_or_stay_in_it(pieces: list[bytes]) -> None:
    reader = FirstFrame()
    for piece in pieces:
        try:
            whole = reader.take(piece)
        except Malformed:
            break
        if whole is not None:
            break
        assert len(reader._seen) < 3 + MOST
