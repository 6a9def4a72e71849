import io
import sys

import pytest
import typer

from probe.cli.answers import confirmed


@pytest.mark.parametrize(
    ("typed", "means"),
    [
        ("y\n", True), ("YES\n", True), ("д\n", True), ("Да\n", True), ("нет\n", False), ("\n", False),
        ("maybe\nn\n", False), ("ja\n да \n", True), ("نعم\n", True),
    ],
)  # fmt: skip
def test_an_answer_in_the_readers_language_counts_and_what_is_none_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], typed: str, means: bool
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))

    assert confirmed("Sure?") is means
    assert capsys.readouterr().err.count("Sure? [y/N]:") == typed.count("\n")


def test_the_end_of_input_is_no_yes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))

    with pytest.raises(typer.Abort):
        confirmed("Sure?")
