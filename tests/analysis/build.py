"""Cells of made-up countries for the tests of claims."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from probe.analysis.cells import Cell

FIRST = datetime(2026, 8, 1, tzinfo=UTC)
SERVICES = ("telegram", "whatsapp", "signal", "viber", "discord", "zoom", "meet")


def day(number: float) -> int:
    """Hours from the first of August to this day of it."""
    return int((number - 1) * 24)


@dataclass(frozen=True)
class Net:
    """A network and the households that measure on it."""

    asn: int
    country: str = "X"
    kind: str = "fixed"
    households: int = 2

    def names(self) -> tuple[str, ...]:
        return tuple(f"{self.country}{self.asn}{self.kind}-{n}" for n in range(self.households))


@dataclass(frozen=True)
class What:
    """What a made-up network does to a unit; hours count from the first of August."""

    net: Net
    household: str
    hour: int
    service: str
    purpose: str


def works(_: What) -> str:
    return "reachable"


def month(
    nets: Iterable[Net],
    state: Callable[[What], str],
    *,
    hours: Iterable[int] = range(0, day(29), 6),
    services: Iterable[str] = SERVICES,
    noise: float = 0.03,
    seed: int = 1,
    more: Callable[[What], dict[str, tuple[float, ...]]] = lambda _: {},
) -> Iterator[Cell]:
    """A run of every service by each household at these hours, where everything may fail by itself."""
    random = np.random.default_rng(seed)
    for net in nets:
        for household in net.names():
            for hour in hours:
                for service in services:
                    for purpose in ("messaging", "calls"):
                        what = What(net, household, hour, service, purpose)
                        found = state(what)
                        if found == "reachable" and random.random() < noise:
                            found = "unreachable"
                        yield cell(what, found, **more(what))


def cell(what: What, state: str, **values: tuple[float, ...]) -> Cell:
    failing = state in ("blocked", "likely_blocked", "unreachable", "down")
    return Cell(
        service=what.service,
        purpose=what.purpose,
        asn=what.net.asn,
        country=what.net.country,
        network=f"Net {what.net.asn}",
        kind=what.net.kind,
        family=4,
        label="",
        vantage=what.household,
        hour=FIRST + timedelta(hours=what.hour),
        runs=1,
        failing=int(failing),
        likely=int(failing and state != "blocked"),
        usable=int(state not in ("inconclusive", "not_tested")),
        states={state: 1},
        mechanisms={"stun.dropped.payload": 1} if state == "blocked" else {},
        setup_s=values.get("setup_s", ()),
        loss_up=values.get("loss_up", ()),
        loss_down=values.get("loss_down", ()),
        rtt_ms=values.get("rtt_ms", ()),
    )
