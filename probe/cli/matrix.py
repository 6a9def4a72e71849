"""A comparison as tables and sentences, one JSON object, or CSV."""

import csv
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from probe.cli import words
from probe.cli.beside import mechanism
from probe.cli.terminal import console

if TYPE_CHECKING:
    from rich.console import Console

    from probe.analysis.claims import Claim
    from probe.analysis.compare import Column, Comparison, Entry
    from probe.analysis.sources import Gathered

_PURPOSES = (("messaging", "messages"), ("calls", "calls"))
_ABREAST = 5  # columns that a terminal has room for
_BY = {
    "asn": ("network", "networks"), "country": ("country", "countries"), "label": ("label", "labels"),
    "kind": ("kind of network", "kinds of network"), "family": ("address family", "address families"),
    "day": ("day", "days"),
}  # fmt: skip


def show(comparison: "Comparison", claimed: "list[Claim] | None", gathered: "Gathered") -> None:
    """Print what was compared, what may be claimed, a table for each purpose, differences, and what was left out."""
    out = console()
    out.print(_head(comparison))
    _print_claims(out, claimed)
    names = _names(comparison.columns)
    for purpose, word in _PURPOSES:
        entries = {(e.service, e.key): e for e in comparison.entries if e.purpose == purpose}
        if any(entry.units for entry in entries.values()):
            for start in range(0, len(comparison.columns), _ABREAST):
                out.print(_table(word, entries, comparison.columns[start : start + _ABREAST], names))
    for sentence in differences(comparison):
        out.print(sentence)
    if any(entry.units and not entry.enough for entry in comparison.entries):
        out.print(Text(_FEW, style="dim"))
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
        out.print(Text(_NO_CLAIM, style="dim"))


_NO_CLAIM = (
    "Nothing is claimed of these networks: either all is well, or too few households measured for too short."
)
_FEW = (
    "In brackets: seen by fewer than two vantage points or in fewer than five hours, so this is what these runs saw"
    " and not yet a finding about the network."
)


def _head(comparison: "Comparison") -> str:
    first = min(column.first for column in comparison.columns)
    last = max(column.last for column in comparison.columns)
    when = f"{first:%Y-%m-%d}" + (f" to {last:%Y-%m-%d}" if last.date() > first.date() else "")
    runs, columns = comparison.runs, len(comparison.columns)
    return f"{runs} run{'s' * (runs != 1)}, {columns} {_BY[comparison.by][columns != 1]}, {when} (UTC)"


def _names(columns: "Sequence[Column]") -> dict[str, str]:
    """What each column is called, without anything a terminal would obey."""
    countries = {c.key: f", {c.country}" if c.country not in ("", c.name) else "" for c in columns}
    return {column.key: words.plain(column.name + countries[column.key]) for column in columns}


def _table(
    word: str, entries: "dict[tuple[str, str], Entry]", columns: "Sequence[Column]", names: dict[str, str]
) -> Table:
    made = Table(box=None, pad_edge=False, header_style="bold", title_justify="left")
    made.add_column(word, no_wrap=True)
    for column in columns:
        made.add_column(names[column.key], overflow="fold")
    for service in dict.fromkeys(service for service, _ in entries):
        found = [entries.get((service, column.key)) for column in columns]
        made.add_row(Text(words.plain(service)), *map(_cell, found))
    return made


def _cell(entry: "Entry | None") -> Text:
    if entry is None or entry.state == "not_tested":
        return Text("-", style="dim")
    said = words.state(entry.purpose, entry.verdict)
    if entry.since is not None:
        said += f" since {entry.since:%d %b}"
    elif 0 < entry.bad < entry.units:
        said += f" ({entry.bad} of {entry.units} fail)"
    said = f"[{said}]" if entry.units and not entry.enough else said
    return Text(said, style=words.COLOURS.get(entry.state, ""))


def differences(comparison: "Comparison") -> list[str]:
    """One sentence for each service and purpose that does not fare alike everywhere."""
    names = _names(comparison.columns)
    sentences = []
    for purpose, word in _PURPOSES:
        for service in dict.fromkeys(e.service for e in comparison.entries):
            found = [
                e for e in comparison.entries if (e.service, e.purpose) == (service, purpose) and e.units
            ]
            if len({(e.state, e.since is None) for e in found}) > 1:
                sentences.append(f"{words.plain(service)}, {word}: {_fates(found, names)}.")
    if not sentences and len(comparison.columns) > 1:
        return ["No difference between these."]
    return sentences


def _fates(entries: "Sequence[Entry]", names: dict[str, str]) -> str:
    by_fate: dict[str, list[str]] = {}
    for entry in entries:
        by_fate.setdefault(_fate(entry), []).append(names[entry.key])
    return "; ".join(f"{fate} on {', '.join(where)}" for fate, where in by_fate.items())


def _fate(entry: "Entry") -> str:
    how = f" ({mechanism(entry.verdict)})" if entry.mechanism else ""
    since = f" since {entry.since:%Y-%m-%d %H:00} UTC" if entry.since else ""
    settled = f" ({entry.because})" if entry.rule.startswith("elsewhere.") else ""
    return words.plain(f"{words.state(entry.purpose, entry.verdict)}{how}{since}{settled}")


def left_out(gathered: "Gathered") -> Iterator[str]:
    """What was not read, by name as far as there is room, and what was given twice."""
    found = gathered.left_out
    for one in found.named:
        yield words.plain(f"left out: {one}")
    if found.count > len(found.named):
        yield f"left out: {found.count - len(found.named)} more"
    if gathered.twice:
        yield f"counted once: {gathered.twice} run{'s' * (gathered.twice != 1)} that stood there more than once"


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
        "matrix": [_object(entry) for entry in comparison.entries],
        "differences": differences(comparison),
        "layers": [_object(layer) for layer in comparison.layers],
        "left_out": {
            "count": gathered.left_out.count,
            "named": [one._asdict() for one in gathered.left_out.named],
            "twice": gathered.twice,
        },
    }
    sys.stdout.buffer.write(msgspec.json.encode(whole) + b"\n")


def _object(record: Any) -> dict[str, Any]:
    """Every key, also those at their defaults: readers should not have to guess."""
    return {name: getattr(record, name) for name in record.__struct_fields__}


def print_csv(comparison: "Comparison") -> None:
    """The matrix, one line per service, purpose and column."""
    names = {column.key: column.name for column in comparison.columns}
    fields = [
        "service", "purpose", "key", "name", "state", "mechanism", "rule", "units", "bad", "low", "high", "vantages",
        "bad_vantages", "runs", "first", "last", "since", "enough",
    ]  # fmt: skip
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(fields)
    for entry in comparison.entries:
        values = _object(entry) | {"name": names[entry.key]}
        writer.writerow([_field(values[name]) for name in fields])


def _field(value: Any) -> Any:
    """A value for CSV. A text that a spreadsheet would take for a formula gets an apostrophe before it."""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%SZ}"
    if isinstance(value, str):
        text = words.plain(value)
        return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text
    return "" if value is None else value
