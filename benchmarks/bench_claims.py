"""How many false claims a month without any interference gives, and how soon a block is claimed.

Limits: firm claims in at most 5 % of months, false ones among all claims at most 10 %. Where nothing is
blocked every claim is false, so the false discovery rate is the share of months with any claim.

    python benchmarks/bench_claims.py [--months 1000] [--jobs 2]
"""

import argparse
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from probe.analysis.standing import FIRM, TENTATIVE
from probe.analysis.statistics import jeffreys
from tests.analysis.months import SERVICES, Block, World, told

ONSET = 24 * 14
UNITS = (4, 6, 8, 10, 12, 16)
POWER_MONTHS = 40
REAL = (Block(0, 3, ONSET), Block(1, 7, ONSET), Block(2, 7, ONSET), Block(1, 11, 0), Block(2, 20, ONSET, 0.6))


@dataclass
class Count:
    """What the claims of many months come to."""

    months: int = 0
    claims: int = 0
    false: int = 0
    firm: int = 0  # months with a false firm claim
    any: int = 0  # months with a false claim
    share: float = 0.0  # of false ones among each month's claims, summed
    found: int = 0
    kinds: Counter[str] = field(default_factory=Counter)


def one_month(seed: int, blocks: tuple[Block, ...]) -> tuple[list[tuple[str, bool, bool]], int]:
    """(what, firm, true) of each claim, and how many blocks were found on all of their networks."""
    true = {(SERVICES[block.service], f"Net {block.network + 1}") for block in blocks}
    found = told(np.random.default_rng(seed), World(blocks=blocks))
    named = {
        (claim.service, name)
        for claim in found
        for name in claim.networks
        if claim.what in ("fails", "intermittent")
    }
    return [
        (claim.what, claim.sure == "firm", {(claim.service, name) for name in claim.networks} <= true)
        for claim in found
    ], len(true & named)


def count(months: int, blocks: tuple[Block, ...], pool: ProcessPoolExecutor, first: int) -> Count:
    total = Count()
    for claims, found in pool.map(
        partial(one_month, blocks=blocks), range(first, first + months), chunksize=10
    ):
        false = [(what, firm) for what, firm, true in claims if not true]
        total.months += 1
        total.claims += len(claims)
        total.false += len(false)
        total.firm += any(firm for _, firm in false)
        total.any += bool(false)
        total.share += len(false) / max(1, len(claims))
        total.found += found
        total.kinds.update(what for what, _ in false)
    return total


def claimed(seed: int, *, households: int, units: int, share: float) -> tuple[bool, bool]:
    """Whether a block is claimed at all, and firmly, after so many units of each household."""
    world = World(
        networks=(("X", "fixed", households), ("X", "mobile", 3), ("Y", "fixed", 3)),
        until=ONSET + 6 * units,
        blocks=(Block(0, 0, ONSET, share),),
        every=6,
    )
    found = told(np.random.default_rng(seed), world)
    ours = [c for c in found if c.service == SERVICES[0] and c.what in ("fails", "intermittent")]
    return bool(ours), any(c.sure == "firm" for c in ours)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--months", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--no-power", action="store_true", help="only count false claims")
    options = parser.parse_args()
    began = time.perf_counter()
    with ProcessPoolExecutor(options.jobs) as pool:
        calm = count(options.months, (), pool, 0)
        low, high = jeffreys(calm.any, calm.months)
        print(
            f"{calm.months} months without interference, 4 networks, 12 households, {len(SERVICES)} services:"
        )
        print(
            f"  false discovery rate {calm.any / calm.months:.2%} ({low:.2%} to {high:.2%}), limit {TENTATIVE:.0%}"
        )
        print(
            f"  months with a firm claim {calm.firm / calm.months:.2%}, limit {FIRM:.0%}; {dict(calm.kinds)}"
        )
        real = count(options.months // 5, REAL, pool, 10**6)
        print(f"{real.months} months with {len(REAL)} blocks of {len(SERVICES) * 4}:")
        print(
            f"  false among claims {real.share / real.months:.2%}, limit {TENTATIVE:.0%}; {dict(real.kinds)}"
        )
        print(f"  blocks found {real.found / real.months / len(REAL):.1%}")
        print(f"took {time.perf_counter() - began:.0f} s")
        if options.no_power:
            raise SystemExit(0)
        print("A block is claimed (firmly) after so many runs of each household, six hours apart:")
        print("  households share | " + " ".join(f"{units:>9}" for units in UNITS))
        for households, share in ((2, 1.0), (3, 1.0), (5, 1.0), (3, 0.5)):
            cells = []
            for units in UNITS:
                seeds = range(2 * 10**6, 2 * 10**6 + POWER_MONTHS)
                ask = partial(claimed, households=households, units=units, share=share)
                any_, firm = np.mean(list(pool.map(ask, seeds, chunksize=10)), axis=0)
                cells.append(f"{any_:4.0%} {firm:4.0%}")
            print(f"  {households:>10} {share:5.0%} | " + " ".join(cells))
        print(f"took {time.perf_counter() - began:.0f} s in all")
    good = calm.any <= TENTATIVE * calm.months and calm.firm <= FIRM * calm.months
    raise SystemExit(0 if good and real.share <= TENTATIVE * real.months else 1)


if __name__ == "__main__":
    main()
