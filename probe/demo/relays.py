"""Stand-ins for the relays that calls go through: Telegram's, Discord's, WhatsApp's. Small, honest, on loopback."""

import asyncio
import struct
import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, cast

from probe.demo.certificates import Issued
from probe.demo.stand_ins import Address, relay_reply
from probe.failure import Malformed, StepError
from probe.steps import reflector_frames as frames
from probe.steps.dtls_engine import CLIENT_HELLO, Engine, context, handshake_types
from probe.steps.echo import MAGIC
from probe.steps.stun import KEEP_ALIVE, KEPT_ALIVE
from probe.stun_message import COOKIE

_MOST_CLIENTS = 256


def echo_reply() -> Callable[[bytes, Address], bytes | None]:
    """Discord's echo: eight bytes that begin right come back as they are."""
    return lambda data, sender: data if len(data) == 8 and data.startswith(MAGIC) else None


class ReflectorRelay(asyncio.DatagramProtocol):
    """Telegram's reflector: a hello registers its tag and is answered; data goes on to the other side of the call.

    It goes to the endpoint whose prefix differs from the sender's in bit 0 and whose last four bytes are the
    destination's, with the prefix rewritten to the receiver's. Only a registered endpoint may send.
    """

    def __init__(self, most: int = _MOST_CLIENTS) -> None:
        self._most = most
        self._endpoints: OrderedDict[bytes, Address] = OrderedDict()
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where answers go out."""
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        """Answer a hello, forward data, ignore the rest."""
        assert self._transport is not None
        answer = self_info_reply(data, addr)
        if answer is not None:
            self._register(data[: frames.TAG], addr)
            self._transport.sendto(answer, addr)
            return
        try:
            frame = frames.read_data(data)
        except Malformed:
            return
        if self._endpoints.get(frame.prefix + frame.sender) == addr:
            prefix = frames.other_side(frame.prefix)
            to = self._endpoints.get(prefix + frame.to)
            if to is not None:
                self._transport.sendto(frames.pack_data(frame._replace(prefix=prefix)), to)

    def _register(self, tag: bytes, addr: Address) -> None:
        self._endpoints[tag] = addr
        self._endpoints.move_to_end(tag)
        if len(self._endpoints) > self._most:
            self._endpoints.popitem(last=False)


def self_info_reply(data: bytes, sender: Address) -> bytes | None:
    """What a reflector answers to a hello; None for anything else."""
    try:
        tag, query = frames.read_hello(data)
    except Malformed:
        return None
    ip = ip_address(sender[0])
    mapped = f"::ffff:{ip}" if ip.version == 4 else str(ip)
    return frames.pack_self_info(frames.SelfInfo(tag, int(time.time()), query, mapped, sender[1]))


async def reflector_stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A reflector on a stream, as its clients speak to it: hellos only. Hangs up on anything else."""
    try:
        if await reader.readexactly(4) == frames.STREAM_START:
            while True:
                (length,) = struct.unpack("<I", await reader.readexactly(4))
                asked = await reader.readexactly(min(length, 64))
                answer = self_info_reply(asked, writer.get_extra_info("peername")[:2])
                if answer is None:
                    break
                writer.write(frames.on_stream(answer))
                await writer.drain()
    except (OSError, asyncio.IncompleteReadError):
        pass
    writer.close()


class DtlsRelay(asyncio.DatagramProtocol):
    """WhatsApp's relay: shakes hands with DTLS 1.2 on a plain UDP socket, and answers STUN in clear beside it.

    First bytes tell them apart (RFC 7983; the service's own types of STUN begin with 08). It knows `most` clients
    at once and forgets the oldest.
    """

    def __init__(self, issued: Issued, *, realm: str = "relay.example", most: int = _MOST_CLIENTS) -> None:
        self._context = _server_context(issued)
        self._in_clear = relay_reply(realm)
        self._most = most
        self._clients: OrderedDict[Any, _Client] = OrderedDict()
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where answers go out."""
        self._transport = cast(asyncio.DatagramTransport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget everybody."""
        while self._clients:
            self._forget(next(iter(self._clients)))

    def datagram_received(self, data: bytes, addr: Address) -> None:
        """Answer STUN, go on with a handshake, ignore the rest."""
        assert self._transport is not None
        if data[:1] < b"\x14":
            answer = keep_alive_reply(data) or self._in_clear(data, (addr[0], addr[1]))
            if answer is not None:
                self._transport.sendto(answer, addr)
        elif b"\x14" <= data[:1] <= b"\x3f":
            self._shake_hands(data, addr)

    def _shake_hands(self, data: bytes, addr: Address) -> None:
        client = self._clients.get(addr)
        if client is None or (client.done and CLIENT_HELLO in handshake_types(data)):
            if CLIENT_HELLO not in handshake_types(data):
                return
            self._forget(addr)
            client = self._clients[addr] = _Client(Engine(self._context, server=True))
            if len(self._clients) > self._most:
                self._forget(next(iter(self._clients)))
        client.engine.feed(data)
        self._go_on(addr, client)

    def _go_on(self, addr: Address, client: "_Client") -> None:
        assert self._transport is not None
        gone = False
        try:
            client.done = client.done or client.engine.shake_hands()
            gone = client.done and client.engine.ended()
        except StepError:
            gone = True
        for datagram in client.engine.outgoing():
            self._transport.sendto(datagram, addr)
        client.wake(None)
        if gone:
            self._forget(addr)
            return
        left = client.engine.timeout()
        if left is not None and not client.done:
            loop = asyncio.get_running_loop()
            client.wake(loop.call_later(left, self._again, addr, client))

    def _again(self, addr: Address, client: "_Client") -> None:
        try:
            client.engine.expire()
        except StepError:
            self._forget(addr)
            return
        self._go_on(addr, client)

    def _forget(self, addr: Address) -> None:
        client = self._clients.pop(addr, None)
        if client is not None:
            client.wake(None)


class _Client:
    """One client's connection, and when to send to it again."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.done = engine, False
        self._timer: asyncio.TimerHandle | None = None

    def wake(self, timer: asyncio.TimerHandle | None) -> None:
        """Replace the timer."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = timer


def _server_context(issued: Issued) -> Any:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    made = context()
    made.set_tlsext_use_srtp(b"SRTP_AES128_CM_SHA1_80")
    made.use_certificate(x509.load_pem_x509_certificate(issued.certificate))
    made.use_privatekey(load_pem_private_key(issued.key, None))
    return made


def keep_alive_reply(data: bytes) -> bytes | None:
    """WhatsApp's keep-alive: a bare header comes back with the next type; None for anything else."""
    if len(data) != 20 or data[:8] != struct.pack("!HHI", KEEP_ALIVE, 0, COOKIE):
        return None
    return struct.pack("!HHI", KEPT_ALIVE, 0, COOKIE) + data[8:]
