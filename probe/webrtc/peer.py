"""One end of a call: offer or answer, ICE, DTLS, then packets, each stage on its own so that each can fail by name."""

import asyncio
import secrets
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Literal, TypeVar, cast

from aiortc import RTCDtlsParameters, RTCDtlsTransport, RTCIceTransport
from OpenSSL import SSL

from probe.failure import Malformed
from probe.webrtc import sdp
from probe.webrtc.dtls import DtlsSeen, Hello, Watch, certificate
from probe.webrtc.ice import Agent
from probe.webrtc.media import Carrier
from probe.webrtc.relay import Relay
from probe.webrtc.rtp import Media, Packet, Stream, new_ssrc
from probe.webrtc.stage import Stage, StageFailed

T = TypeVar("T")


class Peer:
    """One end of one call.

    Offerer: `offer`, `accept`, `ice`, `dtls`; answerer: `answer`, `ice`, `dtls`. Then `send` or `reflect`, not both
    for one medium; at the end, and after any failure or cancellation, `close`. Bound every stage with
    `asyncio.timeout`: none gives up before it has to, and any may be cancelled.

    `on_packet` is called in the socket's callback. `clock` gives seconds; every time here is its. `local` are the
    addresses to call from (all of this machine's, if empty); with a relay everything goes through that instead.
    `candidates` are the types of the nominated pair, ours first ("host", "srflx", "prflx", "relay"), once there is
    one; an address of ours is "host" also behind a translator, which only the other side can see.
    """

    def __init__(
        self, *, clock: Callable[[], float], on_packet: Callable[[Packet], None], local: Sequence[str] = (),
        relay: Relay | None = None, hello: Hello = "library",
    ) -> None:  # fmt: skip
        self.candidates: tuple[str, str] | None = None
        self._relayed = relay is not None
        self._name = secrets.token_hex(8)
        self._watch = Watch()
        self._carrier = Carrier(clock=clock, on_packet=on_packet, name=self._name)
        self._agent = Agent(local=local, relay=relay, watch=self._watch, on_media=self._carrier.hear)
        # To aiortc the agent is a transport: it has what RTCDtlsTransport asks of one.
        self._dtls = RTCDtlsTransport(cast(RTCIceTransport, self._agent), [certificate(hello)])
        self._ssrcs: dict[Media, int] = {"audio": new_ssrc(), "video": new_ssrc()}
        self._fingerprints: RTCDtlsParameters | None = None
        self._pump: asyncio.Future[None] | None = None
        self._stages: set[asyncio.Task[Any]] = set()
        self._closing: asyncio.Task[None] | None = None

    # ------------------------------------------------------------------ signalling

    async def offer(self) -> str:
        """Gather candidates, and offer audio and video both ways.

        Raises OSError or ssl.SSLError as they come, and what the relay said: Rejected, Silent or Malformed.
        """
        self._agent.ice_controlling = True
        await self._run("gather", self._agent.gather_candidates())
        return self._describe(sdp.OFFERED, "actpass")

    async def answer(self, offer: str, *, setup: Literal["active", "passive"] | None = None) -> str:
        """Take an offer, gather candidates, and answer it.

        `passive` lets the caller send the DTLS hello, `active` sends it from here (also the default where the offer
        leaves the choice). Raises Malformed for an offer that cannot be used, or that has chosen otherwise; and what
        `offer` raises.
        """
        theirs = sdp.read_offer(offer)
        forced = {"active": "passive", "passive": "active"}.get(theirs.setup)
        if forced and setup and forced != setup:
            raise Malformed("the offer leaves no choice who begins the handshake")
        chosen = cast(Literal["active", "passive"], forced or setup or "active")
        await self._run("gather", self._agent.gather_candidates())
        if self._relayed:  # a relay lets in only those whom it was told of
            await self._agent.take_answered(theirs.candidates)
        else:
            self._agent.take_offered(theirs.candidates)
        self._agree(theirs, sends_hello=chosen == "active")
        return self._describe(theirs.lines, chosen)

    async def accept(self, answer: str) -> None:
        """Take the answer to our offer. Raises Malformed for one that cannot be used."""
        theirs = sdp.read_answer(answer)
        if not theirs.candidates:
            raise Malformed("the answer has no address to call")
        self._agree(theirs, sends_hello=theirs.setup == "passive")
        await self._agent.take_answered(theirs.candidates)

    def _describe(self, lines: Sequence[sdp.Section | sdp.Refusal], setup: sdp.Setup) -> str:
        local = self._dtls.getLocalParameters().fingerprints
        fingerprints = RTCDtlsParameters([one for one in local if one.algorithm == "sha-256"])
        identity = sdp.Identity(self._agent.local_username, self._agent.local_password, fingerprints)
        return sdp.write(lines, identity, setup, self._agent.local_candidates, self._ssrcs, self._name)

    def _agree(self, theirs: sdp.Theirs, *, sends_hello: bool) -> None:
        self._fingerprints = theirs.identity.fingerprints
        self._dtls._set_role("client" if sends_hello else "server")
        self._agent.remote_username, self._agent.remote_password = theirs.identity[:2]
        self._agent.remote_is_lite = theirs.identity.lite
        self._carrier.agree(
            Stream(
                section.media, payload_type=section.payload_type, clock_rate=section.clock_rate, mid=section.mid,
                mid_extension=section.mid_extension, sends=section.direction in ("sendrecv", "sendonly"),
                ssrc=self._ssrcs[section.media],
            )
            for section in theirs.sections
        )  # fmt: skip

    # ------------------------------------------------------------------ stages

    async def ice(self) -> None:
        """Check pairs of candidates until one is nominated. Raises StageFailed when all failed for good.

        That takes a minute of silence, and an answerer waits for ever: it knows no address but those that check it.
        """
        try:
            await self._run("ice", self._agent.connect())
        except StageFailed:
            raise
        except ConnectionError:
            raise self._ice_failure() from self._agent.trouble
        self.candidates = self._agent.pair()

    def _ice_failure(self) -> StageFailed:
        if self._agent.denied is not None:
            return StageFailed("ice", "denied", str(self._agent.denied))
        return StageFailed("ice", "lost" if self._agent.gone else "unanswered")

    async def dtls(self) -> None:
        """Shake hands and agree on keys. Raises StageFailed when it failed."""
        assert self._fingerprints is not None
        try:
            await self._run("dtls", self._dtls.start(self._fingerprints))
        except SSL.Error:
            raise StageFailed("dtls", "unanswered") from None  # OpenSSL asks no more
        if self._dtls.state != "connected":
            raise self._dtls_failure()
        self._pump = self._dtls._task
        assert self._pump is not None
        self._pump.add_done_callback(lambda _: self._carrier.end(self._why()))
        self._carrier.begin(self._dtls._rx_srtp, self._dtls._tx_srtp, self._agent.send_now)

    def _dtls_failure(self) -> StageFailed:
        connection = self._dtls._ssl
        if self._dtls.encrypted and connection is not None:
            return StageFailed("dtls", "identity" if connection.get_selected_srtp_profile() else "bytes")
        if self._watch.alert is not None:
            return StageFailed("dtls", "alert", str(self._watch.alert))
        return StageFailed("dtls", "bytes" if self._agent.alive else "lost")

    def _why(self) -> StageFailed:
        """Why there is no more media."""
        if self._closing is not None:
            return StageFailed("media", "closed")
        failure = StageFailed("media", "hung_up" if self._agent.alive else "lost")
        failure.__cause__ = self._agent.trouble
        return failure

    async def _run(self, stage: Stage, work: Coroutine[Any, Any, T]) -> T:
        """One stage as a task, so that `close` can end it from outside."""
        task = asyncio.ensure_future(work)
        if self._closing is not None:
            task.cancel()
        self._stages.add(task)
        try:
            return await task
        except asyncio.CancelledError:
            ours = asyncio.current_task()
            if self._closing is not None and ours is not None and not ours.cancelling():
                raise StageFailed(stage, "closed") from None
            raise
        finally:
            self._stages.discard(task)

    # ------------------------------------------------------------------ media

    def send(self, media: Media, payload: bytes, *, timestamp: int, marker: bool = False) -> float:
        """Send a packet at once; returns when it left. `timestamp` is RTP's, in the units of the medium's clock.

        Raises StageFailed once the call has ended, and OSError for a packet that this machine did not send.
        """
        return self._carrier.send(media, payload, timestamp, marker)

    def reflect(self, packet: Packet, payload: bytes | None = None) -> float | None:
        """Send a packet back as it is, or with another payload; returns when it left, None if it did not."""
        return self._carrier.reflect(packet, packet.payload if payload is None else payload)

    async def ended(self) -> StageFailed:
        """Wait until the media is over, and say why: the other side hung up, the path is lost, or we closed it."""
        return await self._carrier.ended()

    # ------------------------------------------------------------------ facts and end

    @property
    def dtls_facts(self) -> DtlsSeen | None:
        """What was seen of the handshake so far; None before there was a ClientHello."""
        return self._watch.seen(self._dtls._ssl if self._dtls.encrypted else None)

    @property
    def trouble(self) -> OSError | None:
        """The last error that the operating system reported for a socket of this call."""
        return self._agent.trouble

    @property
    def denied(self) -> int | None:
        """The STUN error code with which the relay refused to reach an address of the other side."""
        return self._agent.denied

    @property
    def hello(self) -> bytes:
        """The ClientHello without headers; empty before there was one."""
        return self._watch.hello

    async def close(self) -> None:
        """End the call and whatever stage it is in; at most about a second, also when the caller is cancelled."""
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        for task in self._stages:
            task.cancel()
        await asyncio.gather(*self._stages, return_exceptions=True)
        await self._dtls.stop()
        if self._pump is not None:
            await asyncio.gather(self._pump, return_exceptions=True)
        self._carrier.end(self._why())
        await self._agent.close()
