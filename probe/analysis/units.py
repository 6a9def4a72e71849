"""From cells to series: what each household saw of one service on one network, at most once an hour."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from probe.analysis.statistics import Array, Ints

if TYPE_CHECKING:
    import pyarrow as pa

Bools: TypeAlias = NDArray[np.bool_]
Metric: TypeAlias = Literal["loss_up", "loss_down", "rtt_ms", "setup_s"]
Names: TypeAlias = Mapping[tuple[str, int], str]  # of networks, by country and AS
_Columns: TypeAlias = dict[str, NDArray[Any]]
METRICS: tuple[Metric, ...] = ("loss_up", "loss_down", "rtt_ms", "setup_s")
LEAST_OTHERS = 5  # other services, before they say anything of a household's hour
ALL_FAILS = 0.8
_LARGEST = 2**62
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
    mechanism: NDArray[np.object_] = field(default_factory=lambda: np.empty(0, dtype=object))
    metrics: dict[str, Array] = field(default_factory=dict)  # the unit's median, or NaN


def network_name(asn: int, as_name: str, label: str) -> str:
    """What a network is called."""
    return f"AS{asn} {as_name}".strip() if asn else label or "unknown"


def to_time(hour: int) -> datetime:
    """The hour's beginning, UTC."""
    return _EPOCH + timedelta(hours=int(hour))


def all_series(cells: "pa.Table", names: Names) -> list[Series]:
    """Series in order of service, purpose and network, from what `expressions.cells` gives.

    A unit that fails without proof in an hour in which nearly everything else failed there says nothing of a
    service, and is left out.
    """
    ranked = {name: _ranked(cells[name]) for name in ("service", "purpose", "country", "access", "vantage")}
    service, purpose, country, access, vantage = (ranks for ranks, _ in ranked.values())
    hour, asn = cells["hour"].to_numpy(), cells["asn"].to_numpy()
    place = _joint(country, asn, access)
    line = _joint(place, vantage, hour - hour.min(initial=_LARGEST))
    kept = np.delete(np.arange(len(hour)), _while_nothing_works(cells, line, service))
    subject = _joint(service[kept], purpose[kept], place[kept])
    order = np.lexsort((vantage[kept], hour[kept], subject))
    subject, kept = subject[order], kept[order]
    bounds = np.flatnonzero(np.diff(subject, prepend=-1, append=-1))
    columns: _Columns = {
        "hour": hour[kept],
        "version": _joint(_ranked(cells["software"])[0][kept]),
        "mechanism": _mechanisms(cells["mechanisms"])[kept],
        **{name: cells[name].to_numpy()[kept] != 0 for name in ("failing", "impaired", "proven")},
        **{name: cells[name].to_numpy()[kept] for name in METRICS},
    }
    vantage = vantage[kept]
    made = []
    for start, end in pairwise(bounds):
        first = kept[start]
        texts = {name: named[ranks[first]] for name, (ranks, named) in ranked.items()}
        where = texts["country"], int(asn[first])
        households, who = np.unique(vantage[start:end], return_inverse=True)
        part = {name: column[start:end] for name, column in columns.items()}
        made.append(
            Series(
                service=texts["service"],
                purpose=texts["purpose"],
                network=Network(*where, texts["access"], names.get(where) or network_name(where[1], "", "")),
                households=tuple(ranked["vantage"][1][at] for at in households),
                who=who,
                metrics={name: part.pop(name) for name in METRICS},
                **part,
            )
        )
    return made


def _ranked(column: "pa.ChunkedArray") -> tuple[Ints, list[str]]:
    """For each row the rank of its text, and the texts in order."""
    coded = column.combine_chunks().dictionary_encode()
    texts = coded.dictionary.to_pylist()
    ranks = np.empty(len(texts), dtype=np.int64)
    ranks[sorted(range(len(texts)), key=texts.__getitem__)] = np.arange(len(texts))
    return ranks[coded.indices.to_numpy()], sorted(texts)


def _mechanisms(column: "pa.ChunkedArray") -> NDArray[np.object_]:
    """The mechanism that most runs of a unit name; of several the last by name."""
    ranks, texts = _ranked(column)
    named = [Counter(text.splitlines()) for text in texts]
    most = [max(counts, key=lambda name: (counts[name], name), default="") for counts in named]
    return np.array(most, dtype=object)[ranks]


def _joint(*codes: Ints) -> Ints:
    """One number for each combination of what is not negative, in their order, from 0 without a gap."""
    key = codes[0]
    for code in codes[1:]:
        many = int(code.max(initial=0)) + 1
        if int(key.max(initial=0)) >= _LARGEST // many:
            key = _joint(key)
        key = key * many + code
    most = int(key.max(initial=0))
    if most > 4 * len(key):
        return np.unique(key, return_inverse=True)[1]
    there = np.zeros(most + 1, dtype=np.bool_)
    there[key] = True
    return (np.cumsum(there) - 1)[key]


def _while_nothing_works(cells: "pa.Table", line: Ints, service: Ints) -> Ints:
    """Units that fail without proof while nearly all of the household's other services fail in that hour (`line`)."""
    failing = cells["failing"].to_numpy() != 0
    own = _joint(line, service)
    asked = np.flatnonzero(failing & (cells["proven"].to_numpy() == 0))
    tried, failed = (
        np.bincount(line, which)[line[asked]] - np.bincount(own, which)[own[asked]]
        for which in (None, failing)
    )
    return asked[(tried >= LEAST_OTHERS) & (failed >= ALL_FAILS * tried)]
