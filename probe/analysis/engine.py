"""Tables of rows, opened on an engine. DuckDB, in this process, is the only place where an engine is named."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, cast

import ibis
from duckdb import Error as EngineError
from ibis.expr.types import Table

from probe.analysis.columns import TABLES, columns, schema
from probe.analysis.parquet import Files

__all__ = ["EngineError", "Tables", "opened", "tables"]
_MEMORY = "700MB"  # what DuckDB may hold before it writes to disk


class Tables(NamedTuple):
    """The four kinds of rows."""

    run: Table
    measurement: Table
    observation: Table
    verdict: Table


def opened(files: Files, spill: Path) -> Tables:
    """The rows of these Parquet files. `spill` is a folder for what does not fit into memory."""
    engine = ibis.duckdb.connect(memory_limit=_MEMORY, temp_directory=str(spill))
    engine.raw_sql("SET enable_progress_bar = false")  # it would be printed on stdout, into our JSON
    return tables({
        table: cast(Table, engine.read_parquet([str(path) for path in paths], hive_partitioning=False))
        for table, paths in files.items()
    })  # fmt: skip


def tables(found: Mapping[str, Table]) -> Tables:
    """All four tables; those that are missing are empty."""
    return Tables(**{
        table: (found[table] if table in found else ibis.memtable(schema(table).empty_table())).select(columns(table))
        for table in TABLES
    })  # fmt: skip
