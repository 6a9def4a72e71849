"""Networks for test calls: filters that mind something of a call, and trouble that minds nothing.

`python -m tests.call_networks SEEDS` counts how often trouble is called a filter.
"""

import math
import sys
from bisect import bisect_left
from collections import deque
from typing import Any

import msgspec

from probe.failure import Failure, Kind
from probe.plan import Leg
from probe.steps import Call
from tests.call_lines import CALL_PORT, Line, Packet

HEADERS = 28  # bytes of IPv4 and UDP, which limits count


class Filtered(Line):
    """A filter on an otherwise fair or slightly lossy line. `through_relays`: whether there is a TURN server."""

    noise = 0.0
    through_relays = True

    def drops(self, packet: Packet) -> bool:
        """Whether the filter takes it."""
        raise NotImplementedError

    def udp(self, packet: Packet) -> float | None:
        if self.chance.random() < self.noise or self.drops(packet):
            return None
        return super().udp(packet)

    def refuses(self, leg: Leg, at: float) -> Failure | None:
        step = leg.steps[-1]
        relayed = isinstance(step, Call) and step.path != "direct"
        return None if self.through_relays or not relayed else Failure(kind=Kind.UNSUPPORTED, code="turn")


class Cookie(Filtered):
    """STUN with its magic cookie vanishes, both ways."""

    def drops(self, packet: Packet) -> bool:
        return "stun" in packet.look


class WhatsApp(Filtered):
    """STUN of WhatsApp's own types vanishes."""

    def drops(self, packet: Packet) -> bool:
        return "whatsapp" in packet.look


class Reflector(Filtered):
    """Datagrams of Telegram's reflectors vanish."""

    def drops(self, packet: Packet) -> bool:
        return packet.look == "telegram"


class HalfDown(Filtered):
    """Half of everything that looks like RTP or Telegram is lost on the way down."""

    def drops(self, packet: Packet) -> bool:
        return packet.look in ("rtp", "telegram") and not packet.up and self.chance.random() < 0.5


class Frozen(Filtered):
    """A flow is dead after so many packets, both ways together."""

    packets = 25

    def drops(self, packet: Packet) -> bool:
        return packet.flow.packets > self.packets


class FrozenRtp(Frozen):
    """Only flows with RTP in them."""

    def drops(self, packet: Packet) -> bool:
        marks = packet.flow.marks
        marks["rtp"] = marks.get("rtp", False) or packet.look == "rtp"
        return bool(marks["rtp"]) and super().drops(packet)


class LibraryHello(Filtered):
    """DTLS hellos of one library vanish."""

    def drops(self, packet: Packet) -> bool:
        return packet.look == "dtls library us"


class HelloUp(Filtered):
    """DTLS hellos vanish on the way up, whoever's."""

    def drops(self, packet: Packet) -> bool:
        return packet.up and packet.look.startswith("dtls") and packet.look.endswith("us")


class Handshakes(Filtered):
    """DTLS vanishes."""

    def drops(self, packet: Packet) -> bool:
        return packet.look.startswith("dtls")


class AfterHello(Filtered):
    """A flow is dead five seconds after a DTLS hello."""

    def drops(self, packet: Packet) -> bool:
        if packet.look.startswith("dtls"):
            packet.flow.marks.setdefault("hello", packet.at)
        return bool(packet.at > packet.flow.marks.get("hello", math.inf) + 5.0)


class RtpLike(Filtered):
    """RTP vanishes."""

    def drops(self, packet: Packet) -> bool:
        return packet.look == "rtp"


class Pattern(Filtered):
    """A flow of RTP is dead once it has had 50 packets a second for three seconds."""

    def drops(self, packet: Packet) -> bool:
        if packet.look == "rtp" and packet.up:
            recent: deque[float] = packet.flow.marks.setdefault("recent", deque(maxlen=150))
            recent.append(packet.at)
            if len(recent) == 150 and packet.at - recent[0] <= 3.0:
                packet.flow.marks["dead"] = True
        return "dead" in packet.flow.marks


