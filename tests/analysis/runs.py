"""Runs for tests of the analysis: where and when they were made, their files, and the tables of their rows."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

import ibis
import msgspec
import pyarrow as pa
from ibis.expr.types import Table

from probe.analysis.columns import TABLES, Rows, schema
from probe.analysis.engine import Tables, tables
from probe.analysis.rows import rows, vantage
from probe.failure import Kind
from probe.model import Chain, Document, End, Vantage
from probe.record import line
from probe.verdict import judge
from tests.build import NOON, chain, document, measured, saw, works

_numbers = count(1)


def run(
    doc: Document, *, run: str = "", started: datetime = NOON, judged: bool = True, **where: Any
) -> Document:
    """The document as a finished run of a network: `asn`, `as_name`, `country`, `label`, `kind`."""
    head = msgspec.structs.replace(
        doc.run, id=run or f"{next(_numbers):016x}", started=started, vantage=Vantage(**where)
    )
    doc = msgspec.structs.replace(
        doc, run=head, end=End(ended="complete", seconds=9.0, sent=1000, received=2000)
    )
    return msgspec.structs.replace(doc, judgement=judge(doc)) if judged else doc


def silent(service: str = "paperplane", *, kind: Kind = Kind.TIMEOUT, **where: Any) -> Document:
    """A run in which a service's chat server was silent beside healthy controls."""
    return document(measured(*(chain(saw("tcp", kind), **where) for _ in range(3)), service=service))


def answering(service: str = "paperplane", **where: Any) -> Document:
    """A run in which it answered and proved who it is."""
    return document(measured(works("tcp", "tls", "http", **where), service=service))


def reset() -> Chain:
    """A chain whose TLS hello was answered by a reset."""
    return chain(saw("tcp"), saw("tls", Kind.RESET))


def text(doc: Document) -> bytes:
    """The result file of a run."""
    last = [one for one in (doc.judgement, doc.end) if one is not None]
    return b"".join(line(one) for one in (doc.run, *doc.lookups, *doc.measurements, *last))


def write(folder: Path, *docs: Document) -> list[Path]:
    """One result file per run."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{doc.run.id}.jsonl" for doc in docs]
    for path, doc in zip(paths, docs, strict=True):
        path.write_bytes(text(doc))
    return paths


def tabled(docs: Iterable[Document], *, vantages: Sequence[str] = ()) -> Tables:
    """The tables of these runs, each from a vantage point of its label unless others are given."""
    made = [
        rows(doc, vantages[number] if vantages else vantage(doc.run.vantage.label, f"folder {doc.run.id}"))
        for number, doc in enumerate(docs)
    ]
    return tables({table: _table(table, made) for table in TABLES})


def _table(table: str, made: Sequence[Rows]) -> Table:
    shape = schema(table)
    found = {
        "run": [one.run for one in made],
        "measurement": [row for one in made for row in one.measurements],
        "observation": [row for one in made for row in one.observations],
        "verdict": [row for one in made for row in one.verdicts],
    }[table]
    flat = [(*row.place, *row[1:]) for row in found]  # type: ignore[attr-defined]
    columns = zip(zip(*flat, strict=True), shape.types, strict=True) if flat else ()
    arrays = [pa.array(*column) for column in columns] or [pa.array([], kind) for kind in shape.types]
    return ibis.memtable(pa.Table.from_arrays(arrays, schema=shape))


def asked(table: Table) -> list[dict[str, Any]]:
    """The rows of an expression."""
    found: list[dict[str, Any]] = table.to_pyarrow().to_pylist()
    return found
