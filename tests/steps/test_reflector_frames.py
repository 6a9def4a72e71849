from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.failure import Malformed
from probe.steps import reflector_frames as frames
from probe.steps.reflector_frames import Data, SelfInfo

TAG = bytes(range(16))
HELLO = bytes.fromhex("000102030405060708090a0b0c0d0e0ffffffffffffffffffffffffffeffffff000000000000007b")
SELF_INFO = bytes.fromhex(
    "000102030405060708090a0b0c0d0e0fffffffffffffffffffffffffc77215c000f15365000000000000007b"
    "00000000000000000000ffffcb007107409c0000"
)
DATA = bytes.fromhex("000102030405060708090a0b22222222111111110000000568656c6c6f000000")
READERS: tuple[Callable[[bytes], object], ...] = (
    frames.read_hello,
    frames.read_self_info,
    frames.read_data,
    frames.off_stream,
)


def test_a_hello_is_byte_for_byte_the_researched_one() -> None:
    assert frames.hello(TAG, bytes(7) + b"\x7b") == HELLO
    assert frames.read_hello(HELLO) == (TAG, bytes(7) + b"\x7b")


def test_a_self_info_says_when_and_how_we_are_seen() -> None:
    info = frames.read_self_info(SELF_INFO)

    assert info == SelfInfo(TAG, 1700000000, bytes(7) + b"\x7b", "203.0.113.7", 40000)
    assert frames.pack_self_info(info._replace(ip="::ffff:203.0.113.7")) == SELF_INFO


def test_relayed_data_is_byte_for_byte_the_researched_one() -> None:
    data = Data(TAG[:12], b"\x22" * 4, b"\x11" * 4, b"hello")

    assert frames.pack_data(data) == DATA
    assert frames.read_data(DATA) == frames.read_data(DATA[:-3]) == data


@pytest.mark.parametrize(
    ("read", "data"),
    [
        (frames.read_self_info, SELF_INFO[:-1]),
        (frames.read_self_info, SELF_INFO[:28] + b"\0" + SELF_INFO[29:]),
        (frames.read_self_info, HELLO + bytes(24)),
        (frames.read_hello, HELLO[:-1]),
        (frames.read_hello, SELF_INFO[:40]),
        (frames.read_data, DATA[:23] + b"\x06" + b"hello"),
        (frames.read_data, DATA + bytes(4)),
        (frames.read_data, HELLO),
        (frames.off_stream, b"HTTP/1.1 400 Bad Request"),
    ],
)  # fmt: skip
def test_what_is_not_such_a_packet_is_malformed(read: Callable[[bytes], object], data: bytes) -> None:
    with pytest.raises(Malformed):
        read(data)


@given(st.binary(max_size=100), st.sampled_from([HELLO, SELF_INFO, DATA]), st.integers(0, 64))
def test_no_bytes_whatever_raise_anything_but_malformed(junk: bytes, good: bytes, at: int) -> None:
    for read in READERS:
        for data in (junk, good[:at] + junk, good[:at] + junk + good[at + len(junk) :]):
            try:
                read(data)
            except Malformed:
                continue


@given(st.binary(min_size=12, max_size=12), st.binary(max_size=2000))
def test_what_is_packed_is_read_back(prefix: bytes, payload: bytes) -> None:
    data = Data(prefix, b"toto", b"from", payload)
    packed = frames.pack_data(data)

    assert len(packed) % 4 == 0
    assert frames.read_data(packed) == data
    assert frames.other_side(frames.other_side(prefix)) == prefix != frames.other_side(prefix)


@given(st.lists(st.binary(max_size=80), max_size=6), st.integers(1, 30))
def test_a_stream_gives_the_same_packets_however_it_is_cut(packets: list[bytes], size: int) -> None:
    stream = b"".join(frames.on_stream(packet) for packet in packets)
    found, rest = list[bytes](), b""
    for at in range(0, len(stream), size):
        more, rest = frames.off_stream(rest + stream[at : at + size])
        found += more

    assert (found, rest) == (packets, b"")


def test_nonsense_behind_a_good_packet_does_not_take_it_back() -> None:
    packets, rest = frames.off_stream(frames.on_stream(SELF_INFO) + b"HTTP/1.1")

    assert packets == [SELF_INFO]
    with pytest.raises(Malformed):
        frames.off_stream(rest)


def test_a_tag_is_fresh_and_its_endpoint_is_not_zero() -> None:
    tags = {frames.fresh_tag() for _ in range(100)}

    assert len(tags) == 100
    assert all(len(tag) == 16 and tag[12:] != bytes(4) for tag in tags)