class Policed(Filtered):
    """RTP and Telegram within so many bit/s each way and flow, and nothing beyond."""

    bits = 130_000
    bucket = 8000.0

    def drops(self, packet: Packet) -> bool:
        return packet.look in ("rtp", "telegram") and not _afford(
            packet, packet.flow.marks, self.bits, self.bucket
        )


def _afford(packet: Packet, marks: dict[Any, Any], bits: float, bucket: float) -> bool:
    tokens, before = marks.get(packet.up, (bucket, packet.at))
    tokens = min(bucket, tokens + max(0.0, packet.at - before) * bits / 8)
    size = packet.size + HEADERS
    passes = bool(tokens >= size)
    marks[packet.up] = (tokens - size * passes, max(before, packet.at))
    return passes


class PolicedHard(Policed):
    """Too little for speech."""

    bits = 20_000


class PolicedDatagrams(Filtered):
    """All UDP of a machine in so many bit/s each way, whatever is in it; TCP is free."""

    bits = 130_000

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self._marks: dict[Any, Any] = {}

    def drops(self, packet: Packet) -> bool:
        return not _afford(packet, self._marks, self.bits, 8000.0)


class ShapedHard(Line):
    """RTP and Telegram in a queue of 32 kbit/s each way and flow."""

    def udp(self, packet: Packet) -> float | None:
        fair = super().udp(packet)
        assert fair is not None
        if packet.look not in ("rtp", "telegram"):
            return fair
        waits = _queue(packet, packet.flow.marks, 32_000, 0.64)
        return None if waits is None else waits + fair


def _queue(packet: Packet, marks: dict[Any, float], bits: float, longest: float) -> float | None:
    free = max(marks.get(packet.up, 0.0), packet.at)
    if free - packet.at > longest:
        return None
    marks[packet.up] = free + (packet.size + HEADERS) * 8 / bits
    return marks[packet.up] - packet.at


# ---------------------------------------------------------------- what is no filter


class Lossy(Line):
    """Everything loses so much at random, both ways; HTTPS waits for it."""

    share = 0.15
    down_only = False

    def udp(self, packet: Packet) -> float | None:
        lost = self.chance.random() < self.share and not (packet.up and self.down_only)
        return None if lost else super().udp(packet)

    def https(self, at: float) -> float | None:
        waits = 0.06
        while self.chance.random() < 1 - (1 - self.share) ** 2:
            waits = 2 * waits + 0.2
        return waits


class Lossy5(Lossy):
    """5 %."""

    share = 0.05


class Lossy30(Lossy):
    """30 %."""

    share = 0.3


class OneWay(Lossy):
    """40 % of what comes down."""

    share, down_only = 0.4, True


class Fading(Line):
    """Radio that is gone for a share of the time, for so long in the mean, and has 80 ms of jitter."""

    share, mean, jitter = 0.15, 0.3, 0.08

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self._until = [0.0]  # the end of each state, good and gone by turns

    def _is_gone(self, at: float) -> bool:
        while self._until[-1] < at:
            gone = len(self._until) % 2 == 0
            mean = self.mean if gone else self.mean * (1 - self.share) / self.share
            self._until.append(self._until[-1] + self.chance.expovariate(1 / mean))
        return bisect_left(self._until, at) % 2 == 0 and at > 0

    def udp(self, packet: Packet) -> float | None:
        fair = super().udp(packet)
        return None if fair is None or self._is_gone(packet.at) else fair + self.chance.random() * self.jitter

    def https(self, at: float) -> float | None:
        waits, step = 0.0, 0.3
        while self._is_gone(at + waits):
            waits, step = waits + step, 2 * step
        return waits + 0.06


class DeadHalfTheTime(Fading):
    """Twelve seconds on, twelve off, in the mean."""

    share, mean = 0.5, 12.0


class DatagramsDeadHalfTheTime(DeadHalfTheTime):
    """The same, but TCP does not mind."""

    def https(self, at: float) -> float | None:
        return 0.06


