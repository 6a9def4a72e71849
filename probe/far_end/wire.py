"""A flow's datagrams, over UDP or framed on a TCP stream, behind two verbs."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from probe.dialogue import Link
from probe.failure import Closed, StepError, classify
from probe.far_end.protocol import NewFlow
from probe.step import Flow

_CONNECT = 10.0  # seconds for a TCP connection
_QUEUE = 64  # datagrams that may wait for a TCP stream; a fuller queue counts as not sent


def _nobody(data: bytes, at: float) -> None:
    pass


@dataclass
class Wire:
    """`send` lets a datagram leave, or says that it did not; `hear` is called with what arrives and when.

    `refusals` counts what the path said no with, by errno's name. `source_port` is ours.
    """

    send: Callable[[bytes], bool]
    source_port: int
    refusals: dict[str, int] = field(default_factory=dict)
    hear: Callable[[bytes, float], None] = _nobody


@asynccontextmanager
async def wire(flow: Flow, asked: NewFlow) -> AsyncIterator[Wire]:
    """A fresh socket to the port of a flow; nothing is sent after the block. Raises OSError if TCP does not connect."""
    if asked.transport == "tcp":
        async with _framed(flow, asked.port) as framed:
            yield framed
        return
    link = await flow.net.dial_paced(flow.address, asked.port)
    flow.sockets.append(link)
    made = Wire(link.send_now, link.local_port(), link.refusals)
    link.on_datagram(lambda data, at: made.hear(data, at))
    try:
        yield made
    finally:
        made.hear = _nobody


@asynccontextmanager
async def _framed(flow: Flow, port: int) -> AsyncIterator[Wire]:
    async with asyncio.timeout(_CONNECT):
        link = await flow.net.dial_tcp(flow.address, port)
    flow.sockets.append(link)
    frames: asyncio.Queue[bytes] = asyncio.Queue(_QUEUE)
    made = Wire(lambda data: _queue(frames, data), link.local_port())
    tasks = [asyncio.create_task(_write(link, frames)), asyncio.create_task(_hear(link, made))]
    try:
        yield made
    finally:
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, OSError | StepError):
                code = classify(result).code or "CLOSED"
                made.refusals[code] = made.refusals.get(code, 0) + 1
            elif isinstance(result, Exception):
                raise result


def _queue(frames: "asyncio.Queue[bytes]", data: bytes) -> bool:
    with contextlib.suppress(asyncio.QueueFull):
        frames.put_nowait(len(data).to_bytes(2, "big") + data)
        return True
    return False


async def _write(link: Link, frames: "asyncio.Queue[bytes]") -> None:
    while True:
        await link.send(await frames.get())


async def _hear(link: Link, made: Wire) -> None:
    rest = b""
    while True:
        data, _ = await link.receive()
        if not data:
            raise Closed("the stream ended")
        at = link.now()
        frames, rest = _split(rest + data)
        for frame in frames:
            made.hear(frame, at)


def _split(stream: bytes) -> tuple[list[bytes], bytes]:
    """The whole datagrams at the start of a stream, each behind two bytes of length, and what is left."""
    found, start = list[bytes](), 0
    while (end := start + 2 + int.from_bytes(stream[start : start + 2], "big")) <= len(stream):
        found.append(stream[start + 2 : end])
        start = end
    return found, stream[start:]
