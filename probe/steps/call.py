"""Place a WebRTC call to the far end and keep it up: ICE, DTLS-SRTP, paced media both ways, each stage apart."""

import asyncio
import os
import secrets
from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import msgspec

from probe.failure import Malformed, Rejected, Silent, StepError
from probe.far_end.client import FarEnd, Heartbeat
from probe.far_end.protocol import Heard
from probe.far_end.talk import StageFacts, Talk
from probe.media.pacing import Pacing
from probe.media.shape import Profile, shortened
from probe.media.stamp import SIZE
from probe.record import Record
from probe.step import Facts, Flow, Need, Step
from probe.steps.media import raise_if_busy, raise_if_silent
from probe.steps.relayed import through
from probe.steps.signalling import greet

if TYPE_CHECKING:
    from probe.webrtc import Packet, Peer

Path = Literal["direct", "turn-udp", "turn-tcp", "turn-tls"]
# Our own deadlines (seconds): the library's are 5 to 63 s, and some of its waits never end.
_DEADLINES = {"gathering": 6.0, "signalling": 10.0, "ice": 15.0, "dtls": 12.0}
_AFTERWARDS = 1.0  # seconds in which late packets may still come
RTP, SRTP_TAG = 12, 16  # bytes of header and of AES-GCM's tag (RFC 7714) around a payload
_CLOCKS = {"audio": 48_000, "video": 90_000}
_VIDEO = 600  # bytes of mean packet size from which a profile is sent on the video stream
# What the other side or the relay said; everything else that ends a stage is silence.
_REFUSALS = {
    "denied": "the relay does not reach the other side",
    "alert": "the other side answered with an alert",
    "identity": "another certificate than announced",
    "bytes": "what came is not DTLS",
}
T = TypeVar("T")


class HelloFacts(Record):
    """The DTLS hello of a call: who sent it, its digest (SHA-256), bytes and datagrams; what was agreed on."""

    sender: Literal["us", "them"]
    kind: Literal["library", "permuted"]
    sha256: str = ""
    digest: str = ""  # over what does not change from call to call
    octets: int = 0
    datagrams: int = 0
    resent: int = 0  # datagrams of the handshake that we sent again
    version: str = ""
    cipher: str = ""
    profile: str = ""  # of SRTP


class CallFacts(Facts):
    """How far a call came: seconds since it began until each stage was complete, and what became of its media.

    Candidates are types (host, srflx, prflx, relay), never addresses. `heard`, `stopped` as in the media step.
    """

    path: Path
    gathered: float | None = None
    answered: float | None = None
    ice: float | None = None
    dtls: float | None = None
    first_media: float | None = None
    candidates: tuple[str, str] | None = None
    hello: HelloFacts | None = None
    stages: tuple[StageFacts, ...] = ()
    pacing: Pacing | None = None
    heartbeat: Heartbeat = Heartbeat()
    heard: bool = False
    stopped: bool = False
    ended: str = ""


class Call(Step):
    """A call to the far end, direct or through the TURN server beside it."""

    path: Path = "direct"
    hello: Literal["library", "permuted"] = "library"
    hello_from: Literal["us", "them"] = "us"
    profiles: tuple[str, ...] = ("voice", "video", "half")
    at_most: float = 0.0  # seconds of media; 0: all of the profiles
    trust: str = "system"  # of a second connection to the far end, where the first is lost
    seconds: float = 150.0

    @property
    def needs(self) -> Need:
        """An open stream: the signalling to the far end."""
        return "stream"

    async def run(self, flow: Flow) -> CallFacts:
        """Call, keep it up, hang up.

        Raises Silent with the stage as code ("ice", "dtls", "media", or "cut" where media ended in silence), Rejected
        where the far end or the TURN server refuses (code "turn-401" and the like for the latter), Malformed for what
        the far end says over HTTPS, Unsupported where there is no such relay (code "turn") or this machine was too
        busy (code "busy"), and OSError for what ends the signalling.
        """
        profiles = shortened([flow.supplies.profiles[name] for name in self.profiles], self.at_most)
        far = await greet(flow, self.trust)
        relay = await through(flow, self.path, far.welcome.turn, self.trust)
        import probe.webrtc  # noqa: F401 - a quarter of a second that is not the network's

        call, failure = _Call(self, flow, far), None
        try:
            await call.set_up(relay)
            async with far.beating():
                await call.keep_up(profiles)
        except (StepError, OSError) as error:  # a stage that failed for good is an OSError, too
            failure = error
        finally:
            await call.close()
        await call.hang_up()
        facts = call.facts()
        if failure is not None:
            raise failed(failure, call.stage, facts, denied=call.is_denied())
        _raise_if_incomplete(facts, call.lie)
        return facts


def failed(error: StepError | OSError, stage: str, partial: Facts, *, denied: bool) -> Exception:
    """The failure of a stage of a call, with its name and what was learned before.

    `denied`: the relay said that it does not reach the other side. The library goes on asking it for a minute.
    """
    reason = "denied" if denied and stage == "ice" else getattr(error, "reason", "")
    match error:
        case StepError():
            error.partial = error.partial or partial
            if stage == "gathering" and error.code:  # a relay's
                error.code = f"turn-{error.code}"
            return error
        case TimeoutError() | ConnectionError() if error.errno is None and reason in _REFUSALS:
            return Rejected(f"{_REFUSALS[reason]} in {stage}", code=f"{stage}-{reason}", partial=partial)
        case TimeoutError() | ConnectionError() if error.errno is None:
            return Silent(f"no answer in {stage}", code=stage, partial=partial)
        case _:
            return error