class Narrow(Line):
    """A queue that everything shares each way, and somebody else's upload in it."""

    bits, longest, upload, way = 100_000.0, 0.5, 0.0, 0.0

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self._free: dict[Any, float] = {}

    def udp(self, packet: Packet) -> float | None:
        fair = super().udp(packet)
        left = self.bits * (1 - self.upload * packet.up * (0.5 + 0.5 * math.sin(packet.at / 4)))
        waits = _queue(packet, self._free, left, self.longest)
        return None if waits is None or fair is None else waits + fair + self.way

    def https(self, at: float) -> float | None:
        return 0.06 + 2 * self.way + max([0.0, *(free - at for free in self._free.values())])

    def stream(self, packet: Packet) -> float | None:
        waits = _queue(packet, self._free, self.bits, 1e9)
        return None if waits is None else waits + self.way + 0.03


class Bufferbloat(Narrow):
    """1 Mbit/s with a queue of two seconds, filled by an upload."""

    bits, longest, upload = 1_000_000.0, 2.0, 0.97


class SecondGeneration(Narrow):
    """40 kbit/s, 900 ms there and back."""

    bits, longest, way = 40_000.0, 2.0, 0.45


class Quota(Line):
    """What is over 128 kbit/s in all is dropped, HTTPS too, and TCP waits for it."""

    bits = 128_000.0

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self._marks: dict[Any, Any] = {}
        self._streams: dict[Any, float] = {}

    def udp(self, packet: Packet) -> float | None:
        return super().udp(packet) if _afford(packet, self._marks, self.bits, 8000.0) else None

    def stream(self, packet: Packet) -> float | None:
        return 0.03 + (_queue(packet, self._streams, self.bits, 1e9) or 0.0)


class Crowded(Line):
    """A peak hour on the way to the far end: a queue that others fill and empty again, and loss when it is full."""

    def udp(self, packet: Packet) -> float | None:
        full = 0.5 + 0.5 * math.sin(packet.at / 9)
        return None if self.chance.random() < 0.35 * full else 0.02 + 0.2 * full


class OneOfSeveral(Line):
    """Half of all flows go over a line that loses half of everything."""

    def udp(self, packet: Packet) -> float | None:
        unlucky = packet.flow.marks.setdefault("unlucky", self.chance.random() < 0.5)
        return None if unlucky and self.chance.random() < 0.5 else super().udp(packet)


class NoUdp(Line):
    """An office."""

    def udp(self, packet: Packet) -> float | None:
        return None


class NothingLarge(Line):
    """Datagrams over 1000 bytes vanish, without a word."""

    def udp(self, packet: Packet) -> float | None:
        return None if packet.size > 1000 else super().udp(packet)


class Forgetful(Line):
    """A router that gives a flow another port after twenty seconds. The far end follows flows, but not calls."""

    after = 20.0

    def udp(self, packet: Packet) -> float | None:
        flow = packet.flow
        life = flow.marks.setdefault("life", self._life())
        gone = flow.is_call and packet.at > flow.began + life and not packet.up
        return None if gone else super().udp(packet)

    def _life(self) -> float:
        return self.after


class VeryForgetful(Forgetful):
    """After nine."""

    after = 9.0


class ForgetfulAtRandom(Forgetful):
    """After eight in the mean."""

    after = 8.0

    def _life(self) -> float:
        return self.chance.expovariate(1 / self.after)


class Shut(Line):
    """The far end's firewall has closed a port."""

    ports = (3478,)

    def udp(self, packet: Packet) -> float | None:
        return None if packet.flow.port in self.ports else super().udp(packet)


class ShutForCalls(Shut):
    """The ports of calls."""

    ports = (CALL_PORT,)


class RelaysMisconfigured(ShutForCalls):
    """And its TURN server knows other passwords."""

    def refuses(self, leg: Leg, at: float) -> Failure | None:
        step = leg.steps[-1]
        relayed = isinstance(step, Call) and step.path != "direct"
        return Failure(kind=Kind.REJECTED, code="turn-401") if relayed else None


