"""Rows that are kept: documents become Parquet once, and a collector's segments day by day.

FOLDER/<table>/...                 of files that were named: runs are added, and never leave
FOLDER/<day>-<state>/<table>/...   of a collector's sealed segments whose names begin with that day

`state` is of the segments' names, sizes and times and of the rules: a day that gets a segment, or loses a withdrawn
run, is made anew beside the old and takes its place; all others are not even read. A day whose segments were moved
away stays as it is.
"""

import hashlib
import secrets
import shutil
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from probe import rules
from probe.analysis import parquet
from probe.analysis.columns import VERSION
from probe.analysis.sources import BEGUN, Added, SourceError, convert, texts_of
from probe.collector.segments import PACKED, SEALED
from probe.durable import sync
from probe.lock import Busy, held


def add(paths: Sequence[Path], into: Path) -> Added:
    """Turn documents into rows that are kept under `into`, each run once.

    Raises SourceError for a path that does not exist, and where `into` cannot be written.
    """
    for path in paths:
        if not path.exists():
            raise SourceError(f"{path}: there is no such file or folder")
    storages = [found for path in paths if (found := _sealed(path)) is not None]
    others = [path for path in paths if _sealed(path) is None]
    try:
        with held(into / "lock"):
            whole = Added()
            for sealed in storages:
                whole.take(_roll(sealed, into))
            if others:
                whole.take(convert(texts_of(others), into, _known(into)))
            return whole
    except Busy:
        raise SourceError(f"{into}: another import is writing there just now") from None
    except OSError as error:
        raise SourceError(f"{into}: rows cannot be written ({error.strerror})") from None


def _sealed(path: Path) -> Path | None:
    """The folder of sealed segments, if this is a collector's storage or that folder itself."""
    if (path / SEALED).is_dir():
        return path / SEALED
    return path if path.name == SEALED and path.is_dir() else None


def _known(into: Path) -> set[str]:
    """The runs whose rows are kept already."""
    return {run for file in _rows_of_runs(into) for run in parquet.runs(file)}


def _rows_of_runs(folder: Path) -> list[Path]:
    return [file for file in sorted(folder.rglob("run/**/*.parquet")) if parquet.check(file) == "run"]


def _roll(sealed: Path, into: Path) -> Added:
    for left in into.glob(f"*{BEGUN}"):  # of one that was killed
        shutil.rmtree(left)
    days: dict[str, list[Path]] = defaultdict(list)
    for file in sorted(sealed.glob(f"*{PACKED}")):
        days[file.name[:8]].append(file)
    whole = Added()
    for day, files in days.items():
        target = into / f"{day}-{_state(files)}"
        before = [old for old in into.glob(f"{day}-*") if old != target]
        there = _count(target) if target.is_dir() else _count(*before)
        if not target.is_dir():
            done = _made(files, target)
            done.runs, done.twice = max(0, done.runs - there), min(done.runs, there) + done.twice
            whole.take(done)
        else:
            whole.take(Added(twice=there))
        for old in before:
            shutil.rmtree(old)
    return whole


def _made(files: Sequence[Path], target: Path) -> Added:
    """Rows of a day, under their name only when they are whole and on the disk."""
    begun = target.with_name(f"{target.name}.{secrets.token_hex(4)}{BEGUN}")
    begun.mkdir()
    done = convert(files, begun)
    for path in (*begun.rglob("*"), begun):
        sync(path)
    begun.rename(target)
    sync(target.parent)
    return done


def _state(files: Sequence[Path]) -> str:
    """Changes whenever the rows of these would."""
    known = [(file.name, (status := file.stat()).st_size, status.st_mtime_ns) for file in files]
    return hashlib.sha256(repr((VERSION, rules.VERSION, known)).encode()).hexdigest()[:16]


def _count(*folders: Path) -> int:
    return sum(len(parquet.runs(file)) for folder in folders for file in _rows_of_runs(folder))
