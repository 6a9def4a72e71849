"""The TURN server beside a far end: credentials for it, and whether it takes them."""

import asyncio
import base64
import hmac
import secrets
import socket
import time

from probe.dialogue import Dialogue, converse, listen, send
from probe.failure import Malformed
from probe.far_end.settings import TurnServer
from probe.step import TurnAccess
from probe.stun_message import Attribute, Message, Method, decode, long_term_key

_WAITS = (0.3, 0.6, 1.2)  # seconds after each transmission
_UDP = b"\x11\0\0\0"  # REQUESTED-TRANSPORT, RFC 8656 section 18.7
_LONGEST = 2048


def credentials(server: TurnServer, name: str, until: float) -> TurnAccess:
    """Good until a time of day, as coturn's use-auth-secret reckons it (draft-uberti-behave-turn-rest-00)."""
    username = f"{int(until)}:{name}"
    digest = hmac.digest(server.secret.encode(), username.encode(), "sha1")
    return TurnAccess(
        host=server.host,
        username=username,
        password=base64.b64encode(digest).decode(),
        udp=server.udp,
        tcp=server.tcp,
        tls=server.tls,
    )


async def check(server: TurnServer, now: float) -> str:
    """Ask it over UDP, or if it has none over TCP not at all; what is wrong in one sentence, or nothing.

    `now` is the time of day.
    """
    if not server.udp:
        return "is not offered over UDP, so it was not asked"
    granted = credentials(server, "far-end", now + 60)
    try:
        family, kind, _, _, address = (
            await asyncio.get_running_loop().getaddrinfo(server.host, server.udp, type=socket.SOCK_DGRAM)
        )[0]
        with socket.socket(family, kind) as sock:
            sock.setblocking(False)
            sock.connect(address)
            return await converse(_Datagrams(sock), _ask(granted))
    except OSError as error:
        return f"cannot be asked ({error.strerror or error})"


class _Datagrams:
    """A connected UDP socket as a link."""

    is_stream = False

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self._sock, data)

    async def receive(self) -> tuple[bytes, int | None]:
        return await asyncio.get_running_loop().sock_recv(self._sock, _LONGEST), None

    def unread(self, data: bytes) -> None:
        raise TypeError("datagrams are not given back")

    def now(self) -> float:
        return time.monotonic()


def _ask(granted: TurnAccess) -> Dialogue[str]:
    binding = yield from _answered(Message(Method.BINDING, "request", secrets.token_bytes(12)))
    if binding is None:
        return "does not answer a Binding request"
    wanted = (int(Attribute.REQUESTED_TRANSPORT), _UDP)
    stranger = yield from _answered(Message(Method.ALLOCATE, "request", secrets.token_bytes(12), (wanted,)))
    if stranger is None or stranger.error_code != 401:
        return "does not ask for credentials as a TURN server does"
    realm = stranger.get(Attribute.REALM) or b""
    known = (
        (int(Attribute.USERNAME), granted.username.encode()),
        (int(Attribute.REALM), realm),
        (int(Attribute.NONCE), stranger.get(Attribute.NONCE) or b""),
    )
    key = long_term_key(granted.username, realm.decode("utf-8", "replace"), granted.password)
    allocation = yield from _answered(
        Message(Method.ALLOCATE, "request", secrets.token_bytes(12), (wanted, *known)), key
    )
    if allocation is None:
        return "does not answer an Allocate request with credentials"
    if allocation.class_ == "error":
        return f"refuses our credentials with {allocation.error_code}: is its static-auth-secret this file's?"
    over = (int(Attribute.LIFETIME), b"\0\0\0\0")
    yield from _answered(Message(Method.REFRESH, "request", secrets.token_bytes(12), (over, *known)), key)
    return ""


def _answered(request: Message, key: bytes | None = None) -> Dialogue[Message | None]:
    for wait in _WAITS:
        yield from send(request.encode(key=key))
        heard = yield from listen(wait)
        if heard is None:
            continue
        try:
            answer = decode(heard.data)
        except Malformed:
            continue
        if answer.transaction == request.transaction:
            return answer
    return None
