"""XEdDSA: signatures that are checked with an X25519 key (Signal, "The XEdDSA and VXEdDSA Signature Schemes", rev. 1).

The key's Montgomery u gives an Edwards y, and the rest is Ed25519. Where the specification fixes the sign of the
Edwards x to 0, libsignal and WhatsApp carry it in the top bit of the signature; a signature of the specification has
that bit at 0, so one verifier serves both.
"""

_P = (1 << 255) - 19
_SIGN = 0x80
KEY, SIGNATURE = 32, 64


def verify(key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the owner of this X25519 public key signed; False for keys and signatures of wrong lengths, too."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if len(key) != KEY or len(signature) != SIGNATURE:
        return False
    sign = signature[-1] & _SIGN
    edwards = bytearray(_edwards_y(key).to_bytes(KEY, "little"))
    edwards[-1] |= sign
    try:
        public = Ed25519PublicKey.from_public_bytes(bytes(edwards))
        public.verify(signature[:-1] + bytes([signature[-1] & ~_SIGN]), message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _edwards_y(key: bytes) -> int:
    """y = (u - 1) / (u + 1); 0 for u = -1, as an inverse by Fermat gives it."""
    u = int.from_bytes(key, "little") & ((1 << 255) - 1)
    return (u - 1) * pow(u + 1, _P - 2, _P) % _P
