"""A call without a WebRTC stack: paced datagrams of a chosen shape to the far end and back (docs/paced-flow.md)."""

import asyncio
import contextlib
import random
import secrets
from collections.abc import Sequence
from typing import Literal

from probe.failure import Malformed, Silent, StepError, Unsupported
from probe.far_end.client import FarEnd, Heartbeat
from probe.far_end.protocol import Heard, Made, NewFlow, Packets
from probe.far_end.talk import StageFacts, Talk, arrivals, is_cut
from probe.far_end.wire import Wire, wire
from probe.media.pacing import Pacing
from probe.media.shape import Disguise, Profile, disguised, kinds, shortened
from probe.media.shape import Kind as PacketKind
from probe.media.stamp import SIZE
from probe.media.template import Memory
from probe.record import Record
from probe.step import Facts, Flow, Need, Step
from probe.steps.signalling import greet

# Seconds between transmissions of an opening packet, as STUN clients have them, stretched or shrunk by a fifth.
_GAPS = (0.4, 0.6, 0.8, 1.0, 1.0, 1.2, 1.5, 1.5, 1.5, 1.5)
_AFTERWARDS = 1.0  # seconds in which late answers may still come
_BUSY = 0.1  # of all packets: more that could not leave in time void a test


class OpeningFacts(Record):
    """One of the first packets: how often it was sent and heard there, and seconds from sending to an answer."""

    name: str
    transmissions: int
    heard: int | None = None
    rtt: float | None = None


class MediaFacts(Facts):
    """What became of a flow.

    `heard` says whether the far end's log was had; without it up is unknown and down counts whole round trips.
    `stopped`: media was ended early, because nothing had come back for long. `refusals`: ICMP errors by errno's name.
    """

    shape: str
    disguise: Disguise
    transport: Literal["udp", "tcp"]
    port: int
    source_port: int
    opening: tuple[OpeningFacts, ...] = ()
    stages: tuple[StageFacts, ...] = ()
    pacing: Pacing | None = None
    heartbeat: Heartbeat = Heartbeat()
    heard: bool = False
    proved: bool = False
    packets_in: int | None = None  # everything of the flow that arrived there
    refusals: dict[str, int] = {}
    stopped: bool = False
    ended: str = ""  # why the far end let go of it, if it did


class Media(Step):
    """A paced flow to the far end, answered packet by packet. `port` and `profiles` are the shape's unless given."""

    shape: str = "random"
    disguise: Disguise = ""
    transport: Literal["udp", "tcp"] = "udp"
    port: int = 0
    profiles: tuple[str, ...] = ()
    at_most: float = 0.0  # seconds of media; 0: all of the profiles
    trust: str = "system"  # of a second connection to the far end, where the first is lost
    seconds: float = 150.0

    @property
    def needs(self) -> Need:
        """An open stream: the signalling to the far end."""
        return "stream"

    async def run(self, flow: Flow) -> MediaFacts:
        """Open the flow, send its stages, get the log.

        Raises Silent with code "opening" (a first packet was never answered), "media" (nothing of the media was) or
        "cut" (media was answered and then no more, to the end); Unsupported with code "busy" where this machine was
        too slow to say anything; Rejected, Malformed or Unsupported for what the far end says over HTTPS.
        """
        shape = disguised(flow.supplies.shapes[self.shape], self.disguise)
        named = [flow.supplies.profiles[name] for name in self.profiles or shape.profiles]
        packets = kinds(shape)
        far = await greet(flow, self.trust)
        asked = NewFlow(
            transport=self.transport,
            port=shape.port if self.disguise == "port" else self.port or shape.port,
            key=secrets.token_hex(16),
            packets=tuple(_announced(one) for one in packets),
        )
        made = await far.new_flow(asked)
        async with wire(flow, asked) as carrying:
            call = _Call(packets, Talk(bytes.fromhex(asked.key), flow.net.now), carrying)
            async with far.beating():
                answered = await call.place(shortened(named, self.at_most))
            heard, trouble = await _log(far, made)
        try:
            facts = call.facts(self, asked.port, far.heartbeat(), heard)
        except Malformed as lie:  # a log that cannot be true is none
            facts, trouble = call.facts(self, asked.port, far.heartbeat(), None), lie
        _raise_if_incomplete(facts, answered, trouble)
        return facts


def _announced(one: PacketKind) -> Packets:
    down = one.down.text if one.down is not None else None
    return Packets(stamp_at=one.up.stamp_at, down=down, least=one.up.minimum)


async def _log(far: FarEnd, made: Made) -> tuple[Heard | None, Exception | None]:
    try:
        return await far.flow_log(made), None
    except (StepError, OSError) as error:
        return None, error


def _raise_if_incomplete(facts: MediaFacts, answered: bool, trouble: Exception | None) -> None:
    """What this machine could not do comes first: then nothing was shown."""
    raise_if_busy(facts, facts.pacing)
    if isinstance(trouble, Malformed):
        trouble.partial = facts
        raise trouble
    if not answered:
        raise Silent("an opening packet was never answered", code="opening", partial=facts)
    raise_if_silent(facts, facts.stages)


