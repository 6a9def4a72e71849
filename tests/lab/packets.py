"""Packets as bytes: as much as a middlebox reads and forges of IP, TCP and UDP, and reads of QUIC and STUN."""

import ipaddress
import struct
from dataclasses import dataclass
from functools import cached_property, lru_cache

TCP, UDP = 6, 17
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
_COOKIE = b"\x21\x12\xa4\x42"


@lru_cache(4096)
def _text(address: bytes) -> str:
    return str(ipaddress.ip_address(address))


@dataclass(frozen=True)
class Packet:
    """One packet on its way; `up` is towards the internet."""

    raw: bytes
    up: bool

    @cached_property
    def version(self) -> int:
        return self.raw[0] >> 4

    @cached_property
    def _header(self) -> int:
        return (self.raw[0] & 15) * 4 if self.version == 4 else 40

    @cached_property
    def protocol(self) -> int:
        return self.raw[9] if self.version == 4 else self.raw[6]

    @cached_property
    def is_fragment(self) -> bool:
        if self.version == 6:
            return self.protocol == 44
        return bool(struct.unpack_from("!H", self.raw, 6)[0] & 0x3FFF)

    @cached_property
    def src(self) -> str:
        return _text(self.raw[12:16] if self.version == 4 else self.raw[8:24])

    @cached_property
    def dst(self) -> str:
        return _text(self.raw[16:20] if self.version == 4 else self.raw[24:40])

    @cached_property
    def remote(self) -> str:
        """The address on the internet's side."""
        return self.dst if self.up else self.src

    @cached_property
    def ports(self) -> tuple[int, int]:
        """Source and destination port, zeros for what has none."""
        if self.protocol not in (TCP, UDP) or len(self.raw) < self._header + 4:
            return (0, 0)
        first, second = struct.unpack_from("!HH", self.raw, self._header)
        return first, second

    @cached_property
    def remote_port(self) -> int:
        return self.ports[1] if self.up else self.ports[0]

    @cached_property
    def flow(self) -> tuple[str, int, int]:
        """The same for both directions: remote address, remote port, local port."""
        return self.remote, self.remote_port, self.ports[0] if self.up else self.ports[1]

    @property
    def ends(self) -> bool:
        """Whether a TCP segment ends the stream, in order or not."""
        return bool(self.flags & (FIN | RST))

    @cached_property
    def payload(self) -> bytes:
        if self.protocol == TCP:
            offset = (self.raw[self._header + 12] >> 4) * 4
            return self.raw[self._header + offset :]
        return self.raw[self._header + 8 :] if self.protocol == UDP else b""

    @cached_property
    def sequence(self) -> tuple[int, int]:
        """TCP's sequence and acknowledgment numbers."""
        first, second = struct.unpack_from("!II", self.raw, self._header + 4)
        return first, second

    @cached_property
    def flags(self) -> int:
        return self.raw[self._header + 13] if self.protocol == TCP else 0


def quic_initial(datagram: bytes) -> bytes:
    """The plain payload of a QUIC v1 Initial packet of a client (RFC 9001 section 5), empty if it is none."""
    from aioquic._buffer import Buffer
    from aioquic.quic.crypto import CryptoPair
    from aioquic.quic.packet import pull_quic_header

    try:
        buffer = Buffer(data=datagram)
        header = pull_quic_header(buffer)
        crypto = CryptoPair()
        crypto.setup_initial(cid=header.destination_cid, is_client=False, version=1)
        at = buffer.tell()
        plain: bytes = crypto.decrypt_packet(datagram[: header.packet_length], at, 0)[1]
    except Exception:
        return b""
    return plain


def stun(datagram: bytes) -> tuple[int, frozenset[int]] | None:
    """Message type and attribute types (RFC 8489 section 5), None without the cookie.

    As filters read it: nothing has to fit, what is cut off counts as far as it goes.
    """
    if len(datagram) < 20 or datagram[0] & 0xC0 or datagram[4:8] != _COOKIE:
        return None
    found, at = set(), 20
    while at + 4 <= len(datagram):
        kind, length = struct.unpack_from("!HH", datagram, at)
        found.add(kind)
        at += 4 + length + -length % 4
    return int.from_bytes(datagram[:2], "big"), frozenset(found)


def tcp(
    src: str, dst: str, ports: tuple[int, int], sequence: tuple[int, int], flags: int, payload: bytes = b"", *,
    ttl: int = 64,
) -> bytes:  # fmt: skip
    """A TCP segment."""
    head = struct.pack("!HHIIBBHHH", *ports, *(n & 0xFFFFFFFF for n in sequence), 5 << 4, flags, 0, 0, 0)
    segment = head + payload
    check = _checksum(_pseudo(src, dst, TCP, len(segment)) + segment)
    return _ip(src, dst, TCP, head[:16] + struct.pack("!H", check) + head[18:] + payload, ttl)


def udp(src: str, dst: str, ports: tuple[int, int], payload: bytes, *, ttl: int = 64) -> bytes:
    """A UDP datagram."""
    head = struct.pack("!HHHH", *ports, 8 + len(payload), 0)
    check = _checksum(_pseudo(src, dst, UDP, 8 + len(payload)) + head + payload) or 0xFFFF
    return _ip(src, dst, UDP, head[:6] + struct.pack("!H", check) + payload, ttl)


def _ip(src: str, dst: str, protocol: int, payload: bytes, ttl: int) -> bytes:
    source, destination = ipaddress.ip_address(src), ipaddress.ip_address(dst)
    if source.version == 6:
        head = struct.pack("!IHBB", 6 << 28, len(payload), protocol, ttl)
        return head + source.packed + destination.packed + payload
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0, ttl, protocol, 0)
    head += source.packed + destination.packed
    return head[:10] + struct.pack("!H", _checksum(head)) + head[12:] + payload


def _pseudo(src: str, dst: str, protocol: int, length: int) -> bytes:
    addresses = ipaddress.ip_address(src).packed + ipaddress.ip_address(dst).packed
    form = "!IxxxB" if len(addresses) == 32 else "!xBH"
    rest = (length, protocol) if len(addresses) == 32 else (protocol, length)
    return addresses + struct.pack(form, *rest)


def _checksum(data: bytes) -> int:
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    result: int = ~total & 0xFFFF
    return result
