"""Test calls and paced flows over lines whose rules are known: packet by packet, without a socket or a clock.

What is asked is what the probe would ask (`call_follow_up`), as many flows at once as it would have, and what is noted
is what its steps would note. A line is a function of packets; all flows of a run share it.
"""

import heapq
import random
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import msgspec

from probe.call_follow_up import follow_ups
from probe.catalogue import Catalogue, Evidence, Target, Turn
from probe.configs import load
from probe.failure import Failure, Kind
from probe.far_end.client import Heartbeat
from probe.far_end.talk import GIVE_UP, StageFacts, is_cut
from probe.media.emodel import score
from probe.media.quality import Passage, direction, round_trip
from probe.media.shape import Profile, shortened
from probe.model import Chain, Document, Measurement
from probe.placing import FarEnd, place
from probe.plan import Address, Leg
from probe.steps import AnyStep, Call, CallFacts, Media, MediaFacts
from probe.steps.call import HelloFacts
from probe.steps.media import OpeningFacts
from tests.build import at_far_end, control, document, tried

SHIPPED = load(Path(__file__).parent.parent / "configs")
_SECONDS = {
    "voice": 9.0,
    "video": 8.0,
    "half": 8.0,
    "voice-short": 9.0,
    "telegram-short": 11.0,
    "whatsapp": 11.0,
}
CATALOGUE: Catalogue = msgspec.structs.replace(
    SHIPPED,
    profiles={
        name: msgspec.structs.replace(profile, seconds=_SECONDS.get(name, profile.seconds))
        for name, profile in SHIPPED.profiles.items()
    },
)
# By shape: what its first packets and its media look like to whoever parses them.
LOOKS = {
    "random": ("random", "random"), "rtp": ("", "rtp"), "stun-ice": ("stun", "rtp"), "discord": ("discord", "rtp"),
    "whatsapp-native": ("stun whatsapp", "rtp"), "telegram-reflector": ("telegram", "telegram"),
    "telegram-turn": ("stun", "channel"), "dtls12-hello": ("dtls", "rtp"),
}  # fmt: skip
_GAPS = (0.4, 0.6, 0.8, 1.0, 1.0, 1.2, 1.5, 1.5, 1.5, 1.5)
_LANES = 3
CALL_PORT = 50_000


@dataclass(eq=False)
class Flow:
    """A flow as a router sees it. `marks` is whatever a line wants to remember of it."""

    port: int
    began: float
    is_call: bool
    packets: int = 0
    marks: dict[str, Any] = field(default_factory=dict)


class Packet(NamedTuple):
    """A datagram: when it is sent (seconds of the run), which way, what it looks like, bytes of payload."""

    at: float
    up: bool
    look: str
    size: int
    flow: Flow


class Line:
    """What is between the probe and the far end, and the far end. This one is fair."""

    def __init__(self, seed: int = 0) -> None:
        self.chance = random.Random(seed)

    def udp(self, packet: Packet) -> float | None:
        """Seconds that a datagram takes, None if it is lost."""
        return 0.02 + self.chance.random() * 0.002

    def serves(self, packet: Packet) -> bool:
        """Whether the far end takes and answers a packet that has come to it, whichever way it came."""
        return True

    def https(self, at: float) -> float | None:
        """Seconds that a question to the far end takes, None if nothing comes of it."""
        return 0.06

    def stream(self, packet: Packet) -> float | None:
        """Seconds that a packet on a TCP stream takes, None if it never comes."""
        trip = self.https(packet.at)
        return None if trip is None else trip / 2

    def note(self, facts: Any, at: float) -> Any:
        """What the far end's log adds or fails to add at the end of a flow."""
        return facts

    def refuses(self, leg: Leg, at: float) -> Failure | None:
        """How the far end or its relay refuses a test, if it does."""
        return None


Test: TypeAlias = Generator[
    float, None, tuple[Any, str]
]  # yields times, returns facts and the code of a failure


