"""A cluster of Apache Spark, asked through Spark Connect: it finds the files, turns documents into rows, and answers.

Nothing is read here but answers: paths mean what they mean to the cluster's workers, which do with each file what this
machine would do (`worker`). Rows of documents stay in the cluster's cache, so that comparing writes nothing; what is
lost with a worker is made from the documents again.
"""

import os
import re
import threading
import warnings
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial, reduce
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import msgspec

from probe import __version__
from probe.analysis import parquet, worker
from probe.analysis.columns import TABLES, schema
from probe.analysis.engine import Tables, Unanswered, tables
from probe.analysis.lines import LeftOut
from probe.analysis.sources import Added, Gathered, LeftOuts, SourceError

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # or it prints lines of its own between ours

import grpc  # noqa: E402
from ibis.backends import pyspark  # noqa: E402
from ibis.expr.types import Table  # noqa: E402
from ibis.formats.pyarrow import PyArrowData  # noqa: E402
from pyspark.errors import PySparkException  # noqa: E402
from pyspark.sql import DataFrame  # noqa: E402
from pyspark.sql.connect.client import DefaultChannelBuilder  # noqa: E402
from pyspark.sql.connect.session import SparkSession  # noqa: E402
from pyspark.sql.pandas.types import from_arrow_schema  # noqa: E402

_PATIENCE = 15.0  # seconds for the address to answer
_SPARK = "4"  # the version that is spoken


@dataclass
class OnCluster(Gathered):
    """What lies on the cluster: files of rows by table, and rows made of documents.

    documents   answers of `worker.convert`, kept in the cluster; None without documents
    without     by file, the runs in it that stand in an earlier one too
    """

    documents: DataFrame | None = None
    without: Mapping[str, Collection[str]] = field(default_factory=dict)


