"""A stand-in for WhatsApp's chat servers: its own root, intermediate and leaf, the same handshake, and ways to fail it.

The server's half of the handshake is written here from the same facts as the client's in `probe.noise`; they share
the layout of bytes and nothing else.
"""

import asyncio
import contextlib
import hashlib
import hmac
import secrets
import time
from typing import Literal, NamedTuple, TypeAlias

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from probe.failure import Malformed
from probe.noise import protobuf
from probe.noise.frames import MOST, frame

# impostor: shows the genuine chain, and has another static key than it says. other_key: a root of its own that nobody
# knows. signature: a leaf that its intermediate did not sign. cut: the first bytes of its answer, then silence.
Behaviour: TypeAlias = Literal[
    "honest", "impostor", "other_key", "signature", "expired", "not-yet-valid", "cut", "garbage", "http"
]
_NAME = b"Noise_XX_25519_AESGCM_SHA256"
_P = (1 << 255) - 19
_DAY = 86400
_PATIENCE = 20.0
_CUT = 20
_VALID = {"expired": (-150, -20), "not-yet-valid": (20, 150)}


class Signer:
    """A key that signs as XEdDSA does, sign bit in the signature.

    An Ed25519 key whose public half is told in its X25519 form (RFC 7748 section 4.1: u = (1 + y) / (1 - y)) makes the
    signatures that XEdDSA's verifier accepts, without arithmetic on curves of our own.
    """

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self._public = self._key.public_key().public_bytes_raw()

    @property
    def public(self) -> bytes:
        """The X25519 public key."""
        y = int.from_bytes(self._public, "little") & ((1 << 255) - 1)
        return ((1 + y) * pow(1 - y, -1, _P) % _P).to_bytes(32, "little")

    def sign(self, message: bytes) -> bytes:
        """64 bytes; the top bit is the sign of the Edwards key, which the X25519 form does not tell."""
        signature = self._key.sign(message)
        return signature[:-1] + bytes([signature[-1] | self._public[-1] & 0x80])


class NoiseAuthority:
    """All keys of a stand-in's service, from one seed: processes that know the seed stand in for one service."""

    def __init__(self, seed: bytes = b"") -> None:
        self._seed = seed or secrets.token_bytes(32)
        self.root, self.intermediate = Signer(self._derived(b"root")), Signer(self._derived(b"intermediate"))
        self.static = X25519PrivateKey.from_private_bytes(self._derived(b"static"))

    @property
    def pem(self) -> str:
        """The root's public key, as `configs/trust` holds it."""
        key = X25519PublicKey.from_public_bytes(self.root.public)
        return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def chain(self, *, days: tuple[int, int] = (-30, 90), signs_leaf: Signer | None = None) -> bytes:
        """The certificate chain; the leaf is valid between two offsets from now, in days."""
        now = int(time.time())
        key = self.static.public_key().public_bytes_raw()
        leaf = _details(329, 3, key, now + days[0] * _DAY, now + days[1] * _DAY)
        intermediate = _details(3, 0, self.intermediate.public, now - 300 * _DAY, now + 400 * _DAY)
        return protobuf.write(
            (1, _certificate(leaf, signs_leaf or self.intermediate)),
            (2, _certificate(intermediate, self.root)),
        )

    def _derived(self, name: bytes) -> bytes:
        return hashlib.sha256(name + self._seed).digest()


def _details(serial: int, issuer: int, key: bytes, begins: int, ends: int) -> bytes:
    return protobuf.write((1, serial), (2, issuer), (3, key), (4, begins), (5, ends))


def _certificate(details: bytes, signer: Signer) -> bytes:
    return protobuf.write((1, details), (2, signer.sign(details)))


class Hello(NamedTuple):
    """What a client says first."""

    header: bytes
    ephemeral: bytes


class WhatsAppStandIn:
    """Serves the chat port: `await serve(reader, writer)`."""

    def __init__(self, authority: NoiseAuthority, behaviour: Behaviour = "honest") -> None:
        self._behaviour = behaviour
        shown = NoiseAuthority() if behaviour == "other_key" else authority
        signer = Signer(secrets.token_bytes(32)) if behaviour == "signature" else None
        self._chain = shown.chain(days=_VALID.get(behaviour, (-30, 90)), signs_leaf=signer)
        self._static = X25519PrivateKey.generate() if behaviour == "impostor" else shown.static

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one hello, or hang up on anything else; then wait for the client to go."""
        try:
            async with asyncio.timeout(_PATIENCE):
                hello = await _hello(reader)
                if hello is not None:
                    writer.write(self.answer(hello))
                    await writer.drain()
                    await reader.read(MOST)
        except (OSError, ValueError, asyncio.IncompleteReadError):  # a key of low order is a ValueError
            pass
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def answer(self, hello: Hello) -> bytes:
        """What goes back for a hello."""
        match self._behaviour:
            case "garbage":
                return b"\xff" + secrets.token_bytes(299)
            case "http":
                return b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            case "cut":
                return self._server_hello(hello)[:_CUT]
            case _:
                return self._server_hello(hello)

    def _server_hello(self, hello: Hello) -> bytes:
        """Noise XX, message two (revision 34, section 7.5: e, ee, s, es), with HMAC and AES-GCM written out."""
        mine = X25519PrivateKey.generate()
        ephemeral, static = (key.public_key().public_bytes_raw() for key in (mine, self._static))
        theirs = X25519PublicKey.from_public_bytes(hello.ephemeral)
        start = _NAME.ljust(32, b"\0")
        seen = _sha256(_sha256(_sha256(start + hello.header) + hello.ephemeral) + ephemeral)
        chaining, key = _two_keys(start, mine.exchange(theirs))
        sealed_static = AESGCM(key).encrypt(bytes(12), static, seen)
        _, key = _two_keys(chaining, self._static.exchange(theirs))
        sealed_chain = AESGCM(key).encrypt(bytes(12), self._chain, _sha256(seen + sealed_static))
        said = protobuf.write((1, ephemeral), (2, sealed_static), (3, sealed_chain))
        return frame(protobuf.write((3, said)))


async def _hello(reader: asyncio.StreamReader) -> Hello | None:
    header = await reader.readexactly(4)
    if not header.startswith(b"WA"):
        return None
    size = int.from_bytes(await reader.readexactly(3), "big")
    return read_hello(header, await reader.readexactly(size)) if size <= MOST else None


def read_hello(header: bytes, payload: bytes) -> Hello | None:
    """A client hello; None if it is none."""
    try:
        said = protobuf.read(payload, code="hello")
        ephemeral = protobuf.blob(protobuf.read(protobuf.blob(said, 2), code="hello"), 1)
    except Malformed:
        return None
    return Hello(header, ephemeral) if len(ephemeral) == 32 else None


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _two_keys(chaining: bytes, secret: bytes) -> tuple[bytes, bytes]:
    """HKDF of section 4.3 with two outputs."""
    extracted = hmac.digest(chaining, secret, "sha256")
    first = hmac.digest(extracted, b"\x01", "sha256")
    return first, hmac.digest(extracted, first + b"\x02", "sha256")
