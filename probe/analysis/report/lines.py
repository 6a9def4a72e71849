"""Which lines of time a report draws, with the changes that claims found on them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from markupsafe import Markup

from probe.analysis.claims import Claim
from probe.analysis.compare import Comparison
from probe.analysis.dates import day, number, short_day
from probe.analysis.report import charts, words
from probe.analysis.report.evidence import Evidence, Flow, Point
from probe.analysis.report.ladders import Cell
from probe.analysis.sentences import phrases
from probe.language import _, _n

CHARTS, ROWS = 12, 12  # services and purposes with a chart, and lines in each
QUIET, TROUBLE = 3, 0.2  # charts that are drawn even where no line fails for this share of its hours
_DAYS = {"h": 1 / 24, "D": 1.0, "W": 7.0, "M": 30.4}
_TICKS = 6
_LOSS, _DELAY = 0.1, 200.0  # the least that a scale goes up to: a tenth of the packets; milliseconds


@dataclass(frozen=True)
class Chart:
    """A drawing with a heading and what is on it in words."""

    heading: str
    svg: Markup
    notes: list[str]


@dataclass(frozen=True)
class Drawn:
    """All drawings of one kind, and how many lines and charts there was no room for."""

    charts: list[Chart]
    charts_left: int
    rows_left: int


def histories(
    comparison: Comparison, evidence: Evidence, claims: Sequence[Claim], titles: Mapping[str, str]
) -> Drawn:
    """A chart for each service and purpose over time, those with most trouble first."""
    series: dict[tuple[str, str], dict[str, list[Point]]] = defaultdict(lambda: defaultdict(list))
    for point in evidence.points:
        if point.purpose in words.PURPOSES:
            series[point.service, point.purpose][point.key].append(point)
    if len({point.at for point in evidence.points}) < 2:
        return Drawn([], 0, 0)
    changes = _changes(claims) if comparison.by == "asn" else {}
    ranked = sorted(series, key=lambda one: -_trouble(series[one], changes, *one))
    names = words.column_names(comparison)
    made, left = [], 0
    drawn = [what for n, what in enumerate(ranked[:CHARTS]) if n < QUIET or _troubled(series[what])]
    for service, purpose in drawn:
        lines = series[service, purpose]
        keys = sorted(
            lines, key=lambda key: ((service, purpose, key) not in changes, -_share(lines[key]), key)
        )
        left += max(0, len(keys) - ROWS)
        chosen = {key: lines[key] for key in keys[:ROWS]}
        made.append(_history(service, purpose, chosen, changes, names, evidence, titles))
    return Drawn(made, len(ranked) - len(drawn), left)


def _trouble(lines: Mapping[str, list[Point]], changes: Mapping[Cell, object], *what: str) -> float:
    changed = sum((*what, key) in changes for key in lines)
    return 10 * changed + sum(map(_share, lines.values()))


def _troubled(lines: Mapping[str, list[Point]]) -> bool:
    return any(_share(points) >= TROUBLE for points in lines.values())


def _share(points: Sequence[Point]) -> float:
    return sum(point.bad for point in points) / sum(point.units for point in points)


_Span = tuple[datetime, datetime]


def _changes(claims: Iterable[Claim]) -> dict[Cell, list[_Span]]:
    """The intervals in which something began or ended, by service, purpose and network."""
    found: dict[Cell, dict[_Span, None]] = defaultdict(dict)
    for claim in claims:
        spans = [(span.after, span.by) for span in (claim.since, claim.until) if span is not None]
        for network in claim.networks:
            key = _key(network)
            found[claim.service, claim.purpose, key].update(dict.fromkeys(spans))
    return {cell: list(spans) for cell, spans in found.items() if spans}


def _key(network: str) -> str:
    """The column of a claim's network: its AS number, else its label; accesses of one operator share a column."""
    first = network.partition(" ")[0]
    if first.startswith("AS") and first[2:].isdigit():
        return first
    return network.removesuffix(" (mobile)").removesuffix(" (fixed)")


