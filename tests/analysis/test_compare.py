"""Runs side by side."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from scipy import stats

from probe.analysis import expressions
from probe.analysis.cells import cells
from probe.analysis.compare import Ask, Comparison, Entry, claimed, compare
from probe.analysis.elsewhere import settled
from probe.analysis.engine import Tables
from probe.analysis.expressions import By
from probe.analysis.units import network_name
from probe.failure import Kind
from tests.analysis.runs import answering, run, silent, tabled
from tests.build import NOON, call_facts, chain, document, losing, measured, saw, stage, tried, works

A: dict[str, Any] = {"asn": 64500, "as_name": "Alpha", "country": "AA"}
B: dict[str, Any] = {"asn": 64501, "as_name": "Beta", "country": "BB"}


def hours(number: float) -> datetime:
    return NOON + timedelta(hours=number)


def entry(
    comparison: Comparison, key: str, *, purpose: str = "messaging", service: str = "paperplane"
) -> Entry:
    return next(e for e in comparison.entries if (e.service, e.purpose, e.key) == (service, purpose, key))


def test_two_runs_of_two_networks_stand_side_by_side() -> None:
    made = compare(tabled([run(answering(), **A), run(silent(), **B)]), Ask())

    assert [(c.key, c.name, c.country, c.runs) for c in made.columns] == [
        ("AS64500", "AS64500 Alpha", "AA", 1),
        ("AS64501", "AS64501 Beta", "BB", 1),
    ]
    works, fails = entry(made, "AS64500"), entry(made, "AS64501")
    assert (works.state, works.units, works.bad, works.identity) == ("reachable", 1, 0, "proved")
    assert (fails.state, fails.mechanism, fails.bad) == ("likely_blocked", "tcp.dropped.address", 1)
    assert not works.enough


def test_a_failure_counts_once_an_hour_however_often_it_was_measured() -> None:
    often = [run(silent(), **A, started=hours(n / 10)) for n in range(9)]
    other = [run(answering(), **A, started=hours(n / 10)) for n in range(2)]
    made = compare(tabled(often + other, vantages=["one"] * 9 + ["other"] * 2), Ask())
    found = entry(made, "AS64500")

    assert (found.runs, found.units, found.bad, found.vantages, found.bad_vantages) == (11, 2, 1, 2, 1)
    assert found.state == "reachable"


def test_an_entry_says_between_what_bounds_the_share_of_failing_units_lies() -> None:
    docs = [run(silent(), **A, started=hours(n)) for n in range(3)]
    docs += [run(answering(), **A, started=hours(n)) for n in range(3, 10)]
    found = entry(compare(tabled(docs, vantages=["one"] * 10), Ask()), "AS64500")

    assert (found.low, found.high) == pytest.approx(stats.beta(3.5, 7.5).interval(0.95), abs=1e-4)
    assert all((e.low is None) == (not e.units) for e in compare(tabled(docs[:1]), Ask()).entries)


def test_an_hour_in_which_half_of_the_runs_fail_is_not_an_hour_in_which_it_fails() -> None:
    made = compare(tabled([run(silent(), **A), run(answering(), **A)], vantages=["one", "one"]), Ask())

    assert (entry(made, "AS64500").units, entry(made, "AS64500").bad) == (1, 0)


def test_what_began_to_fail_says_since_when() -> None:
    docs = [run(answering(), **A, started=hours(n)) for n in range(4)]
    docs += [run(silent(), **A, started=hours(n)) for n in (4, 5)]
    found = entry(compare(tabled(docs, vantages=["one"] * 6), Ask()), "AS64500")

    assert (found.state, found.since, found.bad, found.units) == ("unreachable", hours(4), 2, 6)
    assert found.lately


def test_what_failed_and_works_again_has_no_since() -> None:
    docs = [run(silent(), **A, started=hours(0)), *(run(answering(), **A, started=hours(n)) for n in (1, 2))]
    found = entry(compare(tabled(docs, vantages=["one"] * 3), Ask()), "AS64500")

    assert (found.state, found.since, found.bad) == ("reachable", None, 1)


def test_two_vantage_points_and_five_hours_are_enough_to_speak_of_a_network() -> None:
    docs = [run(answering(), **A, started=hours(n)) for n in range(5)]

    assert entry(compare(tabled(docs, vantages=["one", "other"] * 2 + ["one"]), Ask()), "AS64500").enough
    assert not entry(compare(tabled(docs, vantages=["one"] * 5), Ask()), "AS64500").enough
    assert not entry(compare(tabled(docs[:4], vantages=["one", "other"] * 2), Ask()), "AS64500").enough


def test_runs_are_grouped_by_whatever_is_asked() -> None:
    docs = [
        run(answering(), **A, kind="mobile", label="car"),
        run(answering(), **B, kind="fixed", label="office", started=hours(24)),
    ]
    tables = tabled(docs)
    asked: dict[By, list[str]] = {
        "asn": ["AS64500", "AS64501"],
        "country": ["AA", "BB"],
        "label": ["car", "office"],
        "kind": ["fixed", "mobile"],
        "family": ["IPv4"],
        "day": ["2026-11-23", "2026-11-24"],
    }
    for by, keys in asked.items():
        assert [column.key for column in compare(tables, Ask(by=by)).columns] == keys


def test_families_are_told_apart() -> None:
    doc = document(measured(works("tcp", "tls"), works("tcp", "tls", ip="2001:db8::5")))
    made = compare(tabled([run(doc, **A)]), Ask(by="family"))

    assert [column.key for column in made.columns] == ["IPv4", "IPv6"]


def test_only_what_was_asked_for_is_compared() -> None:
    docs = [run(answering(), **A), run(answering("pigeon"), **A, started=hours(30))]
    tables = tabled(docs)

    assert {e.service for e in compare(tables, Ask(services=("pigeon",))).entries} == {"pigeon"}
    assert {e.service for e in compare(tables, Ask(since=hours(1))).entries} == {"pigeon"}
    assert compare(tables, Ask(since=hours(99))).columns == ()


def test_the_layers_show_where_it_fails() -> None:
    made = compare(tabled([run(silent(), **B)]), Ask())
    found = {
        (layer.step, layer.failure): layer.count for layer in made.layers if layer.service == "paperplane"
    }

    assert found == {("tcp", "timeout"): 3}


def test_a_run_on_a_network_that_allows_no_statement_is_no_unit() -> None:
    nothing = document(measured(chain(saw("tcp"), saw("tls"))), controls=[])
    found = entry(compare(tabled([run(nothing, **A)]), Ask()), "AS64500")

    assert found.units == int(found.state == "reachable")


def cells_of(tables: Tables) -> list[dict[str, Any]]:
    verdicts = expressions.chosen(settled(tables.verdict, tables.measurement), by="asn")
    found: list[dict[str, Any]] = cells(verdicts, tables.run).to_pylist()
    return found


def test_a_cell_holds_what_the_statistics_need() -> None:
    facts = call_facts(stage(up=losing(0.01)))
    doc = document(measured(tried(facts), purpose="calls", at="far-end", target="call", vital=True))
    tables = tabled([run(doc, **A, kind="mobile", label="car", started=hours(0.4))], vantages=["one"])
    (cell,) = (cell for cell in cells_of(tables) if cell["purpose"] == "calls")

    assert (cell["asn"], cell["country"], cell["access"]) == (64500, "AA", "mobile")
    assert (cell["vantage"], cell["hour"], cell["software"]) == (
        "one",
        NOON.timestamp() / 3600,
        doc.run.software,
    )
    assert cell["setup_s"] == 0.5
    assert cell["loss_up"] == pytest.approx(0.01, abs=0.005)
    assert cell["rtt_ms"] == 50


def test_a_cell_is_what_most_of_its_runs_say_and_none_where_they_say_nothing() -> None:
    nothing = document(measured(chain(saw("tcp", Kind.TIMEOUT))), controls=[])
    docs = [run(silent(), **A), run(silent(), **A), run(answering(), **A), run(answering(), **B)]
    tables = tabled([*docs, run(nothing, **A)], vantages=["one"] * 3 + ["other", "third"])
    (cell,) = (c for c in cells_of(tables) if (c["purpose"], c["asn"]) == ("messaging", 64500))

    assert (cell["vantage"], cell["failing"], cell["impaired"], cell["proven"]) == ("one", 1, 1, 0)
    assert cell["mechanisms"] == "tcp.dropped.address\ntcp.dropped.address"


def test_a_household_counts_once_an_hour_in_claims_however_often_it_measured() -> None:
    once = [run(answering(), **A, started=hours(n)) for n in range(6)]
    again = [run(answering(), **A, started=hours(n + 0.5)) for n in range(6)]

    (claim,) = claimed(tabled([*once, *again], vantages=["one", "other"] * 6), Ask())
    assert (claim.numbers.of, claim.numbers.households) == (6, 2)


def test_a_network_is_called_what_most_households_call_it_and_one_of_them_cannot_rename_it() -> None:
    docs = [run(answering(), **A, started=hours(n)) for n in range(2)]
    forged = [run(answering(), **A | {"as_name": "Zulu"}, started=hours(n)) for n in range(5)]
    nameless = [run(answering(), **A | {"as_name": ""}, started=hours(n)) for n in range(3)]
    tables = tabled(
        [*docs, *forged, *nameless], vantages=["one", "two", *["liar"] * 5, "three", "four", "five"]
    )
    equal = tabled([docs[0], forged[0]], vantages=["one", "liar"])

    for found, name in ((tables, "AS64500 Alpha"), (equal, "AS64500 Alpha"), (tabled(nameless), "AS64500")):
        assert [column.name for column in compare(found, Ask()).columns] == [name]
        assert {one for claim in claimed(found, Ask()) for one in claim.networks} == {name}


def test_a_network_is_called_by_its_number_and_name_else_by_its_label() -> None:
    assert network_name(64500, "Alpha", "car") == "AS64500 Alpha"
    assert network_name(0, "", "car") == "car"
    assert network_name(0, "", "") == "unknown"


def test_hours_are_utc() -> None:
    made = compare(
        tabled([run(answering(), **A, started=datetime(2026, 11, 23, 23, 59, tzinfo=UTC))]), Ask(by="day")
    )

    assert [(c.key, c.first) for c in made.columns] == [
        ("2026-11-23", datetime(2026, 11, 23, 23, tzinfo=UTC))
    ]