class _Media:
    """Stages of media over a line; `mark` is put before the sends of each packet."""

    def __init__(self, line: Line, flow: Flow, look: str, profiles: list[Profile], overhead: int = 0) -> None:
        self.line, self.flow, self.look, self.profiles = line, flow, look, profiles
        self.stages: list[StageFacts] = []
        self.stopped = False
        self.overhead = overhead

    def play(self, now: float) -> Generator[float, None, float]:
        for profile in self.profiles:
            began, last, sent, back, trips = now, now, list[Passage](), list[Passage](), list[float]()
            for number in range(round(profile.seconds / profile.every)):
                now = began + number * profile.every
                yield now
                if now - last >= GIVE_UP:
                    self.stopped = True
                    break
                size = self.line.chance.randint(*profile.sizes)
                there = send(self.line, Packet(now, True, self.look, size, self.flow))
                sent.append(Passage(number, size, now, None if there is None else now + there))
                if there is None:
                    continue
                home = send(self.line, Packet(now + there, False, self.look, size, self.flow))
                arrived = None if home is None else now + there + home
                back.append(Passage(number, size, now + there, arrived))
                if arrived is not None:
                    last = max(last, arrived)
                    trips.append(arrived - now)
            self._count(profile, began, sent, back, trips)
            if self.stopped:
                break
        return now

    def _count(
        self, profile: Profile, began: float, sent: list[Passage], back: list[Passage], trips: list[float]
    ) -> None:
        shift = min((p.arrived - p.sent for p in sent if p.arrived is not None), default=0.0)
        rtt = round_trip(trips)
        up = direction(sent, began=began)
        down = direction([p._replace(sent=p.sent - shift) for p in back], began=began)
        self.stages.append(
            StageFacts(
                profile=profile.name, began=round(began - self.flow.began, 3), every=profile.every, up=up, down=down,
                rtt=rtt, score_up=score(up, rtt), score_down=score(down, rtt),
            )
        )  # fmt: skip

    def code(self) -> str:
        if not any(stage.down.arrived for stage in self.stages):
            return "media"
        return "cut" if is_cut(self.stages) else ""


def send(line: Line, packet: Packet) -> float | None:
    """Let a packet go over the line."""
    packet.flow.packets += 1
    passes = line.udp(packet)
    return passes if not packet.up or passes is None or line.serves(packet) else None


def ask(line: Line, flow: Flow, look: str, at: float, size: int = 100, answer: int = 100) -> float | None:
    """One packet and its answer: the round trip."""
    there = send(line, Packet(at, True, look, size, flow))
    home = None if there is None else send(line, Packet(at + there, False, look, answer, flow))
    return None if there is None or home is None else there + home


def looks(step: Media) -> tuple[str, str]:
    """What the opening and the media of a flow look like."""
    opening, media = LOOKS[step.shape]
    match step.disguise:
        case "random":
            return "random" if opening else "", "random"
        case "generic":
            return "stun" if opening else "", "rtp"
        case "cookie":
            return opening.replace("stun", "nearly"), media
        case _:
            return opening, media


def media_test(line: Line, step: Media, now: float) -> Test:
    """A paced flow."""
    if step.transport == "tcp":
        line = _Tcp(line)
    shape = CATALOGUE.shapes[step.shape]
    port = 41_000 if step.disguise == "port" else step.port or shape.port
    flow = Flow(port, now, is_call=False)
    names = step.profiles or shape.profiles
    opening, look = looks(step)
    media = _Media(line, flow, look, shortened([CATALOGUE.profiles[name] for name in names], step.at_most))
    began, trip, tries = now, None, 0
    for gap in _GAPS if opening else ():
        tries += 1
        yield now
        trip = ask(line, flow, opening, now)
        if trip is not None and trip <= gap:
            now += trip
            break
        trip, now = None, now + gap
    opened = (OpeningFacts(name="first", transmissions=tries, heard=0, rtt=trip),) if opening else ()
    if trip is not None or not opening:
        now = yield from media.play(now)
    code = media.code() if trip is not None or not opening else "opening"
    facts = MediaFacts(
        shape=step.shape, disguise=step.disguise, transport=step.transport, port=port, source_port=40_000,
        opening=opened, stages=tuple(media.stages), heartbeat=beating(line, began, now), heard=True, proved=True,
        ended="closed", stopped=media.stopped,
    )  # fmt: skip
    yield now + 1.2
    return line.note(facts, now), code


