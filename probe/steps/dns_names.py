"""Names that a service publishes in the DNS, as far as they have the form that the catalogue expects.

    turn*.*.prod.wire.com                  an asterisk is any run of letters, digits and hyphens within a label
    *-shv-*-{pop}.facebook.com             a word in braces is letters and digits that other hosts are named by

The last two labels of a form are plain: whatever a resolver says, a name outside the service's own is never one of its.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

_PART = re.compile(r"\*|\{[a-z]{1,12}\}|[a-z0-9_-]+")
_PLAIN = re.compile(r"[a-z0-9-]+")
_WILD = 3  # wild parts in a label: a name must be refused in no time, however it is made
_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
_WEB = (80, 443)


class Listed(NamedTuple):
    """A host, its port (0 where the record has none), and the words of the form in its name."""

    host: str
    port: int
    words: Mapping[str, str]


class Form:
    """What the names of a record look like. Raises ValueError for a text that is no form."""

    def __init__(self, text: str) -> None:
        labels = [_parts(label, text) for label in text.split(".")]
        if len(labels) < 3 or not all(_PLAIN.fullmatch("".join(parts)) for parts in labels[-2:]):
            raise ValueError(f"{text!r} does not end in two plain labels after another")
        self.words = tuple(part[1:-1] for parts in labels for part in parts if part[0] == "{")
        if len(set(self.words)) < len(self.words):
            raise ValueError(f"{text!r} has a word twice")
        self._pattern = re.compile(r"\.".join("".join(map(_pattern, parts)) for parts in labels))

    def read(self, record: str, kind: str) -> Listed | None:
        """The host that a record (SRV or PTR, as text) names; None for anything that is not of this form."""
        name, port = record.strip(), 0
        if kind == "SRV":
            fields = record.split()
            if len(fields) != 4 or not fields[2].isascii() or not fields[2].isdigit() or len(fields[2]) > 5:
                return None
            name, port = fields[3], int(fields[2])
            if not (port in _WEB or 1024 <= port < 65536):
                return None
        name = name.removesuffix(".").lower()
        found = self._pattern.fullmatch(name) if len(name) <= 253 else None
        if found is None or not all(map(_LABEL.fullmatch, name.split("."))):
            return None
        return Listed(name, port, found.groupdict())


@lru_cache(maxsize=32)
def form(text: str) -> Form:
    """The form of a text. Raises ValueError."""
    return Form(text)


def _parts(label: str, text: str) -> list[str]:
    parts = _PART.findall(label)
    if not parts or "".join(parts) != label or sum(part[0] in "*{" for part in parts) > _WILD:
        raise ValueError(f"{text!r} is not a form of host names")
    return parts


def _pattern(part: str) -> str:
    if part == "*":
        return "[a-z0-9-]*"
    return f"(?P<{part[1:-1]}>[a-z0-9]{{1,16}})" if part[0] == "{" else re.escape(part)
