import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.failure import Malformed
from probe.mtproto.framing import (
    Abridged,
    Framing,
    Full,
    Intermediate,
    Obfuscation,
    Padded,
    draw_init,
    read_tag,
    tag_of,
)
from tests.fuzz import fuzz
from tests.mtproto import vectors as v

FRAMINGS: tuple[Framing, ...] = (Abridged(), Intermediate(), Padded(), Full())


def seeded(size: int) -> bytes:
    return v.SEED[:size]


def test_the_full_transport_has_the_researched_check_sum() -> None:
    packet = Full().pack(v.REQ_PQ, 0)

    assert packet == bytes.fromhex("3400000000000000") + v.REQ_PQ + bytes.fromhex("22b7ab88")


def test_the_abridged_transport_counts_words() -> None:
    assert Abridged().pack(v.REQ_PQ, 0) == b"\x0a" + v.REQ_PQ
    assert Abridged().pack(bytes(508), 0) == b"\x7f\x7f\x00\x00" + bytes(508)


def test_the_intermediate_transport_counts_bytes() -> None:
    assert Intermediate().pack(v.REQ_PQ, 0) == b"\x28\0\0\0" + v.REQ_PQ


@pytest.mark.parametrize(
    ("framing", "ends"),
    [
        (Abridged(), "26a2e36bcbdb9f1d"),
        (Intermediate(), "27a3e26acbdb9f1d"),
        (Padded(), "1490d159cbdb9f1d"),
    ],
)
def test_obfuscation_begins_with_the_researched_bytes(framing: Framing, ends: str) -> None:
    init = draw_init(tag_of(framing), 2, seeded)
    hidden = Obfuscation(init)

    assert init[:56] == v.SEED[:56]
    assert hidden.up.update(init)[56:].hex() == ends
    assert read_tag(init) == (tag_of(framing), 2)
    assert read_tag(draw_init(tag_of(framing), -4, seeded))[1] == -4


def test_what_could_be_taken_for_another_protocol_is_drawn_again() -> None:
    bad = [b"\xef" + bytes(63), b"HEAD" + b"x" * 60, b"POST" + b"x" * 60, b"GET " + b"x" * 60, b"OPTI" + b"x" * 60,
           b"\xdd" * 64, b"\xee" * 64, b"\x16\x03\x01\x02" + b"x" * 60, b"\x01\x02\x03\x04" + bytes(60)]  # fmt: skip
    draws = iter([*bad, v.SEED])

    assert draw_init(b"\xee" * 4, 2, lambda size: next(draws))[:56] == v.SEED[:56]


@pytest.mark.parametrize(
    ("framing", "data"),
    [
        (Intermediate(), b"\xff\xff\xff\x7f"),
        (Intermediate(), (1 << 30).to_bytes(4, "little")),
        (Intermediate(), bytes(4)),
        (Abridged(), b"\x7f\xff\xff\xff"),
        (Abridged(), b"\0"),
        (Abridged(), b"\xef"),
        (Full(), (1 << 30).to_bytes(4, "little")),
        (Full(), bytes(4)),
        (Full(), b"\x0b\0\0\0"),
    ],
)
def test_a_length_that_no_answer_has_is_malformed_at_once(framing: Framing, data: bytes) -> None:
    with pytest.raises(Malformed) as caught:
        framing.measure(data)

    assert caught.value.code == "frame"


def test_a_packet_with_a_wrong_check_sum_is_malformed() -> None:
    packet = Full().pack(v.REQ_PQ, 0)
    with pytest.raises(Malformed, match="check sum"):
        Full().unpack(packet[:-1] + b"\0")


@given(st.binary(min_size=1, max_size=500), st.sampled_from(FRAMINGS), st.integers(0, 5))
def test_what_is_packed_is_measured_and_unpacked(words: bytes, framing: Framing, number: int) -> None:
    payload = words * 4
    packet = framing.pack(payload, number)
    span = framing.measure(packet + b"next")

    assert span is not None
    assert span.end == len(packet)
    assert packet[span.start : span.stop].startswith(payload)
    assert framing.unpack(packet).startswith(payload)
    assert framing.measure(b"") is None


@fuzz("mtproto framing", st.tuples(st.binary(max_size=60), st.sampled_from(FRAMINGS)))
def test_no_bytes_whatever_raise_anything_but_malformed(example: tuple[bytes, Framing]) -> None:
    data, framing = example
    try:
        span = framing.measure(data)
        if span is not None and len(data) >= span.end:
            framing.unpack(data[: span.end])
    except Malformed:
        return
