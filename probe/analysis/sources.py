"""From the paths a person names to Parquet files of rows, and a list of everything that was left out."""

import gc
import os
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from probe.analysis import parquet
from probe.analysis.documents import documents, withdrawn
from probe.analysis.lines import LONGEST_REASON, LeftOut
from probe.analysis.rows import RowError

_TEXTS = (".jsonl", ".json", ".jsonl.zst", ".jsonl.gz", ".jsonl.open")
_NOT_RUNS = (".sig.jsonl", ".sig.jsonl.zst")  # a collector's signatures stand beside its runs
BEGUN = ".begun"  # how a folder of rows ends that is not whole yet
_NAMED = 20  # things left out that are named one by one
_MUCH = 16 << 20  # bytes from which on a second process is worth its start


class SourceError(Exception):
    """Nothing can be compared; the sentence says which path and why."""


@dataclass
class LeftOuts:
    """What was not read: how much, and the first of it by name."""

    count: int = 0
    named: list[LeftOut] = field(default_factory=list)

    def add(self, one: LeftOut) -> None:
        """Count it, and name it if not too many are."""
        self.count += 1
        if len(self.named) < _NAMED:
            self.named.append(one)

    def take(self, other: "LeftOuts") -> None:
        """Add what another reader left out."""
        self.named = (self.named + other.named)[:_NAMED]
        self.count += other.count


@dataclass
class Gathered:
    """Files of rows by table, what was left out, and how many runs were given more than once."""

    files: parquet.Files
    left_out: LeftOuts
    twice: int = 0


def gather(paths: Sequence[Path], into: Path) -> Gathered:
    """Everything that the paths hold, as rows; what is not Parquet yet becomes it under `into`.

    Raises SourceError for a path that does not exist, and where nothing at all could be read.
    """
    for path in paths:
        if not path.exists():
            raise SourceError(f"{path}: there is no such file or folder")
    ready = [file for path in paths for file in files_in(path) if file.suffix == ".parquet"]
    converted = convert(texts_of(paths), into)
    left_out = converted.left_out
    files: parquet.Files = {}
    for file in [*ready, *sorted(into.rglob("*.parquet"))]:
        table = parquet.check(file)
        if isinstance(table, LeftOut):
            left_out.add(table)
        else:
            files.setdefault(table, []).append(file)
    if not files.get("run"):
        why = f"; {left_out.named[0]}" if left_out.named else ""
        raise SourceError(f"{', '.join(map(str, paths))}: no run that can be read is in there{why}")
    files, more = parquet.distinct(files, into / "distinct")
    return Gathered(files, left_out, converted.twice + more)


def texts_of(paths: Sequence[Path]) -> list[Path]:
    """The files of documents that the paths hold."""
    return [file for path in paths for file in files_in(path) if file.suffix != ".parquet"]


def drop_damaged(gathered: Gathered) -> bool:
    """Read every page of every file, and leave out what is damaged; False if nothing is.

    For when an engine stumbled: the end of a Parquet file, which is checked always, says nothing of its pages.
    """
    damaged = [
        left
        for paths in gathered.files.values()
        for path in paths
        if isinstance(left := parquet.check(path, whole=True), LeftOut)
    ]
    for left in damaged:
        gathered.left_out.add(left)
    named = {left.path for left in damaged}
    gathered.files = {
        table: kept
        for table, paths in gathered.files.items()
        if (kept := [path for path in paths if str(path) not in named])
    }
    return bool(damaged)


def files_in(path: Path) -> Iterator[Path]:
    """A file whatever its name; of a folder what looks like results, in a stable order."""
    if not path.is_dir():
        yield path
        return
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(one for one in folders if not one.endswith(BEGUN))
        for name in sorted(names):
            if name.endswith(".parquet") or (name.endswith(_TEXTS) and not name.endswith(_NOT_RUNS)):
                yield Path(folder, name)


@dataclass
class Added:
    """What became of files of documents: runs that became rows, runs that were known, and what was left out."""

    runs: int = 0
    twice: int = 0
    left_out: LeftOuts = field(default_factory=LeftOuts)

    def take(self, other: "Added") -> None:
        """Add what another process did."""
        self.runs += other.runs
        self.twice += other.twice
        self.left_out.take(other.left_out)


def convert(texts: Sequence[Path], into: Path, known: Collection[str] = ()) -> Added:
    """Turn files of documents into Parquet under `into`, in as many processes as help.

    A run that any of the files says was withdrawn is in none of them.
    """
    processes = min(os.cpu_count() or 1, len(texts))
    if processes < 2 or sum(_size(path) for path in texts) < _MUCH:
        return convert_alone(texts, into, known, _withdrawn(texts))
    shares = [texts[start::processes] for start in range(processes)]
    whole = Added()
    with ProcessPoolExecutor(processes) as pool:
        gone = frozenset[str]().union(*pool.map(_withdrawn, shares))
        convert_share = partial(convert_alone, into=into, known=known, gone=gone)
        for done in pool.map(convert_share, shares):
            whole.take(done)
    return whole


def _withdrawn(texts: Sequence[Path]) -> frozenset[str]:
    return frozenset(run for path in texts for run in withdrawn(path))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def convert_alone(
    texts: Sequence[Path], into: Path, known: Collection[str], gone: Collection[str], *, part: str = ""
) -> Added:
    """Turn files of documents into Parquet under `into`, in this process: all but runs that are known or gone."""
    done, writer = Added(), parquet.Writer(into, known=known, part=part)
    with _nothing_collected():
        for path in texts:
            _convert(path, writer, gone, done)
        writer.flush()
    return done


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """Without Python's search for cycles: there are none in records and rows, and it looked through all that are held,
    which took a third of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _convert(path: Path, writer: parquet.Writer, gone: Collection[str], done: Added) -> None:
    empty = True
    for found in documents(path):
        empty = False
        if isinstance(found, LeftOut):
            done.left_out.add(found)
            continue
        if found.id in gone:
            continue
        try:
            new = writer.add(found.rows())
        except RowError as error:
            done.left_out.add(LeftOut(found.path, found.line, str(error)[:LONGEST_REASON]))
            continue
        done.runs += new
        done.twice += not new
    if empty:
        done.left_out.add(LeftOut(str(path), 0, "is empty"))
