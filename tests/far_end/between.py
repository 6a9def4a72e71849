"""What may stand between a probe and a far end on loopback: lost datagrams, cut lines, answers that are not its own."""

import asyncio
import contextlib
import json
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import httpx

from probe.demo.path import _reset
from probe.far_end.protocol import WHIP
from tests.far_end.house import Visitor
from tests.loopback import HERE, ROOT, context, datagram_server, stream_server

Way = Literal["up", "down"]
Lets = Callable[[Way, bytes], bool]


def all_pass(way: Way, data: bytes) -> bool:
    """Whatever it is."""
    return True


def none_pass(way: Way, data: bytes) -> bool:
    """Whatever it is."""
    return False


def only(passing: Way) -> Lets:
    """One way is open, the other is not."""
    return lambda way, data: way == passing


def is_media(data: bytes) -> bool:
    """SRTP and no SRTCP, by its first two bytes (RFC 7983, RFC 5761 section 4)."""
    return 127 < data[0] < 192 and not 191 < data[1] < 224


def is_dtls(data: bytes) -> bool:
    """By its first byte (RFC 7983)."""
    return 19 < data[0] < 64


class CutAfter:
    """Lets so many datagrams of a kind pass each of these ways, and then no more."""

    def __init__(self, most: int, *ways: Way, kind: Callable[[bytes], bool] = lambda data: True) -> None:
        self._kind = kind
        self._left = dict.fromkeys(ways, most)

    def __call__(self, way: Way, data: bytes) -> bool:
        if way not in self._left or not self._kind(data):
            return True
        self._left[way] -= 1
        return self._left[way] >= 0

    def heal(self) -> None:
        """Let everything pass from now on."""
        self._left.clear()


class Path(asyncio.DatagramProtocol):
    """Stands before a UDP port for one client. `up` and `down` are what came from either side."""

    def __init__(self, to: int, lets: Lets = all_pass) -> None:
        self.up: list[bytes] = []
        self.down: list[bytes] = []
        self._to, self._lets, self._client = to, lets, (HERE, 0)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        way: Way = "down" if addr[1] == self._to else "up"
        (self.down if way == "down" else self.up).append(data)
        if way == "up":
            self._client = addr
        if self._lets(way, data):
            self._transport.sendto(data, self._client if way == "down" else (HERE, self._to))

    async def carries(self, count: int) -> None:
        """Wait until so many have come from the client."""
        async with asyncio.timeout(20):
            while len(self.up) < count:
                await asyncio.sleep(0.01)

    async def is_quiet(self) -> bool:
        """Whether nothing more comes from the client."""
        before = len(self.up)
        await asyncio.sleep(0.3)
        return len(self.up) == before


@asynccontextmanager
async def path(visitor: Visitor, lets: Lets = all_pass) -> AsyncIterator[tuple[int, Path]]:
    """A path to a far end's UDP port, which knows that other number as its own; yields the number."""
    (port,) = visitor.far_end.udp[:1]
    made = Path(port, lets)
    async with datagram_server(made) as outside:
        listen_as(visitor, outside)
        yield outside, made


def listen_as(visitor: Visitor, outside: int) -> None:
    """Another number leads to the far end's UDP port, as behind a router that forwards ports."""
    ports = visitor.far_end.house.flows.ports
    ports["udp", outside] = ports["udp", visitor.far_end.udp[0]]


def closed_port() -> int:
    """A UDP port where nobody listens."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((HERE, 0))
        return int(sock.getsockname()[1])


class Line:
    """Carries TCP connections to a port. Once `dead` no new one is taken; while `deaf` nothing comes back."""

    def __init__(self, to: int) -> None:
        self.taken, self.dead, self.deaf, self._to = 0, False, False, to
        self._open: list[asyncio.StreamWriter] = []

    def cut(self, *, for_good: bool = False) -> None:
        """Reset those that are open."""
        self.dead = for_good
        for writer in self._open:
            _reset(writer)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        if self.dead:
            writer.transport.abort()
            return
        self.taken += 1
        back, there = await asyncio.open_connection(HERE, self._to)
        self._open += [writer, there]
        try:
            await asyncio.gather(self._pump(reader, there), self._pump(back, writer, back=True))
        finally:
            there.transport.abort()

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, back: bool = False
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                if not (back and self.deaf):
                    sink.write(data)
                    await sink.drain()
        sink.close()


class Asked(NamedTuple):
    """A request of the probe."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def what(self) -> str:
        """Method and kind of thing, "POST flows" or "DELETE calls"."""
        return f"{self.method} {self.path.split('/')[2].partition('?')[0]}"


@dataclass
class Said:
    """An answer to it. `raw` goes out as it is, if it is given; an empty one hangs up."""

    status: int
    body: bytes
    location: str = ""
    raw: bytes | None = None

    @classmethod
    def json(cls, status: int, **fields: object) -> "Said":
        """An answer in JSON."""
        return cls(status, json.dumps(fields).encode())


# What is said instead of the far end's own answer, which `real` asks for, with another body if one is given.
Real = Callable[..., Awaitable[Said]]
Change = Callable[[Asked, Real], Awaitable[Said]]


@asynccontextmanager
async def between(visitor: Visitor, change: Change, host: str = HERE) -> AsyncIterator[int]:
    """HTTPS in a far end's place: each request goes to `change`; yields the port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            asked = await _asked(reader)

            async def real(body: bytes = asked.body, asked: Asked = asked) -> Said:
                headers = {k: v for k, v in asked.headers.items() if k not in ("host", "content-length")}
                request = visitor.client.build_request(
                    asked.method, asked.path, headers=headers, content=body
                )
                response: httpx.Response = await visitor.client.send(request)
                return Said(response.status_code, response.content, response.headers.get("location", ""))

            said = await change(asked, real)
            if said.raw is None:
                head = f"HTTP/1.1 {said.status} X\r\ncontent-length: {len(said.body)}\r\n"
                head += f"location: {said.location}\r\n" if said.location else ""
                writer.write(head.encode() + b"\r\n" + said.body)
            else:
                writer.write(said.raw)
            await writer.drain()
            if said.raw is not None:
                return

    async with stream_server(serve, context(ROOT.issue(host))) as port:
        yield port


async def _asked(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    method, where, _ = head[0].split(" ")
    parts = [line.partition(": ") for line in head[1:] if line]
    headers = {name.lower(): value for name, _, value in parts}
    return Asked(method, where, headers, await reader.readexactly(int(headers.get("content-length", 0))))


_CANDIDATE = re.compile(r"(a=candidate:(?:\S+ ){5})(\d+)( typ host)")


@asynccontextmanager
async def call_path(visitor: Visitor, lets: Lets = all_pass) -> AsyncIterator[tuple[int, list[Path]]]:
    """A far end whose calls are reached by way of a `Path`: its answers name that one's port. Yields the HTTPS port."""
    paths: list[Path] = []
    async with AsyncExitStack() as stack:

        async def divert(asked: Asked, real: Real) -> Said:
            said = await real()
            if asked.path.startswith(WHIP) and said.status == 201:
                found = _CANDIDATE.search(said.body.decode())
                assert found is not None
                paths.append(Path(int(found[2]), lets))
                outside = await stack.enter_async_context(datagram_server(paths[-1]))
                said.body = _CANDIDATE.sub(rf"\g<1>{outside}\g<3>", said.body.decode()).encode()
            return said

        yield await stack.enter_async_context(between(visitor, divert)), paths
