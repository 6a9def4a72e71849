"""Both ends of a call in one program, through one of Telegram's relays: media that takes the service's own path.

Two sockets say hello with the two sides of one made-up call and send each other data frames at the sizes and times of
speech. How a relay chooses whom it forwards to is inferred (bit 0 of the prefix tells the sides apart, the last four
bytes of the tag name the endpoint), so silence here means nothing until it was seen to work on an open network.
"""

import asyncio
import random
import secrets

import msgspec

from probe.failure import Malformed, Silent
from probe.far_end.talk import StageFacts, is_cut
from probe.media.emodel import score
from probe.media.pacing import Pacer, Pacing
from probe.media.quality import Passage, direction
from probe.media.shape import Profile
from probe.media.stamp import KEY, SIZE, Sealer, Stamp
from probe.media.template import Memory, Template
from probe.step import Facts, Flow, PacedLink, Step
from probe.steps.media import raise_if_busy
from probe.steps.reflector_frames import (
    PREFIX,
    QUERY,
    TAG,
    Data,
    hello,
    other_side,
    pack_data,
    read_data,
    read_self_info,
)

_HELLOS, _EVERY = 10, 0.5  # hellos of each side, and seconds between them
_KEEP = 10.0  # seconds between hellos once media flows, as the clients do
_HEAD = 24  # bytes of a frame before its payload
_AFTERWARDS = 1.0
# SRTP of Telegram's current engine: Opus frames of 60 ms at 48 kHz, payload type 109.
_AUDIO = Template("80 6d {count16} {clock32:2880} {same:ssrc:4} {stamp} {fill}")
_MARK = 12  # where the stamp is in it


class ReflectorLoopFacts(Facts):
    """What passed through the relay. In `stages` up is from the first side to the second, down is back; one clock times
    both, so delays are exact. `answered`: sides whose hello was."""

    answered: int
    profile: str
    stages: tuple[StageFacts, ...] = ()
    pacing: Pacing | None = None


class ReflectorLoop(Step):
    """Two sides through one relay, one stage of media both ways. Looks like a call: only in extended tests."""

    profile: str = "telegram-short"
    seconds: float = 60.0

    async def run(self, flow: Flow) -> ReflectorLoopFacts:
        """Register both sides, then send both ways.

        Raises Silent with code "opening" (a side's hello was never answered), "media" (no frame came through),
        "one-way" (none came through to one side) or "cut" (frames came through to a side, and then no more);
        Unsupported with code "busy" where this machine was too slow to say anything.
        """
        profile = flow.supplies.profiles[self.profile]
        one, other = await _Side.pair(flow)
        answered = sum(await asyncio.gather(one.register(), other.register()))
        if answered < 2:
            facts = ReflectorLoopFacts(answered=answered, profile=self.profile)
            raise Silent("a side's hello was not answered", code="opening", partial=facts)
        pacer, began = Pacer(flow.net.now), flow.net.now()
        keeping = [asyncio.create_task(side.keep()) for side in (one, other)]
        try:
            await asyncio.gather(*(side.talk(pacer, profile) for side in (one, other)))
            await asyncio.sleep(_AFTERWARDS)
        finally:
            for task in keeping:
                task.cancel()
            await asyncio.gather(*keeping, return_exceptions=True)
        up, down = direction(other.passages(one), began=began), direction(one.passages(other), began=began)
        stage = StageFacts(
            profile=self.profile, began=0.0, every=profile.every, up=up, down=down,
            score_up=score(up, None), score_down=score(down, None),
        )  # fmt: skip
        facts = ReflectorLoopFacts(
            answered=answered, profile=self.profile, stages=(stage,), pacing=pacer.account()
        )
        _raise_if_incomplete(facts)
        return facts


