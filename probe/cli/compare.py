"""`probe compare`: networks and times side by side."""

import sys
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from probe.cli import Json, app, fail

if TYPE_CHECKING:
    from probe.analysis.claims import Claim
    from probe.analysis.compare import Ask, Comparison
    from probe.analysis.sources import Gathered


class By(StrEnum):
    """What runs are grouped by."""

    ASN = "asn"
    COUNTRY = "country"
    LABEL = "label"
    KIND = "kind"
    FAMILY = "family"
    DAY = "day"


@app.command(
    short_help="Networks and times side by side, from files of many runs.",
    epilog="Examples:  probe compare results/  |  probe compare here.jsonl there.jsonl --service signal"
    "  |  probe compare rows/ --by country --since 2026-11-01 --json",
)
def compare(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH...", help="Files of runs, folders, Parquet, a collector's store, OONI files."
        ),
    ],
    by: Annotated[By, typer.Option(help="What stands side by side.")] = By.ASN,
    since: Annotated[
        str | None,
        typer.Option(metavar="DATE", help="Only runs from then on (UTC): 2026-11-01 or 2026-11-01T18:00."),
    ] = None,
    service: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only these services.")] = None,
    claims: Annotated[
        bool, typer.Option(help="Say first what may be claimed of networks, with how sure it is.")
    ] = True,
    json: Json = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print the matrix as CSV.")] = False,
) -> None:
    """Say what works where, how networks differ, at which layer and since when.

    First comes what may be claimed of networks; a claim needs several households and hours (docs/statistics.md).
    Verdicts are thought again with today's rules, and what failed on one network is settled by the votes of those who
    tried the same endpoint elsewhere at that time. What cannot be read is named and left out. docs/compare.md says what
    the table means.
    """
    from probe.cli.extra import missing_analysis

    if json and csv:
        raise fail("--json and --csv: only one of them can be printed")
    start = _date(since)
    if (missing := missing_analysis("compare")) is not None:
        raise missing
    from probe.analysis.compare import Ask

    ask = Ask(by=by.value, services=tuple(service or ()), since=start)
    comparison, claimed, gathered = _compare(paths, ask, claims=claims and not csv)
    if not comparison.columns:
        raise fail("no run matches: see --service and --since")
    from probe.cli import matrix

    if json:
        matrix.print_json(comparison, claimed, gathered)
    elif csv:
        matrix.print_csv(comparison)
        _say_left_out(gathered)
    else:
        matrix.show(comparison, claimed, gathered)


def _date(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise fail(f"--since: {text!r} is not a date like 2026-11-01 or 2026-11-01T18:00") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _compare(
    paths: list[Path], ask: "Ask", *, claims: bool
) -> "tuple[Comparison, list[Claim] | None, Gathered]":
    import tempfile

    from probe.analysis.compare import claimed, settled
    from probe.analysis.compare import compare as compared
    from probe.analysis.engine import EngineError, opened
    from probe.analysis.sources import SourceError, drop_damaged, gather

    with tempfile.TemporaryDirectory(prefix="callreach-") as folder:
        try:
            gathered = gather(paths, Path(folder, "rows"))
        except SourceError as error:
            raise fail(str(error)) from None
        spill = Path(folder, "spill")

        def asked() -> "tuple[Comparison, list[Claim] | None, Gathered]":
            with settled(opened(gathered.files, spill)) as tables:
                return compared(tables, ask), claimed(tables, ask) if claims else None, gathered

        try:
            return asked()
        except EngineError:
            if not drop_damaged(gathered):
                raise
            return asked()


def _say_left_out(gathered: "Gathered") -> None:
    from probe.cli.matrix import left_out

    for sentence in left_out(gathered):
        sys.stderr.write(f"probe: {sentence}\n")
