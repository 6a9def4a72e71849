"""A path between a volunteer and a stand-in: forwards bytes, and interferes as it was told."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from typing import cast

from probe.demo.stand_ins import Address
from probe.failure import Malformed
from probe.steps.reflector_frames import read_hello

_CHUNK = 65536
_COOKIE = b"\x21\x12\xa4\x42"

# Whether a datagram, or the first bytes of a stream, go no further. One with a memory belongs to one flow, of which it
# is shown every datagram of both directions in order.
Drop = Callable[[bytes], bool]


def no_interference(data: bytes) -> bool:
    """Let everything pass."""
    return False


def is_stun(data: bytes) -> bool:
    """Whether a datagram carries the magic cookie (RFC 8489 section 5)."""
    return data[4:8] == _COOKIE


def names(*hosts: str) -> Drop:
    """Whether a first flight names one of these hosts in clear, as a TLS ClientHello does."""
    wanted = [host.encode() for host in hosts]
    return lambda data: any(host in data for host in wanted)


def is_reflector_hello(data: bytes) -> bool:
    """Whether a client of Telegram's call relays says hello."""
    try:
        read_hello(data)
    except Malformed:
        return False
    return True


class AfterType:
    """Drops a flow from the moment on at which a STUN message of this type has passed, whoever sent it.

    The type is the message's first 16 bits (RFC 8489 section 5).
    """

    def __init__(self, type_: int) -> None:
        self._type, self._seen = type_.to_bytes(2, "big"), False

    def __call__(self, data: bytes) -> bool:
        """Whether it was seen before."""
        seen = self._seen
        self._seen = seen or (is_stun(data) and data[:2] == self._type)
        return seen


class AfterPackets:
    """Lets so many packets of a flow pass, both directions together, if its first one is of this kind."""

    def __init__(self, most: int, begins: Drop) -> None:
        self._most, self._begins = most, begins
        self._passed = 0
        self._minded = False

    def __call__(self, data: bytes) -> bool:
        """Whether so many have passed."""
        if not self._passed:
            self._minded = self._begins(data)
        self._passed += 1
        return self._minded and self._passed > self._most


def any_of(*drops: Drop) -> Drop:
    """What any of them drops. All of them see everything."""
    return lambda data: True in [drop(data) for drop in drops]


class StreamPath:
    """TCP: connects through, reads the first bytes, and resets if they are not liked.

    With `cut`, the far side's first answer passes, and nothing after it, either way.
    """

    def __init__(self, to: Address, reset_if: Drop = no_interference, *, cut: bool = False) -> None:
        self._to, self._reset_if, self._cut = to, reset_if, cut

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection."""
        there: asyncio.StreamWriter | None = None
        try:
            first = await reader.read(_CHUNK)
            if not first or self._reset_if(first):
                _reset(writer)
                return
            back, there = await asyncio.open_connection(*self._to)
            there.write(first)
            if self._cut:
                writer.write(await back.read(_CHUNK))
                await _swallow(reader)
                return
            await asyncio.gather(_pump(reader, there), _pump(back, writer))
        except OSError:
            pass
        finally:
            for end in (writer, there):
                if end is not None:
                    end.close()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(_CHUNK):
            sink.write(data)
            await sink.drain()
        sink.write_eof()


async def _swallow(source: asyncio.StreamReader) -> None:
    """Take what comes until the sender gives up, and let nobody have it."""
    while await source.read(_CHUNK):
        pass


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST: a socket that lingers for no time has nothing to say goodbye with."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class DatagramPath(asyncio.DatagramProtocol):
    """UDP: one socket towards the stand-in per client, as a router's translation has; `drop` makes a filter for it."""

    def __init__(self, to: Address, drop: Callable[[], Drop] = lambda: no_interference) -> None:
        self._to, self._drop = to, drop
        self._here: asyncio.DatagramTransport | None = None
        self._flows: dict[Address, _Flow] = {}
        self._pending: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where answers go out."""
        self._here = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        """Forward, unless it is to be dropped."""
        flow = self._flows.get(addr)
        if flow is None:
            flow = self._flows[addr] = _Flow(self._drop(), lambda answer: self._answer(answer, addr))
            task = asyncio.get_running_loop().create_task(flow.open(self._to))
            self._pending.add(task)
            task.add_done_callback(self._pending.discard)
        flow.forward(data)

    def _answer(self, data: bytes, client: Address) -> None:
        if self._here is not None and not self._here.is_closing():
            self._here.sendto(data, client)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of every client's socket."""
        for flow in self._flows.values():
            flow.close()


class _Flow(asyncio.DatagramProtocol):
    """One client's datagrams and their answers, and what interferes with them."""

    def __init__(self, drop: Drop, answer: Callable[[bytes], None]) -> None:
        self._drop, self._answer = drop, answer
        self._there: asyncio.DatagramTransport | None = None
        self._waiting: list[bytes] = []
        self._closed = False

    async def open(self, to: Address) -> None:
        """Make the socket towards the stand-in, and let what has come meanwhile go on."""
        self._there, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: self, remote_addr=to
        )
        for data in self._waiting:
            self._there.sendto(data)
        self._waiting.clear()
        if self._closed:
            self._there.close()

    def forward(self, data: bytes) -> None:
        """From the client to the stand-in, unless it is to be dropped."""
        if self._drop(data):
            return
        if self._there is None:
            self._waiting.append(data)
        else:
            self._there.sendto(data)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        """From the stand-in to the client, unless it is to be dropped."""
        if not self._drop(data):
            self._answer(data)

    def close(self) -> None:
        """Let go of the socket."""
        self._closed = True
        if self._there is not None:
            self._there.close()
