"""ClickHouse's engine and DuckDB give the same answers; an engine that cannot be asked is one sentence."""

from pathlib import Path
from typing import Any

import pytest

from probe.analysis.compare import Ask, claimed, compare
from probe.analysis.engine import Unanswered, engine_at
from tests.analysis import large
from tests.analysis.runs import write
from tests.analysis.same import answers, assert_same, reported


def told(url: str | None, folder: Path) -> tuple[Any, Any, Any]:
    with engine_at(url) as engine:
        tables = engine.tables(engine.gather([folder]))
        return answers(tables), compare(tables, Ask()).entries, claimed(tables, Ask())


def test_clickhouse_and_duckdb_agree_row_by_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tehran")  # hours and days are UTC wherever one asks
    large.rows(tmp_path, 4)
    mine, theirs = told(None, tmp_path / "rows"), told("chdb://", tmp_path / "rows")

    assert_same(mine[0], theirs[0])
    assert mine[1:] == theirs[1:]


def test_clickhouse_reads_documents_and_is_asked_from_the_command_line(tmp_path: Path) -> None:
    write(tmp_path / "runs", *list(large.documents(hours=4)))

    mine, theirs = (reported(tmp_path / "runs", *engine) for engine in ((), ("--engine", "chdb://")))

    assert theirs == mine


@pytest.mark.parametrize("url", ["trino://host", "sc:", "clickhouse://host", ""])
def test_an_engine_that_is_not_known_is_a_wrong_use(url: str) -> None:
    with pytest.raises(Unanswered, match="is neither") as refusal, engine_at(url):
        pass

    assert refusal.value.code == 2
    assert "host" not in str(refusal.value).partition(" is ")[0]  # it may hold a password
