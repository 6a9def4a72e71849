"""Say hello to one of Telegram's call relays ("reflectors"), over UDP or on an open stream, without an account.

The relay answers a tag it never issued, as Telegram's own test bench relies on, and says how it sees us. Nothing
in the answer is signed: it proves that packets of this shape pass both ways, and no more.
"""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from msgspec import Meta

from probe.dialogue import Dialogue, send
from probe.failure import Malformed, Unexpected
from probe.record import Private
from probe.step import Facts, Flow, Step
from probe.steps.paced import MARGIN, Paced, Said
from probe.steps.reflector_frames import (
    QUERY,
    STREAM_START,
    SelfInfo,
    fresh_tag,
    hello,
    off_stream,
    on_stream,
    read_self_info,
)

# libtgvoip's own rule: four hellos half a second apart, then a second's wait; none answered: no UDP here, fewer
# than three: a bad path, so ask on until there are ten.
_EVERY = 0.5
_WAIT = 1.0


class ReflectorFacts(Facts):
    """Hellos answered and their round trips; of our address only family, publicity, and whether others agree.

    `rtt` is the median of `rtts`, in seconds. `wrong` counts datagrams that answer no hello. `mapped_agrees` is
    None where no earlier step of the chain saw our address of this family.
    """

    rtt: float
    sent: int
    answered: int
    rtts: tuple[float, ...]
    over: Literal["udp", "tcp"] = "udp"
    wrong: int = 0
    clock_ahead: float | None = None  # seconds our clock is ahead of the relay's
    reply_ttl: int | None = None
    mapped_family: int = 0
    mapped_public: bool = False
    mapped_agrees: bool | None = None


class Reflector(Step):
    """`transmissions` hellos, and on to `most` where one was answered and more than one was not."""

    transmissions: Annotated[int, Meta(ge=1, le=10)] = 4
    most: Annotated[int, Meta(ge=1, le=20)] = 10
    seconds: float = 10.0

    async def run(self, flow: Flow) -> ReflectorFacts:
        """Say hello. Raises Silent (code: hellos sent), or Malformed or Unexpected where only wrong answers came."""
        hellos = Hellos(stream=flow.link is not None)
        link = flow.link or await flow.udp()
        began = flow.net.utc()
        await hellos.paced.over(link, hellos.dialogue(self.transmissions, self.most, self.seconds - MARGIN))
        return _facts(flow, hellos, began)


class Hellos:
    """The hellos of one conversation: one tag, and a query id each, so that every answer has its question."""

    def __init__(self, *, stream: bool) -> None:
        self.stream = stream
        self.tag = fresh_tag()
        self.paced = Paced(self._say, self._read, every=_EVERY)
        self.first: SelfInfo | None = None
        self._queries: list[bytes] = []
        self._rest = b""

    def dialogue(self, transmissions: int, most: int, until: float) -> Dialogue[None]:
        """Ask, and ask on where the path looks bad; over by `until` seconds."""
        if self.stream:
            yield from send(STREAM_START)
        yield from self.paced.exchange(transmissions, _WAIT, until)
        if 0 < len(self.paced.trips) < transmissions - 1:
            yield from self.paced.exchange(most, _WAIT, until)

    def _say(self, number: int) -> bytes:
        self._queries.append(secrets.token_bytes(QUERY))
        packet = hello(self.tag, self._queries[number])
        return on_stream(packet) if self.stream else packet

    def _read(self, data: bytes) -> Said:
        packets = [data]
        if self.stream:
            packets, self._rest = off_stream(self._rest + data)
        return [self._answered(packet) for packet in packets]

    def _answered(self, packet: bytes) -> int | Malformed | Unexpected:
        try:
            info = read_self_info(packet)
        except Malformed as error:
            return error
        if info.tag != self.tag:
            return Unexpected("an answer for another tag", code="tag")
        if info.query not in self._queries:
            return Unexpected("an answer to a question that was not asked", code="query")
        self.first = self.first or info
        return self._queries.index(info.query)


def _facts(flow: Flow, hellos: Hellos, began: datetime) -> ReflectorFacts:
    paced, info = hellos.paced, hellos.first
    assert info is not None  # something was answered, or we would not be here
    seen = Private(info.ip, info.port)
    before = next((mapped for mapped in flow.mapped if mapped.family == seen.family), None)
    flow.mapped.append(seen)
    ahead = began + timedelta(seconds=paced.first_at) - datetime.fromtimestamp(info.date, UTC)
    return ReflectorFacts(
        rtt=paced.rtt,
        sent=len(paced.sent_at),
        answered=len(paced.trips),
        rtts=tuple(trip for _, trip in sorted(paced.trips.items())),
        over="tcp" if hellos.stream else "udp",
        wrong=paced.wrong,
        clock_ahead=round(ahead.total_seconds(), 1),
        reply_ttl=paced.reply_ttl,
        mapped_family=seen.family,
        mapped_public=seen.is_public,
        mapped_agrees=None if before is None else seen.same_host(before),
    )
