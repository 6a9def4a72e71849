"""Whether bytes are a result file: of ours, or of a successor's that is kept aside until somebody can read it."""

import re
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeAlias

import msgspec

from probe import __version__
from probe.collector.envelope import MOST_OFF
from probe.collector.protocol import Refused
from probe.model import FORMAT, AnyLine, Run
from probe.record import Record
from probe.store import reason

Shelf: TypeAlias = Literal["kept", "aside"]
_FIRST = datetime(2024, 1, 1, tzinfo=UTC)  # before there was such a program
_DAMAGE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_MOST_SHOWN = 300  # characters of a reason
_VERSION = re.compile(r"callreach (\d{1,6})\.(\d{1,6})(?:\.(\d{1,6}))?")


class _Head(Record):
    """What the first line of every format has."""

    record: Literal["run"]
    format: int
    id: str
    software: str = ""
    started: datetime | None = None


_HEAD = msgspec.json.Decoder(_Head)
_LINE: msgspec.json.Decoder[AnyLine] = msgspec.json.Decoder(AnyLine)


def check(exact: bytes, run: str, now: datetime) -> Shelf:
    """Where a result file belongs; `run` is the id it was announced with. Raises Refused (422)."""
    try:
        exact.decode()
    except UnicodeDecodeError as error:
        raise _no_run(f"is not UTF-8 text (byte {error.start})") from None
    *lines, rest = exact.split(b"\n")
    if rest:
        raise _no_run(f"line {len(lines) + 1} is cut off")
    head = _head(lines[0] if lines else b"")
    if head.id != run:
        raise _no_run("line 1: id: is not the one that Callreach-Run names")
    if head.format > FORMAT:
        return "aside"
    _check_clock(head, now)
    try:
        _check_lines(lines)
    except Refused:
        # A newer program may know steps and words that we do not, within the same format.
        if _is_newer(head.software):
            return "aside"
        raise
    return "kept"


def _head(first: bytes) -> _Head:
    try:
        return _HEAD.decode(first)
    except _DAMAGE as error:
        raise _no_run(f"line 1: {reason(first, error)}") from None


def _check_lines(lines: list[bytes]) -> None:
    for number, raw in enumerate(lines, 1):
        try:
            record = _LINE.decode(raw)
        except _DAMAGE as error:
            raise _no_run(f"line {number}: {reason(raw, error)}") from None
        if isinstance(record, Run) and number > 1:
            raise _no_run(f"line {number}: is a second run in one file")


def _check_clock(head: _Head, now: datetime) -> None:
    started = head.started
    if started is None:
        return  # the line's own check says so
    if started.tzinfo is None:
        raise _no_run("line 1: started: has no time zone")
    if not _FIRST <= started <= now + timedelta(seconds=MOST_OFF):
        raise Refused(
            422,
            "clock",
            f"the run says it began at {started:%Y-%m-%dT%H:%M:%SZ}, which the clock here does not allow",
        )


def _is_newer(software: str) -> bool:
    theirs, ours = _VERSION.match(software), _VERSION.match(f"callreach {__version__}")
    if theirs is None or ours is None:
        return False
    return [int(part or 0) for part in theirs.groups()] > [int(part or 0) for part in ours.groups()]


def _no_run(why: str) -> Refused:
    return Refused(422, "run", why[:_MOST_SHOWN])