def _raise_if_incomplete(facts: CallFacts, lie: Malformed | None) -> None:
    raise_if_busy(facts, facts.pacing)
    if lie is not None:
        lie.partial = facts
        raise lie
    raise_if_silent(facts, facts.stages)


async def _connect(peer: "Peer", answer: str) -> None:
    await peer.accept(answer)
    await peer.ice()


class _Call:
    """A call while it is measured."""

    def __init__(self, step: Call, flow: Flow, far: FarEnd) -> None:
        self._step, self._flow, self._far = step, flow, far
        self._began = flow.net.now()
        self._key = secrets.token_bytes(16)
        self._talk = Talk(self._key, flow.net.now)
        self._peer: Peer | None = None
        self._log_path = ""
        self._heard: Heard | None = None
        self._times: dict[str, float] = {}
        self.stage = "gathering"
        self.lie: Malformed | None = None  # what the far end said instead of a log
        self._first_media: float | None = None
        self._clocks = dict.fromkeys(_CLOCKS, 0)

    async def set_up(self, relay: Any) -> None:
        """Gather, signal, ICE, DTLS, each within its own deadline."""
        from probe.webrtc import Peer

        source = self._flow.net.source(self._flow.address)
        local = [source.open()] if source is not None else []
        self._peer = peer = Peer(
            local=local,
            relay=relay,
            hello=self._step.hello,
            clock=self._flow.net.now,
            on_packet=self._hear,
        )
        offer = await self._within("gathering", "gathered", peer.offer())
        setup = "passive" if self._step.hello_from == "us" else "active"
        answer, self._log_path = await self._within(
            "signalling", "answered", self._far.call(offer, self._key.hex(), setup)
        )
        await self._within("ice", "ice", _connect(peer, answer))
        await self._within("dtls", "dtls", peer.dtls())

    async def _within(self, stage: str, name: str, doing: Awaitable[T]) -> T:
        self.stage = stage
        async with asyncio.timeout(_DEADLINES[stage]):
            done = await doing
        self._times[name] = round(self._flow.net.now() - self._began, 6)
        return done

    async def keep_up(self, profiles: Sequence[Profile]) -> None:
        """Send every profile's media."""
        self.stage = "media"
        for profile in profiles:
            media: Literal["audio", "video"] = "video" if sum(profile.sizes) / 2 >= _VIDEO else "audio"
            await self._talk.play(profile, lambda size, m=media, p=profile: self._send(m, p, size))  # type: ignore[misc]
            if self._talk.gave_up:
                break
        await asyncio.sleep(_AFTERWARDS)

    def _send(self, media: Literal["audio", "video"], profile: Profile, size: int) -> float | None:
        assert self._peer is not None
        payload = self._talk.mark(0) + os.urandom(max(0, size - RTP - SRTP_TAG - SIZE))
        self._clocks[media] += round(profile.every * _CLOCKS[media])
        try:
            at = self._peer.send(media, payload, timestamp=self._clocks[media] & 0xFFFFFFFF)
        except OSError:
            return None
        return self._talk.count(0, len(payload) + RTP + SRTP_TAG, at)

    def _hear(self, packet: "Packet") -> None:
        size = len(packet.payload) + RTP + SRTP_TAG
        if self._talk.hear(packet.payload[:SIZE], size, packet.arrived) is not None and not self._first_media:
            self._first_media = round(packet.arrived - self._began, 6)

    def is_denied(self) -> bool:
        """Whether the relay said that it does not reach the far end."""
        return self._peer is not None and self._peer.denied is not None

    async def hang_up(self) -> None:
        """End it at the far end, and get its log."""
        if not self._log_path:
            return
        try:
            heard = await self._far.call_log(self._log_path)
            self._talk.facts([0], heard)  # a log that cannot be true is none
            self._heard = heard
        except Malformed as lie:
            self.lie = lie
        except (StepError, OSError):
            pass

    async def close(self) -> None:
        """Send nothing more."""
        self._flow.sent += sum(one.size for one in self._talk.sent)
        self._flow.received += sum(one.size * one.copies for one in self._talk.answers.values())
        if self._peer is not None:
            await self._peer.close()

    def facts(self) -> CallFacts:
        """Everything that was seen."""
        peer = self._peer
        return CallFacts(
            path=self._step.path,
            first_media=self._first_media,
            candidates=peer.candidates if peer is not None else None,
            hello=self._hello(peer),
            stages=self._talk.facts([0], self._heard),
            pacing=self._talk.account() if self._talk.stages else None,
            heartbeat=self._far.heartbeat(),
            heard=self._heard is not None,
            stopped=self._talk.gave_up,
            ended=self._heard.ended if self._heard is not None else "",
            **self._times,
        )

    def _hello(self, peer: "Peer | None") -> HelloFacts | None:
        said = HelloFacts(sender=self._step.hello_from, kind=self._step.hello)
        seen = peer.dtls_facts if peer is not None else None
        if seen is None:
            return said
        return msgspec.structs.replace(
            said,
            sha256=seen.hello_sha256,
            digest=seen.hello_digest,
            octets=seen.hello_bytes,
            datagrams=seen.hello_datagrams,
            version=seen.version,
            cipher=seen.cipher,
            profile=seen.srtp,
            resent=seen.resent,
        )
