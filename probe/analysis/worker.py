"""What a worker of a cluster does with one file: the same functions that this machine would use, and their answers
as rows that Spark carries.

A step takes the path of a file and gives answers: what it is, a text, bytes. Spark calls `steps` with
batches of them; a task that dies is done again elsewhere, so a step has no effect but files under names that are its
source's own.
"""

import hashlib
import io
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import msgspec

from probe import __version__
from probe.analysis import parquet, sources
from probe.analysis.columns import schema
from probe.analysis.documents import withdrawn
from probe.analysis.lines import LeftOut

if TYPE_CHECKING:
    import pyarrow as pa

MARK = "callreach on a worker: "  # how a sentence is found in what an engine says of a task that failed

_BATCH = 1 << 18  # bytes of answers that travel together


class WorkerError(Exception):
    """A worker cannot do its part; the sentence says why."""

    def __init__(self, sentence: str) -> None:
        super().__init__(f"{MARK}{sentence}")


class Answer(NamedTuple):
    """What a step says of a file: `what` it is, with a text or bytes."""

    what: str
    text: str = ""
    data: bytes = b""


Step: TypeAlias = Callable[[Path], Iterator[Answer]]
COLUMNS = "number long, path string, what string, text string, data binary"


def steps(batches: "Iterator[pa.RecordBatch]", *, version: str, step: Step) -> "Iterator[pa.RecordBatch]":
    """The answers of a step to each (number, path) of these batches, in rows of COLUMNS."""
    import pyarrow as pa

    if version != __version__:
        raise WorkerError(f"it has version {__version__} and was asked by {version}; both must be the same")
    texts = [pa.field(name, pa.string()) for name in ("path", "what", "text")]
    shape = pa.schema([pa.field("number", pa.int64()), *texts, pa.field("data", pa.binary())])
    for batch in batches:
        for one in batch.to_pylist():
            for some in _in_batches(step(Path(one["path"]))):
                rows = [{"number": one["number"], "path": one["path"], **answer._asdict()} for answer in some]
                yield pa.RecordBatch.from_pylist(rows, schema=shape)


def _in_batches(answers: Iterator[Answer]) -> Iterator[list[Answer]]:
    held, size = list[Answer](), 0
    for answer in answers:
        held.append(answer)
        size += len(answer.data) + len(answer.text)
        if size >= _BATCH:
            yield held
            held, size = [], 0
    if held:
        yield held


def list_files(path: Path) -> Iterator[Answer]:
    """The files that a path names here."""
    if not path.exists():
        yield Answer("absent", str(path))
        return
    for file in sources.files_in(path):
        yield Answer("file", str(file))


def look(path: Path, *, whole: bool) -> Iterator[Answer]:
    """Of rows: their table, or why they cannot be used, and the runs in them. Of documents: the runs to leave out."""
    if not path.exists():
        raise WorkerError(f"{path}: it is not there; paths must mean the same to every worker")
    if path.suffix != ".parquet":
        for run in withdrawn(path):
            yield Answer("gone", run)
        return
    table = parquet.check(path, whole=whole)
    if isinstance(table, LeftOut):
        yield Answer("left out", msgspec.json.encode(table).decode())
        return
    yield Answer("table", table)
    if table == "run":
        for run in sorted(parquet.runs(path)):
            yield Answer("has", run)


def convert(path: Path, *, gone: Collection[str]) -> Iterator[Answer]:
    """The rows of a file of documents, as Parquet in bytes, the runs in it, and what became of it."""
    with tempfile.TemporaryDirectory(prefix="callreach-") as folder:
        into = Path(folder)
        added = sources.convert_alone([path], into, (), gone)
        for file in sorted(into.rglob("*.parquet")):
            table = file.parent.parent.name
            yield Answer(table, data=file.read_bytes())
            for run in sorted(parquet.runs(file)) if table == "run" else ():
                yield Answer("has", run)
    yield Answer("added", msgspec.json.encode(added).decode())


def keep(path: Path, *, gone: Collection[str], into: Path, before: Collection[str]) -> Iterator[Answer]:
    """Write the rows of a file under `into`, and say what became of it.

    `before` are the files with runs that stood there before this job began, so that its tasks do not depend on each
    other. The parts are named by the source, path and bytes: whoever does it again replaces them.
    """
    with path.open("rb") as source:
        digest = hashlib.file_digest(source, "sha256").hexdigest()
    part = hashlib.sha256(f"{path}\0{digest}".encode()).hexdigest()[:16]
    mine, theirs = set[str](), set[str]()
    for file in map(Path, before):
        if parquet.check(file) == "run":
            (mine if file.name.startswith(part) else theirs).update(parquet.runs(file))
    try:
        added = sources.convert_alone([path], into, theirs, gone, part=part)
    except OSError as error:
        raise WorkerError(f"{into}: rows cannot be written ({error.strerror})") from None
    again = min(added.runs, len(mine))
    added.runs, added.twice = added.runs - again, added.twice + again
    yield Answer("added", msgspec.json.encode(added).decode())


def read(
    batches: "Iterator[pa.RecordBatch]", *, table: str, without: Mapping[str, Collection[str]]
) -> "Iterator[pa.RecordBatch]":
    """The rows in each (path, data) of these batches, less the runs that `without` names for its path."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    # Spark knows microseconds alone.
    kinds = [
        (field.name, pa.timestamp("us") if field.type == pa.timestamp("ms") else field.type)
        for field in schema(table)
    ]
    for batch in batches:
        for one in batch.to_pylist():
            rows = pq.read_table(io.BytesIO(one["data"]) if one["data"] else one["path"], partitioning=None)
            if runs := without.get(one["path"]):
                rows = rows.filter(pc.invert(pc.is_in(rows["run"], pa.array(runs, pa.string()))))
            yield from rows.replace_schema_metadata(None).cast(pa.schema(kinds)).to_batches()
