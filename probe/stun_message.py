"""STUN messages as bytes, both directions (RFC 8489, RFC 8656), tolerant of the Microsoft dialect.

    0                   1                   2                   3
    |0 0|   type (14)  |      length (16)     |  then attributes: type (16), length (16), value,
    |             magic cookie              |  padded to four bytes (the Microsoft dialect does
    |        transaction id (96 bits)       |  not pad). RFC 3489 has a 128-bit id and no cookie.

aioice has a codec too; why it does not serve is in docs/adr/0009-dependencies.md.
"""

import hashlib
import hmac
import ipaddress
import struct
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

from probe.failure import Malformed

COOKIE = 0x2112A442
HEADER = 20
_FINGERPRINT_XOR = 0x5354554E  # RFC 8489 section 14.7

Class = Literal["request", "indication", "success", "error"]
_CLASS_BITS: dict[Class, int] = {"request": 0x000, "indication": 0x010, "success": 0x100, "error": 0x110}
_CLASS_OF = {bits: name for name, bits in _CLASS_BITS.items()}


class Method(IntEnum):
    """Methods of RFC 8489 and RFC 8656."""

    BINDING = 0x001
    ALLOCATE = 0x003
    REFRESH = 0x004
    SEND = 0x006
    DATA = 0x007
    CREATE_PERMISSION = 0x008
    CHANNEL_BIND = 0x009


class Attribute(IntEnum):
    """Attribute types that we read or write; unknown ones are kept as they are."""

    MAPPED_ADDRESS = 0x0001
    USERNAME = 0x0006
    MESSAGE_INTEGRITY = 0x0008
    ERROR_CODE = 0x0009
    UNKNOWN_ATTRIBUTES = 0x000A
    CHANNEL_NUMBER = 0x000C
    LIFETIME = 0x000D
    XOR_PEER_ADDRESS = 0x0012
    DATA = 0x0013
    REALM = 0x0014
    NONCE = 0x0015
    XOR_RELAYED_ADDRESS = 0x0016
    REQUESTED_ADDRESS_FAMILY = 0x0017
    REQUESTED_TRANSPORT = 0x0019
    MESSAGE_INTEGRITY_SHA256 = 0x001C
    XOR_MAPPED_ADDRESS = 0x0020
    PRIORITY = 0x0024
    SOFTWARE = 0x8022
    ALTERNATE_SERVER = 0x8023
    FINGERPRINT = 0x8028
    ICE_CONTROLLED = 0x8029


@dataclass(frozen=True)
class Message:
    """One message. `transaction` is 12 bytes, or 16 for RFC 3489, which has no cookie."""

    method: int
    class_: Class
    transaction: bytes
    attributes: tuple[tuple[int, bytes], ...] = ()

    def get(self, attribute: int) -> bytes | None:
        """The first value of an attribute."""
        return next((value for kind, value in self.attributes if kind == attribute), None)

    @property
    def error_code(self) -> int:
        """The code of an error response (RFC 8489 section 14.8), 0 if there is none."""
        value = self.get(Attribute.ERROR_CODE)
        return (value[2] & 7) * 100 + value[3] if value is not None and len(value) >= 4 else 0

    def address(self, attribute: int) -> tuple[str, int] | None:
        """An address attribute, XORed where its type says so; None if absent or not an address."""
        value = self.get(attribute)
        if value is None:
            return None
        xored = attribute in (
            Attribute.XOR_MAPPED_ADDRESS, Attribute.XOR_RELAYED_ADDRESS, Attribute.XOR_PEER_ADDRESS,
        )  # fmt: skip
        return unpack_address(value, self.transaction if xored else None)

    def encode(self, *, key: bytes | None = None, fingerprint: bool = False, fill: bytes = b"\0") -> bytes:
        """The bytes on the wire; with `key` also MESSAGE-INTEGRITY, then FINGERPRINT if asked for."""
        body = b"".join(_attribute(kind, value, fill) for kind, value in self.attributes)
        if key is not None:
            signed = self._header(len(body) + 24) + body
            body += _attribute(Attribute.MESSAGE_INTEGRITY, hmac.digest(key, signed, "sha1"), fill)
        if fingerprint:
            checked = self._header(len(body) + 8) + body
            crc = zlib.crc32(checked) ^ _FINGERPRINT_XOR
            body += _attribute(Attribute.FINGERPRINT, struct.pack("!I", crc), fill)
        return self._header(len(body)) + body

    def _header(self, length: int) -> bytes:
        kind = type_of(self.method, self.class_)
        if len(self.transaction) == 16:
            return struct.pack("!HH", kind, length) + self.transaction
        return struct.pack("!HHI", kind, length, COOKIE) + self.transaction


