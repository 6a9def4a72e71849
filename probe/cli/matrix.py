"""A comparison as tables and sentences, one JSON object, or CSV."""

import csv
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from probe.cli import words
from probe.cli.terminal import console
from probe.language import N_, _, _n, apart, in_english
from probe.words import mechanism

if TYPE_CHECKING:
    from rich.console import Console

    from probe.analysis.claims import Claim
    from probe.analysis.compare import Column, Comparison, Entry
    from probe.analysis.sources import Gathered

_PURPOSES = ("messaging", "calls")
_ABREAST = 5  # columns that a terminal has room for


def show(comparison: "Comparison", claimed: "list[Claim] | None", gathered: "Gathered") -> None:
    """Print what was compared, what may be claimed, a table for each purpose, differences, and what was left out."""
    out = console()
    out.print(_head(comparison))
    _print_claims(out, claimed)
    names = _names(comparison.columns)
    for purpose in _PURPOSES:
        entries = {(e.service, e.key): e for e in comparison.entries if e.purpose == purpose}
        if any(entry.units for entry in entries.values()):
            for start in range(0, len(comparison.columns), _ABREAST):
                out.print(
                    _table(
                        words.purpose(purpose), entries, comparison.columns[start : start + _ABREAST], names
                    )
                )
    for sentence in differences(comparison):
        out.print(sentence)
    if any(entry.units and not entry.enough for entry in comparison.entries):
        out.print(Text(_(_FEW), style="dim"))
    for sentence in left_out(gathered):
        out.print(Text(sentence, style="yellow"))


def _print_claims(out: "Console", claimed: "list[Claim] | None") -> None:
    """The headlines with their grounds; one line where there is nothing to claim."""
    if claimed is None:
        return
    from probe.analysis.sentences import grounds, headlines

    said = headlines(claimed)
    for sentence in said:
        out.print(Text(words.plain(sentence), style="bold"))
    for claim in claimed if said else ():
        if claim.sure:
            out.print(Text("  " + words.plain(" ".join(grounds(claim))), style="dim"))
    if not said:
        out.print(Text(_(_NO_CLAIM), style="dim"))


_NO_CLAIM = N_(
    "Nothing is claimed of these networks: either all is well, or too few households measured for too short."
)
_FEW = N_(
    "In brackets: seen by fewer than two vantage points or in fewer than five hours, so this is what these runs saw"
    " and not yet a finding about the network."
)


def _head(comparison: "Comparison") -> str:
    first = min(column.first for column in comparison.columns)
    last = max(column.last for column in comparison.columns)
    when = f"{first:%Y-%m-%d}"
    if last.date() > first.date():
        when = _("{first} to {last}").format(first=when, last=f"{last:%Y-%m-%d}")
    runs = _n("{count} run", "{count} runs", comparison.runs).format(count=comparison.runs)
    return f"{runs}, {_abreast(comparison.by, len(comparison.columns))}, {when} (UTC)"


def _abreast(by: str, count: int) -> str:
    """What stands side by side, and how many of it."""
    return {
        "asn": _n("{count} network", "{count} networks", count),
        "country": _n("{count} country", "{count} countries", count),
        "label": _n("{count} label", "{count} labels", count),
        "kind": _n("{count} kind of network", "{count} kinds of network", count),
        "family": _n("{count} address family", "{count} address families", count),
        "day": _n("{count} day", "{count} days", count),
    }[by].format(count=count)


def _names(columns: "Sequence[Column]") -> dict[str, str]:
    """What each column is called, without anything a terminal would obey."""
    countries = {c.key: f", {c.country}" if c.country not in ("", c.name) else "" for c in columns}
    return {column.key: words.plain(column.name + countries[column.key]) for column in columns}


def _table(
    word: str, entries: "dict[tuple[str, str], Entry]", columns: "Sequence[Column]", names: dict[str, str]
) -> Table:
    made = Table(box=None, pad_edge=False, header_style="bold", title_justify="left")
    made.add_column(apart(word), no_wrap=True)
    for column in columns:
        made.add_column(apart(names[column.key]), overflow="fold")
    for service in dict.fromkeys(service for service, _key in entries):
        found = [entries.get((service, column.key)) for column in columns]
        made.add_row(Text(apart(words.plain(service))), *map(_cell, found))
    return made


def _cell(entry: "Entry | None") -> Text:
    if entry is None or entry.state == "not_tested":
        return Text("-", style="dim")
    said = _state(entry)
    if entry.since is not None:
        said = _("{state} since {date}").format(state=said, date=f"{entry.since:%Y-%m-%d}")
    elif 0 < entry.bad < entry.units and not entry.lately:
        said = _("{state} ({bad} of {all} fail)").format(state=said, bad=entry.bad, all=entry.units)
    said = f"[{said}]" if entry.units and not entry.enough else said
    return Text(apart(said), style=words.COLOURS.get("degraded" if entry.lately else entry.state, ""))


