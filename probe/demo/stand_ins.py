"""Stand-ins for what messengers run: name server, web server, relay, QUIC. Small, honest, on loopback."""

import asyncio
import contextlib
import secrets
import ssl
from collections.abc import Callable, Mapping
from email.utils import formatdate
from http import HTTPStatus
from pathlib import Path
from typing import cast

from probe.demo.certificates import Issued
from probe.failure import Malformed
from probe.stun_message import Attribute, Message, Method, decode, error, pack_address

Address = tuple[str, int]
Pages = Mapping[str, tuple[int, Mapping[str, str], bytes]]
_PATIENCE = 20.0
_MAX_HEAD = 16384


class Datagrams(asyncio.DatagramProtocol):
    """Answers each datagram on its own."""

    def __init__(self, reply: Callable[[bytes, Address], bytes | None]) -> None:
        self._reply = reply
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where answers go out."""
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        """Answer, or stay silent."""
        answer = self._reply(data, addr)
        if answer is not None and self._transport is not None:
            self._transport.sendto(answer, addr)


def relay_reply(realm: str) -> Callable[[bytes, Address], bytes | None]:
    """A STUN and TURN server that knows nobody: a Binding is answered, an Allocate is refused with 401."""

    def reply(data: bytes, sender: Address) -> bytes | None:
        try:
            request = decode(data, classic=len(data) >= 8 and data[4:8] != b"\x21\x12\xa4\x42")
        except Malformed:
            return None
        if request.class_ != "request":
            return None
        answer = _relay_answer(request, sender, realm)
        return answer.encode() if answer is not None else None

    return reply


def _relay_answer(request: Message, sender: Address, realm: str) -> Message | None:
    if request.method == Method.BINDING and len(request.transaction) == 16:
        mapped = (Attribute.MAPPED_ADDRESS, pack_address(sender[0], sender[1]))
        return Message(Method.BINDING, "success", request.transaction, (mapped,))
    if request.method == Method.BINDING:
        seen = (Attribute.XOR_MAPPED_ADDRESS, pack_address(sender[0], sender[1], request.transaction))
        return Message(Method.BINDING, "success", request.transaction, (seen,))
    if request.method == Method.ALLOCATE and len(request.transaction) == 12:
        refusal = (
            (Attribute.ERROR_CODE, error(401, "Unauthorized")),
            (Attribute.REALM, realm.encode()),
            (Attribute.NONCE, secrets.token_hex(8).encode()),
        )
        return Message(Method.ALLOCATE, "error", request.transaction, refusal)
    return None


def name_reply(
    zone: Mapping[str, tuple[str, ...]], denied: frozenset[str] = frozenset()
) -> Callable[[bytes, Address], bytes | None]:
    """A name server for A and AAAA that answers from `zone`, and says that `denied` names do not exist."""
    import dns.exception
    import dns.flags
    import dns.message
    import dns.rcode
    import dns.rdatatype
    import dns.rrset

    def reply(data: bytes, sender: Address) -> bytes | None:
        try:
            query = dns.message.from_wire(data)
            question = query.question[0]
        except (dns.exception.DNSException, IndexError):
            return None
        name = question.name.to_text(omit_final_dot=True).lower()
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        if name in denied or name not in zone:
            answer.set_rcode(dns.rcode.NXDOMAIN)
            return answer.to_wire()
        six = question.rdtype == dns.rdatatype.AAAA
        ips = [ip for ip in zone[name] if (":" in ip) == six]
        if ips and question.rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA):
            answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", question.rdtype, *ips))
        return answer.to_wire()

    return reply


class WebServer:
    """HTTP/1.1 with fixed pages; every other path is a 404."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer questions until the peer has no more."""
        try:
            async with asyncio.timeout(_PATIENCE):
                while head := await _head(reader):
                    writer.write(self._answer(head))
                    await writer.drain()
        except (OSError, TimeoutError, ssl.SSLError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(OSError, ssl.SSLError):
                await writer.wait_closed()

    def _answer(self, head: bytes) -> bytes:
        words = head.split(b" ", 2)
        path = words[1].decode("ascii", "replace") if len(words) == 3 else ""
        status, headers, body = self._pages.get(path, (404, {}, b""))
        fields = {"date": formatdate(usegmt=True), "content-length": str(len(body))} | dict(headers)
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
        lines += [f"{name}: {value}" for name, value in fields.items()]
        content = b"" if words[0] == b"HEAD" else body
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return b""
    return head if len(head) <= _MAX_HEAD else b""


async def serve_quic(
    ip: str, port: int, issued: Issued, folder: Path, name: str
) -> tuple[int, Callable[[], None]]:
    """A QUIC server that shakes hands for HTTP/3 and has no pages; returns its port and how to close it."""
    from aioquic.asyncio.server import QuicServer
    from aioquic.quic.configuration import QuicConfiguration

    configuration = QuicConfiguration(is_client=False, alpn_protocols=["h3"])
    certificate, key = issued.write(folder, name)
    configuration.load_cert_chain(certificate, key)
    transport, server = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: QuicServer(configuration=configuration), local_addr=(ip, port)
    )
    return int(transport.get_extra_info("sockname")[1]), server.close
