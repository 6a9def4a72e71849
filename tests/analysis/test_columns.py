"""The columns: what other programs may rely on."""

from probe.analysis.columns import TABLES, VERSION, columns, schema

PLACE = "run started network asn as_name country kind label vantage"
EXPECTED = {
    "run": "source software format tests tunnel regime regime_stored rules rules_stored ended seconds sent received"
    " disturbed",
    "measurement": "service target purpose group role at host ip port family outcome step failure code tries passed"
    " nameless denied",
    "observation": "service target purpose variant resolver host ip port family observation step at seconds sent"
    " received failure code rtt_ms loss_up loss_down",
    "verdict": "service purpose family state mechanism rule because identity evidence regime rules state_stored"
    " mechanism_stored rules_stored setup_s loss_up loss_down rtt_ms",
}


def test_the_columns_are_those_of_this_version() -> None:
    """Who changes a column raises VERSION, and this text with it."""
    assert VERSION == 1
    assert {table: " ".join(columns(table)) for table in TABLES} == {
        table: f"{PLACE} {own}" for table, own in EXPECTED.items()
    }


def test_ids_are_text_and_times_have_no_zone() -> None:
    for table in TABLES:
        shape = schema(table)
        assert str(shape.field("run").type) == "string"
        assert str(shape.field("started").type) == "timestamp[ms]"
        assert shape.metadata == {b"callreach.rows": b"1", b"callreach.table": table.encode()}
