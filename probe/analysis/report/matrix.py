"""The matrix as a heat map: what each cell shows, in words, numbers and shade."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from math import ceil, floor

from probe.analysis.compare import Column, Comparison, Entry
from probe.analysis.dates import short_day
from probe.analysis.report import words
from probe.language import _, _n

FEW = 6  # columns that stand side by side with whole words; more become the rows
SHADES = 10
LASTS = timedelta(days=1)


@dataclass(frozen=True)
class Box:
    """One cell. `shade` is the failing share in tenths, or empty where nothing may be said."""

    symbol: str
    word: str
    shade: str
    counts: str
    failed: str  # the counts in a word more, where there is room
    interval: str
    since: str
    spoken: str  # everything above in words, for whoever hears the page
    thin: bool  # below the minimum counts
    link: str


@dataclass(frozen=True)
class Grid:
    """A table of one purpose: a name for each row and column, and the cells by row."""

    purpose: str
    caption: str
    compact: bool
    corner: str
    heads: list[str]
    rows: list[tuple[str, list[Box]]]


def grids(
    comparison: Comparison, titles: Mapping[str, str], links: Mapping[tuple[str, str, str], str]
) -> list[Grid]:
    """A table for messages and one for calls; the longer side runs down the page."""
    made = []
    for purpose in words.PURPOSES:
        found = {(e.service, e.key): e for e in comparison.entries if e.purpose == purpose}
        services = list(dict.fromkeys(service for service, _key in found))
        if any(entry.units for entry in found.values()):
            made.append(_grid(purpose, services, comparison, found, titles, links))
    return made


def _grid(
    purpose: str,
    services: Sequence[str],
    comparison: Comparison,
    found: Mapping[tuple[str, str], Entry],
    titles: Mapping[str, str],
    links: Mapping[tuple[str, str, str], str],
) -> Grid:
    names = words.column_names(comparison)
    heads = [_head(column, names) for column in comparison.columns]
    called = [words.service(service, titles) for service in services]
    boxes = [
        [box(found.get((service, column.key)), links) for column in comparison.columns]
        for service in services
    ]
    compact = len(comparison.columns) > FEW
    columns = words.columns_of(comparison.by, len(comparison.columns))
    return Grid(
        purpose=purpose,
        caption={
            "messaging": _("Messages: how each service fared on {columns}"),
            "calls": _("Calls: how each service fared on {columns}"),
        }[purpose].format(columns=columns),
        compact=compact,
        corner=_("network") if compact and comparison.by == "asn" else _("service") if not compact else "",
        heads=called if compact else heads,
        rows=[(head, [row[at] for row in boxes]) for at, head in enumerate(heads)]
        if compact
        else list(zip(called, boxes, strict=True)),
    )


def _head(column: Column, names: Mapping[str, str]) -> str:
    name = names[column.key]
    return f"{name}, {words.country(column.country)}" if column.country not in ("", column.key) else name


def _lasts(entry: Entry) -> bool:
    """Whether a date is worth naming: what failed in the last hours alone may be over by now."""
    return entry.since is not None and (2 * entry.bad > entry.units or entry.last - entry.since >= LASTS)


def box(entry: Entry | None, links: Mapping[tuple[str, str, str], str]) -> Box:
    """How a cell is shown."""
    states = words.states()
    if entry is None or entry.low is None or entry.high is None:
        look = "inconclusive" if entry is not None and entry.state == "inconclusive" else "not_tested"
        link = links.get((entry.service, entry.purpose, entry.key), "") if entry else ""
        return Box(words.SYMBOLS[look], states[look], "", "", "", "", "", states[look], False, link)
    counts = _n("{bad} of {units} hour failed", "{bad} of {units} hours failed", entry.units)
    counts = counts.format(bad=entry.bad, units=entry.units)
    bounds = _("{low}–{high} %").format(low=floor(100 * entry.low), high=ceil(100 * entry.high))
    since = _("since {day}").format(day=short_day(entry.since)) if entry.since and _lasts(entry) else ""
    word = states[words.look(entry)]
    places = _n("{count} place", "{count} places", entry.vantages).format(count=entry.vantages)
    spoken = [word, since, counts, _("95-percent interval {bounds}").format(bounds=bounds), places]
    if not entry.enough:
        spoken.append(_("too few measurements to speak of the network"))
    return Box(
        symbol=words.SYMBOLS[words.look(entry)],
        word=word,
        shade=str(round(SHADES * entry.bad / entry.units)),
        counts=f"{entry.bad}/{entry.units}",
        failed=_("{bad} of {units} failed").format(bad=entry.bad, units=entry.units),
        interval=bounds,
        since=since,
        spoken="; ".join(part for part in spoken if part),
        thin=not entry.enough,
        link=links.get((entry.service, entry.purpose, entry.key), ""),
    )
