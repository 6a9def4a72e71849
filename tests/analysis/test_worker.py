"""What a worker does with one file, without a cluster around it."""

import shutil
from pathlib import Path

import msgspec
import pyarrow as pa
import pytest

from probe import __version__
from probe.analysis import parquet, worker
from probe.analysis.sources import Added
from tests.analysis.runs import answering, run, write


def kept(path: Path, into: Path) -> Added:
    """What one job of one task kept."""
    before = frozenset(map(str, into.rglob("run/**/*.parquet")))
    (answer,) = worker.keep(path, gone=(), into=into, before=before)
    return msgspec.json.decode(answer.text, type=Added)


def test_a_worker_of_another_version_says_so_and_does_nothing() -> None:
    batch = pa.RecordBatch.from_pylist([{"number": 0, "path": "/"}])

    with pytest.raises(worker.WorkerError, match="both must be the same"):
        next(worker.steps(iter([batch]), version=f"{__version__}.1", step=worker.list_files))
    (listed,) = worker.steps(
        iter([batch.slice(0, 1)]), version=__version__, step=lambda path: iter([worker.Answer("x")])
    )
    assert listed.to_pylist() == [{"number": 0, "path": "/", "what": "x", "text": "", "data": b""}]


def test_a_file_that_only_some_workers_have_is_no_gap_in_the_data(tmp_path: Path) -> None:
    with pytest.raises(worker.WorkerError, match="paths must mean the same to every worker"):
        next(worker.look(tmp_path / "run.jsonl", whole=False))


def test_a_task_that_is_done_again_replaces_its_rows(tmp_path: Path) -> None:
    (path,) = write(tmp_path / "in", run(answering(), run="a"))
    first = kept(path, tmp_path / "rows")
    files = sorted((tmp_path / "rows").rglob("*.*"))
    again = kept(path, tmp_path / "rows")

    assert (first.runs, first.twice, again.runs, again.twice) == (1, 0, 0, 1)
    assert sorted((tmp_path / "rows").rglob("*.*")) == files


def test_what_is_kept_stays_when_its_file_changes_or_another_holds_it_too(tmp_path: Path) -> None:
    (path,) = write(tmp_path / "in", run(answering(), run="a"))
    kept(path, tmp_path / "rows")
    whole = path.read_bytes()
    path.write_bytes(write(tmp_path / "other", run(answering(), run="b"))[0].read_bytes())
    changed = kept(path, tmp_path / "rows")
    shutil.copy(path, tmp_path / "in" / "copy.jsonl")
    copied = kept(tmp_path / "in" / "copy.jsonl", tmp_path / "rows")

    assert whole != path.read_bytes()
    assert (changed.runs, copied.runs, copied.twice) == (1, 0, 1)
    assert sorted(
        run for file in (tmp_path / "rows").rglob("run/**/*.parquet") for run in parquet.runs(file)
    ) == ["a", "b"]
