"""The page: everything put together, and rendered as one file that asks nobody for anything."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePath
from typing import Any

from probe import __version__
from probe.analysis.claims import Claim
from probe.analysis.compare import Comparison
from probe.analysis.dates import locale, minute, number, whole_day
from probe.analysis.report import ladders, lines, matrix, words
from probe.analysis.report.evidence import Evidence
from probe.analysis.report.lead import lead
from probe.analysis.report.texts import texts
from probe.analysis.sources import Gathered
from probe.language import ENGLISH, _, _n, in_english, language

_OPEN = 40  # cells whose services need no opening first
_NAMED = 6  # columns named in a line of what was not measured


@dataclass(frozen=True)
class Place:
    """Where and when was measured: one row for each column."""

    name: str
    places: int
    runs: int
    first: str
    last: str
    covered: str


@dataclass(frozen=True)
class Gap:
    """A service and purpose, and where nothing may be said of it."""

    service: str
    purpose: str
    not_tested: str
    inconclusive: str


def report(
    comparison: Comparison,
    claims: Sequence[Claim] | None,
    evidence: Evidence,
    gathered: Gathered,
    *,
    titles: Mapping[str, str],
    made: datetime,
) -> str:
    """The comparison as HTML. `titles` names services as people write them; `made` is when.

    It is in one language: in the reader's if all of it is translated, else in English.
    """
    with nullcontext() if is_translated() else in_english():
        entries, beyond = ladders.chosen(comparison)
        links = ladders.anchors(entries)
        histories = lines.histories(comparison, evidence, claims or (), titles)
        calls = lines.calls(comparison, evidence)
        said = lead(comparison, claims, titles)
        return str(
            _template().render(
                language=(language() or ENGLISH).replace("_", "-"),
                direction=_direction(),
                t=texts(),
                style=_file("style.css"),
                lead=said,
                period=_period(comparison),
                grids=matrix.grids(comparison, titles, links),
                shades=range(matrix.SHADES + 1),
                histories=histories,
                calls=calls,
                ladders=ladders.ladders(entries, comparison, evidence, titles),
                few_ladders=len(entries) <= _OPEN,
                capped=_capped(said.beyond, histories, calls, beyond),
                gaps=_gaps(comparison, titles),
                places=_places(comparison, evidence),
                left_out=_left_out(gathered),
                signs=[
                    (words.SYMBOLS[key], word, words.meanings()[key]) for key, word in words.states().items()
                ],
                about=_about(evidence, made),
            )
        )


def is_translated() -> bool:
    """Whether the page can be read in the reader's language, and not only a word of it here and there."""
    ours = texts()
    with in_english():
        english = texts()
    return not language() or all(
        ours[name] != english[name] for name in ("sure", "matrix_how", "ladders_how")
    )


def _template() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("probe.analysis.report", package_path="template")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("page.html")


def _file(name: str) -> Any:
    from importlib.resources import files

    from markupsafe import Markup

    text = (files("probe.analysis.report") / "template" / name).read_text(encoding="utf-8")
    return Markup(text)  # noqa: S704 - a file of our own


def _direction() -> str:
    from babel import Locale

    return str(Locale.parse(locale()).text_direction)


def _period(comparison: Comparison) -> str:
    first = whole_day(min(column.first for column in comparison.columns))
    last = whole_day(max(column.last for column in comparison.columns))
    runs = _n("{count} run", "{count} runs", comparison.runs).format(count=number(comparison.runs))
    columns = words.columns_of(comparison.by, len(comparison.columns))
    if first == last:
        return _("{runs}, {columns}, {day} (UTC)").format(runs=runs, columns=columns, day=first)
    return _("{runs}, {columns}, {first} to {last} (UTC)").format(
        runs=runs, columns=columns, first=first, last=last
    )


