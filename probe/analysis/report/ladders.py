"""The ladder behind every cell: step by step, how often it went through, how it failed, and the last time it did."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from probe.analysis.compare import Comparison, Entry, Layer
from probe.analysis.dates import minute
from probe.analysis.report import words
from probe.analysis.report.evidence import Evidence, Failed
from probe.analysis.report.matrix import Box, box
from probe.language import _, _n, said
from probe.record import plain
from probe.words import FAILURES, word

MOST = 600  # cells with a ladder; those that fail come first
_ENDS = 6  # ways to fail that one step shows
_RANK = {"blocked": 0, "likely_blocked": 1, "unreachable": 2, "degraded": 3, "down": 4, "inconclusive": 6}

Cell = tuple[str, str, str]  # service, purpose, key


@dataclass(frozen=True)
class Rung:
    """One step: how often it went through, of how many tries, in what time, and how it failed otherwise."""

    step: str
    passed: str
    failed: bool
    ends: list[str]
    more: int


@dataclass(frozen=True)
class Ladder:
    """One cell's ladder, its verdict in words, and where the page has it."""

    anchor: str
    where: str
    purpose: str
    box: Box
    because: str
    rungs: list[Rung]


def chosen(comparison: Comparison) -> tuple[list[Entry], int]:
    """The cells that get a ladder, and how many do not: what fails first, then what fails now and then."""
    shown = [
        e
        for e in comparison.entries
        if e.purpose in words.PURPOSES and (e.units or e.state == "inconclusive")
    ]
    ranked = sorted(shown, key=lambda e: (_RANK.get(e.state, 5), -e.bad / max(1, e.units)))
    kept = {(e.service, e.purpose, e.key) for e in ranked[:MOST]}
    return [e for e in shown if (e.service, e.purpose, e.key) in kept], max(0, len(shown) - MOST)


def anchors(entries: Sequence[Entry]) -> dict[Cell, str]:
    """The name of each cell's place in the page; nothing foreign is in it."""
    return {(e.service, e.purpose, e.key): f"cell{number}" for number, e in enumerate(entries, 1)}


def ladders(
    entries: Sequence[Entry], comparison: Comparison, evidence: Evidence, titles: Mapping[str, str]
) -> list[tuple[str, list[Ladder]]]:
    """Ladders by service."""
    links, names = anchors(entries), words.column_names(comparison)
    layers: dict[Cell, list[Layer]] = defaultdict(list)
    for layer in comparison.layers:
        layers[layer.service, layer.purpose, layer.key].append(layer)
    first = words.purpose(words.PURPOSES[0])
    last = {(one.service, one.purpose, one.key, one.step, one.failure): one for one in evidence.failures}
    made: dict[str, list[Ladder]] = defaultdict(list)
    for entry in entries:
        cell = (entry.service, entry.purpose, entry.key)
        made[words.service(entry.service, titles)].append(
            Ladder(
                anchor=links[cell],
                where=names[entry.key],
                purpose=words.purpose(entry.purpose),
                box=box(entry, {}),
                because=_because(entry),
                rungs=_rungs(layers[cell], last),
            )
        )
    return [(service, sorted(some, key=lambda one: one.purpose != first)) for service, some in made.items()]


def _because(entry: Entry) -> str:
    """Why the verdict is what it is, and the mechanism or the rule by the name that documents have for it."""
    if entry.state == "reachable":
        return ""
    own = plain(entry.mechanism or entry.rule)
    return f"{said(plain(entry.because))} ({own})" if entry.because else own


def _rungs(layers: Sequence[Layer], last: Mapping[tuple[str, str, str, str, str], Failed]) -> list[Rung]:
    by_step: dict[str, list[Layer]] = defaultdict(list)
    for layer in layers:
        by_step[layer.step].append(layer)
    called = words.steps()
    return [_rung(called.get(step, plain(step)), by_step[step], last) for step in sorted(by_step, key=_order)]


def _order(step: str) -> tuple[int, str]:
    return (words.STEPS.index(step) if step in words.STEPS else len(words.STEPS), step)


def _rung(
    called: str, layers: Sequence[Layer], last: Mapping[tuple[str, str, str, str, str], Failed]
) -> Rung:
    through = sum(layer.count for layer in layers if not layer.failure)
    of = sum(layer.count for layer in layers)
    took = [layer.seconds for layer in layers if not layer.failure and layer.seconds is not None]
    said = _n("{through} of {of} try went through", "{through} of {of} tries went through", of)
    said = said.format(through=through, of=of)
    if took:
        said += _(", {ms} ms in the mean").format(ms=round(1000 * took[0]))
    ends = sorted((layer for layer in layers if layer.failure), key=lambda layer: -layer.count)
    return Rung(
        step=called,
        passed=said,
        failed=bool(ends),
        ends=[
            _end(layer, last.get((layer.service, layer.purpose, layer.key, layer.step, layer.failure)))
            for layer in ends[:_ENDS]
        ],
        more=max(0, len(ends) - _ENDS),
    )


def _end(layer: Layer, example: Failed | None) -> str:
    how = word(FAILURES, layer.failure)
    said = _n("{count} time: {how}", "{count} times: {how}", layer.count).format(count=layer.count, how=how)
    if example is None:
        return said
    code = f" ({words.name(example.code)})" if example.code else ""
    place = (
        f"{words.name(example.host)}:{example.port}" if example.host else _("the far end of the test calls")
    )
    return _("{said}{code}, last at {place} on {when}").format(
        said=said, code=code, place=place, when=minute(example.last)
    )
