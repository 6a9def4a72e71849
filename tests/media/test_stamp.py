"""Stamps: frozen vectors, the formula of docs/paced-flow.md written a second time, and noise."""

from hashlib import blake2s

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.media.stamp import KEY, KINDS, NUMBERS, SIZE, Sealer, Stamp, Way

RAMP = bytes(range(KEY))
# Computed once with the formula below, by hand and without this module; other implementations check against these.
VECTORS: list[tuple[Way, Stamp, str]] = [
    ("up", Stamp(0, 0, 0, 0), "779abbe0ba21a29187e35f26"),
    ("up", Stamp(3, 4660, 0xBEEF, 0x01020304), "7a4db527f60d9dc41dffce32"),
    ("up", Stamp(15, 0xFFFFF, 0xFFFF, 0xFFFFFFFF), "d3c75e7c71644c33b093d223"),
    ("down", Stamp(0, 0, 0, 0), "091fd48a813f602389e0a129"),
    ("down", Stamp(3, 4660, 0xBEEF, 0x01020304), "8390b0d367698ba9fee73fec"),
    ("down", Stamp(15, 0xFFFFF, 0xFFFF, 0xFFFFFFFF), "13b3bb9994ae4def5338eb08"),
]

stamps = st.builds(
    Stamp,
    st.integers(0, KINDS - 1),
    st.integers(0, NUMBERS - 1),
    st.integers(0, 0xFFFF),
    st.integers(0, 0xFFFFFFFF),
)
keys = st.binary(min_size=KEY, max_size=KEY)


def by_the_book(key: bytes, way: str, stamp: Stamp) -> bytes:
    """The formula of docs/paced-flow.md."""
    bits = f"{stamp.kind:04b}{stamp.number:020b}{stamp.word:016b}{stamp.micros:032b}"
    seen = int(bits, 2).to_bytes(9, "big")
    check = blake2s(seen, key=key, person=way.encode(), digest_size=3).digest()
    mask = blake2s(check, key=key, person=way.encode(), salt=b"mask", digest_size=9).digest()
    return bytes(a ^ b for a, b in zip(seen, mask, strict=True)) + check


@pytest.mark.parametrize(("way", "stamp", "sealed"), VECTORS)
def test_the_vectors_hold(way: Way, stamp: Stamp, sealed: str) -> None:
    assert Sealer(RAMP, way).seal(stamp).hex() == sealed
    assert Sealer(RAMP, way).open(bytes.fromhex(sealed)) == stamp
    assert by_the_book(RAMP, way, stamp).hex() == sealed


@given(keys, stamps)
def test_a_stamp_is_what_the_documentation_says_and_opens_again(key: bytes, stamp: Stamp) -> None:
    sealed = Sealer(key, "up").seal(stamp)

    assert sealed == by_the_book(key, "up", stamp)
    assert Sealer(key, "up").open(sealed) == stamp


@given(keys, stamps)
def test_a_stamp_that_is_merely_reflected_does_not_open(key: bytes, stamp: Stamp) -> None:
    assert Sealer(key, "down").open(Sealer(key, "up").seal(stamp)) is None


@given(keys, keys, stamps)
def test_a_stamp_of_another_flow_does_not_open(key: bytes, other: bytes, stamp: Stamp) -> None:
    opened = Sealer(other, "up").open(Sealer(key, "up").seal(stamp))

    assert (opened == stamp) if key == other else (opened is None)


@given(keys, stamps, st.integers(0, 8 * SIZE - 1))
def test_no_flipped_bit_goes_unnoticed(key: bytes, stamp: Stamp, bit: int) -> None:
    sealed = bytearray(Sealer(key, "up").seal(stamp))
    sealed[bit >> 3] ^= 1 << (bit & 7)

    assert Sealer(key, "up").open(bytes(sealed)) is None


@given(st.binary(max_size=40))
def test_whatever_comes_is_opened_or_not_and_nothing_else(data: bytes) -> None:
    assert Sealer(RAMP, "up").open(data) is None or len(data) == SIZE


def test_the_time_is_taken_modulo_two_to_the_32() -> None:
    late = Stamp(0, 1, 2, (1 << 32) + 7)

    assert Sealer(RAMP, "up").open(Sealer(RAMP, "up").seal(late)) == late._replace(micros=7)


def test_stamps_of_a_flow_look_random() -> None:
    """Each of the 96 bits of consecutive stamps is set about half the time."""
    sealer = Sealer(RAMP, "up")
    sealed = [int.from_bytes(sealer.seal(Stamp(0, n, 7, 20_000 * n)), "big") for n in range(2000)]
    for bit in range(8 * SIZE):
        assert 850 < sum(one >> bit & 1 for one in sealed) < 1150


def test_a_key_of_another_length_is_our_own_mistake() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        Sealer(b"short", "up")
