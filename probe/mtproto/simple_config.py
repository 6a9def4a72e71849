"""Telegram's fallback configuration ("simple config"): sealed by Telegram, carried by others, and hardly kept.

    text    base64 of 256 bytes, among characters that are not base64
    RSA     the public operation turns these into 32 bytes and 224 bytes
    AES     256 in CBC mode: the 32 are the key, their second half the IV; 208 bytes of data, 16 of their SHA-256
    data    length 4, itself included | help.configSimple 5a592a6c | date 4 | expires 4 | rules
    rule    accessPointRule 4679b65f | prefixes of telephone numbers bytes | data centre 4 | endpoints
    endpoint  ipPort d433ad73 | IPv4 4 | port 4    or    ipPortSecret 37982646 | IPv4 4 | port 4 | secret bytes

Rules and endpoints are bare vectors: a count, then the objects. Source: tdesktop special_config_request.cpp and its TL
scheme. Only the holder of the private key can make such a text, so it needs no trust in who carries it. What it leads
to is for people who are cut off: addresses, secrets and prefixes are passed over while reading and never leave here.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from typing import NamedTuple

from probe.failure import Malformed, Untrusted
from probe.mtproto.crypto import RSA_SIZE, Key
from probe.mtproto.tl import Reader

CONFIG_SIMPLE = 0x5A592A6C
RULE = 0x4679B65F
IP_PORT = 0xD433AD73
IP_PORT_SECRET = 0x37982646
DATA, DIGEST, HEAD = 208, 16, 32
_TEXT = 344
_OTHER = re.compile(r"[^A-Za-z0-9+/=]")
_MOST = 64


class Endpoint(NamedTuple):
    """All that is read of an endpoint."""

    port: int
    has_secret: bool


class Config(NamedTuple):
    """A configuration; dates are Unix time. One tuple of endpoints per rule."""

    date: int
    expires: int
    rules: tuple[tuple[Endpoint, ...], ...]


def unsealed(text: str, keys: Sequence[Key]) -> bytes:
    """The data of a sealed text. Raises Malformed "blob" for what is none, Untrusted "signature" for another's seal."""
    sealed = _bytes_of(text)
    for key in keys:
        data = _unsealed(sealed, key)
        if data is not None:
            return data
    raise Untrusted("not sealed with a key that the catalogue knows", code="signature")


def _bytes_of(text: str) -> bytes:
    kept = _OTHER.sub("", text)
    if len(kept) != _TEXT:
        raise Malformed("not as long as a sealed configuration", code="blob")
    try:
        sealed = base64.b64decode(kept, validate=True)
    except binascii.Error:
        raise Malformed("a sealed configuration that is no base64", code="blob") from None
    if len(sealed) != RSA_SIZE:
        raise Malformed("not as long as a sealed configuration", code="blob")
    return sealed


def _unsealed(sealed: bytes, key: Key) -> bytes | None:
    """The data, if this key's holder sealed it."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    opened = pow(int.from_bytes(sealed, "big"), key.e, key.n).to_bytes(RSA_SIZE, "big")
    cipher = Cipher(algorithms.AES(opened[:HEAD]), modes.CBC(opened[HEAD // 2 : HEAD])).decryptor()
    plain = cipher.update(opened[HEAD:])
    return plain[:DATA] if hashlib.sha256(plain[:DATA]).digest()[:DIGEST] == plain[DATA:] else None


def read_config(data: bytes) -> Config:
    """Read what was sealed. Raises Malformed "config": sealed by Telegram, and in a form of its own we do not know."""
    try:
        return _read(Reader(data))
    except Malformed:
        raise Malformed("a genuine configuration in an unknown form", code="config") from None


def _read(reader: Reader) -> Config:
    reader.number()  # the length, which the objects know themselves
    reader.constructor(CONFIG_SIMPLE)
    date, expires = reader.int32(), reader.int32()
    return Config(date, expires, tuple(_rule(reader) for _ in range(_count(reader))))


def _rule(reader: Reader) -> tuple[Endpoint, ...]:
    reader.constructor(RULE)
    reader.bytes()
    reader.raw(4)
    return tuple(_endpoint(reader) for _ in range(_count(reader)))


def _endpoint(reader: Reader) -> Endpoint:
    kind = reader.number()
    if kind not in (IP_PORT, IP_PORT_SECRET):
        raise Malformed("an unknown kind of endpoint")
    reader.raw(4)
    port = reader.number()
    if kind == IP_PORT_SECRET:
        reader.bytes()
    return Endpoint(port, kind == IP_PORT_SECRET)


def _count(reader: Reader) -> int:
    count = reader.number()
    if count > _MOST:
        raise Malformed("more objects than there is room for")
    return count
