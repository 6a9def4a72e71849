"""Runs on disk: JSON Lines, appended as things happen, and read back however damaged they are."""

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from probe.language import N_
from probe.model import FORMAT, AnyLine, Document, End, Judgement, Lookup, Measurement, Run
from probe.record import line

_MAX_LINE = 4 << 20
_MAX_PROBLEMS = 20
_ROOM = 1 << 20  # bytes that must be free before a run begins


class StoreError(Exception):
    """A result file cannot be written, or nothing of it can be read; the sentence says which and why."""


class Writer:
    """One run's file, appended line by line; a crash loses at most the line being written."""

    def __init__(self, folder: Path, run: Run) -> None:
        where = f"{run.vantage.country}AS{run.vantage.asn}" if run.vantage.asn else "unknown"
        name = f"{run.started:%Y%m%dT%H%M%SZ}_{where}_{run.id[:8]}.jsonl"
        self.path = folder / name
        try:
            self._file = self.path.open("xb")
        except OSError as error:
            raise StoreError(f"{self.path}: cannot be created ({error.strerror})") from None
        self.append(run)

    def append(self, record: AnyLine) -> None:
        """Write one line and hand it to the operating system. Raises StoreError, for a full disk too."""
        try:
            self._file.write(line(record))
            self._file.flush()
        except OSError as error:
            raise StoreError(f"{self.path}: cannot be written ({error.strerror})") from None

    def close(self) -> None:
        """Make sure that it is on the disk."""
        with contextlib.suppress(OSError):
            os.fsync(self._file.fileno())
        self._file.close()


def prepare(folder: Path) -> None:
    """Make sure that a run can be kept in `folder`, before anything is measured. Raises StoreError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(_ROOM))
    except OSError as error:
        raise StoreError(f"{folder}: runs cannot be kept here ({error.strerror})") from None


@dataclass(frozen=True, kw_only=True)
class Stored:
    """What could be read of a file, and what could not: one sentence each."""

    path: Path
    document: Document
    problems: tuple[str, ...]


_DECODER: msgspec.json.Decoder[AnyLine] = msgspec.json.Decoder(AnyLine)


def read(path: Path) -> Stored:
    """Read a result file. Raises StoreError if there is no readable run in it."""
    run: Run | None = None
    lines: list[AnyLine] = []
    problems: list[str] = []
    for number, raw in _lines(path, problems):
        try:
            record = _DECODER.decode(raw)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            problems.append(f"{path}: line {number}: {reason(raw, error)}")
            continue
        if isinstance(record, Run) and run is None and record.format > FORMAT:
            raise StoreError(
                f"{path}: line {number}: format {record.format} is newer than this program reads ({FORMAT});"
                " update callreach"
            )
        if isinstance(record, Run):
            if run is not None:
                text = N_("{path}: line {number}: a second run in one file; only the first is shown")
                problems.append(text.format(path=path, number=number))
                break
            run = record
        else:
            lines.append(record)
    if run is None:
        nothing = N_("{path}: there is no run in this file").format(path=path)
        raise StoreError(problems[0] if problems else nothing)
    document = _document(run, lines)
    problems += _doubts(path, document)
    return Stored(path=path, document=document, problems=tuple(problems[:_MAX_PROBLEMS]))


def _lines(path: Path, problems: list[str]) -> Iterator[tuple[int, bytes]]:
    try:
        with path.open("rb") as file:
            number = 0
            while raw := file.readline(_MAX_LINE):
                number += 1
                if not raw.endswith(b"\n"):
                    what = "is longer than any line we write" if len(raw) >= _MAX_LINE else "is cut off"
                    problems.append(f"{path}: line {number}: {what}")
                    return
                yield number, raw
    except OSError as error:
        text = N_("{path}: cannot be read ({reason})")
        raise StoreError(text.format(path=path, reason=error.strerror)) from None


def reason(raw: bytes, error: Exception) -> str:
    """Why a line is no record of ours, in a few words with its key."""
    if isinstance(error, RecursionError):
        return "is nested too deeply"
    if isinstance(error, msgspec.ValidationError):
        reason, _, where = str(error).partition(" - at `$")
        key = where.strip("`").lstrip(".")
        return f"{key or 'record'}: {reason[:1].lower()}{reason[1:]}"
    return "is not JSON" if raw.strip() else "is empty"


def _document(run: Run, lines: list[AnyLine]) -> Document:
    return Document(
        run=run,
        lookups=tuple(record for record in lines if isinstance(record, Lookup)),
        measurements=tuple(record for record in lines if isinstance(record, Measurement)),
        judgement=next((record for record in lines if isinstance(record, Judgement)), None),
        end=next((record for record in lines if isinstance(record, End)), None),
    )


def _doubts(path: Path, document: Document) -> list[str]:
    found = []
    if document.end is None:
        found.append(f"{path}: the end is missing: the program was stopped while it wrote")
    numbers = [o.id for m in document.measurements for c in m.chains for o in c.observations]
    numbers += [o.id for lookup in document.lookups for o in lookup.observations]
    if len(numbers) != len(set(numbers)):
        found.append(f"{path}: observations share an id: the file was edited or two runs were mixed")
    return found


def runs(folder: Path) -> list[Path]:
    """Result files, newest first."""
    return sorted(folder.glob("*.jsonl"), key=lambda path: path.name, reverse=True)


def find(folder: Path, name: str | None) -> Path:
    """A run by path, by id or its beginning, or the newest. Raises StoreError."""
    if name and Path(name).is_file():
        return Path(name)
    found = runs(folder)
    if name is None:
        if not found:
            text = N_("{folder}: there are no runs here yet; `probe run` makes one")
            raise StoreError(text.format(folder=folder))
        return found[0]
    # A file's name ends in the first eight digits of its run's id.
    matching = [path for path in found if name in path.name or path.stem.endswith(f"_{name[:8]}")]
    if not matching:
        text = N_("{folder}: there is no run {name} here")
        raise StoreError(text.format(folder=folder, name=repr(name)))
    return matching[0]


def schema() -> dict[str, Any]:
    """The JSON Schema of one line of a result file."""
    made = msgspec.json.schema(AnyLine)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"One line of a callreach result file, format {FORMAT}",
        **made,
    }


if __name__ == "__main__":
    import sys

    sys.stdout.write(json.dumps(schema(), indent=1, sort_keys=True) + "\n")
