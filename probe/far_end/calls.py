"""WebRTC echo: every RTP packet of a call goes back to where it came from, without a codec."""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

from probe.failure import StepError
from probe.far_end.protocol import Heard
from probe.far_end.receive_log import Ended, ReceiveLog
from probe.far_end.settings import FarEndSettings
from probe.far_end.streams import Streams
from probe.far_end.tickets import Refused, Session
from probe.media.stamp import SIZE, Sealer

if TYPE_CHECKING:
    from probe.webrtc import Packet

Setup = Literal["active", "passive"] | None
_ANSWER_SECONDS = 5.0  # for reading an offer and finding our own candidates
_CONNECT_SECONDS = 30.0  # for ICE and DTLS
_KEPT_SECONDS = 120.0  # for which the log of a call that is over can be had
_LOGS = 4  # times the calls that may be under way: logs that are kept at most
_MOST_PACKETS = 200_000  # of a call without stamps
_SILENCE = 60.0  # seconds without a packet after which nobody is there any more


class Call:
    """One call, from its offer to its log. `key` is that of the stamps in its payloads, if it is one of ours."""

    def __init__(
        self, session: Session, key: bytes | None, most: int, clock: Callable[[], float], local: Sequence[str]
    ) -> None:
        from probe.webrtc import Peer

        self.session, self.ended_at = session, 0.0
        self.born = self.heard_at = clock()
        self._up = Sealer(key, "up") if key is not None else None
        self._down = Sealer(key, "down") if key is not None else None
        self._word, self._most, self._clock = 1 + secrets.randbelow(0xFFFF), most, clock
        self.log, self.streams = ReceiveLog(), Streams()
        self.peer = Peer(local=local, clock=clock, on_packet=self._hear)
        self.task: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        """ICE and DTLS; then it goes on by itself until it is closed."""
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                await self.peer.ice()
                await self.peer.dtls()
        except (StepError, OSError, TimeoutError):
            self.end("closed")
            await self.peer.close()

    async def close(self) -> None:
        """Let go of its sockets."""
        if self.task is not None:
            self.task.cancel()
        await self.peer.close()

    def heard(self) -> Heard:
        """The log so far."""
        return msgspec.structs.replace(self.log.heard(), streams=self.streams.counted())

    def end(self, why: Ended) -> None:
        """It is over, if it is not yet."""
        if not self.log.ended:
            self.log.ended, self.ended_at = why, self._clock()

    def _hear(self, packet: "Packet") -> None:
        log, size = self.log, len(packet.payload)
        if log.ended:
            return
        self.heard_at = packet.arrived
        self.streams.hear(packet)
        log.packets_in += 1
        log.octets_in += size
        self.session.octets += size
        if self.session.octets > self._most or log.is_full or log.packets_in > _MOST_PACKETS:
            self.end("octets")
            return
        stamp = self._up.open(packet.payload[:SIZE]) if self._up is not None else None
        if stamp is None or self._down is None:
            self._reflect(packet, None, -1)
            return
        log.proved = log.proved or stamp.word == self._word
        if log.hear(stamp.number, packet.arrived):
            mark = self._down.seal(stamp._replace(word=self._word, micros=log.micros(self._clock())))
            self._reflect(packet, mark + packet.payload[SIZE:], stamp.number)

    def _reflect(self, packet: "Packet", payload: bytes | None, number: int) -> None:
        left = None
        with contextlib.suppress(StepError, OSError):  # a call that has just ended; a full buffer
            left = self.peer.reflect(packet, payload)
        if left is not None:
            self.log.octets_out += len(packet.payload)
        elif number >= 0:
            self.log.keep_silent(number)


class Calls:
    """Takes calls, finds their logs, ends them."""

    def __init__(self, settings: FarEndSettings, clock: Callable[[], float]) -> None:
        self._limits, self._local, self._seen_as = settings.limits, settings.media, settings.seen_as
        self._clock = clock
        self._calls: dict[str, Call] = {}
        self._live: dict[str, Call] = {}
        self._closing: set[asyncio.Task[None]] = set()
        for name in ("aioice", "aiortc"):  # they log addresses
            logging.getLogger(name).setLevel(logging.CRITICAL)

    async def answer(self, offer: str, key: bytes | None, setup: Setup, session: Session) -> tuple[str, str]:
        """Take a call: the name of its log, and the answer (SDP). Raises Refused."""
        self._make_room(session)
        call = Call(session, key, self._limits.octets, self._clock, self._local)
        name = secrets.token_hex(16)
        session.live += 1
        self._calls[name] = self._live[name] = call
        answer = ""
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                answer = await call.peer.answer(offer, setup=setup)
        except StepError as error:
            raise Refused(400, f"the offer cannot be answered: {error.detail}") from None
        except OSError:  # a timeout, too
            raise Refused(503, "the far end cannot find a way to talk in time", retry=5.0) from None
        finally:
            if not answer:
                del self._calls[name]
                self._settle(name, call, "closed")
        call.task = asyncio.create_task(call.connect())
        return name, _as_seen(answer, self._seen_as)

    async def heard(self, name: str, session: Session, *, end: bool = False) -> Heard:
        """The log of a call, which is over then if `end` says so. Raises Refused."""
        call = self._calls.get(name)
        if call is None or call.session.id != session.id:
            raise Refused(404, "there is no such call, or no more")
        if end:
            self._settle(name, call, "closed")
        return call.heard()

    def sweep(self) -> None:
        """End what has lasted long enough, and forget what is over for long."""
        now = self._clock()
        for name, call in list(self._live.items()):
            if call.log.ended:
                self._settle(name, call, "closed")
            elif now - call.born > self._limits.seconds or now - call.heard_at > _SILENCE:
                self._settle(name, call, "time")
        over = [name for name in self._calls if name not in self._live]
        surplus = len(over) - _LOGS * self._limits.calls
        for index, name in enumerate(over):
            if index < surplus or now - self._calls[name].ended_at > _KEPT_SECONDS:
                del self._calls[name]

    async def close(self) -> None:
        """Hang up on everybody."""
        for name, call in list(self._live.items()):
            self._settle(name, call, "closed")
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _make_room(self, session: Session) -> None:
        most = self._limits
        if session.live >= most.per_session:
            raise Refused(429, "this session has as many flows and calls under way as it may have", retry=5.0)
        if session.octets >= most.octets:
            raise Refused(429, "this session has spent its bytes")
        if len(self._live) >= most.calls:
            raise Refused(503, "the far end has as many calls under way as it can serve", retry=10.0)

    def _settle(self, name: str, call: Call, why: Ended) -> None:
        if self._live.pop(name, None) is None:
            return
        call.end(why)
        call.session.live -= 1
        task = asyncio.get_running_loop().create_task(call.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


def _as_seen(answer: str, seen_as: Mapping[str, str]) -> str:
    """The answer with the addresses under which our own are seen from outside (RFC 8839 section 5.1)."""
    lines = answer.split("\r\n")
    for index, line in enumerate(lines):
        if line.startswith("a=candidate:"):
            words = line.split(" ")
            words[4:5] = [seen_as.get(word, word) for word in words[4:5]]
            lines[index] = " ".join(words)
    return "\r\n".join(lines)
