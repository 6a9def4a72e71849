"""A path between a volunteer and a stand-in: forwards bytes, and interferes as it was told."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from typing import cast

from probe.demo.stand_ins import Address

_CHUNK = 65536
_COOKIE = b"\x21\x12\xa4\x42"

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


class StreamPath:
    """TCP: connects through, reads the first bytes, and resets if they are not liked."""

    def __init__(self, to: Address, reset_if: Drop = no_interference) -> None:
        self._to, self._reset_if = to, reset_if

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


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST: a socket that lingers for no time has nothing to say goodbye with."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class DatagramPath(asyncio.DatagramProtocol):
    """UDP: one socket towards the stand-in per client, as a router's translation has."""

    def __init__(self, to: Address, drop: Drop = no_interference) -> None:
        self._to, self._drop = to, drop
        self._here: asyncio.DatagramTransport | None = None
        self._clients: dict[Address, asyncio.DatagramTransport] = {}
        self._pending: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where answers go out."""
        self._here = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        """Forward, unless it is to be dropped."""
        if not self._drop(data):
            task = asyncio.get_running_loop().create_task(self._forward(data, addr))
            self._pending.add(task)
            task.add_done_callback(self._pending.discard)

    async def _forward(self, data: bytes, client: Address) -> None:
        there = self._clients.get(client)
        if there is None:
            there, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: _Back(self._here, client), remote_addr=self._to
            )
            self._clients[client] = there
        there.sendto(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of every client's socket."""
        for there in self._clients.values():
            there.close()


class _Back(asyncio.DatagramProtocol):
    def __init__(self, here: asyncio.DatagramTransport | None, client: Address) -> None:
        self._here, self._client = here, client

    def datagram_received(self, data: bytes, addr: Address) -> None:
        if self._here is not None and not self._here.is_closing():
            self._here.sendto(data, self._client)
