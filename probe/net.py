"""The only module that opens sockets and reads the clock.

Raw non-blocking sockets through the event loop, because errno must come through unwrapped, one address
must mean one attempt (no happy eyeballs), and getsockopt must stay within reach.
"""

import _thread
import asyncio
import contextlib
import errno
import socket
import struct
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

from probe.record import Private
from probe.step import PacedLink, SocketLink, TcpInfo

CHUNK = 65536
T = TypeVar("T")
_LOOKUPS_AT_ONCE = 64  # a look-up the system never answers keeps its thread; the rest must go on

# linux/in.h and linux/in6.h; Python exports them from 3.14 on.
_IP_RECVTTL = getattr(socket, "IP_RECVTTL", 12)
_IPV6_RECVHOPLIMIT = getattr(socket, "IPV6_RECVHOPLIMIT", 51)
_IPV6_HOPLIMIT = getattr(socket, "IPV6_HOPLIMIT", 52)
_SO_TIMESTAMPNS = 35  # linux/socket.h: a struct timespec of the wall clock with each datagram
_PATIENCE = (
    10.0  # seconds a datagram may lie in the kernel's buffer; a greater age means that the clock was set
)
_BATCH = 64  # datagrams taken before others have their turn


class SystemNet:
    """The real network."""

    def __init__(self) -> None:
        self._lookups = asyncio.Semaphore(_LOOKUPS_AT_ONCE)

    def now(self) -> float:
        """Seconds on a monotonic clock."""
        return time.monotonic()

    def utc(self) -> datetime:
        """The wall clock, in UTC."""
        return datetime.now(UTC)

    async def dial_tcp(self, ip: str, port: int) -> SocketLink:
        """Connect to one address, once. Raises OSError with its errno."""
        sock = _socket(ip, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().sock_connect(sock, (ip, port))
        except BaseException:
            sock.close()
            raise
        return TcpLink(sock)

    async def dial_udp(self, ip: str, port: int, *, local_port: int = 0) -> SocketLink:
        """A connected UDP socket that reports the TTL of what it receives, and ICMP errors as errno."""
        sock = _socket(ip, socket.SOCK_DGRAM)
        try:
            if local_port:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.bind(("", local_port))
            sock.connect((ip, port))
        except BaseException:
            sock.close()
            raise
        return UdpLink(sock)

    async def dial_paced(self, ip: str, port: int) -> PacedLink:
        """A connected UDP socket for media."""
        sock = _socket(ip, socket.SOCK_DGRAM)
        try:
            sock.connect((ip, port))
        except BaseException:
            sock.close()
            raise
        return PacedUdpLink(sock)

    def source(self, ip: str) -> Private | None:
        """Our own address towards another, None without a way there: connecting a UDP socket sends nothing."""
        try:
            with _socket(ip, socket.SOCK_DGRAM) as sock:
                sock.connect((ip, 9))
                return Private(sock.getsockname()[0])
        except OSError:
            return None

    async def system_lookup(self, name: str) -> list[str]:
        """What the operating system answers, in a thread that nobody has to wait for."""
        async with self._lookups:
            loop = asyncio.get_running_loop()
            answer: asyncio.Future[list[str]] = loop.create_future()
            # Not threading.Thread: its start waits until the thread runs, and everybody else would wait with it.
            _thread.start_new_thread(_ask_system, (loop, answer, name))
            return await answer


def _ask_system(loop: asyncio.AbstractEventLoop, answer: "asyncio.Future[list[str]]", name: str) -> None:
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        result: list[str] | Exception = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    except (OSError, UnicodeError) as error:
        result = error
    with contextlib.suppress(RuntimeError):  # the loop has gone; nobody is waiting
        loop.call_soon_threadsafe(_settle, answer, result)


def _settle(answer: "asyncio.Future[list[str]]", result: list[str] | Exception) -> None:
    if answer.done():
        return
    if isinstance(result, Exception):
        answer.set_exception(result)
    else:
        answer.set_result(result)


def _socket(ip: str, kind: socket.SocketKind) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET, kind)
    sock.setblocking(False)
    return sock


class _SocketLink:
    """What TCP and UDP links share: the tally, the clock, and bytes given back."""

    is_stream: bool

    def __init__(self, sock: socket.socket) -> None:
        self._sock, self._back = sock, b""
        self.sent = self.received = 0

    def now(self) -> float:
        return time.monotonic()

    def unread(self, data: bytes) -> None:
        self._back = data + self._back

    def local_port(self) -> int:
        return int(self._sock.getsockname()[1])

    def local_address(self) -> Private:
        return Private(self._sock.getsockname()[0])

    def close(self) -> None:
        self._sock.close()

    def tcp_info(self) -> TcpInfo | None:
        return None

    async def _when_readable(self, take: Callable[[], T]) -> T:
        """Take what there is, or wait for it. A cancelled wait has taken nothing (the loop's sock_recv may have)."""
        while True:
            try:
                taken = take()
            except BlockingIOError:
                await _readable(self._sock)
                continue
            await asyncio.sleep(0)  # a flood never makes us wait, and others must have their turn
            return taken


