"""A real Spark cluster on loopback and DuckDB give the same answers, also when a worker dies in the middle."""

import os
import re
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from probe.analysis.compare import Ask, claimed
from probe.analysis.engine import engine_at
from probe.analysis.sources import SourceError
from probe.collector.lines import Deleted, written
from tests.analysis import large
from tests.analysis.runs import answering, asked, run, write
from tests.analysis.same import answers, assert_same, plain, reported
from tests.analysis.spark import HOME, Cluster, cluster, free_port
from tests.cli.test_compare import probe

COPIES = 60

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        not (os.environ.get("CI") or ((HOME / ".ready").exists() and shutil.which("java"))),
        reason="needs Apache Spark (make spark) and Java",
    ),
]


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("spark") / "cluster") as made:
        yield made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("shared {1}")
    large.rows(made, COPIES)
    return made


def rows_of(url: str | None, paths: Sequence[Path]) -> tuple[dict[str, list[dict[str, Any]]], list[str], int]:
    """What an engine finds there: all rows, what was left out, and how many runs stood twice."""
    with engine_at(url) as engine:
        gathered = engine.gather(paths)
        tables = engine.tables(gathered)._asdict()
        rows = {name: sorted(map(plain, asked(table)), key=str) for name, table in tables.items()}
        return rows, sorted(map(str, gathered.left_out.named)), gathered.twice


@pytest.fixture(scope="module")
def here(folder: Path) -> Any:
    with engine_at(None) as engine:
        tables = engine.tables(engine.gather([folder / "rows"]))
        return answers(tables), claimed(tables, Ask())


def test_documents_become_the_same_rows_on_the_cluster(spark: Cluster, folder: Path, tmp_path: Path) -> None:
    (folder / "documents" / "noise.jsonl").write_text("noise\n")
    (folder / "documents" / "empty.jsonl").write_text("")
    shutil.copy(folder / "documents" / "000 [a]*.jsonl", folder / "documents" / "again.jsonl")
    gone = list(large.documents())[7].run.id
    wish = Deleted(
        deleted=gone, received="2026-11-25T12:01:00Z", key="k", signature="s", sent="2026-11-25T12:01:00Z"
    )
    (folder / "documents" / "wish.jsonl").write_bytes(
        written(wish) + (folder / "documents" / "noise.jsonl").read_bytes()
    )
    mine, theirs = rows_of(None, [folder / "documents"]), rows_of(spark.url, [folder / "documents"])

    assert_same(mine[0], theirs[0])
    assert mine[1:] == theirs[1:]
    assert (len(mine[1]), mine[2]) == (3, 24)
    assert not any(row["run"] == gone for row in theirs[0]["run"])


def test_rows_are_written_on_the_cluster_and_a_repeat_replaces_them(
    spark: Cluster, folder: Path, tmp_path: Path
) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    with engine_at(spark.url) as engine, engine_at(None) as duckdb:
        first = engine.add([folder / "documents"], there)
        files = sorted(there.rglob("*.parquet"))
        again = engine.add([folder / "documents"], there)
        mine = duckdb.add([folder / "documents"], here)
        assert (first.runs + first.twice, first.left_out.count) == (
            mine.runs + mine.twice,
            mine.left_out.count,
        )
        assert (again.runs, again.twice) == (0, first.runs + first.twice)
        assert sorted(there.rglob("*.parquet")) == files

        write(tmp_path / "new", run(answering(), run="new"))
        assert engine.add([tmp_path / "new"], there).runs == 1
    assert_same(rows_of(None, [here, tmp_path / "new"])[0], rows_of(None, [there])[0])


def test_a_run_that_stands_twice_in_rows_counts_once(spark: Cluster, folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "once", tmp_path / "copy")
    paths = [folder / "once", tmp_path / "copy"]
    with engine_at(spark.url) as engine, engine_at(None) as duckdb:
        theirs, mine = engine.gather(paths), duckdb.gather(paths)
        assert theirs.twice == mine.twice == 200
        for one, other in zip(engine.tables(theirs), duckdb.tables(mine), strict=True):
            assert one.count().to_pyarrow().as_py() == other.count().to_pyarrow().as_py()


