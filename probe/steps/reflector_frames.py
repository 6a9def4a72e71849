"""The packets of Telegram's call relays ("reflectors") as bytes, both directions; no clock, no socket.

    hello      tag 16 | ff x12 | fe ff ff ff | query id 8                                     40 bytes, to the relay
    self info  tag 16 | ff x12 | c7 72 15 c0 | date 4 | query id 8 | address 16 | port 4      64 bytes, back
    data       prefix 12 | tag of whom it is for 4 | tag of whom it is from 4 | length 4 | payload, padded to 4

Dates and ports are little-endian, a length is big-endian, an IPv4 address is written IPv4-mapped. A tag is a
call's prefix and four bytes of the endpoint; bit 0 of the prefix's first byte tells the two sides of a call apart.
Read in libtgvoip and in tgcalls' ReflectorPort; hello and self info were seen in captures of 2020 and 2024. On a
stream `ee ee ee ee` goes first, and then every packet has its length before it, four bytes little-endian
(tgcalls' RawTcpSocket).
"""

import secrets
import struct
from ipaddress import IPv6Address
from typing import NamedTuple

from probe.failure import Malformed

TAG, PREFIX, QUERY = 16, 12, 8
STREAM_START = b"\xee" * 4
_MARKER = b"\xff" * 12
_HELLO = b"\xfe\xff\xff\xff"
_SELF_INFO = bytes.fromhex("c77215c0")
_REST = struct.Struct("<i8s16si")  # date, query id, address, port
_DATA = struct.Struct("!12s4s4sI")
_MAX_FRAME = 4096


class SelfInfo(NamedTuple):
    """What a relay answers to a hello: its clock (Unix time), and how it sees us."""

    tag: bytes
    date: int
    query: bytes
    ip: str
    port: int


class Data(NamedTuple):
    """A datagram relayed from one endpoint of a call to the other."""

    prefix: bytes
    to: bytes
    sender: bytes
    payload: bytes


def fresh_tag() -> bytes:
    """A tag that no call has: 16 random bytes, the endpoint's four of them not zero."""
    return secrets.token_bytes(TAG - 1) + bytes([1 + secrets.randbelow(255)])


def other_side(prefix: bytes) -> bytes:
    """The prefix of the other side of the same call."""
    return bytes([prefix[0] ^ 1]) + prefix[1:]


def hello(tag: bytes, query: bytes) -> bytes:
    """A hello: 40 bytes."""
    return tag + _MARKER + _HELLO + query


def read_hello(data: bytes) -> tuple[bytes, bytes]:
    """Tag and query id of a hello. Raises Malformed."""
    if len(data) != 40 or data[16:32] != _MARKER + _HELLO:
        raise Malformed("not a hello of a call relay's client")
    return data[:16], data[32:]


def pack_self_info(info: SelfInfo) -> bytes:
    """A self info: 64 bytes. `ip` is IPv6, or IPv4 written as `::ffff:192.0.2.1`."""
    return (
        info.tag
        + _MARKER
        + _SELF_INFO
        + _REST.pack(info.date, info.query, IPv6Address(info.ip).packed, info.port)
    )


def read_self_info(data: bytes) -> SelfInfo:
    """Read a self info; an IPv4-mapped address comes back as IPv4. Raises Malformed."""
    if len(data) != 64:
        raise Malformed("not as long as a relay's answer to a hello")
    if data[16:32] != _MARKER + _SELF_INFO:
        raise Malformed("not a relay's answer to a hello")
    date, query, packed, port = _REST.unpack_from(data, 32)
    address = IPv6Address(packed)
    return SelfInfo(data[:16], date, query, str(address.ipv4_mapped or address), port)


def pack_data(data: Data) -> bytes:
    """A data frame: 24 bytes and the payload, padded with zeros to a multiple of four."""
    head = _DATA.pack(data.prefix, data.to, data.sender, len(data.payload))
    return head + data.payload + bytes(-len(data.payload) % 4)


def read_data(data: bytes) -> Data:
    """Read a data frame, padded or not. Raises Malformed."""
    if len(data) < _DATA.size:
        raise Malformed("shorter than the head of a relayed datagram")
    prefix, to, sender, length = _DATA.unpack_from(data)
    rest = len(data) - _DATA.size - length
    if not 0 <= rest <= 3:
        raise Malformed("the length field does not fit the relayed datagram")
    return Data(prefix, to, sender, data[_DATA.size : _DATA.size + length])


def on_stream(packet: bytes) -> bytes:
    """A packet as it goes over a stream."""
    return struct.pack("<I", len(packet)) + packet


def off_stream(data: bytes) -> tuple[list[bytes], bytes]:
    """The whole packets at the start of a stream, and what is left. Raises Malformed for a start that is none."""
    packets = list[bytes]()
    while len(data) >= 4:
        (length,) = struct.unpack_from("<I", data)
        if length > _MAX_FRAME and not packets:
            raise Malformed("a packet that no relay would send")
        if len(data) < 4 + length:
            break
        packets.append(data[4 : 4 + length])
        data = data[4 + length :]
    return packets, data
