"""Feed parsers and dialogues with more examples than a test run has time for.

    python -m tests.fuzz --examples 1000000 [NAME...]
    python -m tests.fuzz --list

A test module registers what it fuzzes with the decorator below; in the ordinary suite it is a test like any other, with
the profile's number of examples. A target fails by raising. What a long run finds becomes an explicit test.
"""

import argparse
import importlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

T = TypeVar("T")
_ROUND = 250  # hypothesis remembers what it has tried: fresh rounds keep that small
_TOGETHER = 20  # in one example of hypothesis, whose own work for each costs ten times what the feeding does


class Fuzzed(NamedTuple):
    """What is fed to what."""

    strategy: st.SearchStrategy[Any]
    target: Callable[[Any], None]


REGISTRY: dict[str, Fuzzed] = {}


def fuzz(name: str, strategy: st.SearchStrategy[T]) -> Callable[[Callable[[T], None]], Callable[[], None]]:
    """Register a test of one argument under a name, and make it a hypothesis test."""

    def register(target: Callable[[T], None]) -> Callable[[], None]:
        assert name not in REGISTRY, f"{name} is there twice"
        REGISTRY[name] = Fuzzed(strategy, target)
        return given(strategy)(target)

    return register


def run(name: str, examples: int) -> int:
    """Feed one target; returns how many examples it got. Raises what the target raises, shrunk."""
    fed, number, (strategy, target) = 0, 0, REGISTRY[name]

    def counting(several: list[Any]) -> None:
        nonlocal fed
        for example in several:
            fed += 1
            target(example)

    several = st.lists(strategy, min_size=min(_TOGETHER, examples), max_size=_TOGETHER)

    while fed < examples:
        number += 1
        before = fed
        rounds = settings(
            max_examples=min(_ROUND, -(-(examples - fed) // _TOGETHER)),
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate, Phase.shrink),
        )
        seed(time.time_ns())(rounds(given(several)(counting)))()
        if fed == before:
            break
    return fed


def load() -> None:
    """Import every test module that registers something."""
    root = Path(__file__).parent
    for path in sorted(root.rglob("test_*.py")):
        if "tests.fuzz import" in path.read_text():
            importlib.import_module(".".join(("tests", *path.relative_to(root).with_suffix("").parts)))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Feed parsers and dialogues.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="what to feed; all without a name")
    parser.add_argument("--examples", type=int, default=10_000, metavar="N", help="examples for each")
    parser.add_argument("--list", action="store_true", help="name what there is")
    options = parser.parse_args()
    load()
    unknown = set(options.names) - set(REGISTRY)
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(sorted(REGISTRY))}")
    if options.list:
        print(*sorted(REGISTRY), sep="\n")
        return
    for name in options.names or sorted(REGISTRY):
        began = time.monotonic()
        fed = run(name, options.examples)
        print(f"{name}: {fed} examples, nothing uncaught, {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    from tests.fuzz import main as registered  # the registry that the test modules fill, not this copy of it

    registered()
