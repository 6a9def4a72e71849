"""`probe schedule install`: what `probe run` would refuse is refused before anything is installed."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from probe.cli import app, schedule  # noqa: F401 - registers itself


def installed(home: Path, *arguments: str) -> tuple[int, str, str]:
    words = ["schedule", "install", "--dry-run", "--backend", "cron", "--home", str(home), "--", *arguments]
    done = CliRunner().invoke(app, words)
    return done.exit_code, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--tets", "all"], "No such option: --tets"),
        (["--budget", "soon"], "'--budget'"),
        (["--budget"], "requires an argument"),
        (["--tests", "everything"], "'--tests'"),
        (["telegramm"], "telegramm"),
        (["--only", "calles"], "is neither a purpose nor a step"),
        (["telegram", "--only", "threema"], "there is nothing like it to measure in telegram"),
        (["--country", "Germany"], "is not a two-letter country code"),
        (["--far-end", "calls.example"], "--far-end: calls.example: "),
        (["--max-bytes", "5000"], "--home and --max-bytes are the timer's to say"),
        (["--home", "elsewhere"], "--home and --max-bytes are the timer's to say"),
        (["--configs", "no/such/folder"], "no/such/folder"),
    ],
)
def test_a_mistake_in_what_the_timer_will_run_is_one_sentence_at_once(
    tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    code, out, err = installed(tmp_path, *arguments)

    assert (code, out) == (2, "")
    assert err.startswith("probe: ")
    assert sentence in err
    assert err.count("\n") == 1


def test_what_run_takes_stands_in_the_timer_as_it_was_given(tmp_path: Path) -> None:
    code, out, err = installed(
        tmp_path, "telegram", "signal", "--tests", "extended", "--label", "at my aunt's"
    )

    assert (code, err) == (0, "")
    assert "schedule tick" in out
