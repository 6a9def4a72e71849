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

    A unit fails if most of its usable runs do. One that fails without proof in an hour in which nearly
    everything else failed there says nothing of a service, and is left out.
    """
    texts: dict[str, list[str]] = {}
    columns: _Columns = {}
    for name in ("service", "purpose", "country", "access", "vantage", "software"):
        columns[name], texts[name] = _ranked(cells[name])
    columns |= {name: cells[name].to_numpy() for name in ("asn", "hour", *METRICS)}
    columns |= _troubles(cells)
    columns["mechanism"] = _mechanisms(cells["mechanisms"])
    columns["place"] = _joint(columns["country"], columns["asn"], columns["access"])
    columns = _taken(columns, ~_nothing_works(columns))
    columns["version"] = _joint(columns["software"])
    columns["series"] = _joint(columns["service"], columns["purpose"], columns["place"])
    columns = _taken(columns, np.lexsort((columns["vantage"], columns["hour"], columns["series"])))
    bounds = np.flatnonzero(np.diff(columns["series"], prepend=-1, append=-1))
    return [
        _series({name: column[start:end] for name, column in columns.items()}, texts, names)
        for start, end in pairwise(bounds)
    ]


def _ranked(column: "pa.ChunkedArray") -> tuple[Ints, list[str]]:
    """For each row the rank of its text, and the texts in order."""
    coded = column.combine_chunks().dictionary_encode()
    texts = coded.dictionary.to_pylist()
    ranks = np.empty(len(texts), dtype=np.int64)
    ranks[sorted(range(len(texts)), key=texts.__getitem__)] = np.arange(len(texts))
    return ranks[coded.indices.to_numpy()], sorted(texts)


def _troubles(cells: "pa.Table") -> dict[str, Bools]:
    usable, failing, degraded, blocked = (
        cells[name].to_numpy() for name in ("usable", "failing", "degraded", "blocked")
    )
    return {
        "failing": 2 * failing > usable,
        "impaired": 2 * (failing + degraded) > usable,
        "proven": 2 * blocked > usable,
    }


def _mechanisms(column: "pa.ChunkedArray") -> NDArray[np.object_]:
    """The mechanism that most runs of a unit name; of several the last by name."""
    ranks, texts = _ranked(column)
    named = [Counter(text.splitlines()) for text in texts]
    most = [max(counts, key=lambda name: (counts[name], name), default="") for counts in named]
    return np.array(most, dtype=object)[ranks]


def _joint(*codes: Ints) -> Ints:
    """One number for each combination, in their order."""
    key = np.zeros(len(codes[0]), dtype=np.int64)
    for code in codes:
        key = np.unique(key * (int(code.max(initial=0)) + 1) + code, return_inverse=True)[1]
    return key


def _taken(columns: _Columns, which: Bools | Ints) -> _Columns:
    return {name: column[which] for name, column in columns.items()}


def _nothing_works(columns: _Columns) -> Bools:
    """Units that fail without proof while nearly all of the household's other services fail in that hour."""
    hour = np.unique(columns["hour"], return_inverse=True)[1]
    line = _joint(columns["place"], columns["vantage"], hour)
    own = _joint(line, columns["service"])
    failing = columns["failing"]
    tried, failed = (
        np.bincount(line, weights=one)[line] - np.bincount(own, weights=one)[own]
        for one in (np.ones(len(line)), failing)
    )
    return failing & ~columns["proven"] & (tried >= LEAST_OTHERS) & (failed >= ALL_FAILS * tried)


def _series(part: _Columns, texts: Mapping[str, list[str]], names: Names) -> Series:
    service, purpose, country, access = (
        texts[name][part[name][0]] for name in ("service", "purpose", "country", "access")
    )
    asn = int(part["asn"][0])
    households, who = np.unique(part["vantage"], return_inverse=True)
    return Series(
        service=service,
        purpose=purpose,
        network=Network(country, asn, access, names.get((country, asn)) or network_name(asn, "", "")),
        households=tuple(texts["vantage"][at] for at in households),
        who=who,
        **{name: part[name] for name in ("hour", "failing", "impaired", "proven", "version", "mechanism")},
        metrics={name: part[name] for name in METRICS},
    )
