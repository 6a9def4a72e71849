"""Listens on the addresses of a world with STUN, TURN, DTLS, QUIC, WebSocket, messengers' relays and bare TCP.

python -m tests.lab.responder SETTINGS.json      prints "ready" when everything listens
"""

import asyncio
import contextlib
import json
import socket
import ssl
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from probe.demo.certificates import Authority
from probe.demo.relays import DtlsRelay, ReflectorRelay, echo_reply, reflector_stream
from probe.demo.stand_ins import Address, Datagrams, WebServer, relay_reply
from probe.demo.websocket_stand_in import WebSocketServer
from probe.failure import Malformed
from probe.stun_message import COOKIE, Attribute, Message, Method, decode, error
from tests.lab import stand_ins
from tests.lab.stand_ins import Secrets

_FREEBIND4, _FREEBIND6 = (socket.IPPROTO_IP, 15), (socket.IPPROTO_IPV6, 78)


def listening(ip: str, port: int, kind: socket.SocketKind) -> socket.socket:
    """A socket on one address of the catch-all internet."""
    sock = socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET, kind)
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    level, option = _FREEBIND6 if ":" in ip else _FREEBIND4
    sock.setsockopt(level, option, 1)
    sock.bind((ip, port))
    if kind == socket.SOCK_STREAM:
        sock.listen(128)
    return sock


def microsoft_reply(data: bytes, sender: Address) -> bytes | None:
    """A refusal in Microsoft's dialect: unpadded, realm and nonce with swapped numbers, realm in quotes."""
    try:
        request = decode(data, padded=False)
    except Malformed:
        return None
    refusal = (
        (Attribute.ERROR_CODE, error(401, "Unauthorized")),
        (Attribute.REALM, b"n" * 20),
        (Attribute.NONCE, b'"rtcmedia"'),
    )
    return Message(Method.ALLOCATE, "error", request.transaction, refusal).encode(fill=b"")


async def relay_stream(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, reply: Callable[..., Any]
) -> None:
    """STUN and TURN on a stream."""
    peer = writer.get_extra_info("peername")
    with contextlib.suppress(OSError, ssl.SSLError, asyncio.IncompleteReadError):
        while True:
            header = await reader.readexactly(20)
            length, cookie = struct.unpack_from("!HI", header, 2)
            if cookie != COOKIE:
                break
            answer = reply(header + await reader.readexactly(length), peer[:2])
            if answer is not None:
                writer.write(answer)
                await writer.drain()
    writer.close()


async def silent_stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accepts, and says nothing."""
    with contextlib.suppress(OSError):
        await reader.read(1024)
    writer.close()


async def deaf_stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accepts, and says nothing for as long as anybody waits."""
    with contextlib.suppress(OSError):
        while await reader.read(1024):
            pass
    writer.close()


async def listen(endpoint: dict[str, Any], settings: dict[str, Any]) -> None:
    """Open one socket of the world."""
    loop = asyncio.get_running_loop()
    kind, ip, port, host = (endpoint[key] for key in ("kind", "ip", "port", "host"))
    reply = microsoft_reply if endpoint["dialect"] == "microsoft" else relay_reply(endpoint["realm"])
    protocols: dict[str, Callable[[], asyncio.DatagramProtocol]] = {
        "relay": lambda: Datagrams(reply),
        "reflector": ReflectorRelay,
        "echo": lambda: Datagrams(echo_reply()),
        "dtls": lambda: DtlsRelay(Authority("Relays").issue(host)),
        "quic": lambda: _quic(host, settings),
    }
    if kind in protocols:
        sock = listening(ip, port, socket.SOCK_DGRAM)
        await loop.create_datagram_endpoint(protocols[kind], sock=sock)
    else:
        await _stream(kind, ip, listening(ip, port, socket.SOCK_STREAM), host, reply, settings)


def _quic(host: str, settings: dict[str, Any]) -> asyncio.DatagramProtocol:
    from aioquic.asyncio.server import QuicServer
    from aioquic.quic.configuration import QuicConfiguration

    configuration = QuicConfiguration(is_client=False, alpn_protocols=["h3"])
    certificate, key = (Path(settings["keys"]) / f"{host}.{end}" for end in ("crt", "key"))
    configuration.load_cert_chain(certificate, key)
    return QuicServer(configuration=configuration)


def inspecting(folder: Path) -> ssl.SSLContext:
    """A TLS context that has a certificate for whatever name is said, as inspecting proxies do."""
    authority = Authority("Inspection Root")
    made: dict[str, ssl.SSLContext] = {}

    def mint(name: str) -> ssl.SSLContext:
        if name not in made:
            made[name] = authority.issue(name).context(folder, f"inspected-{len(made)}", ("h2", "http/1.1"))
        return made[name]

    def choose(tls: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        tls.context = mint(name or "nobody.example")

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sni_callback = choose
    return context


def _stand_in(kind: str, who: str, settings: dict[str, Any]) -> stand_ins.Serve:
    """Whoever stands in at this address, or behind this host's WebSocket."""
    behaviour = settings["behaviours"].get(who, "honest")
    return (
        deaf_stream if behaviour == "silent" else Secrets(Path(settings["secrets"])).serving(kind, behaviour)
    )


def _paths(host: str, settings: dict[str, Any]) -> dict[str, stand_ins.Serve | str]:
    """What the WebSockets of a host lead to: a stand-in, or a text that is said first."""
    return {
        path: _stand_in(says, host, settings) if says in stand_ins.KINDS else says
        for path, says in settings["sockets"][host].items()
    }


async def _stream(
    kind: str, ip: str, sock: socket.socket, host: str, reply: Callable[..., Any], settings: dict[str, Any]
) -> None:
    context = None
    if kind in ("relay-tls", "socket"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(
            Path(settings["keys"]) / f"{host}.crt", Path(settings["keys"]) / f"{host}.key"
        )
        context.set_alpn_protocols(["http/1.1"])
    if kind == "socket":
        server = WebSocketServer(_paths(host, settings))
        await asyncio.start_server(server.serve, sock=sock, ssl=context)
    elif kind in stand_ins.KINDS:
        await asyncio.start_server(_stand_in(kind, ip, settings), sock=sock)
    elif kind == "inspector":
        tls = inspecting(Path(settings["keys"]))
        await asyncio.start_server(WebServer({}).serve, sock=sock, ssl=tls)
    elif kind == "tcp":
        await asyncio.start_server(silent_stream, sock=sock)
    elif kind == "reflector-tcp":
        await asyncio.start_server(reflector_stream, sock=sock)
    else:
        await asyncio.start_server(lambda r, w: relay_stream(r, w, reply), sock=sock, ssl=context)


async def main() -> None:
    settings = json.loads(Path(sys.argv[1]).read_text())
    for endpoint in settings["endpoints"]:
        await listen(endpoint, settings)
    for host, path in settings["behind"].items():
        await asyncio.start_unix_server(WebSocketServer(_paths(host, settings)).serve, path)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