def _capped(claims: int, histories: lines.Drawn, calls: lines.Drawn, cells: int) -> dict[str, str]:
    """What there was no room for, by the section it would stand in, and how to get it."""
    more = " " + _(
        "To get them: `probe compare PATH... --service NAME --html FILE`, or `--json` for everything."
    )
    said = {
        "claims": _n("{count} more claim is not shown.", "{count} more claims are not shown.", claims),
        "ladders": _n(
            "{count} more cell is in the table without its steps: those that fail come first.",
            "{count} more cells are in the table without their steps: those that fail come first.",
            cells,
        ),
        "lines": _n(
            "{count} more service and purpose is not drawn: those with most trouble come first.",
            "{count} more services and purposes are not drawn: those with most trouble come first.",
            histories.charts_left,
        ),
        "rows": _n(
            "{count} more line is not drawn.", "{count} more lines are not drawn.", histories.rows_left
        ),
        "calls": _n("{count} more line is not drawn.", "{count} more lines are not drawn.", calls.rows_left),
    }
    counts = {
        "claims": claims, "ladders": cells, "lines": histories.charts_left, "rows": histories.rows_left,
        "calls": calls.rows_left,
    }  # fmt: skip
    return {name: said[name].format(count=count) + more for name, count in counts.items() if count}


def _gaps(comparison: Comparison, titles: Mapping[str, str]) -> list[Gap]:
    found = {(e.service, e.purpose, e.key): e for e in comparison.entries}
    names, made = words.column_names(comparison), []
    for service in dict.fromkeys(e.service for e in comparison.entries):
        for purpose in words.PURPOSES:
            missing: dict[str, list[str]] = defaultdict(list)
            for column in comparison.columns:
                entry = found.get((service, purpose, column.key))
                if entry is None or not entry.units:
                    unsure = entry is not None and entry.state == "inconclusive"
                    missing["inconclusive" if unsure else "not_tested"].append(column.key)
            if missing:
                said = {state: _some(keys, comparison, names) for state, keys in missing.items()}
                made.append(
                    Gap(
                        words.service(service, titles),
                        words.purpose(purpose),
                        said.get("not_tested", ""),
                        said.get("inconclusive", ""),
                    )
                )
    return made


def _some(keys: Sequence[str], comparison: Comparison, names: Mapping[str, str]) -> str:
    if len(keys) == len(comparison.columns) > 1:
        return _("everywhere")
    if len(keys) > _NAMED:
        return words.part_of(comparison.by, len(keys), len(comparison.columns))
    return words.listed([names[key] for key in keys])


def _places(comparison: Comparison, evidence: Evidence) -> list[Place]:
    names = words.column_names(comparison)
    times = defaultdict(set)
    for point in evidence.points:
        times[point.key].add(point.at)
    whole = len({point.at for point in evidence.points})
    return [
        Place(
            name=names[column.key],
            places=column.vantages,
            runs=column.runs,
            first=whole_day(column.first),
            last=whole_day(column.last),
            covered=_covered(evidence.step, len(times[column.key]), whole),
        )
        for column in comparison.columns
    ]


def _covered(step: str, count: int, whole: int) -> str:
    """In how many of the hours or days in which anybody measured anything."""
    said = {
        "h": lambda: _n("{count} of {whole} hour", "{count} of {whole} hours", whole),
        "D": lambda: _n("{count} of {whole} day", "{count} of {whole} days", whole),
        "W": lambda: _n("{count} of {whole} week", "{count} of {whole} weeks", whole),
        "M": lambda: _n("{count} of {whole} month", "{count} of {whole} months", whole),
    }
    return said[step]().format(count=count, whole=whole)


def _left_out(gathered: Gathered) -> list[str]:
    """What was not read. Of a path only the file's name is told: where it lay may say who somebody is."""
    said = []
    for one in gathered.left_out.named:
        where = words.name(PurePath(one.path).name)
        line = _(", line {number}").format(number=one.line) if one.line else ""
        said.append(f"{where}{line}: {words.name(one.reason)}")
    more = gathered.left_out.count - len(gathered.left_out.named)
    if more > 0:
        said.append(_n("{count} more", "{count} more", more).format(count=more))
    if gathered.twice:
        said.append(
            _n(
                "{count} run was given more than once and counts once.",
                "{count} runs were given more than once and count once.",
                gathered.twice,
            ).format(count=gathered.twice)
        )
    return said


def _about(evidence: Evidence, made: datetime) -> list[str]:
    said = [
        _("Made by callreach {version} on {when}.").format(version=__version__, when=minute(made)),
        _("All verdicts were thought anew with rules {rules}.").format(rules=evidence.rules),
    ]
    for one in evidence.programs:
        runs = _n("{count} run", "{count} runs", one.runs).format(count=number(one.runs))
        then = (
            _(", judged then with rules {rules}").format(rules=one.rules_stored) if one.rules_stored else ""
        )
        software = words.name(one.software or one.source)
        said.append(_("{runs} by {software}{then}").format(runs=runs, software=software, then=then))
    return said
