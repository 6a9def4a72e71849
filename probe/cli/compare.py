"""`probe compare`: networks and times side by side."""

import sys
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from probe.cli import EngineUrl, Json, app, fail
from probe.cli.sources import Proxy, Sources, TokenFiles, local

if TYPE_CHECKING:
    from probe.analysis.claims import Claim
    from probe.analysis.compare import Ask, Comparison
    from probe.analysis.report.evidence import Evidence
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
    "  |  probe compare rows/ --by country --since 2026-11-01 --json"
    "  |  probe compare results/ --html report.html --language ru"
    "  |  probe compare https://collector.example --token-file reader.token",
)
def compare(
    sources: Sources,
    by: Annotated[By, typer.Option(help="What stands side by side.")] = By.ASN,
    since: Annotated[
        str | None,
        typer.Option(metavar="DATE", help="Only runs from then on (UTC): 2026-11-01 or 2026-11-01T18:00."),
    ] = None,
    service: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only these services.")] = None,
    claims: Annotated[
        bool, typer.Option(help="Say first what may be claimed of networks, with how sure it is.")
    ] = True,
    engine: EngineUrl = None,
    json: Json = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print the matrix as CSV.")] = False,
    html: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Also write a report that people can read: one page, opens offline."
        ),
    ] = None,
    language: Annotated[
        str | None,
        typer.Option(
            metavar="CODE", help="Whose readers the report and claims are for, whatever yours is: en, ru."
        ),
    ] = None,
    token_file: TokenFiles = None,
    proxy: Proxy = "",
) -> None:
    """Say what works where, how networks differ, at which layer and since when.

    First comes what may be claimed of networks; a claim needs several households and hours (docs/statistics.md).
    Verdicts are thought again with today's rules, and what failed on one network is settled by the votes of those who
    tried the same endpoint elsewhere at that time. What cannot be read is named and left out. Of a collector's runs
    only new ones are fetched. docs/compare.md says what the table means.
    """
    from probe.cli.extra import missing_analysis

    if json and csv:
        raise fail("--json and --csv: only one of them can be printed")
    start = _date(since)
    _check_page(html, language)
    if (missing := missing_analysis("compare")) is not None:
        raise missing
    from probe.analysis.compare import Ask

    paths = local(sources, token_file, proxy)
    ask = Ask(by=by.value, services=tuple(service or ()), since=start)
    comparison, claimed, gathered, evidence = compared(
        paths, ask, claims=claims and not (csv and html is None), page=html is not None, engine=engine
    )
    if not comparison.columns:
        _say_left_out(gathered)
        raise fail("no run matches: see --service and --since")
    from probe.cli import matrix

    if json:
        matrix.print_json(comparison, claimed, gathered)
    elif csv:
        matrix.print_csv(comparison)
        _say_left_out(gathered)
    else:
        matrix.show(comparison, claimed, gathered)
    if html is not None and evidence is not None:
        from probe.cli.page import write_page

        write_page(html, comparison, claimed, evidence, gathered)


def _check_page(html: Path | None, language: str | None) -> None:
    """What can be known before minutes of work: a folder that is not there, a language that nobody speaks here."""
    if html is not None and (html.is_dir() or not html.parent.is_dir()):
        raise fail(
            f"--html: {html} cannot be written: {'it is a folder' if html.is_dir() else 'no such folder'}"
        )
    if language is not None:
        from probe.language import languages, speak

        if language not in languages():
            raise fail(f"--language: {language!r} is not one of {', '.join(languages())}")
        speak(language)


def _date(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise fail(f"--since: {text!r} is not a date like 2026-11-01 or 2026-11-01T18:00") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


class Compared(NamedTuple):
    """What was compared, what may be claimed if that was asked for, what was read, and what a page shows beside it."""

    comparison: "Comparison"
    claimed: "list[Claim] | None"
    gathered: "Gathered"
    evidence: "Evidence | None"


def compared(
    paths: list[Path], ask: "Ask", *, claims: bool, page: bool, engine: str | None = None
) -> Compared:
    """Read the paths and ask what they hold. Fails in one sentence if nothing can be read."""
    from probe.analysis import compare as analysis
    from probe.analysis.engine import Unanswered, engine_at
    from probe.analysis.report.evidence import evidence
    from probe.analysis.sources import SourceError

    try:
        with engine_at(engine) as asked:
            gathered = asked.gather(paths)

            def answers() -> Compared:
                with analysis.settled(asked.tables(gathered)) as tables:
                    found = analysis.compare(tables, ask)
                    return Compared(
                        found,
                        analysis.claimed(tables, ask) if claims else None,
                        gathered,
                        evidence(tables, ask, found) if page and found.columns else None,
                    )

            stumbles: tuple[type[Exception], ...] = (*asked.errors, analysis.Forged)
            try:
                return answers()
            except stumbles as error:
                if not asked.drop_damaged(gathered):
                    raise asked.unanswered(error) from None
                return answers()
    except SourceError as error:
        raise fail(str(error)) from None
    except Unanswered as error:
        raise fail(str(error), error.code) from None


def _say_left_out(gathered: "Gathered") -> None:
    from probe.cli.matrix import left_out

    for sentence in left_out(gathered):
        sys.stderr.write(f"probe: {sentence}\n")
