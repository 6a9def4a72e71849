"""The same flows over TCP: each packet behind two bytes of length."""

import asyncio
import socket
from collections.abc import Callable
from typing import cast

from probe.far_end.flows import Port
from probe.media.template import MAX_SIZE

_PATIENCE = 10.0  # seconds in which a connection must say whose it is
_STRANGERS = 64  # connections of nobody, at once
_BACKLOG = 64 * 1024  # bytes that may wait for a slow reader; more is not answered


def tcp_socket(address: str, port: int) -> socket.socket:
    """A bound socket. Raises OSError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    # Told the protocol, the event loop turns off Nagle's delay; an echo must not wait for the next packet.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address, port))
    except BaseException:
        sock.close()
        raise
    return sock


class TcpEcho(asyncio.Protocol):
    """One connection. `strangers` are those that have not yet said whose they are, of the whole far end."""

    def __init__(self, port: Port, clock: Callable[[], float], strangers: "set[TcpEcho]") -> None:
        self._port, self._clock, self._strangers = port, clock, strangers
        self._rest = b""
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody came."""
        self._transport = cast(asyncio.Transport, transport)
        if len(self._strangers) >= _STRANGERS:
            self._transport.abort()
            return
        self._strangers.add(self)
        self._timer = asyncio.get_running_loop().call_later(_PATIENCE, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        """Some bytes: whole packets are taken out of them."""
        at = self._clock()
        stream = self._rest + data
        start = 0
        while len(stream) - start >= 2:
            size = int.from_bytes(stream[start : start + 2], "big")
            if len(stream) - start - 2 < size <= MAX_SIZE:
                break
            start += 2 + size
            if not 0 < size <= MAX_SIZE or not self._packet(stream[start - size : start], at):
                self._hang_up()
                return
        self._rest = stream[start:]

    def connection_lost(self, exc: Exception | None) -> None:
        """They left, or we did."""
        self._is_known()
        self._port.gone(self)

    def _packet(self, packet: bytes, at: float) -> bool:
        """Take one packet in; False if it shows that the connection is nobody's, or over."""
        reply = self._port.hear(packet, self, at)
        if reply is None or self._transport is None:
            return False
        self._is_known()
        if reply.answer is not None:
            if self._transport.get_write_buffer_size() > _BACKLOG:
                reply.flow.take_back(reply.answer)
            else:
                self._transport.write(len(reply.answer).to_bytes(2, "big") + reply.answer)
        return not reply.flow.log.ended

    def _is_known(self) -> None:
        self._strangers.discard(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _hang_up(self) -> None:
        self._rest = b""
        if self._transport is not None:
            self._transport.abort()
