"""What the box can do to packets: what all of it has in common, and what paths do, whatever a packet says."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from tests.lab.packets import TCP, UDP, Packet

Forge = Callable[[bytes, bool, float], None]  # raw packet, towards the internet, after so many seconds


@dataclass
class Matches:
    """Which packets a behaviour is about; everything it does not name matches."""

    hosts: tuple[str, ...] = ()  # remote addresses
    protocol: str = ""  # tcp, udp
    direction: str = ""  # up, down
    port: tuple[int, ...] = ()  # remote ports
    family: int = 0

    def __call__(self, packet: Packet) -> bool:
        return (
            (not self.hosts or packet.remote in self.hosts)
            and (not self.protocol or packet.protocol == {"tcp": TCP, "udp": UDP}[self.protocol])
            and (not self.direction or packet.up == (self.direction == "up"))
            and (not self.port or packet.remote_port in self.port)
            and (not self.family or packet.version == self.family)
        )


class Behaviour:
    """One thing the box does, from `after` seconds after the first packet on."""

    after: float = 0.0
    keeps_order: bool = True  # whether packets of a flow that it delays stay in order

    def __init__(self, rng: random.Random, forge: Forge, matches: Matches) -> None:
        self.rng, self.forge, self.matches = rng, forge, matches

    def settle(self) -> None:
        """Called once, when every setting is in place."""

    def see(self, packet: Packet, now: float) -> float | None:
        """Extra seconds, or None to drop."""
        return 0.0


class Delay(Behaviour):
    """A fixed time each way, and some jitter, which keeps the order of a flow unless `reorder` lets it go."""

    ms: float = 10.0
    jitter_ms: float = 0.0
    reorder: bool = False

    def settle(self) -> None:
        self.keeps_order = not self.reorder

    def see(self, packet: Packet, now: float) -> float | None:
        return (self.ms + self.rng.random() * self.jitter_ms) / 1000


class Loss(Behaviour):
    """Every packet has the same chance to vanish."""

    percent: float = 5.0

    def see(self, packet: Packet, now: float) -> float | None:
        return None if self.rng.random() * 100 < self.percent else 0.0


class BurstLoss(Behaviour):
    """Two states (Gilbert-Elliott): in the bad one half of all packets vanish."""

    enter: float = 0.01
    leave: float = 0.2
    _bad = False

    def see(self, packet: Packet, now: float) -> float | None:
        self._bad = self.rng.random() >= self.leave if self._bad else self.rng.random() < self.enter
        return None if self._bad and self.rng.random() < 0.5 else 0.0


class Rate(Behaviour):
    """A link of so many bytes per second and direction, with a queue of so many seconds."""

    bytes_per_second: float = 16000.0
    queue_seconds: float = 2.0

    def __init__(self, rng: random.Random, forge: Forge, matches: Matches) -> None:
        super().__init__(rng, forge, matches)
        self._free: dict[bool, float] = {}

    def see(self, packet: Packet, now: float) -> float | None:
        start = max(now, self._free.get(packet.up, now))
        if start - now > self.queue_seconds:
            return None
        self._free[packet.up] = start + len(packet.raw) / self.bytes_per_second
        return self._free[packet.up] - now


class Police(Behaviour):
    """A token bucket for each direction, over all that matches: what exceeds it vanishes at once, and nothing waits.

    `rate` is bits a second, `burst` bytes; sizes are those of IP packets.
    """

    rate: float = 130_000.0
    burst: float = 8_000.0

    def __init__(self, rng: random.Random, forge: Forge, matches: Matches) -> None:
        super().__init__(rng, forge, matches)
        self._filled: dict[bool, tuple[float, float]] = {}  # bytes that may pass, and when that was so

    def see(self, packet: Packet, now: float) -> float | None:
        before, at = self._filled.get(packet.up, (self.burst, now))
        allowed = min(self.burst, before + max(0.0, now - at) * self.rate / 8)
        passes = len(packet.raw) <= allowed
        self._filled[packet.up] = (allowed - len(packet.raw) if passes else allowed, max(now, at))
        return 0.0 if passes else None


class Mtu(Behaviour):
    """Longer packets vanish without a word."""

    bytes: int = 1400

    def see(self, packet: Packet, now: float) -> float | None:
        return None if len(packet.raw) > self.bytes else 0.0


class Fragments(Behaviour):
    """Fragments vanish."""

    def see(self, packet: Packet, now: float) -> float | None:
        return None if packet.is_fragment else 0.0


class Everything(Behaviour):
    """Whatever matches vanishes."""

    def see(self, packet: Packet, now: float) -> float | None:
        return None
