"""Packets as text: the templates of docs/paced-flow.md, read once and rendered many times. Pure."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from probe.media import stamp

MAX_TEXT = 8192
MAX_SIZE = 1400  # bytes of UDP payload that fit any path without fragments
_TOKEN = re.compile(
    r"\s*(?:(?P<hex>(?:[0-9a-fA-F]{2})+)|'(?P<text>[\x20-\x26\x28-\x7e]*)'|\{(?P<word>[a-z]+\d*(?:le)?)"
    r"(?::(?P<name>[a-z][a-z0-9_]*))?(?::(?P<count>\d{1,5}))?\})"
)


class TemplateError(ValueError):
    """A template cannot be read; the sentence says where and why."""


@dataclass
class Memory:
    """What stays the same, or counts on, within one flow."""

    same: dict[str, bytes] = field(default_factory=dict)
    counts: dict[int, int] = field(default_factory=dict)

    def constant(self, name: str, size: int) -> bytes:
        """Random bytes, drawn once for this flow."""
        if name not in self.same:
            self.same[name] = os.urandom(size)
        return self.same[name]

    def counted(self, token: int) -> int:
        """How often this token was rendered before."""
        count = self.counts.get(token, 0)
        self.counts[token] = count + 1
        return count


Render = Callable[[Memory, bytes, int], bytes]  # memory, stamp, bytes to fill


@dataclass(frozen=True)
class _Part:
    size: int  # -1: whatever is left
    render: Render
    rest: int = 0  # for a length field: how many bytes wide; it is patched when the rest is known


class Template:
    """One kind of packet.

    `size` is None if the profile chooses it; `minimum` is the least it can have. `stamp_at` is the offset of the
    stamp, None if it has none. Raises TemplateError.
    """

    def __init__(self, text: str) -> None:
        if len(text) > MAX_TEXT:
            raise TemplateError(f"is longer than {MAX_TEXT} characters")
        self.text = text
        self._parts = tuple(_parts(text))
        fills = [index for index, part in enumerate(self._parts) if part.size < 0]
        if len(fills) > 1:
            raise TemplateError("has more than one {fill}")
        self.minimum = sum(part.size for part in self._parts if part.size > 0)
        self.size = None if fills else self.minimum
        stamps = [index for index, part in enumerate(self._parts) if part.render is _stamp]
        if len(stamps) > 1 or (stamps and fills and fills[0] < stamps[0]):
            raise TemplateError("needs its one {stamp} before its {fill}")
        self.stamp_at = sum(part.size for part in self._parts[: stamps[0]]) if stamps else None
        if not 0 < self.minimum <= MAX_SIZE:
            raise TemplateError(f"makes {self.minimum} bytes; 1 to {MAX_SIZE} are possible")

    def sized(self, wanted: int) -> int:
        """The size a packet will have when the profile wants so many bytes."""
        return self.size if self.size is not None else max(self.minimum, min(wanted, MAX_SIZE))

    def render(self, memory: Memory, mark: bytes, wanted: int = 0) -> bytes:
        """One packet. `mark` is the sealed stamp."""
        size = self.sized(wanted)
        made = [part.render(memory, mark, size - self.minimum) for part in self._parts]
        for index, part in enumerate(self._parts):
            if part.rest:
                made[index] = sum(map(len, made[index + 1 :])).to_bytes(part.rest, "big")
        return b"".join(made)


def _parts(text: str) -> list[_Part]:
    found: list[_Part] = []
    at = 0
    text = text.rstrip()
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            raise TemplateError(f"cannot be read from {text[at : at + 16].strip()!r} on")
        at = token.end()
        if token["word"]:
            found.append(_word(token["word"], token["name"] or "", token["count"], len(found)))
        else:
            raw = bytes.fromhex(token["hex"]) if token["hex"] else (token["text"] or "").encode()
            found.append(_Part(len(raw), _fixed(raw)))
    return found


def _word(word: str, name: str, count: str | None, index: int) -> _Part:
    number = int(count) if count else 0
    match word:
        case "random" if 0 < number <= MAX_SIZE:
            return _Part(number, lambda memory, mark, left: os.urandom(number))
        case "same" if name and 0 < number <= MAX_SIZE:
            return _Part(number, lambda memory, mark, left: memory.constant(name, number))
        case "count16":
            return _Part(2, lambda memory, mark, left: (memory.counted(index) & 0xFFFF).to_bytes(2, "big"))
        case "count32le":
            return _Part(4, lambda memory, mark, left: memory.counted(index).to_bytes(4, "little"))
        case "clock32" if number:
            return _Part(4, _clock(index, number))
        case _ if word in _SIMPLE and not number:
            return _SIMPLE[word]
        case _:
            raise TemplateError(f"has {{{word}}}, which is unknown or lacks its number")


def _fixed(raw: bytes) -> Render:
    return lambda memory, mark, left: raw


def _clock(index: int, step: int) -> Render:
    return lambda memory, mark, left: (memory.counted(index) * step & 0xFFFFFFFF).to_bytes(4, "big")


def _stamp(memory: Memory, mark: bytes, left: int) -> bytes:
    return mark


_SIMPLE = {
    "stamp": _Part(stamp.SIZE, _stamp),
    "fill": _Part(-1, lambda memory, mark, left: os.urandom(left)),
    "high": _Part(1, lambda memory, mark, left: bytes([0xC0 | os.urandom(1)[0]])),
    "rest16": _Part(2, _fixed(b"\0\0"), rest=2),
    "rest32": _Part(4, _fixed(b"\0\0\0\0"), rest=4),
}
