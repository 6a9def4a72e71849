"""The symmetric state of Noise with AESGCM and SHA256, as far as a reader of messages needs it (revision 34).

Sections: 5.1 CipherState, 5.2 SymmetricState, 4.3 HKDF, 12.4 AESGCM (its nonce: 32 zero bits, then 64 big-endian).
"""

import hashlib

from probe.failure import Malformed

_HASH = 32


class SymmetricState:
    """What both sides of a handshake agree on so far: `h`, the chaining key `ck`, and the key with its counter."""

    def __init__(self, protocol: str, prologue: bytes) -> None:
        name = protocol.encode()
        self.h = name.ljust(_HASH, b"\0") if len(name) <= _HASH else hashlib.sha256(name).digest()
        self.ck = self.h
        self.key = b""
        self.counter = 0
        self.mix_hash(prologue)

    def mix_hash(self, data: bytes) -> None:
        """Both sides have seen `data`."""
        self.h = hashlib.sha256(self.h + data).digest()

    def mix_key(self, secret: bytes) -> None:
        """Both sides have computed `secret`."""
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        made = HKDF(SHA256(), 2 * _HASH, salt=self.ck, info=b"").derive(secret)
        self.ck, self.key, self.counter = made[:_HASH], made[_HASH:], 0

    def decrypt_and_hash(self, ciphertext: bytes, what: str) -> bytes:
        """The plaintext of `what`. Raises Malformed "decrypt": made with another key, or over another transcript."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = bytes(4) + self.counter.to_bytes(8, "big")
        try:
            plaintext = AESGCM(self.key).decrypt(nonce, ciphertext, self.h)
        except (InvalidTag, ValueError):
            raise Malformed(f"{what} does not decrypt", code="decrypt") from None
        self.counter += 1
        self.mix_hash(ciphertext)
        return plaintext
