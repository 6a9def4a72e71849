"""Cells: what claims count. One vantage point on one network in one hour, for one service and purpose."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from probe.analysis import expressions
from probe.analysis.engine import told
from probe.analysis.units import network_name

if TYPE_CHECKING:
    import pyarrow as pa
    from ibis.expr.types import Table

_AT_ONCE = 500_000  # verdicts: engines hold what they group in memory
_BATCH = 50_000  # rows


def cells(verdicts: "Table", runs: "Table") -> "pa.Table":
    """The rows of `expressions.cells`. Each text is held once, for most are said of many cells."""
    import pyarrow as pa

    parts = [
        _coded(pa.Table.from_batches([batch]))
        for some in _portions(verdicts)
        for batch in expressions.cells(some, runs).to_pyarrow_batches(chunk_size=_BATCH)
    ]
    if not parts:
        return expressions.cells(verdicts, runs).schema().to_pyarrow().empty_table()
    return pa.concat_tables(parts).unify_dictionaries()


def _portions(verdicts: "Table") -> Iterator["Table"]:
    """Some services after the others, if there is more than can be asked about at once."""
    rows = told(verdicts.group_by("service").agg(rows=verdicts.count()))
    portions: list[list[str]] = []
    size = 0
    for row in sorted(rows, key=lambda row: str(row["service"])):
        if not portions or size + row["rows"] > _AT_ONCE:
            portions, size = [*portions, []], 0
        portions[-1].append(row["service"])
        size += row["rows"]
    if len(portions) < 2:
        yield verdicts
    else:
        yield from (verdicts.filter(verdicts.service.isin(services)) for services in portions)


def names(verdicts: "Table") -> dict[tuple[str, int], str]:
    """What the networks of these cells are called, by country and AS."""
    found = told(expressions.names(verdicts))
    return {(row["country"], row["asn"]): network_name(row["asn"], row["name"], row["name"]) for row in found}


def _coded(table: "pa.Table") -> "pa.Table":
    import pyarrow as pa

    for at, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            table = table.set_column(at, field.name, table.column(at).dictionary_encode())
    return table
