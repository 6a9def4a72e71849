"""The documents in a file: a run of ours, a collector's segment, or OONI's measurements, told apart line by line.

A file of ours is one run of many lines. A collector's segment is one run per line: the document as one object, or
an envelope around the text that was sent, which names the key that signed it. A line that is none of these is left
out by name, and what follows it is read.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from probe.analysis import ooni_import
from probe.analysis.columns import Rows
from probe.analysis.lines import LONGEST_REASON, MAX_LINE, LeftOut, Line, lines
from probe.analysis.ooni_format import OoniMeasurement
from probe.analysis.rows import rows, sender, vantage
from probe.model import FORMAT, AnyLine, Document, End, Judgement, Lookup, Measurement, Run
from probe.record import Record

_MAX_DOCUMENT = 64 << 20  # bytes of one run; thousands of times what a run is


class Envelope(Record):
    """A line of a collector: the run as it was sent, JSON Lines in one text, and the id of the key that signed it."""

    document: str
    key: str = ""


class Found(NamedTuple):
    """One run, who it counts for, and where it stood."""

    run: Document | OoniMeasurement
    vantage: str
    path: str
    line: int

    @property
    def id(self) -> str:
        """The run's id; a measurement of OONI's has none of ours."""
        return self.run.run.id if isinstance(self.run, Document) else ""

    def rows(self) -> Rows:
        """Its rows. Raises RowError."""
        if isinstance(self.run, Document):
            return rows(self.run, self.vantage)
        return ooni_import.rows(self.run, self.vantage)


_LINE: msgspec.json.Decoder[AnyLine] = msgspec.json.Decoder(AnyLine)
_DOCUMENT = msgspec.json.Decoder(Document)
_ENVELOPE = msgspec.json.Decoder(Envelope)
_DAMAGE = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)


# How a collector's other lines begin (probe.collector.lines): a wish that a run be gone, and the blanks it left.
_DELETED, _ERASED = b'{"deleted":', b'{"erased":'
_NOTHING = msgspec.Raw()


class _Head(Record):
    """Enough of a line to tell what it is."""

    record: str | None = None
    run: msgspec.Raw = _NOTHING
    document: msgspec.Raw = _NOTHING
    test_keys: msgspec.Raw = _NOTHING
    test_name: msgspec.Raw = _NOTHING


_HEAD = msgspec.json.Decoder(_Head)


def documents(path: Path) -> Iterator[Found | LeftOut]:
    """Everything in a file. Memory is bounded by one document."""
    folder = str(path.resolve().parent)
    gathered = _Gathered(str(path), folder)
    for line in _whole(path) or lines(path):
        if isinstance(line, LeftOut):
            yield line
            continue
        if line.text.startswith((_DELETED, _ERASED)):
            continue
        try:
            record = _LINE.decode(line.text)
        except _DAMAGE as error:
            yield from _foreign(line, error, path, folder)
            continue
        yield from gathered.add(record, line)
    yield from gathered.end()


class _Wish(Record):
    deleted: str


_WISH = msgspec.json.Decoder(_Wish)


def withdrawn(path: Path) -> Iterator[str]:
    """The runs that whoever sent them wished to be gone, by a segment of a collector, which checked the wish.

    For some minutes such a run may still stand in another segment.
    """
    for line in lines(path):
        if not isinstance(line, LeftOut) and line.text.startswith(_DELETED):
            with contextlib.suppress(*_DAMAGE):
                yield _WISH.decode(line.text).deleted


def _whole(path: Path) -> list[Line]:
    """A `.json` file that is one object over many lines, as published samples are; nothing if it is not."""
    if path.suffix != ".json":
        return []
    try:
        with path.open("rb") as file:
            text = file.read(MAX_LINE + 1)
        _HEAD.decode(text)
    except (OSError, *_DAMAGE):
        return []
    return [Line(1, text)] if len(text) <= MAX_LINE else []


class _Gathered:
    """The lines of a run, until the next run begins."""

    def __init__(self, path: str, folder: str) -> None:
        self._path, self._folder = path, folder
        self._run: Run | None = None
        self._line = self._size = 0
        self._lines: list[AnyLine] = []
        self._refused = False

    def add(self, record: AnyLine, line: Line) -> Iterator[Found | LeftOut]:
        if isinstance(record, Run):
            yield from self.end()
            self._run, self._line, self._size, self._lines = record, line.number, 0, []
            self._refused = record.format > FORMAT
            if self._refused:
                yield LeftOut(
                    self._path,
                    line.number,
                    f"format {record.format} is newer than this program reads ({FORMAT})",
                )
        elif self._run is None:
            if not self._refused:
                self._refused = True
                yield LeftOut(self._path, line.number, "there is no run before this line")
        elif not self._refused:
            self._size += len(line.text)
            self._lines.append(record)
            if self._size > _MAX_DOCUMENT:
                self._refused = True
                self._lines = []
                yield LeftOut(self._path, line.number, f"a run of more than {_MAX_DOCUMENT >> 20} MiB")

    def end(self) -> Iterator[Found | LeftOut]:
        if self._run is not None and not self._refused:
            document = assembled(self._run, self._lines)
            who = vantage(self._run.vantage.label, self._folder)
            yield Found(document, who, self._path, self._line)
        self._run = None


def assembled(run: Run, records: list[AnyLine]) -> Document:
    """The lines of one run as one document."""
    return Document(
        run=run,
        lookups=tuple(record for record in records if isinstance(record, Lookup)),
        measurements=tuple(record for record in records if isinstance(record, Measurement)),
        judgement=next((record for record in records if isinstance(record, Judgement)), None),
        end=next((record for record in records if isinstance(record, End)), None),
    )


def _foreign(line: Line, error: Exception, path: Path, folder: str) -> Iterator[Found | LeftOut]:
    """A line that is not one of ours as such."""
    try:
        head = _HEAD.decode(line.text)
        if bytes(head.test_keys) and bytes(head.test_name):
            measurement = ooni_import.read(line.text)
            yield Found(measurement, ooni_import.vantage(measurement, folder), str(path), line.number)
        elif bytes(head.document):
            yield from _enveloped(_ENVELOPE.decode(line.text), line, path, folder)
        elif bytes(head.run) and head.record is None:
            document = _DOCUMENT.decode(line.text)
            if document.run.format > FORMAT:
                raise ValueError(f"format {document.run.format} is newer than this program reads ({FORMAT})")
            who = vantage(document.run.vantage.label, folder)
            yield Found(document, who, str(path), line.number)
        else:
            yield LeftOut(str(path), line.number, _reason(error, known=head.record is not None))
    except _DAMAGE as damage:
        yield LeftOut(str(path), line.number, _reason(damage, known=True))
    except ValueError as refusal:
        yield LeftOut(str(path), line.number, str(refusal))


def _enveloped(envelope: Envelope, line: Line, path: Path, folder: str) -> Iterator[Found | LeftOut]:
    inside = _Gathered(str(path), folder)
    found: list[Found | LeftOut] = []
    for text in envelope.document.encode().splitlines():
        if text.strip():
            found += inside.add(_LINE.decode(text), Line(line.number, text))
    found += inside.end()
    for one in found:
        yield one._replace(vantage=sender(envelope.key)) if isinstance(one, Found) and envelope.key else one


def _reason(error: Exception, *, known: bool) -> str:
    if isinstance(error, RecursionError):
        return "is nested too deeply"
    if isinstance(error, msgspec.ValidationError):
        if not known:
            return "is JSON, but neither a run of ours nor a measurement of OONI's"
        reason, _, where = str(error).partition(" - at `$")
        key = where.strip("`").lstrip(".")
        return f"{key or 'record'}: {reason[:1].lower()}{reason[1:]}"[:LONGEST_REASON]
    return "is not JSON"
