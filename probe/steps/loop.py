"""A WebRTC call to ourselves through a TURN server, where there is no far end: both peers here, relay-only."""

import asyncio
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from probe.failure import StepError
from probe.far_end.receive_log import ReceiveLog
from probe.far_end.talk import StageFacts, Talk
from probe.media.pacing import Pacing
from probe.media.shape import Profile, shortened
from probe.media.stamp import KEY, SIZE, Sealer
from probe.step import Facts, Flow, Step
from probe.steps.call import RTP, SRTP_TAG, failed
from probe.steps.media import raise_if_busy, raise_if_silent
from probe.steps.relayed import through

if TYPE_CHECKING:
    from probe.webrtc import Packet, Relay

_DEADLINES = {"gathering": 8.0, "ice": 15.0, "dtls": 12.0}
_AFTERWARDS = 1.0
_CLOCK = 48_000
Over = Literal["udp", "tcp", "tls"]


class LoopFacts(Facts):
    """How far the call came (seconds since it began) and what became of its media. Up is from the first peer through
    the relay to the second, down is back; one clock times both."""

    over: Over
    gathered: float | None = None
    ice: float | None = None
    dtls: float | None = None
    stages: tuple[StageFacts, ...] = ()
    pacing: Pacing | None = None


class Loop(Step):
    """A call from us to us. Its server is that of `[turn]` in probe.toml; used only where there is no far end."""

    over: Over = "udp"
    profiles: tuple[str, ...] = ("voice", "half")
    at_most: float = 0.0
    trust: str = "system"
    seconds: float = 120.0

    async def run(self, flow: Flow) -> LoopFacts:
        """Call, keep it up, hang up.

        Raises Silent with the stage as code ("gathering", "ice", "dtls", "media", "cut"), Rejected where the server
        does not relay to itself, what the turn step raises with "turn-" before its code, and Unsupported where this
        machine was too busy (code "busy").
        """
        profiles = shortened([flow.supplies.profiles[name] for name in self.profiles], self.at_most)
        relay = await through(flow, f"turn-{self.over}", flow.supplies.turn, self.trust)
        import probe.webrtc  # noqa: F401 - a quarter of a second that is not the network's

        assert relay is not None
        call, failure = _Loop(self, flow, relay), None
        try:
            await call.set_up()
            await call.keep_up(profiles)
        except (StepError, OSError) as error:  # a stage that failed for good is an OSError, too
            failure = error
        finally:
            await call.close()
        facts = call.facts()
        if failure is not None:
            raise failed(failure, call.stage, facts, denied=call.is_denied())
        raise_if_busy(facts, facts.pacing)
        raise_if_silent(facts, facts.stages)
        return facts


class _Loop:
    def __init__(self, step: Loop, flow: Flow, relay: "Relay") -> None:
        from probe.webrtc import Peer

        key, now = os.urandom(KEY), flow.net.now
        self._flow, self._step, self._now, self._began, self.stage = flow, step, now, now(), "gathering"
        self._talk, self._log = Talk(key, now), ReceiveLog()
        self._up, self._down = Sealer(key, "up"), Sealer(key, "down")
        self._times: dict[str, float] = {}
        self._clock = 0
        self._caller: Peer = Peer(clock=now, relay=relay, on_packet=self._hear)
        self._callee: Peer = Peer(clock=now, relay=relay, on_packet=self._answer)

    async def set_up(self) -> None:
        """Both sides through their stages together."""
        async with asyncio.timeout(_DEADLINES["gathering"]):
            answer = await self._callee.answer(await self._caller.offer(), setup="passive")
            await self._caller.accept(answer)
        self._times["gathered"] = round(self._now() - self._began, 6)
        for stage in ("ice", "dtls"):
            self.stage = stage
            async with asyncio.timeout(_DEADLINES[stage]):
                await asyncio.gather(*(getattr(peer, stage)() for peer in (self._caller, self._callee)))
            self._times[stage] = round(self._now() - self._began, 6)

    async def keep_up(self, profiles: Sequence[Profile]) -> None:
        """Media of every profile."""
        self.stage = "media"
        for profile in profiles:
            await self._talk.play(profile, lambda size, every=profile.every: self._send(size, every))  # type: ignore[misc]
            if self._talk.gave_up:
                break
        await asyncio.sleep(_AFTERWARDS)

    def _send(self, size: int, every: float) -> float | None:
        payload = self._talk.mark(0) + os.urandom(max(0, size - RTP - SRTP_TAG - SIZE))
        self._clock = (self._clock + round(every * _CLOCK)) & 0xFFFFFFFF
        try:
            at = self._caller.send("audio", payload, timestamp=self._clock)
        except OSError:
            return None
        return self._talk.count(0, len(payload) + RTP + SRTP_TAG, at)

    def _answer(self, packet: "Packet") -> None:
        stamp = self._up.open(packet.payload[:SIZE])
        if stamp is None or not self._log.hear(stamp.number, packet.arrived):
            return
        mark = self._down.seal(stamp._replace(micros=self._log.micros(self._now())))
        if self._callee.reflect(packet, mark + packet.payload[SIZE:]) is None:
            self._log.keep_silent(stamp.number)

    def _hear(self, packet: "Packet") -> None:
        self._talk.hear(packet.payload[:SIZE], len(packet.payload) + RTP + SRTP_TAG, packet.arrived)

    async def close(self) -> None:
        """Send nothing more."""
        sent, back = sum(s.size for s in self._talk.sent), sum(a.size for a in self._talk.answers.values())
        self._flow.sent += sent + back  # of both ends
        self._flow.received += sent + back
        await asyncio.gather(self._caller.close(), self._callee.close())

    def is_denied(self) -> bool:
        """Whether the relay said that it does not reach itself."""
        return any(peer.denied is not None for peer in (self._caller, self._callee))

    def facts(self) -> LoopFacts:
        """Everything that was seen."""
        return LoopFacts(
            over=self._step.over,
            stages=self._talk.facts([0], self._log.heard()),
            pacing=self._talk.account() if self._talk.stages else None,
            **self._times,
        )
