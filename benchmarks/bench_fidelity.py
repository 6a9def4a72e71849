"""Loss, jitter and round trips as we, irtt, coturn's turnutils_uclient and aiortc's getStats measure them, against what
the lab's box did to exactly those packets. Needs root and Debian's irtt and coturn.

In each cell all tools talk for twenty seconds at the same time, 50 packets a second, each to an address of its own. The
box keeps a separate state (burst, queue, bucket, sequence of random numbers) for each, so they do not disturb each
other. The truth is the time at which each packet came to the box and left it, so what the box is late with is in it.

A figure is what the tool says, and in brackets by how much it is wrong; each is held against the same statistic of the
truth (docs/fidelity.md). Limits for ours: loss 0.5 percentage points a direction, jitter and round trip 1 ms; judged
where the box and our sender were punctual.

python benchmarks/bench_fidelity.py [--only WORD] [--seconds N] [--tries N]
"""

import argparse
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.fidelity_tools import AIORTC, IRTT, TOOLS, Figures, Reading, Tool, together
from benchmarks.fidelity_truth import SIZES, Punctual, punctual, truths
from benchmarks.priority import ahead, load, machine
from tests.lab.network import Conditions, network

NEEDED = ("irtt", "turnutils_uclient", "turnserver", "nft", "nginx", "unbound")
OURS = ("media", "call")
NAMES = ("loss up", "loss down", "jitter up", "jitter down", "round trip")
LIMITS = (0.5, 0.5, 1.0, 1.0, 1.0)
LATE_BOX, LATE_SENDER = 1.0, 10.0  # milliseconds (99th percentile) from which a cell says nothing
RATE = 50  # packets a second
# Where each tool's packets go, in the words of a behaviour.
PLACES: dict[str, dict[str, Any]] = {
    "media": {"hosts": ["far"], "family": 4},
    "call": {"hosts": ["far"], "family": 6},
    "irtt": {"hosts": [IRTT]},
    "getstats": {"hosts": [AIORTC]},
    "uclient": {"hosts": ["turn"]},
}
FLOWS = {"uclient": 2}  # of a tool, where there are more than one


@dataclass
class Cell:
    """A link: milliseconds each way, and behaviours that each tool meets for itself.

    `share` of a limiter is of what the tool sends.
    """

    name: str
    delay: float = 10.0
    box: Sequence[dict[str, Any]] = field(default_factory=list)

    def behaviours(self) -> Iterator[dict[str, Any]]:
        """For the box."""
        for tool, place in PLACES.items():
            need = RATE * sum(SIZES[tool]) / 2 * FLOWS.get(tool, 1)
            for one in self.box:
                settings = dict(one)
                if "share" in settings:
                    rate = settings.pop("share") * need
                    settings |= {"bytes_per_second": rate} if one["do"] == "rate" else {"rate": 8 * rate}
                yield settings | place | {"protocol": "udp"}


def _loss(up: float, down: float) -> list[dict[str, Any]]:
    return [
        {"do": "loss", "percent": up, "direction": "up"},
        {"do": "loss", "percent": down, "direction": "down"},
    ]


def _bursts(up: float, down: float) -> list[dict[str, Any]]:
    """Percent on average: half of all packets vanish in the bad state, which lasts five packets."""

    def enter(percent: float) -> float:
        bad = 2 * percent / 100
        return 0.2 * bad / (1 - bad)

    return [
        {"do": "burst_loss", "leave": 0.2, "enter": enter(percent), "direction": way}
        for percent, way in ((up, "up"), (down, "down"))
    ]


CELLS = (
    Cell("nothing, 20 ms"),
    Cell("loss 1 % up, 5 % down", box=_loss(1, 5)),
    Cell("loss 5 % up, 20 % down", box=_loss(5, 20)),
    Cell("loss 20 % up, 1 % down", box=_loss(20, 1)),
    Cell("bursts 1 % up, 5 % down", box=_bursts(1, 5)),
    Cell("bursts 5 % up, 20 % down", box=_bursts(5, 20)),
    Cell("bursts 20 % up, 1 % down", box=_bursts(20, 1)),
    Cell("shaped to 80 %", box=[{"do": "rate", "share": 0.8, "queue_seconds": 0.3}]),
    Cell("policed to 80 %", box=[{"do": "police", "share": 0.8, "burst": 2000}]),
    Cell("200 ms", delay=100),
    Cell("600 ms", delay=300),
    Cell("jitter 20 ms", delay=30, box=[{"do": "delay", "ms": 0, "jitter_ms": 20}]),
    Cell("jitter 80 ms", delay=30, box=[{"do": "delay", "ms": 0, "jitter_ms": 80}]),
    Cell("jitter 80 ms, reordering", delay=30, box=[{"do": "delay", "ms": 0, "jitter_ms": 80, "reorder": True}]),
)  # fmt: skip


