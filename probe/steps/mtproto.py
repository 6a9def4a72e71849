"""Make a Telegram data centre prove who it is, without an account, and stop before an authorization key is made.

Two questions on the open stream: what key do you have, and can you read what I encrypt for it. The first is what the
apps send to check a connection. Over port 80 they go as HTTP, over everything else as packets of a transport.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Literal

from msgspec import Meta

from probe.dialogue import converse
from probe.failure import Malformed, Rejected, StepError
from probe.mtproto.channel import Channel
from probe.mtproto.crypto import keys
from probe.mtproto.exchange import Exchange, Stage
from probe.mtproto.framing import MOST
from probe.mtproto.pq import factoring
from probe.mtproto.tl import pack_message
from probe.step import Flow, Need, Proof, Step

Transport = Literal["abridged", "intermediate", "padded", "full", "obfuscated2", "http"]
Ask = Callable[[bytes], Awaitable[tuple[bytes, float]]]


class MtprotoFacts(Proof):
    """How far it got, and what was learned.

    `speaks`: something answered in MTProto, if only with an error of the transport; it may be anybody. `offered` are
    the key fingerprints of its first answer as hex in wire order, `key_offered` whether a known one is among them.
    `rtts` are the seconds of each round trip, `factoring` those between them, in which the number was factored while
    other flows had their turns.
    """

    transport: Transport
    stage: Stage
    speaks: bool = False
    key_offered: bool = False
    offered: tuple[str, ...] = ()
    clock_ahead: float | None = None  # seconds our clock is ahead of the server's, which the proof covers
    rtts: tuple[float, ...] = ()
    factoring: float | None = None


class Mtproto(Step):
    """The exchange over one transport. `dc` is the data centre's number, negative for media; `trust` its keys."""

    dc: Annotated[int, Meta(ge=-20000, le=20000)] = 0  # needed; 10000 more for a test data centre
    transport: Transport = "obfuscated2"  # what the apps use
    trust: str = "telegram"  # configs/trust/<name>.pem
    seconds: float = 10.0

    def __post_init__(self) -> None:
        if self.dc == 0:
            raise ValueError("dc is needed: the data centre's number, negative for media")
        if self.trust in ("system", "any", ""):
            raise ValueError(f"trust {self.trust!r} names no RSA key; the proof needs one of configs/trust")

    @property
    def needs(self) -> Need:
        """An open stream."""
        return "stream"

    @property
    def is_counted(self) -> bool:
        """A data centre counts handshakes."""
        return True

    async def run(self, flow: Flow) -> MtprotoFacts:
        """Ask both questions. Raises Malformed, Rejected, Unexpected or Untrusted, with the facts as `partial`."""
        ask = self._over_http(flow) if self.transport == "http" else self._on_stream(flow)
        work = _Work(self, flow, ask)
        try:
            await work.done()
        except StepError as error:
            error.partial = work.facts()
            raise
        finally:
            flow.learned = work.facts()
        return work.facts()

    def _on_stream(self, flow: Flow) -> Ask:
        assert self.transport != "http"
        channel = Channel(self.transport, self.dc)
        return lambda message: converse(flow.stream(), channel.ask(message, self.seconds))

    def _over_http(self, flow: Flow) -> Ask:
        from probe.http_link import exchange

        host = f"[{flow.address}]" if ":" in flow.address else flow.address
        headers = [("host", host), ("accept-encoding", "identity")]

        async def ask(message: bytes) -> tuple[bytes, float]:
            try:
                response, body, complete, (_, ended) = await exchange(
                    flow, "POST", "https://measured/api", headers=headers, content=message, cap=MOST
                )
            except Malformed as error:
                error.code = "frame"
                raise
            if response.status_code >= 400:
                raise Rejected("the web server refuses", code=str(response.status_code))
            if response.status_code != 200 or not complete or body[:8] != bytes(8):
                raise Malformed("the answer is HTTP, and not MTProto inside", code="http")
            return body, ended

        return ask


class _Work:
    """One run of the step: the exchange, and when things happened."""

    def __init__(self, step: Mtproto, flow: Flow, ask: Ask) -> None:
        self._step, self._flow, self._ask = step, flow, ask
        self._exchange = Exchange(keys(flow.supplies.anchors[step.trust]), step.dc)
        self._trips: list[float] = []
        self._factoring: float | None = None
        self._heard: datetime | None = None
        self._refused = False

    async def done(self) -> None:
        """Ask, factor, ask."""
        pq = self._exchange.take_res_pq(await self._trip(self._exchange.req_pq()))
        p, q = await self._factored(pq)
        self._exchange.take_dh(await self._trip(self._exchange.req_dh(p, q)))

    async def _trip(self, body: bytes) -> bytes:
        # Message ids are Unix time in units of 2^-32 s, and those of a client are divisible by four.
        message_id = int(self._flow.net.utc().timestamp() * (1 << 32)) & ~3
        try:
            payload, seconds = await self._ask(pack_message(body, message_id))
        except Rejected:
            self._refused = self._step.transport != "http"  # any web server has a 404
            raise
        self._heard = self._flow.net.utc()
        self._trips.append(round(seconds, 6))
        return payload

    async def _factored(self, pq: int) -> tuple[int, int]:
        began = self._flow.net.now()
        work = factoring(pq)
        try:
            while True:
                next(work)
                await asyncio.sleep(0)  # the other flows are being timed
        except StopIteration as end:
            factors: tuple[int, int] = end.value
            return factors
        finally:
            self._factoring = round(self._flow.net.now() - began, 6)

    def facts(self) -> MtprotoFacts:
        """What is known by now."""
        exchange = self._exchange
        return MtprotoFacts(
            transport=self._step.transport,
            stage=exchange.stage,
            speaks=self._refused or exchange.stage != "opened",
            key_offered=exchange.key is not None,
            identity="proved" if exchange.stage == "proved" else "not proved",
            offered=tuple(one.hex() for one in exchange.offered[:8]),
            clock_ahead=self._clock_ahead(),
            rtts=tuple(self._trips),
            factoring=self._factoring,
        )

    def _clock_ahead(self) -> float | None:
        if self._exchange.server_time is None or self._heard is None:
            return None
        ahead = self._heard - datetime.fromtimestamp(self._exchange.server_time, UTC)
        return round(ahead.total_seconds(), 1)
