"""The questions give what anybody would count by hand, also of rows in no order whatever."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, get_args

import pytest

from probe.analysis import expressions
from probe.analysis.expressions import FAILING, USABLE, By
from tests.analysis import messy
from tests.analysis.runs import asked

_KEYS = {"asn": "network", "country": "country", "label": "label", "kind": "kind"}


@pytest.mark.parametrize("by", get_args(By))
def test_units_are_those_that_one_counts_by_hand(by: By) -> None:
    tables = messy.tables(seed=1)
    chosen = expressions.chosen(tables.verdict, by=by)
    rows = [row | {"key": _key(row, by)} for row in asked(chosen)]
    stays = expressions.stays(chosen, tables.run)

    assert asked(expressions.matrix(expressions.units(chosen, stays))) == list(_matrix(rows))
    assert asked(expressions.history(expressions.units(chosen, stays, "h"))) == list(_history(rows))


def test_a_run_that_is_there_twice_is_counted_once() -> None:
    """Two sources of one import may share a run."""
    once = messy.tables(seed=1)
    twice = once._replace(**{name: table.union(table) for name, table in once._asdict().items()})
    matrices = []
    for tables in (once, twice):
        chosen = expressions.chosen(tables.verdict, by="asn")
        stays = expressions.stays(chosen, tables.run)
        matrices.append(asked(expressions.matrix(expressions.units(chosen, stays))))

    assert matrices[0] == matrices[1]


def _key(row: Mapping[str, Any], by: By) -> str:
    if by == "family":
        return f"IPv{row['family']}"
    return f"{row['started']:%Y-%m-%d}" if by == "day" else row[_KEYS[by]] or "unknown"


def _units(rows: Iterable[Mapping[str, Any]]) -> dict[Any, list[tuple[str, datetime, bool, bool]]]:
    """By service, purpose and key: who, when, whether it is good, whether it is bad."""
    runs = defaultdict(list)
    for row in rows:
        cell = row["service"], row["purpose"], row["key"]
        runs[cell, row["network"], row["vantage"], row["started"].replace(minute=0)].append(row["state"])
    found = defaultdict(list)
    for (cell, _, vantage, hour), states in sorted(runs.items()):
        usable, failing = (sum(state in some for state in states) for some in (USABLE, FAILING))
        found[cell].append((vantage, hour, 0 < usable >= 2 * failing, 2 * failing > usable))
    return found


def _matrix(rows: Iterable[Mapping[str, Any]]) -> Iterable[dict[str, Any]]:
    for (service, purpose, key), units in sorted(_units(rows).items()):
        last_good = max((hour for _, hour, good, _ in units if good), default=None)
        failed = [hour for _, hour, _, bad in units if bad and (last_good is None or hour > last_good)]
        hours = [hour for _, hour, _, _ in units]
        yield {
            "service": service,
            "purpose": purpose,
            "key": key,
            "units": sum(good or bad for _, _, good, bad in units),
            "bad": sum(bad for _, _, _, bad in units),
            "vantages": len({who for who, _, good, bad in units if good or bad}),
            "bad_vantages": len({who for who, _, _, bad in units if bad}),
            "first": min(hours),
            "last": max(hours),
            "last_good": last_good,
            "since": min(failed, default=None),
        }


def _history(rows: Iterable[Mapping[str, Any]]) -> Iterable[dict[str, Any]]:
    for (service, purpose, key), units in sorted(_units(rows).items()):
        for at in sorted({hour for _, hour, good, bad in units if good or bad}):
            there = [(good, bad) for _, hour, good, bad in units if hour == at]
            yield {
                "service": service,
                "purpose": purpose,
                "key": key,
                "at": at,
                "units": sum(good or bad for good, bad in there),
                "bad": sum(bad for _, bad in there),
            }
