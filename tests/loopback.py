"""Real servers on loopback for the tests, and flows towards them."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from probe.demo.certificates import Authority, Issued
from probe.net import SystemNet
from probe.step import Flow, Supplies

HERE = "127.0.0.1"
ROOT = Authority("Test Root")
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def context(issued: Issued, *alpn: str) -> ssl.SSLContext:
    """A server's TLS context."""
    with TemporaryDirectory() as folder:
        return issued.context(Path(folder), "leaf", alpn or ("http/1.1",))


@asynccontextmanager
async def stream_server(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A TCP server; yields its port."""
    tasks: set[asyncio.Task[None]] = set()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ssl.SSLError, asyncio.IncompleteReadError):
            await handler(reader, writer)
        writer.close()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(carry(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(begin, HERE, 0, ssl=tls)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def datagram_server(protocol: asyncio.DatagramProtocol) -> AsyncIterator[int]:
    """A UDP server; yields its port."""
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: protocol, local_addr=(HERE, 0)
    )
    try:
        yield int(transport.get_extra_info("sockname")[1])
    finally:
        transport.close()


@asynccontextmanager
async def flow(
    port: int, *, host: str = "chat.example", anchors: Mapping[str, str] | None = None
) -> AsyncIterator[Flow]:
    """A flow to a port on loopback; the test root is trusted as "test"."""
    supplies = Supplies(anchors=anchors or {"test": ROOT.pem.decode()})
    made = Flow(net=SystemNet(), host=host, ip=HERE, port=port, supplies=supplies)
    try:
        yield made
    finally:
        made.close()