def _raise_if_incomplete(facts: ReflectorLoopFacts) -> None:
    stage = facts.stages[0]
    assert stage.up is not None
    raise_if_busy(facts, facts.pacing)
    if not stage.up.arrived and not stage.down.arrived:
        raise Silent("no frame came through the relay", code="media", partial=facts)
    if not stage.up.arrived or not stage.down.arrived:
        raise Silent("frames came through the relay one way only", code="one-way", partial=facts)
    if any(is_cut([msgspec.structs.replace(stage, up=None, down=way)]) for way in (stage.up, stage.down)):
        raise Silent("frames came through, and then no more", code="cut", partial=facts)


class _Side:
    """One end of the made-up call."""

    def __init__(
        self, flow: Flow, link: PacedLink, tag: bytes, to: bytes, sealers: tuple[Sealer, Sealer]
    ) -> None:
        self._clock, self._link, self._tag, self._to = flow.net.now, link, tag, to
        self._mine, self._theirs = sealers
        self._memory = Memory()
        self._query = secrets.token_bytes(QUERY)
        self._registered = asyncio.Event()
        self._sent: list[tuple[int, float]] = []  # bytes of the frame, when
        self._heard: dict[int, tuple[float, int]] = {}  # by number: when first, how often
        link.on_datagram(self._hear)

    @classmethod
    async def pair(cls, flow: Flow) -> "tuple[_Side, _Side]":
        """Both sides of one call, each with a socket of its own."""
        key, prefix = secrets.token_bytes(KEY), secrets.token_bytes(PREFIX)
        ends = [secrets.token_bytes(3) + bytes([1 + secrets.randbelow(255)]) for _ in range(2)]
        forth, back = Sealer(key, "up"), Sealer(key, "down")
        sides = []
        for number, sealers in enumerate(((forth, back), (back, forth))):
            link = await flow.net.dial_paced(flow.address, flow.port)
            flow.sockets.append(link)
            tag = (other_side(prefix) if number else prefix) + ends[number]
            sides.append(cls(flow, link, tag, ends[1 - number], sealers))
        return sides[0], sides[1]

    async def register(self) -> bool:
        """Say hello until it is answered."""
        for _ in range(_HELLOS):
            self._link.send_now(hello(self._tag, self._query))
            try:
                async with asyncio.timeout(_EVERY):
                    await self._registered.wait()
                return True
            except TimeoutError:
                continue
        return False

    async def keep(self) -> None:
        """Hello now and then, until cancelled."""
        while True:
            await asyncio.sleep(_KEEP)
            self._link.send_now(hello(self._tag, self._query))

    async def talk(self, pacer: Pacer, profile: Profile) -> None:
        """Media of one profile."""
        count, (low, high) = round(profile.seconds / profile.every), profile.sizes
        await pacer.run(count, profile.every, lambda _: self.say(random.randint(low, high)), lambda: True)

    def say(self, size: int) -> float | None:
        """One frame of media."""
        now = self._clock()
        mark = self._mine.seal(Stamp(0, len(self._sent), 0, int(now * 1e6) & 0xFFFFFFFF))
        payload = _AUDIO.render(self._memory, mark, size - _HEAD)
        frame = pack_data(Data(self._tag[:PREFIX], self._to, self._tag[PREFIX:TAG], payload))
        if not self._link.send_now(frame):
            return None
        self._sent.append((len(frame), now))
        return now

    def _hear(self, data: bytes, at: float) -> None:
        try:
            if read_self_info(data).query == self._query:
                self._registered.set()
            return
        except Malformed:
            pass
        try:
            payload = read_data(data).payload
        except Malformed:
            return
        stamp = self._theirs.open(payload[_MARK : _MARK + SIZE])
        if stamp is not None:
            first, copies = self._heard.get(stamp.number, (at, 0))
            self._heard[stamp.number] = (first, copies + 1)

    def passages(self, sender: "_Side") -> list[Passage]:
        """What the other side sent, and when it arrived here."""
        found = []
        for number, (size, at) in enumerate(sender._sent):
            came, copies = self._heard.get(number, (None, 1))
            found.append(Passage(number, size, at, came, copies))
        return found
