"""Headers, compression and signature of anything at all: right, or refused, and never more memory than allowed."""

import tracemalloc
from datetime import UTC, datetime

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from probe.collector.envelope import deletion, envelope, opened, verify
from probe.collector.protocol import Refused
from probe.upload.signing import RUN
from tests.collector.sender import NOW, Sender, new_id, status_of
from tests.fuzz import fuzz

MOST = 100_000
ME = Sender(clock=NOW)
RIGHT = {name.lower(): value for name, value in ME.headers("0" * 16, b"text").items()}
TAKEN = envelope(RIGHT, NOW)
HEADERS = st.dictionaries(st.sampled_from(sorted(RIGHT)), st.text(max_size=120))
PIECES = st.lists(st.one_of(st.binary(max_size=40), st.sampled_from([b"\n", bytes(2000)])), max_size=9).map(
    b"".join
)


def test_what_is_right_is_taken() -> None:
    made = envelope(RIGHT, NOW)
    verify(made, RUN, b"text")

    assert (made.run, made.sent) == ("0" * 16, "2026-11-25T04:10:37Z")


@fuzz("collector headers", HEADERS)
def test_headers_of_any_kind_are_right_or_refused(wrong: dict[str, str]) -> None:
    def work() -> None:
        headers = RIGHT | wrong
        made = envelope(headers, NOW)
        verify(made, RUN, b"text")
        # Which run it is, the signed bytes say; the header's word is compared with them later.
        assert (made.run, made.key) == (headers["callreach-run"], TAKEN.key)

    assert status_of(work) in (0, 400, 401, 415, 425)


@given(st.text(max_size=80), HEADERS)
def test_a_deletion_of_any_kind_is_refused(run: str, wrong: dict[str, str]) -> None:
    with pytest.raises(Refused) as caught:
        deletion(RIGHT | wrong, run, NOW)

    assert caught.value.status in (400, 401, 425)


def test_a_signature_is_for_one_run_one_time_and_one_purpose() -> None:
    run = new_id()
    right = {name.lower(): value for name, value in ME.wish(run).items()}
    assert deletion(right, run, NOW).run == run
    for wrong in (
        (right, new_id()),
        (right | {"callreach-sent": "2026-11-25T04:10:38Z"}, run),
        (right | {"callreach-signature": RIGHT["callreach-signature"]}, "0" * 16),
    ):
        with pytest.raises(Refused, match="not this key's"):
            deletion(*wrong, NOW)


@fuzz(
    "collector frame", st.tuples(PIECES, st.integers(0, 60), st.binary(min_size=1, max_size=3), st.booleans())
)
def test_a_frame_of_any_kind_opens_or_is_refused(given: tuple[bytes, int, bytes, bool]) -> None:
    exact, at, other, sized = given
    frame = zstandard.ZstdCompressor(write_content_size=sized).compress(exact)
    assert opened(frame, MOST) == exact
    damaged = frame[:at] + other + frame[at + len(other) :]
    for wrong in (damaged, frame[:at], frame + other, other):
        assert status_of(lambda wrong=wrong: opened(wrong, MOST)) in (0, 400, 413)  # type: ignore[misc]


@pytest.mark.parametrize("sized", [True, False])
def test_a_bomb_is_refused_without_its_memory(sized: bool) -> None:
    bomb = zstandard.ZstdCompressor(write_content_size=sized).compress(bytes(1 << 29))
    tracemalloc.start()
    try:
        with pytest.raises(Refused) as caught:
            opened(bomb, MOST)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert caught.value.status == 413
    assert most < 1 << 20


def test_clocks_a_day_off_are_told_and_smaller_errors_are_not() -> None:
    for sent, is_refused in (("2026-11-24T05:00:00Z", False), ("2026-11-24T04:00:00Z", True)):
        headers = RIGHT | {"callreach-sent": sent}
        if not is_refused:
            envelope(headers, NOW)
            continue
        with pytest.raises(Refused, match="here it is 2026-11-25T04:10:37Z"):
            envelope(headers, NOW)
    envelope(
        RIGHT | {"callreach-sent": "2026-11-25T04:10:37.123456Z"}, datetime(2026, 11, 25, 4, 10, tzinfo=UTC)
    )
