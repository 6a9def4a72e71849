"""Public keys that the catalogue holds as trust anchors (`configs/trust/*.pem`)."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers

_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)


@lru_cache(maxsize=16)
def x25519_keys(pem: str) -> tuple[bytes, ...]:
    """The X25519 keys of a file, 32 bytes each. Raises ValueError with a sentence: no key, or one that is none."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

    found = []
    for number, key in _keys(pem):
        if not isinstance(key, X25519PublicKey):
            raise ValueError(f"its key {number} is not an X25519 key")
        found.append(key.public_bytes_raw())
    return tuple(found)


@lru_cache(maxsize=16)
def rsa_keys(pem: str, bits: int) -> "tuple[RSAPublicNumbers, ...]":
    """The RSA keys of a file (PKCS#1 or SubjectPublicKeyInfo), all of so many bits. Raises ValueError as above."""
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    found = []
    for number, key in _keys(pem):
        if not isinstance(key, RSAPublicKey) or key.key_size != bits:
            raise ValueError(f"its key {number} is not an RSA key of {bits} bits")
        found.append(key.public_numbers())
    return tuple(found)


def _keys(pem: str) -> Iterator[tuple[int, object]]:
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    number = 0
    for number, block in enumerate(_BLOCK.finditer(pem), 1):
        try:
            yield number, load_pem_public_key(block[0].encode())
        except Exception:  # noqa: BLE001 - cryptography raises several types for what is no key
            raise ValueError(f"its key {number} does not parse as a public key") from None
    if not number:
        raise ValueError("there is no public key in it")
