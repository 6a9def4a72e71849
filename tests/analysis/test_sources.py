"""From paths to rows: what is read, what is counted once, and what is left out."""

import gc
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from probe.analysis import parquet
from probe.analysis.columns import schema
from probe.analysis.rolling import add
from probe.analysis.sources import Gathered, SourceError, gather
from probe.collector.lines import Deleted, Kept, erased, written
from tests.analysis.runs import answering, run, silent, text, write


def runs(gathered: Gathered) -> list[str]:
    return sorted(name for path in gathered.files["run"] for name in parquet.runs(path))


def reasons(gathered: Gathered) -> list[str]:
    return [str(one) for one in gathered.left_out.named]


def test_a_folder_is_read_with_everything_below_it(tmp_path: Path) -> None:
    write(tmp_path / "in" / "deeper", run(answering(), run="a"))
    write(tmp_path / "in", run(answering(), run="b"))
    (tmp_path / "in" / "README.md").write_text("not a run")
    (tmp_path / "in" / "s.sig.jsonl").write_text("{}")
    gathered = gather([tmp_path / "in"], tmp_path / "rows")

    assert runs(gathered) == ["a", "b"]
    assert gathered.left_out.count == 0


def test_rows_are_kept_by_month_and_read_again(tmp_path: Path) -> None:
    write(tmp_path / "in", run(answering(), run="a"))
    assert add([tmp_path / "in"], tmp_path / "kept").runs == 1
    months = {path.parent.name for path in (tmp_path / "kept").rglob("*.parquet")}

    assert months == {"month=2026-11"}
    assert runs(gather([tmp_path / "kept"], tmp_path / "rows")) == ["a"]


def test_a_run_that_is_kept_already_is_not_added_again(tmp_path: Path) -> None:
    write(tmp_path / "in", run(answering(), run="a"))
    add([tmp_path / "in"], tmp_path / "kept")
    write(tmp_path / "in", run(answering(), run="b"))
    again = add([tmp_path / "in"], tmp_path / "kept")

    assert (again.runs, again.twice) == (1, 1)
    assert runs(gather([tmp_path / "kept"], tmp_path / "rows")) == ["a", "b"]


def test_a_run_that_stands_in_several_places_counts_once(tmp_path: Path) -> None:
    doc = run(answering(), run="a")
    write(tmp_path / "one", doc)
    write(tmp_path / "other", doc, run(silent(), run="b"))
    add([tmp_path / "one"], tmp_path / "kept")
    add([tmp_path / "other"], tmp_path / "kept too")
    gathered = gather(
        [tmp_path / "kept", tmp_path / "one", tmp_path / "other", tmp_path / "kept too"], tmp_path / "rows"
    )

    assert runs(gathered) == ["a", "b"]
    verdicts = pa.concat_tables(
        [pq.read_table(path, partitioning=None) for path in gathered.files["verdict"]]
    )
    assert sorted(set(verdicts["run"].to_pylist())) == ["a", "b"]
    assert verdicts.num_rows == 8  # three purposes, and one family that was tried, of each
    assert gathered.twice == 4


def test_many_files_are_read_by_several_processes_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("probe.analysis.sources._MUCH", 1)
    names = [f"{n:02}" for n in range(6)]
    write(tmp_path / "in", *(run(answering(), run=name) for name in names))

    assert runs(gather([tmp_path / "in"], tmp_path / "rows")) == names


def test_python_collects_again_when_documents_are_read(tmp_path: Path) -> None:
    write(tmp_path / "in", run(answering()))
    gather([tmp_path / "in"], tmp_path / "rows")
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        gather([tmp_path / "in"], tmp_path / "file" / "rows")

    assert gc.isenabled()


@pytest.mark.parametrize("processes", [1, 2])
def test_a_run_that_was_withdrawn_counts_no_more_wherever_it_still_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: int
) -> None:
    """The lines of a real collector: two runs in a sealed segment, and in the open one the wish that one be gone."""
    if processes > 1:
        monkeypatch.setattr("probe.analysis.sources._MUCH", 1)
    kept, gone, blank = (run(answering(), run=name * 16) for name in "abc")
    (tmp_path / "in").mkdir()
    sealed = b"".join(
        written(
            Kept(
                run=doc.run.id,
                sha256="00",
                received="2026-11-25T12:00:00Z",
                key="k",
                signature="s",
                sent="2026-11-25T12:00:00Z",
                document=text(doc).decode(),
            )
        )
        for doc in (kept, gone, blank)
    )
    first, second, third = sealed.splitlines(keepends=True)
    (tmp_path / "in" / "a.jsonl").write_bytes(first + second + erased(third, ["c" * 16]))
    wish = Deleted(
        deleted="b" * 16, received="2026-11-25T12:01:00Z", key="k", signature="s", sent="2026-11-25T12:01:00Z"
    )
    (tmp_path / "in" / "b.jsonl.open").write_bytes(written(wish) + first)
    found = gather([tmp_path / "in"], tmp_path / "rows")

    assert runs(found) == ["a" * 16]
    assert (found.left_out.count, found.twice) == (0, 1)


def test_broken_parquet_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    write(tmp_path / "in", run(answering(), run="a"))
    add([tmp_path / "in"], tmp_path / "kept")
    whole = next((tmp_path / "kept" / "run").rglob("*.parquet"))
    (tmp_path / "kept" / "cut.parquet").write_bytes(whole.read_bytes()[:-100])
    pq.write_table(pa.table({"x": [1]}), tmp_path / "kept" / "foreign.parquet")
    old = schema("run").with_metadata({b"callreach.rows": b"0", b"callreach.table": b"run"})
    pq.write_table(old.empty_table(), tmp_path / "kept" / "old.parquet")
    short = pa.schema([pa.field("run", pa.string())], metadata=schema("run").metadata)
    pq.write_table(short.empty_table(), tmp_path / "kept" / "short.parquet")
    gathered = gather([tmp_path / "kept"], tmp_path / "rows")

    assert runs(gathered) == ["a"]
    assert [reason.partition(": ")[2].partition(" (")[0] for reason in reasons(gathered)] == [
        "is not readable Parquet",
        "is Parquet, but not rows of ours",
        "holds rows of version 0; this program reads 1",
        "does not have the columns of a run table",
    ]


def test_an_empty_file_and_one_from_a_broken_clock_are_named(tmp_path: Path) -> None:
    write(tmp_path, run(answering(), run="a"))
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "old.jsonl").write_bytes(
        text(run(answering())).replace(b'"started":"2026', b'"started":"1970')
    )
    gathered = gather([tmp_path], tmp_path / "rows")

    assert runs(gathered) == ["a"]
    assert [reason.rpartition("/")[2] for reason in reasons(gathered)] == [
        "empty.jsonl: is empty",
        "old.jsonl: line 1: it says that it began at 1970-11-23: that clock is broken",
    ]


def test_more_than_can_be_named_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "noise.jsonl"
    path.write_bytes(b"nonsense\n" * 1000 + text(run(answering(), run="a")))
    gathered = gather([path], tmp_path / "rows")

    assert (gathered.left_out.count, len(gathered.left_out.named)) == (1000, 20)


def test_a_path_that_is_not_there_and_a_folder_without_runs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="there is no such file or folder"):
        gather([tmp_path / "nowhere"], tmp_path / "rows")
    with pytest.raises(SourceError, match="no run that can be read is in there"):
        gather([tmp_path], tmp_path / "rows")
