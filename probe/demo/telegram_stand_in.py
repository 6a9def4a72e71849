"""A stand-in for a Telegram data centre: keys of its own, the real exchange, and misbehaviour on request.

It finds out what transport a client speaks from its first bytes, as real ones do, and shares with the client only the
layouts of packets and objects.
"""

import asyncio
import contextlib
import secrets
import struct
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, TypeAlias

from probe.failure import Malformed
from probe.mtproto import crypto, framing, tl

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

# impostor: knows the public key and not the private one. other_key: an honest server with a key that nobody knows.
# cut: silent after its first answer. nonce: answers another question. http: a web server's words. Numbers: the
# transport's errors.
Behaviour: TypeAlias = Literal[
    "honest", "impostor", "other_key", "cut", "nonce", "garbage", "http", "-404", "-429", "-444"
]
_PATIENCE = 20.0
_PAGE = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno"


@lru_cache(maxsize=4)
def throwaway_key(number: int = 0) -> "RSAPrivateKey":
    """A key for this process; making one takes a tenth of a second."""
    from cryptography.hazmat.primitives.asymmetric import rsa

    return rsa.generate_private_key(public_exponent=65537, key_size=8 * crypto.RSA_SIZE)


class TelegramStandIn:
    """One data centre. `key` is what the catalogue is told of; `ahead` is by how much its clock is wrong (seconds).

    `primes` are the factors of the number it asks to be factored; without them they are drawn, as large as real ones.
    """

    def __init__(
        self,
        behaviour: Behaviour = "honest",
        *,
        key: "RSAPrivateKey | None" = None,
        ahead: int = 0,
        primes: tuple[int, int] | None = None,
    ) -> None:
        self.behaviour, self.ahead, self._primes = behaviour, ahead, primes
        self._known = key or throwaway_key()
        private = throwaway_key(1) if behaviour == "other_key" else self._known
        self._private = private.private_numbers()
        self._key = crypto.key_of(private.public_key().public_numbers())

    @property
    def pem(self) -> str:
        """The anchor for `configs/trust`."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        return self._known.public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1).decode()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until the client has no more questions."""
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, Malformed, ValueError):
            async with asyncio.timeout(_PATIENCE):
                await self._serve(reader, writer)
        writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = await _detected(reader, writer)
        talk = _Talk(self)
        while True:
            message = await wire.read()
            if self.behaviour in ("garbage", "http"):
                writer.write(_PAGE if self.behaviour == "http" else secrets.token_bytes(1000))
            else:
                answer = talk.answer(message)
                if answer is None:  # as if nobody were there any more
                    await asyncio.sleep(_PATIENCE)
                    return
                wire.write(answer)
            await writer.drain()

    def open_sealed(self, sealed: bytes) -> bytes:
        """The reverse of RSA_PAD: the data with its padding. Raises Malformed for what was sealed for another key."""
        number, private = int.from_bytes(sealed, "big"), self._private
        by_p, by_q = pow(number, private.dmp1, private.p), pow(number, private.dmq1, private.q)
        opened = by_q + (by_p - by_q) * private.iqmp % private.p * private.q  # RFC 8017 section 5.1.2
        return _unpadded(opened.to_bytes(crypto.RSA_SIZE, "big"))

    def primes(self) -> tuple[int, int]:
        """The factors for one exchange."""
        return self._primes or (_prime(), _prime())

    @property
    def fingerprints(self) -> tuple[bytes, ...]:
        """The keys it offers, among others that no client needs to know."""
        return bytes.fromhex("216be86c022bb4c3"), self._key.fingerprint


class _Talk:
    """One exchange, the server's side."""

    def __init__(self, server: TelegramStandIn) -> None:
        self._server = server
        self._nonce = b""
        self._server_nonce = secrets.token_bytes(tl.NONCE)

    def answer(self, message: bytes) -> bytes | None:
        """The answering message, an error of the transport, or None for silence."""
        behaviour, body = self._server.behaviour, tl.read_message(message)
        if behaviour in ("-404", "-429", "-444"):
            return struct.pack("<i", int(behaviour))
        if not self._nonce:
            self._nonce = tl.read_req_pq_multi(body)
            answer = self._res_pq()
        else:
            if behaviour == "cut":
                return None
            answer = self._dh(tl.read_req_dh_params(body))
        # Real answers are longer than their objects, and their ids are odd.
        return tl.pack_message(answer + bytes(76), (int(time.time()) << 32) | 1)

    def _res_pq(self) -> bytes:
        p, q = self._server.primes()
        nonce = secrets.token_bytes(tl.NONCE) if self._server.behaviour == "nonce" else self._nonce
        return tl.res_pq(tl.ResPQ(nonce, self._server_nonce, p * q, self._server.fingerprints))

    def _dh(self, question: tl.ReqDHParams) -> bytes:
        new_nonce = secrets.token_bytes(tl.NEW_NONCE)  # all that an impostor can do
        if self._server.behaviour != "impostor":
            new_nonce = tl.read_p_q_inner_data_dc(self._server.open_sealed(question.encrypted_data)).new_nonce
        inner = tl.ServerDHInnerData(
            nonce=self._nonce,
            server_nonce=self._server_nonce,
            g=3,
            dh_prime=b"\xc7" + secrets.token_bytes(255),  # of the right size; nobody goes on to use it
            g_a=secrets.token_bytes(256),
            server_time=int(time.time()) + self._server.ahead,
        )
        key = crypto.answer_key(new_nonce, self._server_nonce)
        sealed = crypto.seal_answer(tl.server_dh_inner_data(inner), *key)
        return tl.server_dh_params_ok(tl.ServerDHParams(self._nonce, self._server_nonce, sealed))


