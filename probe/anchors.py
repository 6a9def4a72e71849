"""Public keys that the catalogue holds as trust anchors (`configs/trust/*.pem`)."""

import re
from functools import lru_cache

_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)


@lru_cache(maxsize=16)
def x25519_keys(pem: str) -> tuple[bytes, ...]:
    """The X25519 keys of a file, 32 bytes each. Raises ValueError with a sentence: no key, or one that is none."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    keys = []
    for number, block in enumerate(_BLOCK.finditer(pem), 1):
        try:
            key = load_pem_public_key(block[0].encode())
        except (ValueError, UnsupportedAlgorithm):
            raise ValueError(f"its key {number} does not parse as a public key") from None
        if not isinstance(key, X25519PublicKey):
            raise ValueError(f"its key {number} is not an X25519 key")
        keys.append(key.public_bytes_raw())
    if not keys:
        raise ValueError("there is no public key in it")
    return tuple(keys)