class BrokenCalls(Line):
    """The far end's WebRTC sends nothing back: for everybody, on whatever path."""

    def serves(self, packet: Packet) -> bool:
        return not packet.flow.is_call or packet.size < 120 or packet.size == 1100


class Gone(Line):
    """The link is gone for a while, once, some time during the run."""

    seconds, until = 5.0, 90.0

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self._from = self.chance.uniform(0, self.until)

    def _is_gone(self, at: float) -> bool:
        return self._from <= at < self._from + self.seconds

    def udp(self, packet: Packet) -> float | None:
        return None if self._is_gone(packet.at) else super().udp(packet)

    def https(self, at: float) -> float | None:
        return self._from + self.seconds - at + 0.4 if self._is_gone(at) else 0.06


class GoneLonger(Gone):
    """Long enough to end a flow."""

    seconds = 11.0


class Restarted(Gone):
    """The far end restarts in the middle: flows under way are forgotten there, and so are their logs."""

    seconds = 3.0

    def udp(self, packet: Packet) -> float | None:
        forgotten = packet.flow.began < self._from <= packet.at
        return None if forgotten else super().udp(packet)

    def note(self, facts: Any, at: float) -> Any:
        if not at - 40.0 < self._from < at:
            return facts
        return msgspec.structs.replace(facts, heard=False)


class CrashesEachTime(Line):
    """The far end dies of the media of calls, and is started again: none of them has a log."""

    def serves(self, packet: Packet) -> bool:
        return not packet.flow.is_call or packet.flow.packets < 100

    def note(self, facts: Any, at: float) -> Any:
        return msgspec.structs.replace(facts, heard=not any(stage.down.tail for stage in facts.stages))


class NoLogs(Cookie):
    """A filter, and a far end that never gives a log: then its quota may be the reason."""

    def note(self, facts: Any, at: float) -> Any:
        return msgspec.structs.replace(
            facts,
            heard=False,
            stages=tuple(msgspec.structs.replace(stage, up=None, score_up=None) for stage in facts.stages),
        )


class LetsGo(Line):
    """A far end that ends every flow but short ones and random bytes, and says so."""

    def serves(self, packet: Packet) -> bool:
        return packet.look == "random" or packet.flow.packets <= 400

    def note(self, facts: Any, at: float) -> Any:
        over = any(stage.up is not None and stage.up.tail for stage in facts.stages)
        return msgspec.structs.replace(facts, ended="octets") if over else facts


class OverQuota(Cookie):
    """A filter; and after three tests the far end takes no more."""

    def refuses(self, leg: Leg, at: float) -> Failure | None:
        self._asked = getattr(self, "_asked", 0) + 1
        return Failure(kind=Kind.REJECTED, code="429") if self._asked > 3 else None


class Busy(Cookie):
    """A filter, but this machine is too slow to tell."""

    def refuses(self, leg: Leg, at: float) -> Failure | None:
        return Failure(kind=Kind.UNSUPPORTED, code="busy")


def _count(seeds: int) -> None:
    from probe.verdict import judge
    from tests.call_lines import CALL, TELEGRAM, WHATSAPP, measured_over

    lines: list[type[Line]] = [
        Lossy5, Lossy, Lossy30, OneWay, Fading, DeadHalfTheTime, DatagramsDeadHalfTheTime, Narrow, Bufferbloat,
        SecondGeneration, Quota, Crowded, OneOfSeveral, NothingLarge, Forgetful, VeryForgetful, ForgetfulAtRandom, Shut,
        ShutForCalls, BrokenCalls, Gone, GoneLonger, Restarted, CrashesEachTime,
    ]  # fmt: skip
    for line in lines:
        judged = [judge(measured_over(line(seed), CALL, WHATSAPP, TELEGRAM)) for seed in range(seeds)]
        states = [purposes["calls"].state for one in judged for purposes in one.services.values()]
        wrong = sum(state in ("blocked", "degraded") for state in states)
        sys.stdout.write(f"{line.__name__}: {wrong} of {len(states)}\n")


if __name__ == "__main__":
    _count(int(sys.argv[1]))
