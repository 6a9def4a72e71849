"""A test set for engines: made-up networks of three countries over two days, and as many rows of them as are wanted."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from probe.analysis import parquet, rolling
from probe.analysis.columns import TABLES
from probe.failure import Kind
from probe.model import Document
from tests.analysis.runs import answering, reset, run, silent, write
from tests.build import NOON, call_facts, document, losing, measured, stage, tried, works

NETWORKS: tuple[dict[str, Any], ...] = (
    {"asn": 64500, "as_name": "Alpha", "country": "AA", "kind": "fixed"},
    {"asn": 64501, "as_name": "Beta", "country": "AA", "kind": "mobile"},
    {"asn": 64502, "as_name": "Gamma", "country": "BB", "kind": "fixed"},
    {"asn": 64503, "as_name": "Delta's \\ '{[*?", "country": "CC", "kind": "fixed"},
    {"label": "café", "country": "CC", "kind": "mobile"},
)


def documents(hours: int = 40) -> Iterator[Document]:
    """Runs of every network, each second hour: what fails, where and when, differs."""
    for hour in range(0, hours, 2):
        for number, where in enumerate(NETWORKS):
            for household in range(2):
                at = NOON + timedelta(hours=hour, minutes=7 * number + household)
                own = {"label": f"home {household}", **where}
                if (hour, number, household) == (6, 0, 1):
                    own["as_name"] = "Zulu"  # a run that calls the network otherwise
                yield run(_saw(number, hour), run=f"{hour:04x}{number:06x}{household:06x}", started=at, **own)


def _saw(network: int, hour: int) -> Document:
    if network == 1 and hour >= 20:
        return silent()
    if network == 2 and hour % 8 == 0:
        return document(measured(reset(), reset(), reset(), service="pigeon"))
    if network == 3 and hour % 6 == 0:
        return silent(kind=Kind.REFUSED)
    if network == 4:
        both = works("tcp", "tls"), works("tcp", "tls", ip="2001:db8::5")
        return document(measured(*both, service="paperplane"))
    if hour % 4 == 0:
        facts = call_facts(stage(up=losing(0.2 if network else 0.01, seed=hour)))
        return document(measured(tried(facts), purpose="calls", at="far-end", target="call", vital=True))
    return answering()


def files(folder: Path) -> None:
    """The documents as files of several runs each."""
    docs = list(documents())
    for part in range(0, len(docs), 25):
        paths = write(folder / "single", *docs[part : part + 25])
        whole = b"".join(path.read_bytes() for path in paths)
        (folder / f"{part:03} [a]*.jsonl").write_bytes(whole)
        for path in paths:
            path.unlink()


def rows(folder: Path, copies: int) -> None:
    """Their rows, and as many copies of them, each five days later and from other households."""
    files(folder / "documents")
    rolling.add([folder / "documents"], folder / "once")
    for table in TABLES:
        (path,) = (folder / "once" / table).rglob("*.parquet")
        once = pq.read_table(path, partitioning=None)
        for share in range(4):
            made = pa.concat_tables(_copy(once, number) for number in range(share, copies, 4))
            parquet.write(made, folder / "rows" / table / "month=2026-11" / f"{share}.parquet")


def _copy(table: pa.Table, number: int) -> pa.Table:
    later = pa.scalar(timedelta(days=5 * (number // 3)), pa.duration("ms"))
    for name, value in (
        ("run", pc.binary_join_element_wise(table["run"], f"{number:05}", "")),
        ("vantage", pc.binary_join_element_wise(table["vantage"], str(number % 3), "")),
        ("started", pc.add(table["started"], later)),
    ):
        at = table.schema.get_field_index(name)
        table = table.set_column(at, table.schema.field(name), value.cast(table.schema.field(name).type))
    return table
