"""Rows that are kept of a collector's segments, day by day."""

import os
import shutil
from pathlib import Path

import pytest

from probe.analysis import parquet
from probe.analysis.rolling import add
from probe.analysis.sources import SourceError, gather
from probe.collector.archive import Wish
from probe.lock import held
from tests.analysis.runs import answering, run, text, write
from tests.collector.shelf import Clock, drop, keep, sealed

DAY = 86_400


def kept(run_: str) -> Wish:
    return keep(run_, text=text(run(answering(), run=run_, asn=64500)).decode())


def there(rows: Path, spare: Path) -> set[str]:
    files = gather([rows], spare).files
    return {one for file in files["run"] for one in parquet.runs(file)}


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    """Of two days, with a run each."""
    for number, name in enumerate(("aa" * 8, "bb" * 8)):
        sealed(tmp_path / "storage", kept(name), wall=Clock(1_800_000_000 + number * DAY))
    return tmp_path / "storage"


def test_each_day_is_rolled_once_and_only_a_day_that_changed_anew(tmp_path: Path, storage: Path) -> None:
    rows = tmp_path / "rows"
    first = add([storage], rows)
    days = {folder.name: os.stat(folder).st_ino for folder in rows.iterdir() if folder.is_dir()}
    again = add([storage / "sealed"], rows)
    sealed(storage, kept("cc" * 8), wall=Clock(1_800_000_000 + DAY + 60))
    more = add([storage], rows)
    after = {folder.name: os.stat(folder).st_ino for folder in rows.iterdir() if folder.is_dir()}

    assert (first.runs, first.twice) == (2, 0)
    assert (again.runs, again.twice) == (0, 2)
    assert (more.runs, more.twice) == (1, 2)
    assert sorted(name[:8] for name in days) == sorted(name[:8] for name in after) == ["20270115", "20270116"]
    assert len(days.items() & after.items()) == 1
    assert there(rows, tmp_path / "spare") == {"aa" * 8, "bb" * 8, "cc" * 8}


def test_a_run_that_was_withdrawn_leaves_the_rows_at_the_next_rolling(tmp_path: Path, storage: Path) -> None:
    add([storage], tmp_path / "rows")
    sealed(storage, drop("aa" * 8), wall=Clock(1_800_000_000 + DAY + 60))
    add([storage], tmp_path / "rows")

    assert there(tmp_path / "rows", tmp_path / "spare") == {"bb" * 8}


def test_what_a_killed_rolling_left_is_not_compared_and_is_removed(tmp_path: Path, storage: Path) -> None:
    rows = tmp_path / "rows"
    add([storage], rows)
    (day, other) = sorted(folder for folder in rows.iterdir() if folder.is_dir())
    shutil.copytree(day, rows / f"{day.name}.0123.begun")
    shutil.rmtree(day)

    assert there(rows, tmp_path / "spare") == {"bb" * 8}
    assert add([storage], rows).runs == 1
    assert not list(rows.glob("*.begun"))
    assert there(rows, tmp_path / "spare2") == {"aa" * 8, "bb" * 8}
    assert other.is_dir()


def test_a_day_that_was_moved_away_keeps_its_rows(tmp_path: Path, storage: Path) -> None:
    add([storage], tmp_path / "rows")
    sorted((storage / "sealed").iterdir())[0].rename(tmp_path / "moved.jsonl.zst")
    add([storage], tmp_path / "rows")

    assert there(tmp_path / "rows", tmp_path / "spare") == {"aa" * 8, "bb" * 8}


def test_other_files_are_added_beside_and_no_run_twice(tmp_path: Path, storage: Path) -> None:
    write(tmp_path / "mine", run(answering(), run="aa" * 8), run(answering(), run="dd" * 8))
    rolled = add([storage, tmp_path / "mine"], tmp_path / "rows")

    assert (rolled.runs, rolled.twice) == (3, 1)
    assert there(tmp_path / "rows", tmp_path / "spare") == {"aa" * 8, "bb" * 8, "dd" * 8}


def test_of_two_at_once_one_is_told(tmp_path: Path, storage: Path) -> None:
    with (
        held(tmp_path / "rows" / "lock"),
        pytest.raises(SourceError, match="another import is writing there"),
    ):
        add([storage], tmp_path / "rows")