class TcpLink(_SocketLink):
    """A connected TCP socket."""

    is_stream = True

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self._sock, data)
        self.sent += len(data)

    async def receive(self) -> tuple[bytes, int | None]:
        if self._back:
            data, self._back = self._back, b""
            return data, None
        data = await self._when_readable(lambda: self._sock.recv(CHUNK))
        self.received += len(data)
        return data, None

    def tcp_info(self) -> TcpInfo | None:
        """From struct tcp_info of linux/tcp.h: fixed offsets, longer on newer kernels, absent elsewhere."""
        if not sys.platform.startswith("linux"):
            return None
        try:
            raw = self._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        except OSError:
            return None
        if len(raw) < 136:
            return None
        (rtt,) = struct.unpack_from("=I", raw, 68)
        (retransmits,) = struct.unpack_from("=I", raw, 100)
        acked, received = struct.unpack_from("=QQ", raw, 120)
        min_rtt = struct.unpack_from("=I", raw, 148)[0] if len(raw) >= 152 else 0xFFFFFFFF
        return TcpInfo(
            acked=acked,
            received=received,
            retransmits=retransmits,
            rtt=rtt / 1e6,
            min_rtt=None if min_rtt == 0xFFFFFFFF else min_rtt / 1e6,
        )


class UdpLink(_SocketLink):
    """A connected UDP socket."""

    is_stream = False

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        with contextlib.suppress(OSError):
            if sock.family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVHOPLIMIT, 1)
            else:
                sock.setsockopt(socket.IPPROTO_IP, _IP_RECVTTL, 1)

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self._sock, data)
        self.sent += len(data)

    async def receive(self) -> tuple[bytes, int | None]:
        data, ancillary, _, _ = await self._when_readable(lambda: self._sock.recvmsg(CHUNK, 64))
        self.received += len(data)
        return data, _ttl(ancillary)


class PacedUdpLink(UdpLink):
    """A connected UDP socket for media: sends without waiting, and knows when the kernel received what it hands out."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self.refusals: dict[str, int] = {}
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)

    def send_now(self, data: bytes) -> bool:
        """Let a datagram leave now; False if it did not. ICMP errors are counted in `refusals`, not raised."""
        try:
            self._sock.send(data)
        except OSError as error:
            self._refused(error)
            # An ICMP error belongs to an earlier datagram; this one was not sent because of it, and may be now.
            if error.errno not in (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.EACCES):
                return False
            try:
                self._sock.send(data)
            except OSError:
                return False
        self.sent += len(data)
        return True

    def on_datagram(self, hear: Callable[[bytes, float], None]) -> None:
        """Call `hear(data, at)` for each datagram until closed; `at` is on the same clock as `now`."""
        asyncio.get_running_loop().add_reader(self._sock, self._take, hear)

    def _take(self, hear: Callable[[bytes, float], None]) -> None:
        for _ in range(_BATCH):
            try:
                data, ancillary, _, _ = self._sock.recvmsg(CHUNK, 96)
            except BlockingIOError:
                return
            except OSError as error:
                self._refused(error)
                continue
            self.received += len(data)
            age = _age(ancillary)  # before `now`: what interrupts us in between may not make it seem earlier
            hear(data, self.now() - age)

    def _refused(self, error: OSError) -> None:
        if error.errno not in (errno.EAGAIN, errno.ENOBUFS):
            code = errno.errorcode.get(error.errno or 0, "OTHER")
            self.refusals[code] = self.refusals.get(code, 0) + 1

    def close(self) -> None:
        with contextlib.suppress(RuntimeError, ValueError):
            asyncio.get_running_loop().remove_reader(self._sock)
        super().close()


def _age(ancillary: list[tuple[int, int, bytes]]) -> float:
    """Seconds for which a datagram has lain in the kernel's buffer; 0 where the platform does not tell."""
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS) and len(data) >= 16:
            seconds, nanoseconds = struct.unpack_from("=qq", data)
            age = time.time() - (seconds + nanoseconds / 1e9)
            return age if 0.0 <= age < _PATIENCE else 0.0
    return 0.0


async def _readable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(sock, _mark, ready)
    try:
        await ready
    finally:
        loop.remove_reader(sock)


def _mark(ready: "asyncio.Future[None]") -> None:
    if not ready.done():
        ready.set_result(None)


def _ttl(ancillary: list[tuple[int, int, bytes]]) -> int | None:
    for level, kind, data in ancillary:
        if (level, kind) in ((socket.IPPROTO_IP, socket.IP_TTL), (socket.IPPROTO_IPV6, _IPV6_HOPLIMIT)):
            return int.from_bytes(data[:4], sys.byteorder)
    return None