def call_test(line: Line, step: Call, now: float) -> Test:
    """A call: checks for 15 s, then a handshake of two exchanges that may each be sent four times, then media."""
    relayed = step.path != "direct"
    over_tcp = step.path in ("turn-tcp", "turn-tls")
    path = _Tcp(line) if over_tcp else line
    flow = Flow(3478 if relayed else CALL_PORT, now, is_call=True)
    hello = f"{step.hello} {step.hello_from}"

    def dressed(look: str) -> str:
        return "channel" if relayed else look

    facts: dict[str, Any] = {"path": step.path, "hello": HelloFacts(sender=step.hello_from, kind=step.hello)}
    if relayed and ask(path, flow, "stun", now) is None and ask(path, flow, "stun", now + 0.5) is None:
        yield now + 3.0
        return None, f"turn-{step.path}"
    began = now + 0.3
    if not (yield from _until_answered(path, flow, dressed("stun"), began, count_of=30, every=0.5)):
        yield began + 16.0
        return line.note(CallFacts(**facts, heard=True, ended="closed"), began + 16.0), "ice"
    now = began + 0.4
    for look, octets in ((f"dtls {hello}", 1100), ("dtls flight", 1100)):
        if not (yield from _until_answered(path, flow, dressed(look), now, count_of=4, every=0, size=octets)):
            yield now + 12.0
            return line.note(CallFacts(**facts, ice=0.4, heard=True, ended="closed"), now + 12.0), "dtls"
        now += 0.1
    profiles = shortened([CATALOGUE.profiles[name] for name in step.profiles], step.at_most)
    flow.marks["media"] = now
    media = _Media(path, flow, dressed("rtp"), profiles)
    talking = now
    now = yield from media.play(now)
    done = CallFacts(
        **facts, ice=0.4, dtls=0.6, stages=tuple(media.stages), heartbeat=beating(line, talking, now), heard=True,
        ended="closed", stopped=media.stopped,
    )  # fmt: skip
    yield now + 1.2
    return line.note(done, now), media.code()


def _until_answered(
    line: Line, flow: Flow, look: str, now: float, *, count_of: int, every: float, size: int = 100
) -> Generator[float, None, bool]:
    """Sent so often, `every` so many seconds or each time twice as long after the time before."""
    for index in range(count_of):
        at = now + (index * every or 2**index - 1)
        yield at
        if ask(line, flow, look, at, size, size) is not None:
            return True
    return False


class _Tcp(Line):
    """Packets on a TCP stream over a line: nothing is lost, and nothing comes while nothing passes."""

    def __init__(self, line: Line) -> None:
        self.chance, self._line = line.chance, line

    def udp(self, packet: Packet) -> float | None:
        return self._line.stream(packet)

    def serves(self, packet: Packet) -> bool:
        return self._line.serves(packet)


def beating(line: Line, began: float, ended: float) -> Heartbeat:
    """A question every five seconds, until one fails."""
    asked = answered = 0
    slowest, at = 0.0, began + 5.0
    while at < ended:
        asked += 1
        trip = line.https(at)
        if trip is None or trip > 5.0:
            failure = Failure(kind=Kind.TIMEOUT)
            return Heartbeat(asked=asked, answered=answered, slowest=slowest, failure=failure)
        answered, slowest = answered + 1, max(slowest, trip)
        at += 5.0 + trip
    return Heartbeat(asked=asked, answered=answered, slowest=slowest)


def target_of(step: AnyStep, name: str = "look-alike") -> Target:
    """A target at the far end."""
    made = Target(
        name=name,
        purpose="calls",
        at="far-end",
        steps=(step,),
        evidence=Evidence(host="source", reply="source"),
    )
    placed = place(made, FarEnd(host="far.example.org"), Turn())
    assert placed is not None
    return placed


