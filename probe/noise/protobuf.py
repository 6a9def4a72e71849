"""The little of protobuf's wire format that a handshake needs; unknown fields are skipped (protobuf.dev, "Encoding").

Nothing is read deeper than asked for: a nested message is bytes until somebody reads it, too.
"""

from collections.abc import Mapping
from typing import TypeAlias

from probe.failure import Malformed

Fields: TypeAlias = Mapping[int, int | bytes]
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MOST_VARINT = 10  # bytes of 64 bits in groups of seven
_MASK = (1 << 64) - 1


def read(data: bytes, *, code: str) -> Fields:
    """The fields of a message by number; of a repeated one the last. Raises Malformed with `code`."""
    found: dict[int, int | bytes] = {}
    at = 0
    while at < len(data):
        key, at = _varint(data, at, code)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise Malformed("a protobuf field without a number", code=code)
        if kind == _VARINT:
            found[number], at = _varint(data, at, code)
            continue
        if kind == _BYTES:
            size, at = _varint(data, at, code)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise Malformed("a protobuf field of a kind that nobody uses", code=code)
        if size > len(data) - at:
            raise Malformed("a protobuf field that is longer than its message", code=code)
        found[number] = data[at : at + size]
        at += size
    return found


def blob(fields: Fields, number: int) -> bytes:
    """A field of bytes; empty where it is missing or of another kind."""
    value = fields.get(number, b"")
    return value if isinstance(value, bytes) else b""


def integer(fields: Fields, number: int, *, bits: int) -> int:
    """An unsigned field, cut to `bits` as protobuf does; 0 where it is missing or of another kind."""
    value = fields.get(number, 0)
    return value & ((1 << bits) - 1) if isinstance(value, int) else 0


def write(*fields: tuple[int, int | bytes]) -> bytes:
    """A message with these fields, in this order: varints and bytes."""
    return b"".join(
        _pack(number << 3 | _VARINT) + _pack(value)
        if isinstance(value, int)
        else _pack(number << 3 | _BYTES) + _pack(len(value)) + value
        for number, value in fields
    )


def _varint(data: bytes, at: int, code: str) -> tuple[int, int]:
    value = 0
    for shift, byte in enumerate(data[at : at + _MOST_VARINT]):
        value |= (byte & 0x7F) << (7 * shift)
        if byte < 0x80:
            return value & _MASK, at + shift + 1
    raise Malformed("a protobuf number without an end", code=code)


def _pack(value: int) -> bytes:
    packed = bytearray()
    while value > 0x7F:
        packed.append(value & 0x7F | 0x80)
        value >>= 7
    packed.append(value)
    return bytes(packed)
