"""STUN bytes, against the published vectors of RFC 5769 and against noise."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.failure import Malformed
from probe.stun_message import (
    Attribute,
    Message,
    Method,
    decode,
    error,
    fingerprint_holds,
    integrity_holds,
    long_term_key,
    pack_address,
    type_of,
    unpack_address,
)

SHORT_TERM = b"VOkJxbRl1RmTxUk/WvJxBt"
# RFC 5769 section 2.1
REQUEST = bytes.fromhex(
    "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74002400046e0001ff"
    "80290008932ff9b151263b36000600096576746a3a68367659202020000800149aeaa70cbfd8cb56781ef2b5b2d3f249"
    "c1b571a280280004e57a3bcf"
)
# RFC 5769 section 2.2
RESPONSE_4 = bytes.fromhex(
    "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000080001a147e112a643"
    "000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96"
)
# RFC 5769 section 2.3
RESPONSE_6 = bytes.fromhex(
    "010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000140002a1470113a9fa"
    "a5d3f179bc25f4b5bed2b9d900080014a382954e4be67bf11784c97c8292c275bfe3ed4180280004c8fb0b4c"
)
# RFC 5769 section 2.4
LONG_TERM = bytes.fromhex(
    "000100602112a44278ad3433c6ad72c029da412e00060012e3839ee38388e383aae38383e382af"
    "e382b900000015001c662f2f3439396b3935346436"
    "4f4c33346f4c394653547679363473410014000b6578616d706c652e6f72670000080014f67024656dd64a3e02b8e071"
    "2e85c9a28ca89666"
)


@pytest.mark.parametrize("vector", [REQUEST, RESPONSE_4, RESPONSE_6])
def test_the_published_short_term_vectors_verify(vector: bytes) -> None:
    assert integrity_holds(vector, SHORT_TERM)
    assert fingerprint_holds(vector)


@pytest.mark.parametrize("vector", [REQUEST, RESPONSE_4, RESPONSE_6])
def test_a_flipped_bit_breaks_integrity_and_fingerprint(vector: bytes) -> None:
    broken = vector[:30] + bytes([vector[30] ^ 1]) + vector[31:]

    assert not integrity_holds(broken, SHORT_TERM)
    assert not fingerprint_holds(broken)


def test_the_published_long_term_vector_verifies() -> None:
    assert integrity_holds(LONG_TERM, long_term_key("マトリックス", "example.org", "TheMatrIX"))


def test_the_published_request_is_written_bit_for_bit() -> None:
    read = decode(REQUEST)
    unsigned = tuple((kind, value) for kind, value in read.attributes if kind not in (0x0008, 0x8028))
    again = Message(Method.BINDING, "request", read.transaction, unsigned)

    assert again.encode(key=SHORT_TERM, fingerprint=True, fill=b" ") == REQUEST


def test_the_published_mapped_addresses_are_read() -> None:
    assert decode(RESPONSE_4).address(Attribute.XOR_MAPPED_ADDRESS) == ("192.0.2.1", 32853)
    assert decode(RESPONSE_6).address(Attribute.XOR_MAPPED_ADDRESS) == (
        "2001:db8:1234:5678:11:2233:4455:6677",
        32853,
    )


@pytest.mark.parametrize(
    ("method", "class_", "number"),
    [(1, "request", 0x0001), (1, "success", 0x0101), (3, "error", 0x0113), (6, "indication", 0x0016),
     (0x400, "request", 0x1000)],
)  # fmt: skip
def test_class_bits_sit_between_the_methods(method: int, class_: str, number: int) -> None:
    assert type_of(method, class_) == number  # type: ignore[arg-type]


@given(st.ip_addresses(), st.integers(0, 65535), st.binary(min_size=12, max_size=12))
def test_addresses_survive_the_round_trip(ip: object, port: int, transaction: bytes) -> None:
    assert unpack_address(pack_address(str(ip), port, transaction), transaction) == (str(ip), port)
    assert unpack_address(pack_address(str(ip), port)) == (str(ip), port)


@given(
    st.sampled_from(list(Method)),
    st.sampled_from(["request", "indication", "success", "error"]),
    st.sampled_from([12, 16]).flatmap(lambda size: st.binary(min_size=size, max_size=size)),
    st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=40)), max_size=5),
)
def test_messages_survive_the_round_trip(
    method: Method, class_: str, transaction: bytes, attributes: list[tuple[int, bytes]]
) -> None:
    message = Message(method, class_, transaction, tuple(attributes))  # type: ignore[arg-type]

    assert decode(message.encode(), classic=len(transaction) == 16) == message


@given(st.binary(max_size=200), st.booleans(), st.booleans())
def test_noise_is_malformed_and_nothing_worse(noise: bytes, padded: bool, classic: bool) -> None:
    with contextlib.suppress(Malformed):
        decode(noise, padded=padded, classic=classic)
    with contextlib.suppress(Malformed):
        decode(REQUEST[:4] + noise, padded=padded, classic=classic)


@given(st.binary(max_size=40))
def test_a_damaged_address_is_none(value: bytes) -> None:
    result = unpack_address(value, bytes(12))

    assert result is None or isinstance(result[1], int)


def test_an_error_code_is_read_from_its_class_and_number() -> None:
    assert (
        Message(3, "error", bytes(12), ((Attribute.ERROR_CODE, error(438, "Stale Nonce")),)).error_code == 438
    )


def test_the_unpadded_microsoft_dialect_is_read() -> None:
    body = bytes.fromhex("0014000a") + b"0123456789" + bytes.fromhex("0015000a") + b'"rtcmedia"'
    data = bytes.fromhex("0113") + len(body).to_bytes(2, "big") + bytes.fromhex("2112a442") + bytes(12) + body

    assert decode(data, padded=False).get(0x0015) == b'"rtcmedia"'