def _unpadded(opened: bytes) -> bytes:
    import hashlib

    masked, sealed = opened[:32], opened[32:]
    temp_key = bytes(a ^ b for a, b in zip(masked, hashlib.sha256(sealed).digest(), strict=True))
    inner = crypto.ige_decrypt(sealed, temp_key, bytes(32))
    padded = inner[:192][::-1]
    if hashlib.sha256(temp_key + padded).digest() != inner[192:]:
        raise Malformed("sealed for another key")
    return padded


def _prime() -> int:
    """A prime of 31 bits, by trial division."""
    number = (1 << 30) + secrets.randbelow(1 << 30) | 1
    while any(number % divisor == 0 for divisor in range(3, 46342, 2)):
        number += 2
    return number


class _Wire:
    """A transport on a stream, the server's side."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        packets: framing.Framing,
        rest: bytes = b"",
        hidden: framing.Obfuscation | None = None,
    ) -> None:
        self._reader, self._writer, self._packets, self._hidden = reader, writer, packets, hidden
        self._buffer, self._sent = rest, 0

    async def read(self) -> bytes:
        """The next packet's payload."""
        while (span := self._packets.measure(self._buffer)) is None or len(self._buffer) < span.end:
            data = await self._reader.read(4096)
            if not data:
                raise asyncio.IncompleteReadError(self._buffer, None)
            self._buffer += self._hidden.up.update(data) if self._hidden else data
        packet, self._buffer = self._buffer[: span.end], self._buffer[span.end :]
        return self._packets.unpack(packet)

    def write(self, payload: bytes) -> None:
        """Send a packet."""
        packet = self._packets.pack(payload, self._sent)
        self._sent += 1
        self._writer.write(self._hidden.down.update(packet) if self._hidden else packet)


class _Web:
    """MTProto in HTTP, the server's side."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, start: bytes) -> None:
        self._reader, self._writer, self._start = reader, writer, start

    async def read(self) -> bytes:
        """The next request's body."""
        head = self._start + await self._reader.readuntil(b"\r\n\r\n")
        self._start = b""
        lines = head.decode("ascii", "replace").lower().split("\r\n")
        size = next(int(line.split(":")[1]) for line in lines if line.startswith("content-length:"))
        return await self._reader.readexactly(min(size, framing.MOST))

    def write(self, payload: bytes) -> None:
        """Answer; an error of the transport is a status."""
        status, body = ("200 OK", payload) if len(payload) > 4 else (_status(payload), b"")
        head = f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\nconnection: keep-alive\r\n\r\n"
        self._writer.write(head.encode() + body)


def _status(payload: bytes) -> str:
    return f"{-struct.unpack('<i', payload)[0]} Error"


async def _detected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> _Wire | _Web:
    """What the client speaks, from its first bytes."""
    start = await reader.readexactly(1)
    if start == framing.Abridged.opening:
        return _Wire(reader, writer, framing.Abridged())
    start += await reader.readexactly(3)
    for packets in (framing.Intermediate(), framing.Padded()):
        if start == packets.opening:
            return _Wire(reader, writer, packets)
    if start == b"POST":
        return _Web(reader, writer, start)
    start += await reader.readexactly(4)
    if start[4:] == bytes(4):  # the number of the first packet
        return _Wire(reader, writer, framing.Full(), start)
    init = start + await reader.readexactly(framing.INIT - 8)
    hidden = framing.Obfuscation(init)
    tag, _ = framing.read_tag(hidden.up.update(init))
    for kind in (framing.Abridged(), framing.Intermediate(), framing.Padded()):
        if tag == framing.tag_of(kind):
            return _Wire(reader, writer, kind, hidden=hidden)
    raise Malformed("no framing that is known")
