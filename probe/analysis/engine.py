"""Tables of rows, opened on an engine. Nowhere but here and in `cluster` is an engine named.

DuckDB, in this process, is the default: it reads what this machine sees. So does ClickHouse's engine inside chDB.
Spark reads what the workers of a cluster see.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast

import duckdb
import ibis
from ibis.expr.types import Table

from probe.analysis import rolling, sources
from probe.analysis.columns import TABLES, columns, schema
from probe.analysis.parquet import Files
from probe.analysis.sources import Added, Gathered

__all__ = ["Engine", "Tables", "Unanswered", "engine_at", "opened", "tables", "told"]
_MEMORY = "700MB"  # what DuckDB may hold before it writes to disk
SPARK, CHDB = "sc://", "chdb://"  # how the address of an engine begins


class Tables(NamedTuple):
    """The four kinds of rows."""

    run: Table
    measurement: Table
    observation: Table
    verdict: Table


class Unanswered(Exception):
    """An engine cannot be asked; the sentence says why. `code` is what the command ends with."""

    def __init__(self, sentence: str, code: int = 1) -> None:
        super().__init__(sentence)
        self.code = code


class Engine(Protocol):
    """What finds rows and answers questions about them. `errors` is what a question may raise."""

    errors: tuple[type[Exception], ...]

    def gather(self, paths: Sequence[Path]) -> Gathered:
        """What the paths hold. Raises SourceError, Unanswered."""

    def tables(self, gathered: Any) -> Tables:
        """Its rows."""

    def drop_damaged(self, gathered: Any) -> bool:
        """Look at everything once more and leave out what is damaged; False if nothing is."""

    def unanswered(self, error: Exception) -> Exception:
        """What to raise when a question failed and nothing is damaged."""

    def add(self, paths: Sequence[Path], into: Path) -> Added:
        """Turn documents into rows that are kept. Raises SourceError, Unanswered."""


class _Here:
    """Files are read and documents turned into rows on this machine, under a temporary folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def gather(self, paths: Sequence[Path]) -> Gathered:
        return sources.gather(paths, self._folder / "rows")

    def drop_damaged(self, gathered: Gathered) -> bool:
        return sources.drop_damaged(gathered)

    def unanswered(self, error: Exception) -> Exception:
        return error

    def add(self, paths: Sequence[Path], into: Path) -> Added:
        return rolling.add(paths, into)


class _DuckDb(_Here):
    errors: tuple[type[Exception], ...] = (duckdb.Error,)

    def tables(self, gathered: Gathered) -> Tables:
        return opened(gathered.files, self._folder / "spill")


class _ChDb(_Here):
    def __init__(self, folder: Path) -> None:
        import clickhouse_connect
        from clickhouse_connect.driver.exceptions import Error

        super().__init__(folder)
        self.errors: tuple[type[Exception], ...] = (Error,)
        settings = {"session_timezone": "UTC", "join_use_nulls": 1}
        self._client = clickhouse_connect.get_client(
            interface="chdb", path=str(folder / "chdb"), settings=settings
        )

    def tables(self, gathered: Gathered) -> Tables:
        engine = ibis.clickhouse.from_connection(self._client)
        for table in TABLES:
            folder = self._folder / "files" / table
            folder.mkdir(parents=True, exist_ok=True)
            for number, path in enumerate(gathered.files.get(table, ())):
                link = folder / f"{number:06}.parquet"
                link.unlink(missing_ok=True)
                link.symlink_to(path.absolute())
            self._client.command(_view(table, folder if table in gathered.files else None))
        return tables({table: cast(Table, engine.table(f"callreach_{table}")) for table in TABLES})


def _view(table: str, folder: Path | None) -> str:
    """A view of the files in a folder, or of nothing. All may be null, or ClickHouse would say 1970 for never."""
    kinds = {"string": "Nullable(String)", "int64": "Nullable(Int64)", "double": "Nullable(Float64)",
             "bool": "Nullable(Bool)", "timestamp[ms]": "Nullable(DateTime64(3, 'UTC'))"}  # fmt: skip
    shape = ", ".join(
        f"`{field.name}` {kinds.get(str(field.type), 'Array(Int64)')}" for field in schema(table)
    )
    quoted = "'" + shape.replace("'", "\\'") + "'"
    source = f"file('{folder}/*.parquet', Parquet, {quoted})" if folder else f"null({quoted})"
    return f"CREATE OR REPLACE VIEW callreach_{table} AS SELECT * FROM {source}"  # noqa: S608 - our own names


@contextmanager
def engine_at(url: str | None) -> Iterator[Engine]:
    """The engine at this address; without one DuckDB. Raises Unanswered."""
    if url is None or url == CHDB:
        if url and not (find_spec("chdb") and find_spec("clickhouse_connect")):
            raise Unanswered(
                "chdb:// needs ClickHouse's engine: pip install 'callreach[analysis,clickhouse]'", 2
            )
        with tempfile.TemporaryDirectory(prefix="callreach-") as folder:
            yield (_ChDb if url else _DuckDb)(Path(folder))
    elif url.startswith(SPARK):
        if not (find_spec("pyspark") and find_spec("grpc")):
            raise Unanswered("sc:// needs Spark's client: pip install 'callreach[analysis,spark]'", 2)
        from probe.analysis.cluster import Cluster

        cluster = Cluster(url)
        try:
            yield cluster
        finally:
            cluster.close()
    else:
        scheme = url.partition("//")[0]  # what follows may hold a password
        raise Unanswered(
            f"--engine: {scheme!r} is neither {SPARK}host:port (Spark Connect) nor {CHDB} (ClickHouse)", 2
        )


def opened(files: Files, spill: Path) -> Tables:
    """The rows of these Parquet files, by DuckDB. `spill` is a folder for what does not fit into memory."""
    engine = ibis.duckdb.connect(memory_limit=_MEMORY, temp_directory=str(spill))
    engine.raw_sql("SET enable_progress_bar = false")  # it would be printed on stdout, into our JSON
    return tables({
        table: cast(Table, engine.read_parquet([str(path) for path in paths], hive_partitioning=False))
        for table, paths in files.items()
    })  # fmt: skip


def told(question: Table) -> list[dict[str, Any]]:
    """The rows of a question's answer.

    In batches: for a whole answer Ibis imports pandas, a sixth of a second. DuckDB's sums are decimals then.
    """
    rows = (row for batch in question.to_pyarrow_batches() for row in batch.to_pylist())
    return [
        {name: int(value) if isinstance(value, Decimal) else value for name, value in row.items()}
        for row in rows
    ]


def tables(found: Mapping[str, Table]) -> Tables:
    """All four tables; those that are missing are empty."""
    return Tables(**{
        table: (found[table] if table in found else ibis.memtable(schema(table).empty_table())).select(columns(table))
        for table in TABLES
    })  # fmt: skip
