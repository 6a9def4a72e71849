"""Our own ClientHello: its JA4 and a digest that stays the same from run to run.

A filter can and does tell one program's hello from another's, so the result says which hello was sent.
JA4 is FoxIO's TLS client fingerprint: `t13d1516h2_<ciphers>_<extensions>`.
"""

import hashlib
import struct
from typing import NamedTuple

from probe.failure import Malformed

_SERVER_NAME, _ALPN, _SIGNATURE_ALGORITHMS, _SUPPORTED_VERSIONS = 0x0000, 0x0010, 0x000D, 0x002B
_KEY_SHARE, _SESSION_TICKET, _PRE_SHARED_KEY, _PADDING = 0x0033, 0x0023, 0x0029, 0x0015
_VERSIONS = {0x0304: "13", 0x0303: "12", 0x0302: "11", 0x0301: "10", 0x0300: "s3"}


class Hello(NamedTuple):
    """A ClientHello (RFC 8446 section 4.1.2)."""

    version: int
    ciphers: tuple[int, ...]
    extensions: tuple[tuple[int, bytes], ...]

    def get(self, extension: int) -> bytes | None:
        """The body of an extension."""
        return next((body for kind, body in self.extensions if kind == extension), None)


def client_hello(records: bytes) -> Hello:
    """The ClientHello at the start of a TLS client's bytes, which may span records. Raises Malformed."""
    message, at = b"", 0
    while at + 5 <= len(records) and records[at] == 22:
        (length,) = struct.unpack_from("!H", records, at + 3)
        message += records[at + 5 : at + 5 + length]
        at += 5 + length
    return parse(message)


def parse(message: bytes) -> Hello:
    """A handshake message that must be a ClientHello. Raises Malformed."""
    try:
        if message[0] != 1:
            raise Malformed("not a ClientHello")
        body = message[4 : 4 + int.from_bytes(message[1:4], "big")]
        (version,) = struct.unpack_from("!H", body)
        at = 35 + body[34]
        (size,) = struct.unpack_from("!H", body, at)
        ciphers = struct.unpack_from(f"!{size // 2}H", body, at + 2)
        at += 2 + size
        at += 1 + body[at]
        return Hello(version, ciphers, tuple(_extensions(body[at + 2 :])) if at < len(body) else ())
    except (struct.error, IndexError) as error:
        raise Malformed("a ClientHello that is cut off") from error


def _extensions(data: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 0
    while at + 4 <= len(data):
        kind, length = struct.unpack_from("!HH", data, at)
        found.append((kind, data[at + 4 : at + 4 + length]))
        at += 4 + length
    return found


def _is_grease(value: int) -> bool:
    return value & 0x0F0F == 0x0A0A and value >> 8 == value & 0xFF  # RFC 8701


def ja4(hello: Hello, *, transport: str = "t") -> str:
    """JA4; `transport` is "t" for TCP and "q" for QUIC."""
    ciphers = sorted(f"{c:04x}" for c in hello.ciphers if not _is_grease(c))
    kinds = [kind for kind, _ in hello.extensions if not _is_grease(kind)]
    hashed = sorted(f"{kind:04x}" for kind in kinds if kind not in (_SERVER_NAME, _ALPN))
    signatures = _numbers(hello.get(_SIGNATURE_ALGORITHMS), skip=2)
    tail = ",".join(hashed) + ("_" + ",".join(f"{s:04x}" for s in signatures) if signatures else "")
    return "_".join(
        (
            transport + _version(hello) + ("d" if _SERVER_NAME in kinds else "i")
            + f"{min(99, len(ciphers)):02d}{min(99, len(kinds)):02d}" + _alpn(hello),
            _short_hash(",".join(ciphers)),
            _short_hash(tail if kinds else ""),
        )
    )  # fmt: skip


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12] if text else "000000000000"


def _numbers(body: bytes | None, *, skip: int) -> list[int]:
    data = (body or b"")[skip:]
    values = struct.unpack_from(f"!{len(data) // 2}H", data)
    return [value for value in values if not _is_grease(value)]


def _version(hello: Hello) -> str:
    offered = _numbers(hello.get(_SUPPORTED_VERSIONS), skip=1) or [hello.version]
    return _VERSIONS.get(max(offered), "00")


def _alpn(hello: Hello) -> str:
    body = hello.get(_ALPN)
    if body is None or len(body) < 4:
        return "00"
    first = body[3 : 3 + body[2]].decode("latin-1")
    return first[:1] + first[-1:] if first.isalnum() or "/" in first else "99"


def digest(hello: Hello) -> str:
    """SHA-256 over what a program chooses: versions, ciphers, extensions and their order.

    Blanked, because they differ from run to run: random, session id, key shares, tickets, pre-shared
    keys, padding, GREASE values, and the server name (only its presence counts).
    """
    blank = (_SERVER_NAME, _KEY_SHARE, _SESSION_TICKET, _PRE_SHARED_KEY, _PADDING)
    parts = [f"{hello.version:04x}", *(f"{c:04x}" for c in hello.ciphers if not _is_grease(c))]
    for kind, body in hello.extensions:
        if not _is_grease(kind):
            parts.append(f"{kind:04x}:{'' if kind in blank else body.hex()}")
    return hashlib.sha256("|".join(parts).encode()).hexdigest()