def type_of(method: int, class_: Class) -> int:
    """The 14-bit message type: the class bits sit between the method's (RFC 8489 section 5)."""
    spread = (method & 0x00F) | (method & 0x070) << 1 | (method & 0xF80) << 2
    return spread | _CLASS_BITS[class_]


def decode(data: bytes, *, padded: bool = True, classic: bool = False) -> Message:
    """Read one message. `classic` takes the cookie as part of a 16-byte id. Raises Malformed."""
    if len(data) < HEADER:
        raise Malformed("shorter than a STUN header")
    kind, length, cookie = struct.unpack_from("!HHI", data)
    if kind & 0xC000:
        raise Malformed("the first two bits are not zero")
    if length != len(data) - HEADER:
        raise Malformed("the length field does not fit the datagram")
    if not classic and cookie != COOKIE:
        raise Malformed("no magic cookie")
    method = (kind & 0x000F) | (kind & 0x00E0) >> 1 | (kind & 0x3E00) >> 2
    return Message(
        method=method,
        class_=_CLASS_OF[kind & 0x110],
        transaction=data[4:20] if classic else data[8:20],
        attributes=tuple(_attributes(data, padded=padded)),
    )


def _attributes(data: bytes, *, padded: bool) -> Iterable[tuple[int, bytes]]:
    at = HEADER
    while at + 4 <= len(data):
        kind, length = struct.unpack_from("!HH", data, at)
        end = at + 4 + length
        if end > len(data):
            raise Malformed("an attribute is longer than its message")
        yield kind, data[at + 4 : end]
        at = end + (-length % 4 if padded else 0)
    if at < len(data):
        raise Malformed("the message ends inside an attribute")


def _attribute(kind: int, value: bytes, fill: bytes) -> bytes:
    return struct.pack("!HH", kind, len(value)) + value + fill * (-len(value) % 4)


def pack_address(ip: str, port: int, transaction: bytes | None = None) -> bytes:
    """An address attribute's value; XORed with cookie and `transaction` if that is given (section 14.2)."""
    address = ipaddress.ip_address(ip)
    packed = address.packed
    if transaction is not None:
        port ^= COOKIE >> 16
        packed = _xor(packed, transaction)
    return struct.pack("!xBH", 1 if address.version == 4 else 2, port) + packed


def unpack_address(value: bytes, transaction: bytes | None = None) -> tuple[str, int] | None:
    """Read an address attribute's value; None if it is not one."""
    if len(value) < 8 or value[1] not in (1, 2) or len(value) < (8 if value[1] == 1 else 20):
        return None
    (port,) = struct.unpack_from("!H", value, 2)
    packed = value[4 : 8 if value[1] == 1 else 20]
    if transaction is not None:
        port ^= COOKIE >> 16
        packed = _xor(packed, transaction)
    return str(ipaddress.ip_address(packed)), port


def _xor(packed: bytes, transaction: bytes) -> bytes:
    pad = struct.pack("!I", COOKIE) + transaction
    return bytes(a ^ b for a, b in zip(packed, pad, strict=False))


def error(code: int, reason: str) -> bytes:
    """The value of ERROR-CODE."""
    return struct.pack("!HBB", 0, code // 100, code % 100) + reason.encode()


def long_term_key(username: str, realm: str, password: str) -> bytes:
    """MD5 of user, realm and password (RFC 8489 section 9.2.2; the protocol fixes the digest)."""
    return hashlib.md5(f"{username}:{realm}:{password}".encode(), usedforsecurity=False).digest()


def integrity_holds(data: bytes, key: bytes) -> bool:
    """Whether MESSAGE-INTEGRITY of an encoded message fits the key (section 14.5)."""
    return _check(data, Attribute.MESSAGE_INTEGRITY, lambda signed: hmac.digest(key, signed, "sha1"))


def fingerprint_holds(data: bytes) -> bool:
    """Whether FINGERPRINT of an encoded message fits (section 14.7)."""

    def crc(checked: bytes) -> bytes:
        return struct.pack("!I", zlib.crc32(checked) ^ _FINGERPRINT_XOR)

    return _check(data, Attribute.FINGERPRINT, crc)


def _check(data: bytes, wanted: int, compute: Callable[[bytes], bytes]) -> bool:
    at = HEADER
    while at + 4 <= len(data):
        kind, length = struct.unpack_from("!HH", data, at)
        if kind == wanted:
            # The digest covers the message up to itself, with a length that ends behind itself.
            covered = data[:2] + struct.pack("!H", at + 4 + length - HEADER) + data[4:at]
            return hmac.compare_digest(compute(covered), data[at + 4 : at + 4 + length])
        at += 4 + length + (-length % 4)
    return False