def _history(
    service: str,
    purpose: str,
    lines: Mapping[str, list[Point]],
    changes: Mapping[Cell, list[_Span]],
    names: Mapping[str, str],
    evidence: Evidence,
    titles: Mapping[str, str],
) -> Chart:
    heading = phrases()["subject"].format(
        purpose=words.purpose(purpose), service=words.service(service, titles)
    )
    heading = heading[:1].upper() + heading[1:]
    rows, notes = [], []
    for key, points in lines.items():
        spans = changes.get((service, purpose, key), [])
        rows.append(charts.Row(names[key], [p.at for p in points], [p.bad / p.units for p in points], spans))
        notes.append(_note(names[key], points, spans))
    svg = charts.strips(rows, _frame(evidence), title=heading, description=" ".join(notes))
    return Chart(heading, svg, notes)


def _note(name: str, points: Sequence[Point], spans: Sequence[_Span]) -> str:
    units, bad = sum(p.units for p in points), sum(p.bad for p in points)
    said = _n("{name}: {bad} of {units} hour failed.", "{name}: {bad} of {units} hours failed.", units)
    said = said.format(name=name, bad=number(bad), units=number(units))
    for begin, end in spans:
        said += " " + _("It changed between {first} and {last}.").format(first=day(begin), last=day(end))
    return said


def calls(comparison: Comparison, evidence: Evidence) -> Drawn:
    """Loss each way and delay of test calls over time, one line per network."""
    flows: dict[str, list[Flow]] = defaultdict(list)
    for flow in evidence.flows:
        flows[flow.key].append(flow)
    if not flows:
        return Drawn([], 0, 0)
    keys = sorted(flows, key=lambda key: (-max(_worst(flow) for flow in flows[key]), key))
    names = words.column_names(comparison)
    kinds = (
        ("loss_up", _("Packets lost on the way to the far end"), _LOSS),
        ("loss_down", _("Packets lost on the way back"), _LOSS),
        ("rtt_ms", _("Round trip"), _DELAY),
    )
    made = []
    for figure, heading, least in kinds:
        rows = [row for key in keys[:ROWS] if (row := _band(names[key], flows[key], figure)).times]
        if rows:
            made.append(_bands(heading, figure, rows, least, evidence))
    return Drawn(made, 0, max(0, len(keys) - ROWS))


def _worst(flow: Flow) -> float:
    return max(flow.loss_up or 0.0, flow.loss_down or 0.0)


def _band(name: str, flows: Sequence[Flow], figure: str) -> charts.Band:
    by_time: dict[datetime, list[float]] = defaultdict(list)
    for flow in flows:
        if (value := getattr(flow, figure)) is not None:
            by_time[flow.at].append(value)
    times = sorted(by_time)
    return charts.Band(
        name=name,
        times=times,
        middle=[median(by_time[at]) for at in times],
        low=[min(by_time[at]) for at in times],
        high=[max(by_time[at]) for at in times],
    )


def _bands(heading: str, figure: str, rows: Sequence[charts.Band], least: float, evidence: Evidence) -> Chart:
    top = max(least, *(value for row in rows for value in row.high))
    scale = 1.0 if figure == "rtt_ms" else 100.0
    unit = _("{value} ms") if figure == "rtt_ms" else _("{value} %")

    def said(value: float) -> str:
        return unit.format(value=number(scale * value, digits=0 if scale * value >= 10 else 1))

    notes = [
        _("{name}: {middle} in the middle, from {low} to {high}.").format(
            name=row.name, middle=said(median(row.middle)), low=said(min(row.low)), high=said(max(row.high))
        )
        for row in rows
    ]
    if len({at for row in rows for at in row.times}) < 2:
        return Chart(heading, Markup(), notes)
    whole = _("{what} (full height: {top})").format(what=heading, top=said(top))
    svg = charts.bands(rows, _frame(evidence), top=top, title=whole, description=" ".join(notes))
    return Chart(whole, svg, notes)


def _frame(evidence: Evidence) -> charts.Frame:
    times = [point.at for point in evidence.points] + [flow.at for flow in evidence.flows]
    first, last, width = min(times), max(times), _DAYS[evidence.step]
    whole = max(last - first, timedelta(days=width))
    marks = [first + whole * n / (_TICKS - 1) for n in range(_TICKS)]
    if evidence.step == "h":
        said = [f"{at:%H:%M}" if whole < timedelta(days=1) else f"{short_day(at)} {at:%H:00}" for at in marks]
    else:
        marks = [at.replace(hour=0) for at in marks]
        said = [short_day(at) for at in marks]
    return charts.frame(first, last, width, list(zip(marks, said, strict=True)))
