"""Cells: what claims count. One vantage point on one network in one hour, for one service and purpose."""

from typing import TYPE_CHECKING

from probe.analysis import expressions
from probe.analysis.units import network_name

if TYPE_CHECKING:
    import pyarrow as pa
    from ibis.expr.types import Table

_AT_ONCE = 100_000  # rows


def cells(verdicts: "Table", runs: "Table") -> "pa.Table":
    """The rows of `expressions.cells`. Each text is held once, for most are said of many cells."""
    import pyarrow as pa

    batches = expressions.cells(verdicts, runs).to_pyarrow_batches(chunk_size=_AT_ONCE)
    parts = [_coded(pa.Table.from_batches([batch])) for batch in batches]
    whole = pa.concat_tables(parts) if parts else _coded(batches.schema.empty_table())
    return whole.unify_dictionaries().combine_chunks()


def names(verdicts: "Table") -> dict[tuple[str, int], str]:
    """What the networks of these cells are called, by country and AS."""
    found = expressions.names(verdicts).to_pyarrow().to_pylist()
    return {(row["country"], row["asn"]): network_name(row["asn"], row["name"], row["name"]) for row in found}


def _coded(table: "pa.Table") -> "pa.Table":
    import pyarrow as pa

    for at, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            table = table.set_column(at, field.name, table.column(at).dictionary_encode())
    return table
