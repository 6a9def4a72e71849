"""What the box does to calls: flows that stop, datagrams by their bytes, DTLS hellos, RTP."""

import math
import random
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from tests.lab import packets
from tests.lab.behaviours import Behaviour, Forge, Matches
from tests.lab.packets import UDP, Packet

_Key: TypeAlias = tuple[int, str, int, int]
# RFC 3551; 64 to 95 is where RTCP is (RFC 5761 section 4).
_RTP_TYPES = frozenset((*range(35), *range(96, 128)))
_RTP_GAP = 16  # lost packets after which a sequence number still follows


def _key(packet: Packet) -> _Key:
    return (packet.protocol, *packet.flow)


@dataclass
class _Counted:
    """One flow: its first packet's time, those of the last ones of each direction, and how much it had."""

    began: float
    recent: dict[bool, deque[float]]
    packets: int = 0
    bytes: int = 0
    is_judged: bool = False
    is_frozen: bool = False


class Freeze(Behaviour):
    """A flow stops, both ways and for good, when it has had `packets` or `bytes`, or is `seconds` old; 0: no limit.

    Both directions count together unless `direction` says which; bytes are those of IP packets. With `min_rate`, only
    a flow is judged that has had so many packets a second in one direction, over `window` seconds; without a limit it
    stops right then.
    """

    packets: int = 0
    bytes: int = 0
    seconds: float = 0.0
    min_rate: float = 0.0
    window: float = 3.0

    def __init__(self, rng: random.Random, forge: Forge, matches: Matches) -> None:
        # What is stopped is stopped both ways, so both must be seen.
        super().__init__(rng, forge, replace(matches, direction=""))
        self._counts = matches.direction
        self._flows: dict[_Key, _Counted] = {}

    def settle(self) -> None:
        """Raises ValueError if nothing would ever freeze."""
        if not (self.packets or self.bytes or self.seconds or self.min_rate):
            raise ValueError("freeze needs packets, bytes, seconds or min_rate")

    def see(self, packet: Packet, now: float) -> float | None:
        key = _key(packet)
        if key not in self._flows:
            many = max(1, math.ceil(self.min_rate * self.window))
            self._flows[key] = _Counted(now, {True: deque(maxlen=many), False: deque(maxlen=many)})
        flow = self._flows[key]
        flow.is_frozen = flow.is_frozen or self._is_over(flow, now)
        if flow.is_frozen:
            return None
        if not self._counts or packet.up == (self._counts == "up"):
            self._count(flow, packet, now)
        return 0.0

    def _count(self, flow: _Counted, packet: Packet, now: float) -> None:
        flow.packets += 1
        flow.bytes += len(packet.raw)
        recent = flow.recent[packet.up]
        recent.append(now)
        is_full = len(recent) == recent.maxlen
        flow.is_judged = flow.is_judged or (is_full and now - recent[0] <= self.window)

    def _is_over(self, flow: _Counted, now: float) -> bool:
        if self.min_rate and not flow.is_judged:
            return False
        had = ((self.packets, flow.packets), (self.bytes, flow.bytes), (self.seconds, now - flow.began))
        limits = [much >= limit for limit, much in had if limit]
        return any(limits) or not limits


@dataclass(frozen=True)
class Pattern:
    """What a datagram is like; everything that is said holds. Made by `pattern`."""

    at: int | None
    wanted: bytes
    mask: bytes
    longer: int
    shorter: int
    stun_types: frozenset[int]
    stun_attributes: frozenset[int]

    def fits(self, payload: bytes) -> bool:
        """Whether these bytes of UDP payload are like that."""
        return self.longer < len(payload) < self.shorter and self._holds(payload) and self._is_stun(payload)

    def _holds(self, payload: bytes) -> bool:
        if self.at is None:
            return self.wanted in payload
        there = payload[self.at : self.at + len(self.wanted)]
        if self.mask:
            there = bytes(a & b for a, b in zip(there, self.mask, strict=False))
        return there == self.wanted

    def _is_stun(self, payload: bytes) -> bool:
        if not self.stun_types and not self.stun_attributes:
            return True
        said = packets.stun(payload)
        return (
            said is not None
            and (not self.stun_types or said[0] in self.stun_types)
            and (not self.stun_attributes or not self.stun_attributes.isdisjoint(said[1]))
        )


