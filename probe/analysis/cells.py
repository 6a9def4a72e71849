"""Cells: what the statistics count. One vantage point on one network in one hour, for one service and purpose."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from probe.record import Record

if TYPE_CHECKING:
    from ibis.expr.types import Table


class Cell(Record):
    """One unit.

    network     what the network is called, for people: "AS64500 Example", a label, or "unknown"
    vantage     a pseudonym for who measured: of the key that signed, else of label and folder of the file
    family      0: both together; 4 or 6
    hour        its beginning, UTC
    usable      runs that allow a statement; `failing` of them found it impaired or worse, `likely` likely_blocked
    setup_s     seconds until a chain or call of its own was complete, one figure per run; rtt_ms in milliseconds
    loss_up     share of the packets of its test calls and flows, one figure per run; loss_down the other way
    """

    service: str
    purpose: str
    asn: int
    country: str
    network: str
    kind: str
    family: int
    label: str
    vantage: str
    hour: datetime
    runs: int
    failing: int
    likely: int
    usable: int
    states: dict[str, int]
    mechanisms: dict[str, int]
    setup_s: tuple[float, ...] = ()
    loss_up: tuple[float, ...] = ()
    loss_down: tuple[float, ...] = ()
    rtt_ms: tuple[float, ...] = ()


def cells(verdicts: "Table") -> Iterator[Cell]:
    """The cells of these verdicts, service by service and purpose by purpose; never all of them in memory."""
    from probe.analysis import expressions

    for batch in expressions.cells(verdicts).to_pyarrow_batches(chunk_size=50_000):
        yield from map(_cell, batch.to_pylist())


def network_name(asn: int, as_name: str, label: str) -> str:
    """What a network is called."""
    return f"AS{asn} {as_name}".strip() if asn else label or "unknown"


def _cell(row: dict[str, Any]) -> Cell:
    # In batches an engine's own types come through: DuckDB adds up to decimals.
    counts: dict[str, Any] = {
        name: int(row[name]) for name in ("asn", "family", "runs", "usable", "failing", "likely")
    }
    figures: dict[str, Any] = {
        name: tuple(sorted(row[name] or ())) for name in ("setup_s", "loss_up", "loss_down", "rtt_ms")
    }
    texts: dict[str, Any] = {
        name: str(row[name]) for name in ("service", "purpose", "country", "kind", "label", "vantage")
    }
    return Cell(
        **texts,
        **counts,
        network=network_name(row["asn"], row["as_name"], row["label"]),
        hour=row["hour"].replace(tzinfo=UTC),
        states=dict(Counter(row["states"])),
        mechanisms=dict(Counter(row["mechanisms"] or ())),
        **figures,
    )