class Cluster:
    """A session on a cluster. Close it, and what it keeps there is let go."""

    errors: tuple[type[Exception], ...] = (PySparkException, grpc.RpcError)

    def __init__(self, url: str) -> None:
        """Raises Unanswered where nothing listens at `url` that can be asked."""
        warnings.filterwarnings("ignore", module="pyspark")
        self._place = url.partition(";")[0].rstrip("/")  # what follows may hold a token
        self._held: list[DataFrame] = []
        try:
            _reach(url, self._place)
            self._session = SparkSession.builder.remote(url).create()
            version = self._session.version
        except self.errors as error:
            raise self.unanswered(error) from None
        if version.partition(".")[0] != _SPARK:
            raise Unanswered(
                f"{self._place}: that is Spark {version}; this program speaks with Spark {_SPARK}"
            )
        _Spark.register_options()
        self._engine = _Spark()
        self._engine.do_connect(self._session)
        # Into how many tasks its owner wants work to be cut.
        self._tasks = int(self._session.conf.get("spark.sql.shuffle.partitions") or 200)

    def close(self) -> None:
        """Let go of everything that is kept in the cluster."""
        try:
            for held in self._held:
                held.unpersist()
            self._session.stop()
        except self.errors:
            return  # it is gone already, and with it what was kept

    def gather(self, paths: Sequence[Path]) -> OnCluster:
        """What the paths hold, as `sources.gather` finds it on one machine.

        Raises SourceError for a path that is not there, and where nothing at all could be read; Unanswered.
        """
        try:
            return self._gather(paths)
        except self.errors as error:
            raise self.unanswered(error) from None

    def _gather(self, paths: Sequence[Path]) -> OnCluster:
        files = self._files(paths)
        ready, texts = [f for f in files if _is_rows(f)], [f for f in files if not _is_rows(f)]
        looked = self._step(partial(worker.look, whole=False), [*ready, *texts], keep=True)
        said = _told(looked.filter("what != 'has'"))
        found: parquet.Files = {}
        for one in said:
            if one["what"] == "table":
                found.setdefault(one["text"], []).append(Path(one["path"]))
        left_out = _left_out(said)
        runs, documents, added = looked.filter("what = 'has'"), None, Added()
        if texts:
            gone = frozenset(one["text"] for one in said if one["what"] == "gone")
            convert = partial(worker.convert, gone=gone)
            documents = self._step(convert, texts, first=len(ready), keep=True)
            added = _added(_told(documents.filter("what = 'added'")))
            runs = runs.union(documents.filter("what = 'has'"))
        left_out.take(added.left_out)
        if not found.get("run") and not added.runs:
            why = f"; {left_out.named[0]}" if left_out.named else ""
            raise SourceError(f"{', '.join(map(str, paths))}: no run that can be read is in there{why}")
        again = _again(runs)
        return OnCluster(
            found, left_out, added.twice + sum(map(len, again.values())), documents, _without(found, again)
        )

    def drop_damaged(self, gathered: OnCluster) -> bool:
        """Have every page of every file of rows read, and leave out what is damaged; False if nothing is."""
        files = [str(path) for paths in gathered.files.values() for path in paths]
        said = _told(self._step(partial(worker.look, whole=True), files).filter("what = 'left out'"))
        gathered.left_out.take(_left_out(said))
        damaged = {one["path"] for one in said}
        gathered.files = {
            table: [path for path in paths if str(path) not in damaged]
            for table, paths in gathered.files.items()
        }
        return bool(damaged)

    def tables(self, gathered: OnCluster) -> Tables:
        """The rows, as tables of the cluster."""
        return tables({table: self._table(table, gathered) for table in TABLES})

    def _table(self, table: str, gathered: OnCluster) -> Table:
        shape = from_arrow_schema(schema(table), prefer_timestamp_ntz=True)
        read = partial(worker.read, table=table, without=gathered.without)
        files = [str(path) for path in gathered.files.get(table, ())]
        frames = [self._session.createDataFrame([], shape)]
        if whole := [file for file in files if file not in gathered.without]:
            frames.append(self._session.read.schema(shape).parquet(*map(_location, whole)))
        if gathered.documents is not None or len(whole) < len(files):
            some = [(file, None) for file in files if file in gathered.without]
            parts = self._session.createDataFrame(some, "path string, data binary")
            if gathered.documents is not None:
                parts = parts.union(gathered.documents.filter(f"what = '{table}'").select("path", "data"))
            frames.append(parts.repartition(self._tasks).mapInArrow(read, shape).persist())
            self._held.append(frames[-1])
        reduce(DataFrame.union, frames).createOrReplaceTempView(f"callreach_{table}")
        return cast(Table, self._engine.table(f"callreach_{table}"))

    def add(self, paths: Sequence[Path], into: Path) -> Added:
        """Turn documents into rows that are kept under `into`, which every worker can write.

        Raises SourceError for a path that is not there; Unanswered.
        """
        try:
            texts = [file for file in self._files(paths) if not _is_rows(file)]
            into = into.absolute()
            kept = self._files([into], absent=True)
            before = [file for file in kept if _is_rows(file) and Path(file).parent.parent.name == "run"]
            gone = _told(self._step(partial(worker.look, whole=False), texts))
            keep = partial(
                worker.keep,
                gone=frozenset(one["text"] for one in gone),
                into=into,
                before=frozenset(before),
            )
            return _added(_told(self._step(keep, texts)))
        except self.errors as error:
            raise self.unanswered(error) from None

    def _files(self, paths: Sequence[Path], *, absent: bool = False) -> list[str]:
        """The files that the paths name, in order."""
        said = _told(self._step(worker.list_files, [str(path.absolute()) for path in paths], tasks=1))
        for one in said:
            if one["what"] == "absent" and not absent:
                raise SourceError(f"{one['path']}: there is no such file or folder where the cluster looks")
        return [one["text"] for one in said if one["what"] == "file"]

    def _step(
        self, step: worker.Step, files: Sequence[str], *, first: int = 0, keep: bool = False, tasks: int = 0
    ) -> DataFrame:
        """The answers of the workers to these files, which get numbers from `first` on."""
        numbered = self._session.createDataFrame(
            [*enumerate(files, first)], "number long, path string"
        ).repartition(tasks or max(1, min(len(files), self._tasks)))
        answers = numbered.mapInArrow(partial(worker.steps, version=__version__, step=step), worker.COLUMNS)
        if keep:
            self._held.append(answers.persist())
        return answers

    def unanswered(self, error: Exception) -> Unanswered:
        """What went wrong in the cluster, as one sentence."""
        return Unanswered(f"{self._place}: {_sentence(str(error))}")