def _state(entry: "Entry") -> str:
    """How it fares, in a word or two: one bad hour at the end of a month is no block."""
    if entry.lately:
        return _("failed last ({bad} of {all})").format(bad=entry.bad, all=entry.units)
    return words.state(entry.purpose, entry.verdict)


def differences(comparison: "Comparison") -> list[str]:
    """One sentence for each service and purpose that does not fare alike everywhere."""
    names = _names(comparison.columns)
    sentences = []
    for purpose in _PURPOSES:
        for service in dict.fromkeys(e.service for e in comparison.entries):
            found = [
                e for e in comparison.entries if (e.service, e.purpose) == (service, purpose) and e.units
            ]
            if len({(e.state, e.since is None) for e in found}) > 1:
                text = _("{service}, {purpose}: {fates}.")
                sentences.append(
                    text.format(
                        service=words.plain(service),
                        purpose=words.purpose(purpose),
                        fates=_fates(found, names),
                    )
                )
    if not sentences and len(comparison.columns) > 1:
        return [_("No difference between these.")]
    return sentences


def _fates(entries: "Sequence[Entry]", names: dict[str, str]) -> str:
    by_fate: dict[str, list[str]] = {}
    for entry in entries:
        by_fate.setdefault(_fate(entry), []).append(names[entry.key])
    text = _("{fate} on {networks}")
    return "; ".join(text.format(fate=fate, networks=", ".join(where)) for fate, where in by_fate.items())


def _fate(entry: "Entry") -> str:
    how = f" ({mechanism(entry.mechanism, entry.because)})" if entry.mechanism else ""
    fate = _state(entry) + how
    if entry.since:
        fate = _("{state} since {date}").format(state=fate, date=f"{entry.since:%Y-%m-%d %H:00} UTC")
    return f"{fate} ({words.reason(entry.because)})" if entry.rule.startswith("elsewhere.") else fate


def left_out(gathered: "Gathered") -> Iterator[str]:
    """What was not read, by name as far as there is room, and what was given twice."""
    found = gathered.left_out
    for one in found.named:
        yield _("left out: {what}").format(what=words.plain(str(one)))
    if found.count > len(found.named):
        yield _("left out: {count} more").format(count=found.count - len(found.named))
    if gathered.twice:
        yield _n(
            "counted once: {count} run that stood there more than once",
            "counted once: {count} runs that stood there more than once",
            gathered.twice,
        ).format(count=gathered.twice)


def print_json(comparison: "Comparison", claimed: "list[Claim] | None", gathered: "Gathered") -> None:
    """One object on stdout: columns, claims, matrix, layers, and what was left out."""
    import msgspec

    from probe.analysis.sentences import headlines

    whole = {
        "by": comparison.by,
        "runs": comparison.runs,
        "columns": [_object(column) for column in comparison.columns],
        "headlines": headlines(claimed or ()),
        "claims": [_object(claim) for claim in claimed or ()],
        "matrix": [_object(entry) | {"lately": entry.lately} for entry in comparison.entries],
        "differences": _differences_in_english(comparison),
        "layers": [_object(layer) for layer in comparison.layers],
        "left_out": {
            "count": gathered.left_out.count,
            "named": [one._asdict() for one in gathered.left_out.named],
            "twice": gathered.twice,
        },
    }
    sys.stdout.buffer.write(msgspec.json.encode(whole) + b"\n")


def _differences_in_english(comparison: "Comparison") -> list[str]:
    with in_english():
        return differences(comparison)


def _object(record: Any) -> dict[str, Any]:
    """Every key, also those at their defaults: readers should not have to guess."""
    return {name: getattr(record, name) for name in record.__struct_fields__}


def print_csv(comparison: "Comparison") -> None:
    """The matrix, one line per service, purpose and column."""
    names = {column.key: column.name for column in comparison.columns}
    fields = [
        "service", "purpose", "key", "name", "state", "mechanism", "rule", "units", "bad", "low", "high", "vantages",
        "bad_vantages", "runs", "first", "last", "since", "lately", "enough",
    ]  # fmt: skip
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(fields)
    for entry in comparison.entries:
        values = _object(entry) | {"name": names[entry.key], "lately": entry.lately}
        writer.writerow([_field(values[name]) for name in fields])


def _field(value: Any) -> Any:
    """A value for CSV. A text that a spreadsheet would take for a formula gets an apostrophe before it."""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%SZ}"
    if isinstance(value, str):
        text = words.plain(value)
        return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text
    return "" if value is None else value
