"""Simulated months: households whose lines differ, evenings, bad spells, noisy volunteers and one forger."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from probe.analysis.claims import TROUBLE, TROUBLED, Claim, of_standings
from probe.analysis.standing import standings
from probe.analysis.statistics import Array, Ints
from probe.analysis.units import Bools, Network, Series

HOURS = 24 * 30
SERVICES = tuple(f"service {n:02}" for n in range(30))


@dataclass(frozen=True)
class Block:
    """One service is blocked on one network from an hour on, in this share of attempts."""

    network: int = 0
    service: int = 0
    since: int = 0
    share: float = 1.0


@dataclass(frozen=True)
class World:
    """Networks of the month: country, access and how many households measure there."""

    networks: Sequence[tuple[str, str, int]] = (
        ("X", "fixed", 3), ("X", "fixed", 2), ("X", "mobile", 4), ("Y", "fixed", 3),
    )  # fmt: skip
    until: int = HOURS
    blocks: Sequence[Block] = ()
    forger: bool = True
    every: int = 0  # hours between runs; 0: each household has its own habit


def month(random: np.random.Generator, world: World = World()) -> list[Series]:
    """Series of calls; nothing is filtered but what `blocks` say."""
    flaky = random.uniform(0, 0.05, len(SERVICES))
    liar = int(random.integers(sum(count for *_, count in world.networks))) if world.forger else -1
    made, number = [], 0
    for at, (country, access, count) in enumerate(world.networks):
        evening = random.uniform(1, 4)
        edge = random.lognormal(0, 0.5, len(SERVICES))  # how well this network reaches each service
        whos, hours, fails = [], [], []
        for household in range(count):
            hour = _habit(random, world, forges=number == liar)
            failing = random.random((len(hour), len(SERVICES))) < _chances(
                random, hour, flaky * edge, evening
            )
            for block in world.blocks:
                if block.network == at:
                    hit = (hour >= block.since) & (random.random(len(hour)) < block.share)
                    failing[:, block.service] |= hit
            if number == liar:
                target = random.random(len(SERVICES)) < random.choice([0.05, 0.3, 1.0])
                failing[np.ix_(hour >= random.integers(HOURS), target)] = True
            whos.append(np.full(len(hour), household))
            hours.append(hour)
            fails.append(failing)
            number += 1
        network = Network(country, at + 1, access, f"Net {at + 1}")
        made += _all_services(network, np.concatenate(whos), np.concatenate(hours), np.concatenate(fails))
    return made


def told(random: np.random.Generator, world: World = World()) -> list[Claim]:
    """The claims of a month that are tested before they are said."""
    found = standings(month(random, world))
    troubled = {s.series.service for s in found if any(p.state in TROUBLE for p in s.phases)}
    claims = of_standings([s for s in found if s.series.service in troubled])
    return [claim for claim in claims if claim.what in TROUBLED]


def _habit(random: np.random.Generator, world: World, *, forges: bool) -> Ints:
    """At which hours a household measures: once to eight times a day, a forger as often as it likes."""
    if world.every:
        return np.arange(int(random.integers(world.every)), world.until, world.every)
    often = random.uniform(1, 24 if forges else 8) / 24
    return np.flatnonzero(random.random(world.until) < often)


def _chances(random: np.random.Generator, hour: Ints, service: Array, evening: float) -> Array:
    """How likely each service fails in each hour by itself."""
    noisy = random.random() < 0.2
    own = random.uniform(0.2, 0.5) if noisy else random.beta(1, 30)
    odds = np.where((hour % 24 >= 18) & (hour % 24 < 23), evening, 1.0)
    base = np.minimum(0.9, own * odds)[:, None] + service[None, :]
    base[_spells(random, HOURS, 0.01)[hour]] = 0.8  # the whole line
    for one in random.choice(len(SERVICES), 3, replace=False):
        base[_spells(random, HOURS, 0.002)[hour], one] = 0.9  # its way to one service
    return np.minimum(base, 1.0)


def _spells(random: np.random.Generator, hours: int, rate: float) -> Bools:
    """Bad hours that come in spells of six hours in the mean."""
    bad = np.zeros(hours, dtype=np.bool_)
    for start in np.flatnonzero(random.random(hours) < rate):
        bad[start : start + int(random.geometric(1 / 6))] = True
    return bad


def _all_services(network: Network, who: Ints, hour: Ints, fails: Bools) -> list[Series]:
    order = np.argsort(hour, kind="stable")
    who, hour, fails = who[order], hour[order], fails[order]
    none = np.zeros(len(who), dtype=np.bool_)
    model = Series(
        service="",
        purpose="calls",
        network=network,
        households=tuple(f"{network.name} {n}" for n in range(int(who.max()) + 1)) if len(who) else (),
        who=who,
        hour=hour,
        failing=none,
        impaired=none,
        proven=none,
        version=np.zeros(len(who), dtype=np.int64),
    )
    return [
        replace(model, service=name, failing=fails[:, at], impaired=fails[:, at])
        for at, name in enumerate(SERVICES)
        if len(who)
    ]
