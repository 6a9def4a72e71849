"""Frames on WhatsApp's chat stream: three bytes of length, big-endian, then so many bytes.

The stream's first bytes from a client are a header of four bytes, once, before its first frame; a server has none.
"""

from probe.failure import Malformed

MOST = 16384  # a server hello with a certificate chain has some 350 bytes; with post-quantum fields some thousand more
_LENGTH = 3
# A TLS record: alert, handshake and their like, then a version of 3.0 to 3.4 (RFC 8446 section 5.1).
_TLS_TYPES = range(0x14, 0x18)
# Read as a length, each of these is beyond the cap.
_WEB = (b"htt", b"<!d", b"<ht", b"<he", b"<bo")


def frame(payload: bytes) -> bytes:
    """A frame around `payload`, which has fewer than 2^24 bytes."""
    return len(payload).to_bytes(_LENGTH, "big") + payload


class FirstFrame:
    """The first frame of a stream that comes in pieces; nothing is kept beyond the cap and the last piece."""

    def __init__(self) -> None:
        self._seen = b""

    def take(self, piece: bytes) -> bytes | None:
        """The frame's payload once it is whole. Raises Malformed: "http" or "tls" for such a text, else "frame"."""
        self._seen += piece
        if len(self._seen) < _LENGTH:
            return None
        size = int.from_bytes(self._seen[:_LENGTH], "big")
        if size > MOST:
            raise _other_protocol(self._seen[:_LENGTH])
        if len(self._seen) < _LENGTH + size:
            return None
        return self._seen[_LENGTH : _LENGTH + size]


def _other_protocol(start: bytes) -> Malformed:
    if start.lower() in _WEB:
        return Malformed("the answer is a web page or HTTP, not a frame", code="http")
    if start[0] in _TLS_TYPES and start[1] == 3 and start[2] <= 4:
        return Malformed("the answer is TLS, not a frame", code="tls")
    return Malformed("the answer is not a frame, or one that no server would send", code="frame")