@dataclass
class Result:
    """What a cell showed."""

    cell: Cell
    load: float
    box: Punctual
    readings: dict[str, Reading]
    truth: dict[str, Figures]
    wrong: dict[str, str]

    @property
    def disturbed(self) -> str:
        """Why it says nothing; empty if it does."""
        late = max((one.late or 0.0 for name, one in self.readings.items() if name in OURS), default=0.0)
        if max(self.box.taking, self.box.leaving) > LATE_BOX:
            return "the box was late"
        return "our sender was late" if late > LATE_SENDER else ""

    def errors(self, tool: str) -> list[float | None]:
        """By how much a tool is wrong, in the order of NAMES."""
        said = self.readings[tool].figures
        return [
            None if a is None or b is None else round(a - b, 2) + 0.0
            for a, b in zip(said, self.truth[tool], strict=True)
        ]

    @property
    def failed(self) -> list[str]:
        """Ours that measured nothing: on a link that drops a fifth, a handshake may not come to an end."""
        return [f"{name}: {text.rpartition('}: ')[2]}" for name, text in self.wrong.items() if name in OURS]

    def misses(self) -> list[str]:
        """Limits that ours miss here, in words."""
        found = self.failed
        for tool in OURS:
            if tool in self.truth:
                checked = zip(NAMES, LIMITS, self.errors(tool), strict=True)
                found += [
                    f"{tool}: {n} {e:+.2f}" for n, most, e in checked if e is not None and abs(e) > most
                ]
        return found


def measured(cell: Cell, seconds: int) -> Result:
    """One cell, once."""
    before = load()
    conditions = Conditions(box=list(cell.behaviours()), delay_ms=cell.delay, far_end=True, truth=True)
    with network("cbf", conditions, seed=1) as lab:
        lab.topology.own(lab.topology.net, [AIORTC, IRTT])
        readings, wrong, watched = together(lab, seconds)
        time.sleep(4 * cell.delay / 1000)  # the box writes its log when nothing is under way any more
        passed = lab.passed()
    box = punctual(passed, watched, cell.delay / 1000)
    truth: dict[str, Figures] = {}
    for tool in TOOLS:
        if tool.name in readings:
            try:
                truth[tool.name] = tool.like(truths(passed, {tool.name: readings[tool.name].sent})[tool.name])
            except (LookupError, ValueError, ArithmeticError) as error:
                wrong[tool.name] = f"no truth: {error}"
    return Result(cell, before, box, readings, truth, wrong)


def row(result: Result, tool: Tool) -> str:
    """A line of the table."""
    name = tool.name
    if name not in result.truth:
        return f"| {result.cell.name} | {tool.title} | {result.wrong[name][:90]} |" + " |" * 5
    said, late = result.readings[name].figures, result.readings[name].late
    cells = [
        "-" if a is None else f"{a:.2f}" if e is None else f"{a:.2f} ({e:+.2f})"
        for a, e in zip(said, result.errors(name), strict=True)
    ]
    return f"| {' | '.join([result.cell.name, tool.title, *cells, '-' if late is None else f'{late:.1f}'])} |"


def show(result: Result, before: Sequence[str]) -> None:
    """The lines of a cell; `before` is what went wrong in it, in tries that were given up too."""
    for tool in TOOLS:
        print(row(result, tool))
    box = f"box p99 late {result.box.taking:.2f} in, {result.box.leaving:.2f} out; load {result.load:.1f}"
    heard = f"; given up before: {', '.join(before)}" if before else ""
    print(f"| {result.cell.name} | *{box}{heard}* |" + " |" * 6, flush=True)


def worst(results: Sequence[Result], tool: Tool) -> str:
    """The greatest error of each figure over cells that say something."""
    found = [result.errors(tool.name) for result in results if tool.name in result.truth]
    columns = [[abs(e) for e in column if e is not None] for column in zip(*found, strict=True)]
    return f"| {' | '.join([tool.title, *(f'{max(column):.2f}' if column else '-' for column in columns)])} |"


def report(results: Sequence[Result]) -> bool:
    """Print what was found; whether ours kept their limits."""
    sound = [result for result in results if not result.disturbed]
    print(f"\nworst error of {len(sound)} cells that were not disturbed (limits for ours {LIMITS})\n")
    print(f"| tool | {' | '.join(NAMES)} |\n{'|---' * (1 + len(NAMES))}|")
    for tool in TOOLS:
        print(worst(sound, tool))
    missed = [f"{result.cell.name}: {text}" for result in sound for text in result.misses()]
    print("\n" + ("\n".join(f"missed: {line}" for line in missed) or "ours keep every limit"))
    return not missed


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="")
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--tries", type=int, default=2)
    given = parser.parse_args()
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if os.geteuid() != 0 or missing:
        print(f"needs root and Debian's irtt and coturn ({', '.join(missing) or 'not root'}): skipped")
        return
    began, results = time.monotonic(), list[Result]()
    print(f"{machine()}; {given.seconds} s a cell; loss in %, the rest in ms; in brackets the error\n")
    print(f"| cell | tool | {' | '.join(NAMES)} | own lateness p99 |\n{'|---' * (3 + len(NAMES))}|")
    with ahead():
        for cell in (cell for cell in CELLS if given.only in cell.name):
            before = list[str]()
            for _ in range(given.tries):
                result = measured(cell, given.seconds)
                if not result.disturbed and not result.failed:
                    break
                before += [result.disturbed, *result.failed]
            results.append(result)
            show(result, [text for text in before if text])
    good = report(results)
    print(f"{time.monotonic() - began:.0f} s")
    raise SystemExit(0 if good else 1)


if __name__ == "__main__":
    main()
