"""What stands in a segment, one line each: a run with what is known of its arrival, a deletion, or an erased run.

A run's `document` is the text of its result file, byte for byte; JSON only escapes it. An erased line keeps its
length, so that places in a segment stay what they are.
"""

from collections.abc import Iterable

import msgspec

from probe.record import Record, line


class Kept(Record):
    """A run. Times are RFC 3339; `sent` is the sender's own clock at sending; `aside`: newer than the collector."""

    run: str
    sha256: str
    received: str
    key: str
    signature: str
    sent: str
    document: str
    aside: bool = False


class Deleted(Record):
    """Whoever holds the key that signed this run wishes it gone; the signature is theirs over the wish."""

    deleted: str
    received: str
    key: str
    signature: str
    sent: str


class Entry(Record):
    """What an index wants of any line; other keys are skipped unread."""

    run: str = ""
    sha256: str = ""
    received: str = ""
    key: str = ""
    deleted: str = ""
    erased: str = ""


_ENTRY = msgspec.json.Decoder(Entry)


def written(one: Kept | Deleted) -> bytes:
    """As a line, newline included."""
    return line(one)


def entry(raw: bytes) -> Entry | None:
    """A line as an index wants it; None for one that is no line of ours (a disk's damage)."""
    try:
        return _ENTRY.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def erased(raw: bytes, runs: Iterable[str]) -> bytes:
    """The line, or if it holds one of these runs, blanks of its length that say which it was."""
    found = entry(raw)
    if found is None or not found.run or found.run not in runs:
        return raw
    said = b'{"erased":"%b"}' % found.run.encode()
    return said.ljust(len(raw) - 1) + b"\n"