def pattern(
    *, at: int | None = None, bytes: str = "", mask: str = "", longer: int = -1, shorter: int = 65536,
    stun_types: Iterable[int] = (), stun_attributes: Iterable[int] = (),
) -> Pattern:  # fmt: skip
    """In the words of a scenario file. Raises ValueError for what cannot be meant.

    `bytes` (hexadecimal) stand at offset `at`, or anywhere; `mask` says which of their bits count. More than `longer`
    and fewer than `shorter` bytes. STUN by its cookie, with one of these types, and with one of these attributes.
    """
    wanted, counted = _masked(bytes, mask)
    if counted and at is None or (at is not None and not wanted):
        raise ValueError("a mask needs an offset, and an offset needs bytes")
    types, attributes = frozenset(stun_types), frozenset(stun_attributes)
    if not (wanted or types or attributes or longer >= 0 or shorter < 65536):
        raise ValueError("a pattern says something")
    return Pattern(at, wanted, counted, longer, shorter, types, attributes)


def _masked(text: str, mask: str) -> tuple[bytes, bytes]:
    wanted, counted = bytes.fromhex(text), bytes.fromhex(mask)
    if not counted:
        return wanted, b""
    if len(counted) != len(wanted):
        raise ValueError("a mask is as long as its bytes")
    return bytes(a & b for a, b in zip(wanted, counted, strict=True)), counted


class Payload(Behaviour):
    """Datagrams that are like one of `patterns` vanish; each is a table of the words of `pattern`."""

    patterns: tuple[Mapping[str, Any], ...] = ()

    def settle(self) -> None:
        """Raises ValueError for a pattern that cannot be meant."""
        self._patterns = [pattern(**table) for table in self.patterns]
        if not self._patterns:
            raise ValueError("payload needs patterns")

    def see(self, packet: Packet, now: float) -> float | None:
        if packet.protocol != UDP:
            return 0.0
        return None if any(one.fits(packet.payload) for one in self._patterns) else 0.0


class Dtls(Behaviour):
    """A DTLS ClientHello triggers `action`: drop (it vanishes), or cut (it passes, `seconds` later its flow is dead).

    Only hellos that have the bytes `contains` (hexadecimal), at offset `at` of the datagram or anywhere. Those of both
    sides, because the one who answers a call may send it, unless `direction` says whose. Nothing is reassembled.
    """

    contains: str = ""
    at: int | None = None
    action: str = "drop"
    seconds: float = 5.0

    def __init__(self, rng: random.Random, forge: Forge, matches: Matches) -> None:
        super().__init__(rng, forge, replace(matches, direction=""))  # a cut is one in both directions
        self._whose = matches.direction
        self._ends: dict[_Key, float] = {}

    def settle(self) -> None:
        """Raises ValueError for bytes or an action that cannot be meant."""
        self._wanted = pattern(at=self.at, bytes=self.contains) if self.contains else None
        if self.action not in ("drop", "cut"):
            raise ValueError(f"dtls has no action {self.action}")

    def see(self, packet: Packet, now: float) -> float | None:
        if packet.protocol != UDP:
            return 0.0
        key = _key(packet)
        if self._is_wanted(packet):
            if self.action == "drop":
                return None
            self._ends.setdefault(key, now + self.seconds)
        return None if key in self._ends and now >= self._ends[key] else 0.0

    def _is_wanted(self, packet: Packet) -> bool:
        """Record type 22 of version 254.x, and in it handshake type 1 (RFC 6347 section 4)."""
        said = packet.payload
        if said[:2] != b"\x16\xfe" or said[13:14] != b"\x01":
            return False
        if self._whose and packet.up != (self._whose == "up"):
            return False
        return self._wanted is None or self._wanted.fits(said)


class Rtp(Behaviour):
    """Datagrams that look like RTP vanish from the second of a source on.

    Version 2, a payload type that RTP has, and a sequence number that follows the one before with the same SSRC
    (RFC 3550 section 5.1). What only begins like RTP passes.
    """

    def __init__(self, rng: random.Random, forge: Forge, matches: Matches) -> None:
        super().__init__(rng, forge, matches)
        self._last: dict[tuple[_Key, bool, bytes], int] = {}

    def see(self, packet: Packet, now: float) -> float | None:
        said = packet.payload
        if (
            packet.protocol != UDP
            or len(said) < 12
            or said[0] & 0xC0 != 0x80
            or said[1] & 0x7F not in _RTP_TYPES
        ):
            return 0.0
        source = (_key(packet), packet.up, said[8:12])
        number = int.from_bytes(said[2:4], "big")
        before = self._last.get(source)
        self._last[source] = number
        return None if before is not None and 0 < (number - before) % 65536 <= _RTP_GAP else 0.0
