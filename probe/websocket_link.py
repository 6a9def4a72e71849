"""WebSocket (RFC 6455) as a link over a link: wsproto frames, our link carries. One stream of bytes both ways.

Message boundaries are not kept: what is received is the payloads of binary and text messages in order, handed on as
it comes, so a message that claims to be endless fills no memory. Each send is one binary message.
"""

import contextlib
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.utilities import ProtocolError

from probe.dialogue import Link
from probe.failure import Closed, Malformed

_HTTP_TEXT = re.compile(rb"HTTP/1\.[01] (\d{3})")


class Answer(NamedTuple):
    """The head of the answer to an upgrade; header names in lower case. `accepted`: a WebSocket from here on."""

    status: int
    headers: dict[str, str]
    subprotocol: str
    accepted: bool


class WebSocketLink:
    """The messages of a WebSocket as one stream."""

    is_stream = True

    def __init__(self, under: Link) -> None:
        self._under, self._back = under, b""
        self._ended, self._broken = False, False
        self._connection = WSConnection(ConnectionType.CLIENT)

    async def upgrade(
        self, *, host: str, path: str, subprotocols: Sequence[str], headers: Mapping[str, str]
    ) -> Answer:
        """Ask for the upgrade.

        Raises OSError from below, Closed, or Malformed: "http", "tls", or "upgrade" for a 101 that is no answer to us.
        """
        extra = [(name.encode(), value.encode()) for name, value in headers.items()]
        request = Request(host=host, target=path, subprotocols=list(subprotocols), extra_headers=extra)
        await self._under.send(self._connection.send(request))
        seen = b""
        while True:
            data, _ = await self._under.receive()
            if not data:
                raise Closed("the connection ended before the answer did")
            seen = (seen + data)[:64]
            if seen[:5] != b"HTTP/"[: len(seen)]:
                raise _not_an_upgrade(seen)
            try:
                self._connection.receive_data(data)
                answer = next((a for event in self._connection.events() if (a := _answer(event))), None)
            except (ProtocolError, ValueError) as error:  # a header that is not ASCII is a ValueError
                raise _not_an_upgrade(seen) from error
            if answer is not None:
                return answer

    def now(self) -> float:
        """Seconds on a monotonic clock."""
        return self._under.now()

    def unread(self, data: bytes) -> None:
        """Give back bytes that the next reader should see first."""
        self._back = data + self._back

    async def send(self, data: bytes) -> None:
        """Send one binary message; nothing for no bytes. Raises Closed after the peer's close frame."""
        if not data:
            return
        if self._ended:
            raise Closed("the peer has closed the WebSocket")
        await self._under.send(self._connection.send(BytesMessage(data=data)))

    async def receive(self) -> tuple[bytes, int | None]:
        """The next bytes of messages; empty after a close frame, or where the stream below ends. Raises Malformed."""
        data = await self._take()
        while not data and not self._ended:
            came, _ = await self._under.receive()
            if not came:
                self._ended = True
                break
            self._connection.receive_data(came)
            data = await self._take()
        if not data and self._broken:
            raise Malformed("the bytes are not WebSocket frames", code="websocket")
        return data, None

    async def _take(self) -> bytes:
        """What was received and not read yet, in order; a ping and a close frame are answered."""
        data, self._back = bytearray(self._back), b""
        reply: bytes = b""
        for event in self._connection.events() if not self._ended else ():
            match event:
                case BytesMessage():
                    data += event.data
                case TextMessage():
                    data += event.data.encode()
                case Ping():  # the newest alone is answered (RFC 6455 section 5.5.3)
                    reply = self._connection.send(event.response())
                case CloseConnection():
                    self._ended = True
                    # Still open: it was no close frame of the peer, wsproto gave up.
                    self._broken = self._connection.state is ConnectionState.OPEN
                    reply = b"" if self._broken else self._connection.send(event.response())
        if reply:
            # What came before it is worth more than this error, and the next read meets it again.
            with contextlib.suppress(OSError):
                await self._under.send(reply)
        return bytes(data)


def _answer(event: object) -> Answer | None:
    match event:
        case AcceptConnection():
            return Answer(101, _texts(event.extra_headers), event.subprotocol or "", True)
        case RejectConnection():
            return Answer(event.status_code, _texts(event.headers), "", False)
        case _:
            return None


def _texts(headers: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}


def _not_an_upgrade(seen: bytes) -> Malformed:
    status = _HTTP_TEXT.match(seen)
    if status is not None and status[1] == b"101":
        return Malformed("the upgrade is not one to our question", code="upgrade")
    return Malformed("the answer is not HTTP", code="tls" if seen[:1] in (b"\x15", b"\x16") else "http")
