"""From cells to series: what each household saw of one service on one network, at most once an hour."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from probe.analysis.cells import Cell
from probe.analysis.statistics import Array

Ints: TypeAlias = NDArray[np.int64]
Bools: TypeAlias = NDArray[np.bool_]
Metric: TypeAlias = Literal["loss_up", "loss_down", "rtt_ms", "setup_s"]
Versions: TypeAlias = Mapping[tuple[str, datetime], str]
METRICS: tuple[Metric, ...] = ("loss_up", "loss_down", "rtt_ms", "setup_s")
LEAST_OTHERS = 5  # other services, before they say anything of a household's hour
ALL_FAILS = 0.8
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Network(NamedTuple):
    """What is compared: an operator's mobile and fixed accesses are two, for filters tell them apart."""

    country: str
    asn: int
    access: str  # "mobile" or "fixed"
    name: str


@dataclass(frozen=True, kw_only=True)
class Series:
    """Every unit of one service and purpose on one network, by hour. Arrays have one entry per unit."""

    service: str
    purpose: str
    network: Network
    households: tuple[str, ...]
    who: Ints  # index into households
    hour: Ints  # since the epoch, UTC
    failing: Bools
    impaired: Bools  # fails, or works but is proven to be interfered with
    proven: Bools  # fails with an artefact or a contrast of its own
    version: Ints  # of the program and its rules; counts from 0
    mechanism: tuple[str, ...] = ()
    metrics: dict[str, Array] = field(default_factory=dict)  # the unit's median, or NaN


def to_hour(moment: datetime) -> int:
    """Hours since the epoch."""
    return int((moment - _EPOCH) // timedelta(hours=1))


def to_time(hour: int) -> datetime:
    """The hour's beginning, UTC."""
    return _EPOCH + timedelta(hours=int(hour))


class _Unit(NamedTuple):
    household: str
    hour: int
    failing: bool
    impaired: bool
    proven: bool
    version: str
    mechanism: str
    metrics: tuple[float, ...]


def all_series(cells: Iterable[Cell], *, versions: Versions | None = None) -> list[Series]:
    """Series in order of service, purpose and network.

    A unit fails if most of its usable runs do; without a usable run it is no unit. One that fails without
    proof in an hour in which nearly everything else failed there says nothing of a service, and is left
    out. `versions` says which program and rules a household used in an hour, where that is known.
    """
    grouped: dict[tuple[str, str, Network], list[_Unit]] = defaultdict(list)
    names: dict[tuple[str, int], str] = {}
    merged = _merged(cells)
    hours = _others(merged)
    for (network, vantage, hour, service, purpose), twins in merged.items():
        unit = _unit(twins, vantage, hour, (versions or {}).get((vantage, hour), ""))
        if unit is None or (
            unit.failing and not unit.proven and hours[network, vantage, hour].all_but(service)
        ):
            continue
        name = names.setdefault(network[:2], twins[0].network)
        grouped[service, purpose, Network(*network, name)].append(unit)
    order = {name: at for at, name in enumerate(sorted({u.version for us in grouped.values() for u in us}))}
    return [_series(key, units, order) for key, units in sorted(grouped.items())]


_Place: TypeAlias = tuple[str, int, str]
_Key: TypeAlias = tuple[_Place, str, datetime, str, str]


def _merged(cells: Iterable[Cell]) -> dict[_Key, list[Cell]]:
    merged: dict[_Key, list[Cell]] = defaultdict(list)
    for cell in cells:
        place = (cell.country, cell.asn, "mobile" if cell.kind == "mobile" else "fixed")
        merged[place, cell.vantage, cell.hour, cell.service, cell.purpose].append(cell)
    return merged


@dataclass
class _Hour:
    """What a household saw in an hour: how many purposes of each service, and how many of them failed."""

    tried: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)

    def all_but(self, service: str) -> bool:
        """Whether nearly all of the other services failed too."""
        tried = self.tried.total() - self.tried[service]
        return tried >= LEAST_OTHERS and self.failed.total() - self.failed[service] >= ALL_FAILS * tried


def _others(merged: Mapping[_Key, list[Cell]]) -> dict[tuple[_Place, str, datetime], _Hour]:
    hours: dict[tuple[_Place, str, datetime], _Hour] = defaultdict(_Hour)
    for (place, vantage, hour, service, _), twins in merged.items():
        usable, failing = sum(cell.usable for cell in twins), sum(cell.failing for cell in twins)
        if usable:
            hours[place, vantage, hour].tried[service] += 1
            hours[place, vantage, hour].failed[service] += 2 * failing > usable
    return hours


def _unit(twins: list[Cell], vantage: str, hour: datetime, version: str) -> _Unit | None:
    usable, failing = sum(cell.usable for cell in twins), sum(cell.failing for cell in twins)
    if not usable:
        return None
    states: Counter[str] = Counter()
    mechanisms: Counter[str] = Counter()
    for cell in twins:
        states.update(cell.states)
        mechanisms.update(cell.mechanisms)
    return _Unit(
        household=vantage,
        hour=to_hour(hour),
        failing=2 * failing > usable,
        impaired=2 * (failing + states["degraded"]) > usable,
        proven=2 * states["blocked"] > usable,
        version=version,
        mechanism=max(mechanisms, key=lambda name: (mechanisms[name], name), default=""),
        metrics=tuple(_median([v for cell in twins for v in getattr(cell, name)]) for name in METRICS),
    )


def _median(values: list[float]) -> float:
    return median(values) if values else float("nan")


def _series(key: tuple[str, str, Network], units: list[_Unit], order: Mapping[str, int]) -> Series:
    service, purpose, network = key
    units = sorted(units, key=lambda unit: (unit.hour, unit.household))
    households = tuple(sorted({unit.household for unit in units}))
    index = {name: at for at, name in enumerate(households)}
    return Series(
        service=service,
        purpose=purpose,
        network=network,
        households=households,
        who=np.array([index[unit.household] for unit in units], dtype=np.int64),
        hour=np.array([unit.hour for unit in units], dtype=np.int64),
        failing=np.array([unit.failing for unit in units], dtype=np.bool_),
        impaired=np.array([unit.impaired for unit in units], dtype=np.bool_),
        proven=np.array([unit.proven for unit in units], dtype=np.bool_),
        version=np.array([order[unit.version] for unit in units], dtype=np.int64),
        mechanism=tuple(unit.mechanism for unit in units),
        metrics={
            name: np.array([unit.metrics[at] for unit in units], dtype=np.float64)
            for at, name in enumerate(METRICS)
        },
    )
