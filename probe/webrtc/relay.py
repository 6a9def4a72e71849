"""A TURN server to go through: where it is, an allocation at it, and datagrams by way of it at once."""

import asyncio
import contextlib
import ipaddress
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from ssl import SSLContext, create_default_context
from typing import Any, Literal, NamedTuple

from aioice.stun import TransactionError, TransactionFailed, TransactionTimeout, parse_message
from aioice.turn import (
    DEFAULT_ALLOCATION_LIFETIME,
    DEFAULT_CHANNEL_REFRESH_TIME,
    TurnClientTcpProtocol,
    TurnClientUdpProtocol,
)

from probe.failure import Closed, Malformed, Rejected, Silent

_LEAVE = 1.0  # seconds in which a relay may confirm that an allocation is given up
_URL = re.compile(r"(turns?):(\[[0-9a-fA-F:.]+\]|[0-9.]+)(?::(\d{1,5}))?(?:\?transport=(udp|tcp))?")


Transport = Literal["udp", "tcp", "tls"]


class RelayAddress(NamedTuple):
    """Where a relay is and how it is spoken to."""

    ip: str
    port: int
    transport: Transport


@dataclass(frozen=True, kw_only=True)
class Relay:
    """A TURN server to go through.

    `url` is a TURN URI (RFC 7065) whose host is an address: "turn:192.0.2.1:3478?transport=udp", `?transport=tcp`,
    or "turns:192.0.2.1:5349" (TLS); IPv6 in brackets. With TLS, `server_name` is the name asked for and checked
    (otherwise the address is), and `ssl` says who is trusted (otherwise whom the system trusts).
    """

    url: str
    username: str
    password: str = field(repr=False)
    server_name: str | None = None
    ssl: SSLContext | None = None

    def __post_init__(self) -> None:
        self.where()

    def where(self) -> RelayAddress:
        """The address and the transport. Raises ValueError for what is not such a URI."""
        found = _URL.fullmatch(self.url)
        if found is None:
            raise ValueError(f"{self.url!r} is not a TURN URI with an address in it")
        scheme, host, digits, over = found.groups()
        transport: Transport = "tls" if scheme == "turns" else "tcp" if over == "tcp" else "udp"
        if transport == "tls" and over == "udp":
            raise ValueError(f"{self.url!r}: TURN over DTLS is not spoken here")
        port = int(digits or (5349 if transport == "tls" else 3478))
        if not 0 < port < 1 << 16:
            raise ValueError(f"{self.url!r}: there is no such port")
        return RelayAddress(str(ipaddress.ip_address(host.strip("[]"))), port, transport)


def _readable(data: bytes) -> bool:
    """Whether it is relayed data (RFC 8656 section 12.4) or STUN that can be read; the rest might raise in the loop."""
    first = data[0] if data else 255
    if first >= 64:
        return first < 128
    try:
        parse_message(data)
    except Exception:  # noqa: BLE001 - aioice raises many types for hostile bytes
        return False
    return True


class OverUdp(TurnClientUdpProtocol):
    """A client over UDP. `broken` gets the first error of its socket."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.broken: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes | str, addr: tuple[str, int]) -> None:
        """Take in what can be read."""
        if isinstance(data, bytes) and _readable(data):
            super().datagram_received(data, addr)

    def error_received(self, exc: Exception) -> None:
        """What ICMP or our own system says."""
        if not self.broken.done():
            self.broken.set_result(exc)
        if self.receiver is not None:
            self.receiver.error_received(exc)


class OverTcp(TurnClientTcpProtocol):
    """A client over TCP or TLS. `broken` gets the error with which the connection ended, or None."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.broken: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes | str, addr: tuple[str, int]) -> None:
        """Take in what can be read."""
        if isinstance(data, bytes) and _readable(data):
            super().datagram_received(data, addr)

    def connection_lost(self, exc: Exception | None) -> None:
        """The relay ended it, or somebody did."""
        if not self.broken.done():
            self.broken.set_result(exc)
        super().connection_lost(exc)


Client = OverUdp | OverTcp


async def connect(relay: Relay) -> Client:
    """A client with a socket to the relay; nothing is allocated yet. Raises OSError or ssl.SSLError."""
    loop = asyncio.get_running_loop()
    where = relay.where()
    server, login = (where.ip, where.port), (relay.username, relay.password)
    times = (DEFAULT_ALLOCATION_LIFETIME, DEFAULT_CHANNEL_REFRESH_TIME)
    if where.transport == "udp":
        return (
            await loop.create_datagram_endpoint(lambda: OverUdp(server, *login, *times), remote_addr=server)
        )[1]
    secure = where.transport == "tls"
    return (
        await loop.create_connection(
            lambda: OverTcp(server, *login, *times),
            *server,
            ssl=(relay.ssl or create_default_context()) if secure else None,
            server_hostname=(relay.server_name or where.ip) if secure else None,
        )
    )[1]


async def allocate(client: Client) -> None:
    """Ask for an address. Raises OSError as it comes, Closed, and what the relay said: Rejected, Silent, Malformed."""
    asking = asyncio.ensure_future(client.connect())
    either: tuple[asyncio.Future[Any], ...] = (asking, client.broken)
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not asking.done():
            raise client.broken.result() or Closed("the relay ended the connection")
        await asking
    except TransactionFailed as error:
        raise Rejected("the relay refused an allocation", code=str(error.response.error_code)) from None
    except TransactionTimeout:
        raise Silent("the relay did not answer") from None
    except (TransactionError, ConnectionError, ValueError, LookupError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise Malformed("the relay's answer is not an allocation") from None
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


class RelayTransport(asyncio.DatagramTransport):
    """Datagrams through an allocation: at once where a channel is bound (RFC 8656 section 12), else after binding one.

    STUN always takes the slow way, which renews a channel in time; consent is asked for every five seconds.
    """

    def __init__(self, client: Client, on_error: Callable[[Exception], None]) -> None:
        super().__init__()
        self._client, self._on_error = client, on_error
        self._tasks: set[asyncio.Task[None]] = set()

    def sendto(self, data: Any, addr: Any = None) -> None:
        """Send to a peer. Errors go to `on_error`."""
        if self._client.transport.is_closing():
            return
        channel = self._client.peer_to_channel.get(addr) if data[0] > 3 else None
        if channel is not None:
            self._client._send(struct.pack("!HH", channel, len(data)) + data)
            return
        task = asyncio.ensure_future(self._client.send_data(data, addr))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and isinstance(error := task.exception(), Exception):
            self._on_error(error)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """`sockname` is the relayed address."""
        return self._client.relayed_address if name == "sockname" else default

    def is_closing(self) -> bool:
        """Whether it is closed or closing."""
        return self._client.transport.is_closing()

    async def leave(self) -> None:
        """Tell the relay that the allocation is not needed any more, and stop what still waits to be sent."""
        waiting = list(self._tasks)
        for task in waiting:
            task.cancel()
        with contextlib.suppress(Exception):  # whatever it answers: we leave
            async with asyncio.timeout(_LEAVE):
                await self._client.delete()
        await asyncio.gather(*waiting, return_exceptions=True)

    def close(self) -> None:
        """As `abort`: an allocation has nothing to wait for."""
        self.abort()

    def abort(self) -> None:
        """Close the socket to the relay, whatever is unsent."""
        self._client.transport.abort()
