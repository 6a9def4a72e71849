"""The twelve bytes by which a paced packet is known again (docs/paced-flow.md).

    4 bits kind | 20 number | 16 word | 32 microseconds | 24 check

Masked with a key of the flow, so that to anybody else they are random, as a STUN transaction id is.
"""

from hashlib import blake2s
from typing import Literal, NamedTuple, TypeAlias

SIZE = 12
KEY = 16  # bytes of a flow's key
KINDS = 1 << 4
NUMBERS = 1 << 20
_SEEN = 9  # bytes of a stamp that carry something

Way: TypeAlias = Literal["up", "down"]


class Stamp(NamedTuple):
    """What a packet says of itself. `micros` is modulo 2**32."""

    kind: int
    number: int
    word: int
    micros: int


class Sealer:
    """Seals and opens the stamps of one direction of one flow."""

    def __init__(self, key: bytes, way: Way) -> None:
        if len(key) != KEY:
            raise ValueError(f"a flow's key has {KEY} bytes")
        person = way.encode()
        self._check = blake2s(key=key, person=person, digest_size=3)
        self._mask = blake2s(key=key, person=person, salt=b"mask", digest_size=_SEEN)

    def seal(self, stamp: Stamp) -> bytes:
        """Twelve bytes."""
        plain = (
            stamp.kind << 68 | stamp.number << 48 | stamp.word << 32 | (stamp.micros & 0xFFFFFFFF)
        ).to_bytes(_SEEN, "big")
        check = self._checked(plain)
        return self._masked(plain, check) + check

    def open(self, data: bytes) -> Stamp | None:
        """The stamp in twelve bytes, None if they are not one of this direction of this flow."""
        if len(data) != SIZE:
            return None
        check = data[_SEEN:]
        plain = self._masked(data[:_SEEN], check)
        if self._checked(plain) != check:
            return None
        seen = int.from_bytes(plain, "big")
        return Stamp(seen >> 68, seen >> 48 & 0xFFFFF, seen >> 32 & 0xFFFF, seen & 0xFFFFFFFF)

    def _checked(self, plain: bytes) -> bytes:
        hashing = self._check.copy()
        hashing.update(plain)
        return hashing.digest()

    def _masked(self, data: bytes, check: bytes) -> bytes:
        hashing = self._mask.copy()
        hashing.update(check)
        mask = int.from_bytes(hashing.digest(), "big")
        return (int.from_bytes(data, "big") ^ mask).to_bytes(_SEEN, "big")