def raise_if_busy(facts: Facts, pacing: Pacing | None) -> None:
    """Unsupported with code "busy" where this machine sent too little in time: `facts` show nothing of the network."""
    if pacing is not None and pacing.missed > _BUSY * (pacing.packets + pacing.missed):
        raise Unsupported("this machine was too busy to send in time", code="busy", partial=facts)


def raise_if_silent(facts: Facts, stages: Sequence[StageFacts]) -> None:
    """Silent with code "media" where nothing of the media came back, "cut" where it did and then no more."""
    if not any(stage.down.arrived for stage in stages):
        raise Silent("nothing of the media came back", code="media", partial=facts)
    if is_cut(stages):
        raise Silent("media came back, and then no more", code="cut", partial=facts)


class _Call:
    """A flow while it is measured."""

    def __init__(self, packets: Sequence[PacketKind], talk: Talk, carrying: Wire) -> None:
        self._packets, self._talk, self._wire = packets, talk, carrying
        same: dict[str, bytes] = {}  # constant in the whole flow; counters are each packet's own
        self._memories = [Memory(same=same) for _ in packets]
        self._opening: list[tuple[OpeningFacts, range]] = []
        self._answered = asyncio.Event()
        downs = [one.down for one in packets if one.down is not None]
        self._places = sorted({down.stamp_at for down in downs if down.stamp_at is not None})
        self._media = next(index for index, one in enumerate(packets) if one.role == "media")
        carrying.hear = self._hear

    def _hear(self, data: bytes, at: float) -> None:
        for place in self._places:
            if self._talk.hear(data[place : place + SIZE], len(data), at) is not None:
                self._answered.set()
                return

    def _send(self, kind: int, wanted: int = 0) -> float | None:
        """Let a packet leave; the time, None if it did not leave or is not counted."""
        packet, memory = self._packets[kind].up, self._memories[kind]
        if packet.stamp_at is None:
            self._wire.send(packet.render(memory, b""))
            return None
        data = packet.render(memory, self._talk.mark(kind), wanted)
        at = self._talk.clock()
        return self._talk.count(kind, len(data), at) if self._wire.send(data) else None

    async def place(self, profiles: Sequence[Profile]) -> bool:
        """Opening, then every stage. False if an opening packet was never answered."""
        for index, one in enumerate(self._packets):
            if one.role == "opening" and not await self._open(index, one):
                return False
        beside = [
            asyncio.create_task(self._keep_sending(index, one.every))
            for index, one in enumerate(self._packets)
            if one.role == "beside"
        ]
        try:
            for profile in profiles:
                await self._talk.play(profile, lambda size: self._send(self._media, size))
                if self._talk.gave_up:
                    break
            await asyncio.sleep(_AFTERWARDS)
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
        return True

    async def _open(self, kind: int, one: PacketKind) -> bool:
        """Send it until it is answered, and as often as it is always sent."""
        first, talk = len(self._talk.sent), self._talk
        tries = 0
        for tries, gap in enumerate(_GAPS, 1):
            self._answered.clear()
            self._send(kind)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(gap * random.uniform(0.8, 1.2)):
                    await self._answered.wait()
            came = any(n in talk.answers for n in range(first, len(talk.sent)))
            if (came or one.down is None) and tries >= one.times:
                break
        numbers = range(first, len(talk.sent))
        times = [talk.answers[n].at - talk.sent[n].at for n in numbers if n in talk.answers]
        rtt = round(min(times), 6) if times else None
        self._opening.append((OpeningFacts(name=one.name, transmissions=tries, rtt=rtt), numbers))
        return bool(times) or one.down is None

    async def _keep_sending(self, kind: int, every: float) -> None:
        while True:
            self._send(kind)
            await asyncio.sleep(every)

    def facts(self, step: Media, port: int, heartbeat: Heartbeat, heard: Heard | None) -> MediaFacts:
        """Everything that was seen."""
        log = arrivals(heard, len(self._talk.sent)) if heard is not None else None
        return MediaFacts(
            shape=step.shape,
            disguise=step.disguise,
            transport=step.transport,
            port=port,
            source_port=self._wire.source_port,
            opening=tuple(_with_log(one, numbers, log) for one, numbers in self._opening),
            stages=self._talk.facts([self._media], heard),
            pacing=self._talk.account() if self._talk.stages else None,
            heartbeat=heartbeat,
            heard=heard is not None,
            proved=heard.proved if heard is not None else False,
            packets_in=heard.packets_in if heard is not None else None,
            refusals=dict(self._wire.refusals),
            stopped=self._talk.gave_up,
            ended=heard.ended if heard is not None else "",
        )


def _with_log(one: OpeningFacts, numbers: range, log: dict[int, float] | None) -> OpeningFacts:
    heard = sum(n in log for n in numbers) if log is not None else None
    return OpeningFacts(name=one.name, transmissions=one.transmissions, heard=heard, rtt=one.rtt)