class _Spark(pyspark.Backend):  # type: ignore[misc] # Ibis has no types
    """Ibis's Spark, without the detour of answers through pandas, and with a cache that is found again.

    It caches a view: a plan with common table expressions Spark does not know again.
    """

    def to_pyarrow(self, expr: Any, /, **kwargs: Any) -> Any:
        self._run_pre_execute_hooks(expr)
        table = expr.as_table()
        answer = self._session.sql(self.compile(table, **kwargs)).toArrow()
        return expr.__pyarrow_result__(PyArrowData.convert_table(answer, table.schema()))

    def _create_cached_table(self, name: str, expr: Any) -> Any:
        self._session.sql(self.compile(expr)).createTempView(name)
        self._cached_dataframes[name] = self._session.table(name).persist()
        return self.table(name)

    def _drop_cached_table(self, name: str) -> None:
        self._cached_dataframes.pop(name).unpersist()
        self._session.catalog.dropTempView(name)


def _reach(url: str, place: str) -> None:
    """Wait until it answers at all: Spark's own client would try for ten minutes, and say nothing meanwhile."""
    try:
        channel = DefaultChannelBuilder(url).toChannel()
        if not urlsplit(url).hostname:
            raise ValueError
    except (PySparkException, ValueError):
        raise Unanswered(f"{place}: is not an address like sc://host:15002", code=2) from None
    known = threading.Event()
    states = []

    def heard(state: grpc.ChannelConnectivity) -> None:
        states.append(state)
        if state in (grpc.ChannelConnectivity.READY, grpc.ChannelConnectivity.TRANSIENT_FAILURE):
            known.set()

    channel.subscribe(heard, try_to_connect=True)
    answered = known.wait(_PATIENCE)
    channel.close()
    if not answered:
        raise Unanswered(f"{place}: nothing answered for {_PATIENCE:.0f} seconds")
    if grpc.ChannelConnectivity.READY not in states:
        raise Unanswered(f"{place}: cannot be connected to; does Spark Connect listen there?")


_SAID = (
    (r"No module named 'probe'", "its workers have no callreach; install the same version there"),
    (r"No module named '(\w+)'", "its workers lack {}; install callreach[analysis] there"),
    (r"PYTHON_VERSION_MISMATCH", "its workers run another version of Python than this machine"),
    (r"UNAUTHENTICATED|Invalid authentication token", "it wants a token: sc://host:port/;token=..."),
    (r"status = StatusCode\.UNAVAILABLE|RETRIES_EXCEEDED", "the connection broke off"),
    (r"PATH_NOT_FOUND\] Path does not exist: (\S+)", "{}: Spark does not see it"),
)


def _sentence(text: str) -> str:
    if found := re.search(re.escape(worker.MARK) + r"(.+)", text):
        return f"a worker says: {found[1]}"
    for pattern, sentence in _SAID:
        if found := re.search(pattern, text):
            return sentence.format(*found.groups())
    first = next((line.strip() for line in text.splitlines() if line.strip()), "no reason given")
    return f"it gave up ({first[:200]})"


def _is_rows(file: str) -> bool:
    return file.endswith(".parquet")


def _told(answers: DataFrame) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = answers.select("number", "path", "what", "text").toArrow().to_pylist()
    return sorted(told, key=lambda one: one["number"])  # a step answers in order, files come in any


def _left_out(said: Sequence[Mapping[str, Any]]) -> LeftOuts:
    found = LeftOuts()
    for one in said:
        if one["what"] == "left out":
            found.add(msgspec.json.decode(one["text"], type=LeftOut))
    return found


def _added(said: Sequence[Mapping[str, Any]]) -> Added:
    whole = Added()
    for one in said:
        if one["what"] == "added":
            whole.take(msgspec.json.decode(one["text"], type=Added))
    return whole


def _again(runs: DataFrame) -> dict[str, list[str]]:
    """By file, the runs in it that stand in an earlier file too."""
    runs.createOrReplaceTempView("callreach_runs")
    earlier = (
        "select path, text from (select path, text, number, min(number) over (partition by text) as first"
        " from callreach_runs) where number > first"
    )
    found = defaultdict(list)
    for row in runs.sparkSession.sql(earlier).toArrow().to_pylist():
        found[row["path"]].append(row["text"])
    return dict(found)


def _without(files: parquet.Files, again: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """The same for all files of a part: a part of rows has one file of each table."""
    by_part = {parquet.part(Path(file)): runs for file, runs in again.items() if _is_rows(file)}
    parts = {
        str(path): by_part[parquet.part(path)]
        for paths in files.values()
        for path in paths
        if parquet.part(path) in by_part
    }
    return parts | {file: runs for file, runs in again.items() if not _is_rows(file)}


def _location(file: str) -> str:
    """The file as Spark wants to be told of one: on the machine's own file system, and its name no pattern."""
    return "file://" + re.sub(r"([\\*?\[\]{}])", r"\\\1", file)
