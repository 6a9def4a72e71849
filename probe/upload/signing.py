"""What is signed: a type and the exact bytes, bound together by DSSE's pre-authentication encoding.

https://github.com/secure-systems-lab/dsse/blob/master/protocol.md, without its JSON envelope: the bytes stay what
they are, and nothing is parsed before the signature is checked.
"""

import base64
import binascii
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

RUN = "application/vnd.callreach.run+jsonl"
RECEIPT = "application/vnd.callreach.receipt+json"
DELETE = "application/vnd.callreach.delete"


def pae(type_: str, body: bytes) -> bytes:
    """`DSSEv1 SP LEN(type) SP type SP LEN(body) SP body`, lengths in bytes as decimal numbers."""
    name = type_.encode()
    return b"DSSEv1 %d %b %d %b" % (len(name), name, len(body), body)


def sign(key: "Ed25519PrivateKey", type_: str, body: bytes) -> str:
    """An Ed25519 signature, base64url without padding."""
    return unpadded(key.sign(pae(type_, body)))


def verifies(public: str, signature: str, type_: str, body: bytes) -> bool:
    """Whether a signature is this key's; False for anything that is no key or no signature."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(padded(public)).verify(padded(signature), pae(type_, body))
    except (InvalidSignature, ValueError):
        return False
    return True


def unpadded(raw: bytes) -> str:
    """Base64url without padding (RFC 4648 section 5)."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def padded(text: str) -> bytes:
    """The bytes of base64url, padded or not. Raises ValueError."""
    try:
        return base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise ValueError(str(error)) from None
