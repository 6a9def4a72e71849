"""The probe's side of a far end: a session on the flow's open, trusted stream."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias, TypeVar

import msgspec

from probe.failure import Failure, Malformed, Rejected, StepError, Unsupported, classify
from probe.far_end.protocol import (
    CALLS,
    FLOWS,
    KEY_HEADER,
    MAX_LOG,
    PING,
    SESSION,
    VERSION,
    WHIP,
    Ask,
    Heard,
    Made,
    NewFlow,
    Refusal,
    Welcome,
)
from probe.record import Record, peer_text
from probe.step import Flow, TurnAccess

R = TypeVar("R", bound=Record)
_MAX_ANSWER = 64 * 1024
_ANSWER = 10.0  # seconds for any answer
_HEARTBEAT = 5.0  # seconds between questions beside the media
_ALIVE = 5.0  # seconds in which one of them is answered
_LOG = 8.0  # seconds to wait for a log
# What a far end says is said again, to it or to a TURN server, and must fit there: a header (RFC 6750 section 2.1),
# a path, a look-up, an attribute (RFC 8489 section 14.3).
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{1,500}=*")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_HOST = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*|[0-9A-Fa-f:.]{2,45}")
_CREDENTIAL = 508  # bytes
_LONGEST = 7_200_000_000  # microseconds of a log; no far end lets a flow last so long


class Heartbeat(Record):
    """Questions over HTTPS beside the media: asked, answered, and the slowest answer (seconds)."""

    asked: int = 0
    answered: int = 0
    slowest: float = 0.0
    failure: Failure | None = None


class FarEnd:
    """A session. One question at a time goes over its connection; `reopen` makes a new one when that has failed."""

    def __init__(self, flow: Flow, welcome: Welcome, reopen: "Reopen") -> None:
        self._flow, self.welcome, self._reopen = flow, welcome, reopen
        self._turn = asyncio.Lock()
        self._asked = self._answered = 0
        self._slowest = 0.0
        self._failure: Failure | None = None
        self._broken = False

    @classmethod
    async def greet(cls, flow: Flow, reopen: "Reopen") -> "FarEnd":
        """Begin a session. Raises Rejected for a refusal, Malformed for what is no far end."""
        body = msgspec.json.encode(Ask(key=flow.supplies.far_end_key))
        status, _, answer = await _exchange(flow, "POST", SESSION, {}, body, _MAX_ANSWER)
        welcome = _read(status, answer, 201, Welcome)
        if welcome.version != VERSION:
            raise Unsupported("the far end speaks another version of our protocol", code="version")
        if not _TOKEN.fullmatch(welcome.token) or not _is_usable(welcome.turn):
            raise Malformed("the far end's welcome cannot be used", code="welcome")
        return cls(flow, welcome, reopen)

    async def new_flow(self, asked: NewFlow) -> Made:
        """Announce a paced flow. Raises Unsupported where the far end does not listen at that port."""
        if asked.port not in (self.welcome.udp if asked.transport == "udp" else self.welcome.tcp):
            raise Unsupported(
                "the far end does not listen at this port", code=f"{asked.transport}-{asked.port}"
            )
        status, _, answer = await self._ask("POST", FLOWS, msgspec.json.encode(asked))
        made = _read(status, answer, 201, Made)
        if not _NAME.fullmatch(made.id):
            raise Malformed("the far end does not say where the flow is", code="id")
        return made

    async def flow_log(self, made: Made) -> Heard:
        """End a flow and get its log."""
        return await self._end(f"{FLOWS}/{made.id}")

    async def call(self, offer: str, key: str, setup: str) -> tuple[str, str]:
        """Place a call: the SDP answer, and the path of its log (WHIP, RFC 9725)."""
        headers = {"content-type": "application/sdp", KEY_HEADER: key}
        status, location, answer = await self._ask("POST", f"{WHIP}?setup={setup}", offer.encode(), headers)
        if status != 201:
            raise _refusal(status, answer)
        if not location.startswith(f"{CALLS}/") or not _NAME.fullmatch(location.removeprefix(f"{CALLS}/")):
            raise Malformed("the far end does not say where the call is", code="location")
        return answer.decode("utf-8", "replace"), location

    async def call_log(self, path: str) -> Heard:
        """Hang up and get the log."""
        return await self._end(path)

    @asynccontextmanager
    async def beating(self) -> AsyncIterator[None]:
        """Ask now and then, for as long as the block lasts: does HTTPS to the far end live while its media does not?"""
        over = asyncio.Event()
        task = asyncio.create_task(self._beat(over))
        try:
            yield
        except asyncio.CancelledError:
            task.cancel()  # nobody waits for anything any more
            raise
        finally:
            over.set()  # a question under way is waited for: cut off, it would spoil the connection
            await asyncio.gather(task, return_exceptions=True)
        task.result()  # our own mistake, if there was one

    async def _beat(self, over: asyncio.Event) -> None:
        while self._failure is None and not over.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_HEARTBEAT):
                    await over.wait()
                    return
            self._asked += 1
            began = self._flow.net.now()
            try:
                async with asyncio.timeout(_ALIVE):
                    status, _, _ = await self._ask("GET", PING)
            except (StepError, OSError) as error:
                self._failure = classify(error)
                return
            self._answered += status == 204
            self._slowest = max(self._slowest, self._flow.net.now() - began)

    def heartbeat(self) -> Heartbeat:
        """How the heartbeats fared."""
        return Heartbeat(
            asked=self._asked, answered=self._answered, slowest=round(self._slowest, 6), failure=self._failure
        )

    async def _ask(
        self, method: str, path: str, content: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, str, bytes]:
        authorized = {"authorization": f"Bearer {self.welcome.token}"} | (headers or {})
        async with self._turn:
            if self._broken:
                self._flow, self._broken = await self._reopen(), False
            try:
                return await _exchange(self._flow, method, path, authorized, content, MAX_LOG)
            except BaseException:  # a question that was cut off leaves its connection unusable, too
                self._broken = True
                raise

    async def _end(self, path: str) -> Heard:
        """End a flow or call; asked once more if the connection was lost meanwhile."""
        try:
            async with asyncio.timeout(_LOG):
                status, _, answer = await self._ask("DELETE", path)
        except (StepError, OSError):
            async with asyncio.timeout(_LOG):
                status, _, answer = await self._ask("DELETE", path)
        heard = _read(status, answer, 200, Heard)
        if sum(heard.at) > _LONGEST or heard.packets_in < 0:
            raise Malformed("the far end's log cannot be true", code="log")
        return heard


Reopen: TypeAlias = Callable[[], Awaitable[Flow]]


async def _exchange(
    flow: Flow, method: str, path: str, headers: dict[str, str], content: bytes, cap: int
) -> tuple[int, str, bytes]:
    from probe.http_link import exchange

    host = flow.host or (f"[{flow.address}]" if ":" in flow.address else flow.address)
    sent = {"host": host, "accept": "*/*", "accept-encoding": "identity", "content-type": "application/json"}
    if content or method == "POST":
        sent["content-length"] = str(len(content))
    async with asyncio.timeout(_ANSWER):
        response, body, complete, _ = await exchange(
            flow, method, f"https://{host}{path}", headers=(sent | headers).items(), content=content, cap=cap
        )
    if not complete:
        raise Malformed("the far end's answer has no end", code="endless")
    return response.status_code, response.headers.get("location", ""), body


def _read(status: int, body: bytes, wanted: int, shape: type[R]) -> R:
    if status != wanted:
        raise _refusal(status, body)
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise Malformed("the answer is not a far end's", code="json") from None


def _is_usable(turn: TurnAccess | None) -> bool:
    """Whether it can be looked up, dialled and told the credentials."""
    if turn is None:
        return True
    ports = all(0 <= port < 1 << 16 for port in (turn.udp, turn.tcp, turn.tls))
    short = all(len(text.encode()) <= _CREDENTIAL for text in (turn.username, turn.password))
    return ports and short and _HOST.fullmatch(turn.host) is not None


def _refusal(status: int, body: bytes) -> StepError:
    try:
        reason = peer_text(msgspec.json.decode(body, type=Refusal).reason)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return Malformed("the answer is not a far end's", code=str(status))
    return Rejected(f"the far end refuses: {reason}", code=str(status))
