"""Protocols without sockets: a dialogue says what to send and what to wait for; one driver obliges.

A dialogue is a generator with three verbs. It never sees a socket or a clock; what it needs to know of
time comes back with each verb, as seconds since the dialogue began.

    at = yield from send(data)         # bytes on a stream, or one datagram
    data = yield from read(n)          # exactly n bytes of a stream (an early end raises Closed)
    heard = yield from listen(2.0)     # whatever comes within the time, or None for silence

Retransmission is a `for` loop around `send` and `listen`. `converse` runs any dialogue over any link;
`tests/play.py` runs it against a script.
"""

import asyncio
from collections.abc import Generator
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar

from probe.failure import Closed

MAX_READ = 1 << 20
_LATE = 0.02  # seconds by which a wait may overrun before the machine counts as busy


class Heard(NamedTuple):
    """What a link gave: some bytes of a stream or one datagram, when (seconds), and its reply TTL."""

    data: bytes
    at: float
    ttl: int | None = None


class Link(Protocol):
    """Something bytes can be sent to and received from; it counts both."""

    is_stream: bool

    async def send(self, data: bytes) -> None:
        """Send bytes, or one datagram."""
        ...

    async def receive(self) -> tuple[bytes, int | None]:
        """The next bytes (empty at the end of a stream) or datagram, and the TTL it arrived with."""
        ...

    def unread(self, data: bytes) -> None:
        """Give back bytes that the next reader should see first."""
        ...

    def now(self) -> float:
        """Seconds on a monotonic clock."""
        ...


class Send(NamedTuple):
    """Ask the driver to send."""

    data: bytes


class Read(NamedTuple):
    """Ask the driver for exactly `size` bytes."""

    size: int


class Listen(NamedTuple):
    """Ask the driver for whatever comes within `seconds`."""

    seconds: float


Act: TypeAlias = Send | Read | Listen
T = TypeVar("T")
# The driver answers each act with what that verb returns; the verbs below give it its type.
Dialogue: TypeAlias = Generator[Act, Any, T]


def send(data: bytes) -> Dialogue[float]:
    """Send, and learn when (seconds since the dialogue began)."""
    at: float = yield Send(data)
    return at


def read(count: int) -> Dialogue[bytes]:
    """Exactly `count` bytes of a stream; raises Closed if it ends before."""
    if not 0 <= count <= MAX_READ:
        raise ValueError(f"a dialogue may read at most {MAX_READ} bytes at once")
    data: bytes = yield Read(count)
    return data


def listen(seconds: float) -> Dialogue[Heard | None]:
    """Whatever comes within `seconds`, or None. An empty datagram is heard, an ended stream raises Closed."""
    heard: Heard | None = yield Listen(max(0.0, seconds))
    return heard


async def converse(link: Link, dialogue: Dialogue[T]) -> T:
    """Run a dialogue over a link. Raises what the dialogue raises, and what the link does if the dialogue lets it."""
    began = link.now()
    answer: Any = None
    try:
        act = next(dialogue)
        while True:
            try:
                answer = await _done(link, act, began)
            except OSError as error:
                act = dialogue.throw(error)
            else:
                act = dialogue.send(answer)
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        dialogue.close()


async def _done(link: Link, act: Act, began: float) -> Any:
    match act:
        case Send():
            await link.send(act.data)
            return link.now() - began
        case Read():
            return await _exactly(link, act.size)
        case Listen():
            return await _within(link, act.seconds, began)


async def _exactly(link: Link, count: int) -> bytes:
    pieces = bytearray()
    while len(pieces) < count:
        data, _ = await link.receive()
        if not data:
            raise Closed(f"the stream ended after {len(pieces)} of {count} bytes")
        pieces += data
    link.unread(bytes(pieces[count:]))
    return bytes(pieces[:count])


async def _received(link: Link, seconds: float) -> tuple[bytes, int | None] | None:
    try:
        async with asyncio.timeout(seconds):
            return await link.receive()
    except TimeoutError as error:
        if error.errno is not None:  # ETIMEDOUT from the socket is a failure, not silence
            raise
        return None


async def _within(link: Link, seconds: float, began: float) -> Heard | None:
    asked = link.now()
    came = await _received(link, seconds)
    if came is None and link.now() - asked > seconds + _LATE:
        # We were late, not the peer: a busy machine finds in its buffers what came in time.
        came = await _received(link, _LATE)
    if came is None:
        return None
    data, ttl = came
    if not data and link.is_stream:
        raise Closed("the stream ended")
    return Heard(data, link.now() - began, ttl)
