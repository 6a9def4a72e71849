"""Around a run: headers that say whose it is, compression, signature. Nothing is parsed before these are right."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import zstandard
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from probe.collector.protocol import Refused
from probe.upload.signing import DELETE, RUN, padded, pae

MOST_OFF = 24 * 3600  # seconds that a sender's clock may differ from ours
_WINDOW = 8 << 20  # bytes that a frame may ask us to remember
_ID = re.compile(r"[0-9a-f]{8,64}")
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z")


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """Whose run it says it is; `sent` is the sender's clock, as text."""

    run: str
    key: bytes
    signature: bytes
    sent: str


def envelope(headers: Mapping[str, str], now: datetime) -> Envelope:
    """Read the headers of a run (names in lower case). Raises Refused."""
    kind = headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() != RUN:
        raise Refused(415, "type", f"a run is sent as {RUN}")
    if headers.get("content-encoding", "").strip().lower() != "zstd":
        raise Refused(415, "type", "a run is sent with Content-Encoding: zstd")
    return _signed(headers, run_id(headers.get("callreach-run", "")), now)


def deletion(headers: Mapping[str, str], run: str, now: datetime) -> Envelope:
    """Read the headers of a deletion, and check its signature. Raises Refused."""
    made = _signed(headers, run_id(run), now)
    verify(made, DELETE, f"{made.run} {made.sent}".encode())
    return made


def run_id(text: str) -> str:
    """A run's id. Raises Refused."""
    if not _ID.fullmatch(text):
        raise Refused(400, "envelope", "a run's id is 8 to 64 digits of lower-case hexadecimal")
    return text


def _signed(headers: Mapping[str, str], run: str, now: datetime) -> Envelope:
    key = _bytes(headers, "callreach-key", 32)
    signature = _bytes(headers, "callreach-signature", 64)
    sent = headers.get("callreach-sent", "")
    off = abs((_time(sent) - now).total_seconds())
    if off > MOST_OFF:
        here = now.strftime("%Y-%m-%dT%H:%M:%SZ")
        raise Refused(425, "clock", f"it was sent at {sent} by your clock, and here it is {here}", retry=3600)
    return Envelope(run=run, key=key, signature=signature, sent=sent)


def _bytes(headers: Mapping[str, str], name: str, size: int) -> bytes:
    try:
        raw = padded(headers.get(name, ""))
    except ValueError:
        raw = b""
    if len(raw) != size:
        raise Refused(400, "envelope", f"{name} is {size} bytes in base64url")
    return raw


def _time(text: str) -> datetime:
    try:
        if _RFC3339.fullmatch(text):
            return datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=UTC)
    except ValueError:  # the 31st of February
        pass
    raise Refused(400, "envelope", "callreach-sent is a time as RFC 3339 has it, in UTC, ending in Z")


def opened(body: bytes, most: int) -> bytes:
    """The bytes in one zstd frame; never more than `most` of them are made. Raises Refused."""
    too_large = Refused(413, "size", f"a result file has at most {most} bytes")
    try:
        frame = zstandard.get_frame_parameters(body)
        if frame.content_size == zstandard.CONTENTSIZE_UNKNOWN:
            reader = zstandard.ZstdDecompressor(max_window_size=_WINDOW).stream_reader(body)
            if len(reader.read(most + 1)) > most:
                raise too_large
        elif frame.content_size > most:
            raise too_large
        # In one piece, because only this tells a frame that is cut off, or followed by anything, from a whole one.
        return zstandard.ZstdDecompressor().decompress(body, max_output_size=most, allow_extra_data=False)
    except (zstandard.ZstdError, MemoryError):
        raise Refused(400, "envelope", "the body is not one whole zstd frame") from None


def verify(made: Envelope, type_: str, body: bytes) -> None:
    """Check the signature over a body. Raises Refused."""
    try:
        Ed25519PublicKey.from_public_bytes(made.key).verify(made.signature, pae(type_, body))
    except (InvalidSignature, ValueError):
        raise Refused(401, "signature", "the signature is not this key's over these bytes") from None
