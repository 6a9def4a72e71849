"""How MTProto lays packets on a stream, and how it hides that: layouts, both directions; no clock, no socket.

    abridged      ef, then per packet 1 byte length/4 if below 7f, else 7f and 3 bytes of it
    intermediate  eeeeeeee, then per packet 4 bytes length
    padded        dddddddd, then the same with 0 to 15 random bytes behind the payload
    full          per packet 4 bytes length (of all of it) | 4 bytes number | payload | CRC-32 of all before
    obfuscated2   64 bytes of key material, then one of the first three, without its opening, under AES-256-CTR

All numbers are little-endian. Only the client sends an opening. Source: Telegram's documentation ("MTProto
transports"), compared with TDLib.
"""

import secrets
import struct
import zlib
from typing import NamedTuple, Protocol

from probe.failure import Malformed
from probe.mtproto.crypto import Draw

MOST = 8192  # bytes of a packet; an honest answer of the exchange has less than 1000
INIT = 64
_TAG = slice(56, 60)
_NOT_FIRST = (b"HEAD", b"POST", b"GET ", b"OPTI", b"\xdd" * 4, b"\xee" * 4, b"\x16\x03\x01\x02")


class Span(NamedTuple):
    """Where in a buffer a packet's payload starts and stops, and where the packet ends."""

    start: int
    stop: int
    end: int


class Framing(Protocol):
    """One way to lay packets on a stream."""

    opening: bytes

    def pack(self, payload: bytes, number: int) -> bytes:
        """The packet; `number` counts the packets of one direction from 0."""
        ...

    def measure(self, data: bytes) -> Span | None:
        """The packet that `data` begins with, complete or not; None before its length is there. Raises Malformed."""
        ...

    def unpack(self, packet: bytes) -> bytes:
        """The payload of a whole packet. Raises Malformed."""
        ...


class Abridged:
    """The shortest."""

    opening = b"\xef"

    def pack(self, payload: bytes, number: int) -> bytes:
        """The packet."""
        words = len(payload) // 4
        head = bytes([words]) if words < 127 else b"\x7f" + words.to_bytes(3, "little")
        return head + payload

    def measure(self, data: bytes) -> Span | None:
        """The packet that `data` begins with. Raises Malformed."""
        if not data or (data[0] == 127 and len(data) < 4):
            return None
        if data[0] > 127:
            raise Malformed("an acknowledgement of what was never asked to be acknowledged", code="frame")
        start, words = (4, int.from_bytes(data[1:4], "little")) if data[0] == 127 else (1, data[0])
        return _span(start, start + 4 * words, 0)

    def unpack(self, packet: bytes) -> bytes:
        """The payload."""
        return packet[4 if packet[0] == 127 else 1 :]


class Intermediate:
    """Four bytes of length."""

    opening = b"\xee" * 4

    def pack(self, payload: bytes, number: int) -> bytes:
        """The packet."""
        return struct.pack("<I", len(payload)) + payload

    def measure(self, data: bytes) -> Span | None:
        """The packet that `data` begins with. Raises Malformed."""
        if len(data) < 4:
            return None
        return _span(4, 4 + int.from_bytes(data[:4], "little"), 0)

    def unpack(self, packet: bytes) -> bytes:
        """The payload, padding included: a message knows its own length."""
        return packet[4:]


class Padded(Intermediate):
    """The same with a random length."""

    opening = b"\xdd" * 4

    def pack(self, payload: bytes, number: int) -> bytes:
        """The packet."""
        return super().pack(payload + secrets.token_bytes(secrets.randbelow(16)), number)


class Full:
    """Numbered, with a check sum."""

    opening = b""

    def pack(self, payload: bytes, number: int) -> bytes:
        """The packet."""
        packet = struct.pack("<II", len(payload) + 12, number) + payload
        return packet + struct.pack("<I", zlib.crc32(packet))

    def measure(self, data: bytes) -> Span | None:
        """The packet that `data` begins with. Raises Malformed."""
        if len(data) < 4:
            return None
        size = int.from_bytes(data[:4], "little")
        return _span(8, size - 4, 4)

    def unpack(self, packet: bytes) -> bytes:
        """The payload, if the check sum is right."""
        if zlib.crc32(packet[:-4]) != int.from_bytes(packet[-4:], "little"):
            raise Malformed("a packet with a wrong check sum", code="frame")
        return packet[8:-4]


def _span(start: int, stop: int, behind: int) -> Span:
    if not 4 <= stop - start <= MOST:
        raise Malformed("a packet with an impossible length", code="frame")
    return Span(start, stop, stop + behind)


class Obfuscation:
    """The two key streams of obfuscated2, as the client has them; a server's are these with sides changed."""

    def __init__(self, init: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

        mirrored = init[::-1]
        self.up, self.down = (
            Cipher(algorithms.AES(one[8:40]), modes.CTR(one[40:56])).encryptor() for one in (init, mirrored)
        )


def draw_init(tag: bytes, dc: int, draw: Draw = secrets.token_bytes) -> bytes:
    """64 random bytes that cannot be taken for anything else, with the framing's tag and the data centre in them."""
    while True:
        init = draw(INIT)
        if init[0] != 0xEF and init[:4] not in _NOT_FIRST and init[4:8] != bytes(4):
            return init[:56] + tag + struct.pack("<h", dc) + init[62:]


def tag_of(framing: Framing) -> bytes:
    """The four bytes that name a framing inside obfuscated2."""
    return framing.opening * (4 // len(framing.opening))


def read_tag(init: bytes) -> tuple[bytes, int]:
    """The framing's tag and the data centre in decrypted key material."""
    return init[_TAG], struct.unpack_from("<h", init, 60)[0]
