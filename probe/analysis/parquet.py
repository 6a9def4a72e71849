"""Rows in Parquet: FOLDER/<table>/month=2026-11/<part>.parquet, written in parts, checked before they are read.

Months, because days make files too many to open quickly, and because a key that looks like a date is read as a date
by some engines and as text by others.
"""

import os
import secrets
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import get_args

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from probe.analysis.columns import TABLE_KEY, TABLES, VERSION, VERSION_KEY, Place, Row, Rows, schema
from probe.analysis.lines import LeftOut
from probe.model import State

_STATES = frozenset(get_args(State))
_AT_ONCE = 100_000  # rows that are held before they are written


class _Held:
    """Rows of one table until they are written: what all rows of a run have in common is held once."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self._places: list[Place] = []
        self._counts: list[int] = []

    def add(self, place: Place, rows: Sequence[Row]) -> None:
        self.rows += rows
        self._places.append(place)
        self._counts.append(len(rows))

    def table(self, name: str) -> pa.Table:
        shape = schema(name)
        common, own = zip(*self._places, strict=True), list(zip(*self.rows, strict=True))[1:]
        which = pa.array([n for n, count in enumerate(self._counts) for _ in range(count)], pa.int32())
        place, rest = shape.types[: len(Place._fields)], shape.types[len(Place._fields) :]
        columns = [pa.array(column, kind).take(which) for column, kind in zip(common, place, strict=True)]
        columns += [pa.array(column, kind) for column, kind in zip(own, rest, strict=True)]
        return pa.Table.from_arrays(columns, schema=shape)


class Writer:
    """Writes rows under a folder. What is held is bounded; a part appears whole or not at all."""

    def __init__(self, folder: Path, *, known: Iterable[str] = (), part: str = "") -> None:
        """`known` are runs that are kept elsewhere already; `part` begins the names of files that may be replaced."""
        self._folder, self._part, self._parts = folder, part, 0
        self._held: dict[tuple[str, str], _Held] = defaultdict(_Held)
        self._count = 0
        self._seen = set(known)

    def add(self, rows: Rows) -> bool:
        """Keep the rows of one run; False if this writer has them already."""
        run = rows.run.place.run
        if run in self._seen:
            return False
        self._seen.add(run)
        month = f"{rows.run.place.started:%Y-%m}"
        made: tuple[Sequence[Row], ...] = ([rows.run], rows.measurements, rows.observations, rows.verdicts)
        for table, ones in zip(TABLES, made, strict=True):
            self._held[table, month].add(rows.run.place, ones)
            self._count += len(ones)
        if self._count >= _AT_ONCE:
            self.flush()
        return True

    def flush(self) -> None:
        """Write what is held."""
        part = f"{self._part}-{self._parts:03}" if self._part else secrets.token_hex(8)
        self._parts += 1
        for (table, month), held in self._held.items():
            if held.rows:
                write(held.table(table), self._folder / table / f"month={month}" / f"{part}.parquet")
        self._held.clear()
        self._count = 0


def write(table: pa.Table, path: Path) -> None:
    """Write one file, under its name only when it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{secrets.token_hex(4)}.tmp")  # a task may be done twice at the same time
    texts = [field.name for field in table.schema if pa.types.is_string(field.type)]
    pq.write_table(table, unfinished, compression="zstd", use_dictionary=texts)  # numbers hardly repeat
    os.replace(unfinished, path)


def check(path: Path, *, whole: bool = False) -> str | LeftOut:
    """Which table a file holds, or why it cannot be used. `whole` reads every page and not only the end."""
    try:
        with pq.ParquetFile(path) as file:
            said = file.schema_arrow.metadata or {}
            table: str = said.get(TABLE_KEY, b"").decode("utf-8", "replace")
            if table not in TABLES or VERSION_KEY not in said:
                return LeftOut(str(path), 0, "is Parquet, but not rows of ours")
            if said[VERSION_KEY] != str(VERSION).encode():
                of = said[VERSION_KEY].decode("utf-8", "replace")[:9]
                return LeftOut(str(path), 0, f"holds rows of version {of}; this program reads {VERSION}")
            if not file.schema_arrow.equals(schema(table)):
                return LeftOut(str(path), 0, f"does not have the columns of a {table} table")
            if whole or table == "run":  # small, and read by us before any engine does
                for batch in file.iter_batches():
                    if table == "verdict" and not set(pc.unique(batch["state"]).to_pylist()) <= _STATES:
                        return LeftOut(str(path), 0, "holds a state that no verdict has")
    except (pa.ArrowException, OSError, ValueError) as error:
        return LeftOut(str(path), 0, f"is not readable Parquet ({str(error).splitlines()[0][:120]})")
    return table


def runs(path: Path) -> set[str]:
    """The runs in a file of rows."""
    return set(_runs(path))


def _runs(path: Path) -> list[str]:
    with pq.ParquetFile(path) as file:  # `read_table` imports pandas where there is one: a fifth of a second
        found: list[str] = file.read(columns=["run"])["run"].to_pylist()
    return found


Files = dict[str, list[Path]]  # by table


def distinct(files: Files, into: Path) -> tuple[Files, int]:
    """The same files with every run once, and how many runs were there twice.

    A part in which a run is that an earlier part has is written anew, without it, under `into`.
    """
    seen: set[str] = set()
    twice: dict[str, list[str]] = {}
    for path in files.get("run", ()):
        here = _runs(path)
        again = [run for run in here if run in seen]
        seen.update(here)
        if again:
            twice[part(path)] = again
    if not twice:
        return files, 0
    kept: Files = {
        table: [_without(path, twice[part(path)], into) if part(path) in twice else path for path in paths]
        for table, paths in files.items()
    }
    return kept, sum(map(len, twice.values()))


def part(path: Path) -> str:
    """What the files of one part have in common: their name, and the folder above their table's."""
    return f"{path.parent.parent.parent}|{path.name}|{path.parent.name}"


def _without(path: Path, runs: Iterable[str], into: Path) -> Path:
    table = pq.read_table(path, partitioning=None)
    kept = table.filter(pc.invert(pc.is_in(table["run"], pa.array(runs, pa.string()))))
    made = into / path.parent.parent.name / path.parent.name / f"{secrets.token_hex(8)}.parquet"
    write(kept.replace_schema_metadata(table.schema.metadata), made)
    return made
