"""The cryptography of MTProto's key exchange: RSA_PAD, AES-IGE, and the key that both nonces give.

Source: Telegram's documentation, "Creating an Authorization Key", sections 4.1 and 5. The modes are Telegram's own and
in no library; they are put together from `cryptography`'s AES, which is what makes them fast.
"""

import hashlib
import secrets
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from probe.mtproto import tl

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers

Draw = Callable[[int], bytes]
RSA_SIZE = 256  # bytes: Telegram's keys have 2048 bits, and RSA_PAD is made for these
BLOCK = 16
_MOST_DATA, _PADDED = 144, 192


class Key(NamedTuple):
    """An RSA key. `fingerprint` is as on the wire: the end of SHA-1 over TL bytes of n and e."""

    n: int
    e: int
    fingerprint: bytes


@lru_cache(maxsize=16)
def keys(pem: str) -> tuple[Key, ...]:
    """The RSA public keys of a PEM text (PKCS#1 or SubjectPublicKeyInfo). Raises ValueError in one sentence."""
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    found = []
    for number, block in enumerate(_blocks(pem), 1):
        try:
            public = load_pem_public_key(block)
        except Exception:  # noqa: BLE001 - cryptography raises several types for what is no key
            raise ValueError(f"key {number} does not parse") from None
        if not isinstance(public, RSAPublicKey) or public.key_size != 8 * RSA_SIZE:
            raise ValueError(f"key {number} is not an RSA key of {8 * RSA_SIZE} bits")
        found.append(key_of(public.public_numbers()))
    if not found:
        raise ValueError("there is no key in it")
    return tuple(found)


def _blocks(pem: str) -> list[bytes]:
    parts = pem.split("-----BEGIN ")[1:]
    return [f"-----BEGIN {part}".encode() for part in parts]


def key_of(numbers: "RSAPublicNumbers") -> Key:
    """A key with its fingerprint."""
    n, e = (number.to_bytes((number.bit_length() + 7) // 8, "big") for number in (numbers.n, numbers.e))
    return Key(numbers.n, numbers.e, _sha1(tl.pack_bytes(n) + tl.pack_bytes(e))[-tl.FINGERPRINT :])


def rsa_pad(data: bytes, key: Key, draw: Draw = secrets.token_bytes) -> bytes:
    """Data of at most 144 bytes, encrypted for the holder of the key: 256 bytes."""
    if len(data) > _MOST_DATA:
        raise ValueError(f"RSA_PAD takes at most {_MOST_DATA} bytes")
    padded = data + draw(_PADDED - len(data))
    while True:
        temp_key = draw(32)
        inner = padded[::-1] + hashlib.sha256(temp_key + padded).digest()
        sealed = ige_encrypt(inner, temp_key, bytes(2 * BLOCK))
        number = int.from_bytes(_xor(temp_key, hashlib.sha256(sealed).digest()) + sealed, "big")
        if number < key.n:
            return pow(number, key.e, key.n).to_bytes(RSA_SIZE, "big")


def answer_key(new_nonce: bytes, server_nonce: bytes) -> tuple[bytes, bytes]:
    """Key and IV of the server's second answer."""
    both = _sha1(server_nonce + new_nonce)
    return (
        _sha1(new_nonce + server_nonce) + both[:12],
        both[12:] + _sha1(new_nonce + new_nonce) + new_nonce[:4],
    )


def seal_answer(data: bytes, key: bytes, iv: bytes) -> bytes:
    """SHA-1 of the data, the data and padding, encrypted: the server's half."""
    sized = _sha1(data) + data
    return ige_encrypt(sized + secrets.token_bytes(-len(sized) % BLOCK), key, iv)


def digest_fits(opened: bytes, size: int) -> bool:
    """Whether a decrypted answer begins with the SHA-1 of the `size` bytes behind it."""
    return opened[:20] == _sha1(opened[20 : 20 + size])


def ige_encrypt(data: bytes, key: bytes, iv: bytes) -> bytes:
    """AES-256 in Infinite Garble Extension mode; `iv` is the block before the first ciphertext, then plaintext."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    step = Cipher(algorithms.AES(key), modes.ECB()).encryptor().update  # noqa: S305 - IGE is built on single blocks
    return _ige(data, step, iv[:BLOCK], iv[BLOCK:])


def ige_decrypt(data: bytes, key: bytes, iv: bytes) -> bytes:
    """The reverse of `ige_encrypt`."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    step = Cipher(algorithms.AES(key), modes.ECB()).decryptor().update  # noqa: S305 - IGE is built on single blocks
    return _ige(data, step, iv[BLOCK:], iv[:BLOCK])


def _ige(data: bytes, step: Callable[[bytes], bytes], last_out: bytes, last_in: bytes) -> bytes:
    if len(data) % BLOCK:
        raise ValueError("IGE takes whole blocks")
    out = bytearray()
    for at in range(0, len(data), BLOCK):
        block = data[at : at + BLOCK]
        last_out = _xor(step(_xor(block, last_out)), last_in)
        last_in = block
        out += last_out
    return bytes(out)


def _xor(one: bytes, other: bytes) -> bytes:
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).to_bytes(len(one), "big")


def _sha1(data: bytes) -> bytes:
    return hashlib.sha1(data, usedforsecurity=False).digest()  # Telegram's choice, and its own
