"""Cells of made-up countries for the tests of claims."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from probe.analysis.claims import Claim
from probe.analysis.claims import claims as claims_of
from probe.analysis.expressions import CUT, FAILING

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


class Cell(NamedTuple):
    """A row of `expressions.cells`, but for the time."""

    service: str
    purpose: str
    country: str
    asn: int
    access: str
    vantage: str
    hour: datetime
    failing: int
    impaired: int
    proven: int
    mechanisms: str
    software: str = ""
    setup_s: float | None = None
    loss_up: float | None = None
    loss_down: float | None = None
    rtt_ms: float | None = None


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
    more: Callable[[What], dict[str, float]] = lambda _: {},
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


def cell(what: What, state: str, **values: float) -> Cell:
    found = Cell(
        service=what.service,
        purpose=what.purpose,
        country=what.net.country,
        asn=what.net.asn,
        access="mobile" if what.net.kind == "mobile" else "fixed",
        vantage=what.household,
        hour=FIRST + timedelta(hours=what.hour),
        failing=int(state in CUT),
        impaired=int(state in FAILING),
        proven=int(state == "blocked"),
        mechanisms="stun.dropped.payload" if state == "blocked" else "",
    )
    return found._replace(**values)  # type: ignore[arg-type] # metrics


def claims(
    cells: Iterable[Cell], *, versions: Mapping[tuple[str, datetime], str] | None = None
) -> list[Claim]:
    """What is claimed of these cells. `versions`: of the program, by household and hour."""
    rows: list[dict[str, Any]] = [
        one._asdict()
        | {
            "hour": int(one.hour.timestamp()) // 3600,
            "software": (versions or {}).get((one.vantage, one.hour), ""),
        }
        for one in cells
    ]
    kinds = {
        str: pa.string(),
        bool: pa.bool_(),
        int: pa.int64(),
        datetime: pa.int64(),
        float | None: pa.float64(),
    }
    shape = pa.schema([(name, kinds[kind]) for name, kind in Cell.__annotations__.items()])
    names = {(row["country"], row["asn"]): f"Net {row['asn']}" for row in rows}
    return claims_of(pa.Table.from_pylist(rows, schema=shape), names)