class _Job:
    """A target in progress: its legs, round after round."""

    def __init__(self, target: Target) -> None:
        address = Address(ip="7.7.7.7", said_by=("system",))
        self.target = target
        self.first = Leg(variant="target", address=address, port=443, host=target.host, steps=target.steps)
        self.chains: list[Chain] = []
        self.waiting = [self.first]
        self.running = 0

    def settle(self, chain: Chain) -> None:
        self.chains.append(chain)
        self.running -= 1
        if not self.running and not self.waiting:
            self.waiting = follow_ups(self.target, self.chains, CATALOGUE, self.first)


def measure(line: Line, *targets: Target, at: float = 0.0) -> list[list[Chain]]:
    """Every target's chains, as many flows at once as the pace allows and a call alone."""
    jobs = [_Job(target) for target in targets]
    queue: deque[tuple[_Job, Leg]] = deque()
    events: list[tuple[float, int, _Job, Leg, float, Test]] = []
    tickets, free, now = count(), _LANES, at
    while True:
        for job in jobs:
            queue += [(job, leg) for leg in job.waiting]
            job.running += len(job.waiting)
            job.waiting = []
        while queue and free >= _lanes(queue[0][1]):
            job, leg = queue.popleft()
            free -= _lanes(leg)
            heapq.heappush(
                events, (now + 0.2, next(tickets), job, leg, now + 0.2, _test(line, leg, now + 0.2))
            )
        if not events:
            return [job.chains for job in jobs]
        now, _, job, leg, began, test = heapq.heappop(events)
        try:
            heapq.heappush(events, (next(test), next(tickets), job, leg, began, test))
        except StopIteration as done:
            facts, code = done.value
            free += _lanes(leg)
            job.settle(_chain(line, leg, facts, code, began, now))


def _lanes(leg: Leg) -> int:
    return _LANES if isinstance(leg.steps[-1], Call) else 1


def _test(line: Line, leg: Leg, at: float) -> Test:
    step = leg.steps[-1]
    assert isinstance(step, Media | Call)
    return media_test(line, step, at) if isinstance(step, Media) else call_test(line, step, at)


def _chain(line: Line, leg: Leg, facts: Any, code: str, began: float, ended: float) -> Chain:
    refused = line.refuses(leg, began)
    kind = refused.kind if refused is not None else Kind.SILENT
    said = refused.code if refused is not None else code
    known = None if refused is not None else facts
    made = tried(known, said, kind=kind, variant=leg.variant, at=began, seconds=ended - began)
    if known is None and isinstance(leg.steps[-1], Call):
        last = msgspec.structs.replace(made.observations[-1], step="call")
        made = msgspec.structs.replace(made, observations=(*made.observations[:-1], last))
    return made


CALL = target_of(Call(), "call")
WHATSAPP = target_of(Media(shape="whatsapp-native"))
TELEGRAM = target_of(Media(shape="telegram-reflector"))
RANDOM = target_of(Media(shape="random", port=443, profiles=("voice", "half")), "far-end-random")


def measured_over(line: Line, *targets: Target, at: float = 0.0) -> Document:
    """The document of a run with these targets and the control, each target a service of its own."""
    chains = measure(line, RANDOM, *targets, at=at)
    beside = control(*chains[0], target="far-end-random", kind="foreign-hosting", role="media")
    beside = msgspec.structs.replace(beside, at="far-end")
    return document(*(_measurement(t, c) for t, c in zip(targets, chains[1:], strict=True)), beside)


def _measurement(target: Target, chains: list[Chain]) -> Measurement:
    step = target.steps[-1]
    assert isinstance(step, Media | Call)
    service = "webrtc" if isinstance(step, Call) else step.shape
    group = "call" if isinstance(step, Call) else "look-alike"
    return at_far_end(*chains, service=service, target=target.name, group=group)
