"""The client's side of a transport on a stream: a message out, its answer back, whatever the other side sends.

Raises Malformed "frame" for bytes that are no packet, "http" or "tls" where these are recognisably HTTP or TLS, and
Rejected with the transport's own error ("-404": nothing such here or a bad question, "-429": too many connections,
"-444": no such data centre; -404 and -429 were seen unframed on the full transport).
"""

import secrets
from typing import Literal, TypeAlias

from probe.dialogue import Dialogue, listen, send
from probe.failure import Closed, Malformed, Rejected
from probe.mtproto.crypto import Draw
from probe.mtproto.framing import (
    Abridged,
    Framing,
    Full,
    Intermediate,
    Obfuscation,
    Padded,
    Span,
    draw_init,
    tag_of,
)

OnStream: TypeAlias = Literal["abridged", "intermediate", "padded", "full", "obfuscated2"]
# Inside obfuscated2 goes what TDLib's clients put there.
_FRAMINGS: dict[OnStream, type[Framing]] = {
    "abridged": Abridged,
    "intermediate": Intermediate,
    "padded": Padded,
    "full": Full,
    "obfuscated2": Intermediate,
}
_LEAST = 20  # bytes of a message: what is shorter is an error
_RAW_ERRORS = (-404, -429, -444)
_TLS = (0x14, 0x15, 0x16, 0x17)


class Channel:
    """One client on one stream. `dc` is what obfuscated2 says besides."""

    def __init__(self, transport: OnStream, dc: int, draw: Draw = secrets.token_bytes) -> None:
        self._framing = _FRAMINGS[transport]()
        self._opening, self._obfuscation = self._framing.opening, None
        if transport == "obfuscated2":
            init = draw_init(tag_of(self._framing), dc, draw)
            self._obfuscation = Obfuscation(init)
            self._opening = init[:56] + self._obfuscation.up.update(init)[56:]
        self._sent = 0
        self._start = b""  # what came first, as it came
        self._buffer = b""

    def ask(self, message: bytes, patience: float) -> Dialogue[tuple[bytes, float]]:
        """Send a message; the payload of the next packet, and the seconds until it was there.

        Raises TimeoutError after `patience` seconds of silence.
        """
        asked = yield from send(self.pack(message))
        at = asked
        while (payload := self._next()) is None:
            try:
                heard = yield from listen(patience)
            except Closed as error:
                raise self._known_text() or error from None
            if heard is None:
                raise TimeoutError
            at = heard.at
            self._take(heard.data)
        return payload, at - asked

    def pack(self, message: bytes) -> bytes:
        """The bytes that carry the next message."""
        packet = self._framing.pack(message, self._sent)
        if self._obfuscation is not None:
            packet = self._obfuscation.up.update(packet)
        opening = b"" if self._sent else self._opening
        self._sent += 1
        return opening + packet

    def _take(self, data: bytes) -> None:
        if len(self._start) < 8:
            self._start = (self._start + data)[:8]
        self._buffer += self._obfuscation.down.update(data) if self._obfuscation else data

    def _next(self) -> bytes | None:
        """The payload of the packet that the buffer begins with, once it is there."""
        try:
            self._check_raw_error()
            span = self._framing.measure(self._buffer)
            if span is None:
                return None
            self._check_payload(span)
            if len(self._buffer) < span.end:
                return None
            payload = self._framing.unpack(self._buffer[: span.end])
        except Malformed as error:
            raise self._known_text() or error from None
        self._buffer = self._buffer[span.end :]
        return payload

    def _check_payload(self, span: Span) -> None:
        """An error is four bytes (and padding, where there is padding); a message begins with eight zeros."""
        payload, size = self._buffer[span.start : span.stop], span.stop - span.start
        if size < _LEAST:
            padded = isinstance(self._framing, Padded)
            code = int.from_bytes(payload[:4], "little", signed=True)
            if len(payload) < 4:
                return
            if code >= 0 or (size > 4 and not padded):
                raise Malformed("a packet too short for a message", code="frame")
            raise Rejected("the server answers with a transport error", code=str(code))
        if payload[:8] != bytes(min(8, len(payload))):
            raise Malformed("a packet that is no unencrypted message", code="frame")

    def _check_raw_error(self) -> None:
        code = int.from_bytes(self._buffer[:4], "little", signed=True)
        if isinstance(self._framing, Full) and len(self._buffer) >= 4 and code in _RAW_ERRORS:
            raise Rejected("the server answers with a transport error", code=str(code))

    def _known_text(self) -> Malformed | None:
        """What another protocol's first bytes are called."""
        if self._start.startswith((b"HTTP/", b"<!DOC", b"<html", b"<HTML")):
            return Malformed("the answer is HTTP", code="http")
        if len(self._start) >= 3 and self._start[0] in _TLS and self._start[1] == 3 and self._start[2] <= 4:
            return Malformed("the answer is TLS", code="tls")
        return None
