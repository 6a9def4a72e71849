"""The server side of Threema's chat handshake, with keys of its own; it misbehaves as it is told."""

import asyncio
import contextlib
import secrets
from typing import Literal

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from nacl.public import Box, PrivateKey, PublicKey

# "impostor": knows the public key alone. "other_key": a key that is not the published one, otherwise right; on the wire
# it looks as the impostor does. "cut": takes the hello and falls silent. "wrong_cookie": a good box, another cookie.
Behaviour = Literal["honest", "impostor", "other_key", "cut", "wrong_cookie"]
_HELLO = 48
_PATIENCE = 20.0


class ThreemaStandIn:
    """A chat server that knows nobody: it proves itself and then waits for a login until its patience is over."""

    def __init__(self, behaviour: Behaviour = "honest", *, key: PrivateKey | None = None) -> None:
        self._behaviour = behaviour
        self._published, self._other = key or PrivateKey.generate(), PrivateKey.generate()

    @property
    def pem(self) -> str:
        """The published key, as configs/trust/ holds it."""
        key = X25519PublicKey.from_public_bytes(bytes(self._published.public_key))
        return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one hello."""
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            async with asyncio.timeout(_PATIENCE):
                hello = await reader.readexactly(_HELLO)
                if self._behaviour != "cut":
                    writer.write(self.answer(hello))
                    await writer.drain()
                await reader.read(1024)
        writer.close()

    def answer(self, hello: bytes) -> bytes:
        """The 80 bytes that answer a hello."""
        theirs, cookie = PublicKey(hello[:32]), hello[32:]
        mine = secrets.token_bytes(16)
        signed_by = self._other if self._behaviour in ("impostor", "other_key") else self._published
        if self._behaviour == "wrong_cookie":
            cookie = secrets.token_bytes(16)
        nonce = mine + b"\x01\0\0\0\0\0\0\0"
        said = bytes(PrivateKey.generate().public_key) + cookie
        return mine + Box(signed_by, theirs).encrypt(said, nonce).ciphertext