def test_damaged_and_foreign_rows_are_named_and_the_rest_is_compared(
    spark: Cluster, folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder / "once", tmp_path / "rows")
    shutil.copytree(folder / "once", tmp_path / "other")
    for path in (tmp_path / "other").rglob("*.parquet"):
        path.rename(path.with_name(f"other{path.suffix}"))
    (verdicts,) = (tmp_path / "other" / "verdict").rglob("*.parquet")
    whole = verdicts.read_bytes()
    verdicts.write_bytes(whole[:4] + bytes(400) + whole[404:])
    (tmp_path / "rows" / "foreign.parquet").write_bytes(b"PAR1nothing of oursPAR1")
    with engine_at(spark.url) as engine:
        gathered = engine.gather([tmp_path / "rows", tmp_path / "other"])
        assert [Path(left.path).name for left in gathered.left_out.named] == ["foreign.parquet"]
        with pytest.raises(engine.errors):
            engine.tables(gathered).verdict.to_pyarrow()
        assert engine.drop_damaged(gathered)
        assert [Path(left.path).name for left in gathered.left_out.named] == [
            "foreign.parquet",
            "other.parquet",
        ]
        assert engine.tables(gathered).verdict.count().to_pyarrow().as_py() == 840
        assert not engine.drop_damaged(gathered)


def test_the_report_is_the_same_whoever_was_asked(spark: Cluster, folder: Path) -> None:
    mine, theirs = (reported(folder / "once", *engine) for engine in ((), ("--engine", spark.url)))

    assert theirs == mine
    assert {claim["what"] for claim in mine[0]["claims"]} > {"works"}


def test_what_cannot_be_asked_is_one_sentence(spark: Cluster, tmp_path: Path) -> None:
    port = free_port()
    wrong = {
        f"sc://127.0.0.1:{port}": (1, "cannot be connected to; does Spark Connect listen there?"),
        f"sc://localhost:{spark.port}": (1, "it wants a token"),
        "sc://": (2, "is not an address like sc://host:15002"),
        "trino://host": (2, "is neither sc://host:port"),
    }
    for url, (code, sentence) in wrong.items():
        said = probe("compare", tmp_path, "--engine", url)
        assert (said[0], said[1], said[2].count("\n")) == (code, "", 1), url
        assert sentence in said[2]
    with (
        engine_at(spark.url) as engine,
        pytest.raises(SourceError, match="no such file or folder where the cluster"),
    ):
        engine.gather([tmp_path / "nowhere"])
    with engine_at(spark.url) as engine, pytest.raises(SourceError, match="no run that can be read"):
        engine.gather([tmp_path])


def test_the_answers_are_the_same_though_a_worker_dies_in_mid_query(
    spark: Cluster, folder: Path, here: Any
) -> None:
    with engine_at(spark.url) as engine:
        tables = engine.tables(engine.gather([folder / "rows"]))
        found: list[Any] = []
        asking = threading.Thread(target=lambda: found.extend([answers(tables), claimed(tables, Ask())]))
        asking.start()
        busy = _held(spark, "one")
        spark.kill("one")
        assert asking.is_alive()
        asking.join()

    log = (spark.folder / "connect.log").read_text()
    assert f"task {busy} failed because while it was being computed, its executor exited" in log
    assert_same(here[0], found[0])
    assert found[1] == here[1]


def _held(spark: Cluster, name: str) -> str:
    """Wait until an executor is busy with a task, stop it there, and say which task it is."""
    folder = spark.folder / name
    idle = _unfinished(folder)  # what failed before is not said to be finished either
    for _ in range(4000):
        if _unfinished(folder) - idle:
            spark.stand_still(name)
            if tasks := _unfinished(folder) - idle:
                return next(iter(tasks))
            spark.stand_still(name, still=False)  # it was through before it stood still
        time.sleep(0.02)
    raise AssertionError("that executor is never busy")


def _unfinished(folder: Path) -> set[str]:
    said = "".join(path.read_text() for path in folder.rglob("stderr"))
    begun, ended = (
        set(re.findall(rf"{what} task (\S+ in stage \S+ \(TID \d+\))", said))
        for what in ("Running", "Finished")
    )
    return begun - ended
