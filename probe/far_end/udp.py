"""UDP sockets of a far end: raw and non-blocking, drained at each wake-up, answered at once.

asyncio's datagram transport cannot say when the kernel received what it hands out, and that is the time which counts.
"""

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import Callable

from probe.far_end.flows import Port

_BATCH = 64  # datagrams taken before others have their turn
_LONGEST = 2048
_BUFFER = 4 << 20
_SO_TIMESTAMPNS = 35  # linux/socket.h: a struct timespec of the wall clock with each datagram
_PATIENCE = 10.0  # seconds a datagram may have waited; a greater age means that the clock was set
_TIMESPEC = struct.Struct("=qq")


def udp_socket(address: str, port: int) -> socket.socket:
    """A bound socket. Raises OSError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        sock.bind((address, port))
    except BaseException:
        sock.close()
        raise
    return sock


class UdpEcho:
    """Carries datagrams between a socket and a port."""

    def __init__(self, sock: socket.socket, port: Port, clock: Callable[[], float]) -> None:
        self._sock, self._port, self._clock = sock, port, clock
        asyncio.get_running_loop().add_reader(sock, self._take)

    def close(self) -> None:
        """No more."""
        asyncio.get_running_loop().remove_reader(self._sock)
        self._sock.close()

    def _take(self) -> None:
        sock, port = self._sock, self._port
        for _ in range(_BATCH):
            try:
                data, ancillary, flags, source = sock.recvmsg(_LONGEST, 64)
            except BlockingIOError:
                return
            except OSError:
                continue
            if flags & socket.MSG_TRUNC:
                continue
            # Before the clock: what interrupts us in between may not make it seem earlier.
            age = _age(ancillary)
            reply = port.hear(data, source, self._clock() - age)
            if reply is None or reply.answer is None:
                continue
            try:
                sock.sendto(reply.answer, source)
            except OSError:  # a full buffer too: late answers are worth less than none
                reply.flow.take_back(reply.answer)


def _age(ancillary: list[tuple[int, int, bytes]]) -> float:
    """Seconds for which a datagram has waited in the kernel's buffer; 0 where the platform does not tell."""
    for level, kind, data in ancillary:
        if kind == _SO_TIMESTAMPNS and level == socket.SOL_SOCKET and len(data) >= _TIMESPEC.size:
            seconds, nanoseconds = _TIMESPEC.unpack_from(data)
            age = time.time() - (seconds + nanoseconds / 1e9)
            return age if 0.0 <= age < _PATIENCE else 0.0
    return 0.0
