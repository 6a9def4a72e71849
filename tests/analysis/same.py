"""Every question there is to tables of rows, and whether two engines answered alike."""

import json
import math
import re
import tempfile
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from ibis.expr.types import Table

from probe.analysis import elsewhere, expressions
from probe.analysis.engine import Tables
from tests.analysis.runs import asked
from tests.build import NOON
from tests.cli.test_compare import probe


def answers(tables: Tables) -> dict[str, list[dict[str, Any]]]:
    """Every question that is asked of tables, in rows."""
    with (
        elsewhere.settled(tables.verdict, tables.measurement).cache() as settled,
        expressions.chosen(settled, by="asn").cache() as chosen,
        expressions.stays(chosen, tables.run).cache() as stays,
    ):
        families = expressions.chosen(settled, by="family", since=NOON)
        own = expressions.own(tables.observation, by="asn")
        questions: dict[str, Table] = {
            "settled": settled.filter(settled.alone != settled.state),
            "matrix": expressions.matrix(expressions.units(chosen, stays)),
            "reasons": expressions.reasons(chosen),
            "places": expressions.places(stays),
            "cells": expressions.cells(chosen, tables.run),
            "names": expressions.names(chosen),
            "layers": expressions.layers(tables.observation, by="asn"),
            "versions": expressions.versions(tables.run),
            "weeks": expressions.history(expressions.units(chosen, stays, "W")),
            "months": expressions.history(expressions.units(chosen, stays, "M")),
            "flows": expressions.flows(own, "D"),
            "failures": expressions.failures(own),
            "lent": expressions.lent(tables.measurement),
            "programs": expressions.programs(tables.run),
            "families": expressions.matrix(
                expressions.units(families, expressions.stays(families, tables.run))
            ),
        }
        return {name: sorted(map(plain, asked(question)), key=str) for name, question in questions.items()}


def plain(row: dict[str, Any]) -> dict[str, Any]:
    """A row without the habits of its engine: the order of what it collected, null for none of it, UTC said or not."""
    return {name: _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return sorted(value) or None
    if isinstance(value, datetime):
        return value.replace(tzinfo=None)
    if isinstance(value, str):
        return "\n".join(sorted(value.splitlines()))
    if isinstance(value, Decimal):
        return int(value)
    return None if isinstance(value, float) and math.isnan(value) else value


def assert_same(mine: dict[str, list[dict[str, Any]]], theirs: dict[str, list[dict[str, Any]]]) -> None:
    """Row by row: counts and texts exactly, floats to 1e-9."""
    for name, rows in mine.items():
        assert len(rows) == len(theirs[name]) > 0, name
        for one, other in zip(rows, theirs[name], strict=True):
            assert one.keys() == other.keys()
            for column, value in one.items():
                close = pytest.approx(value, rel=1e-9, abs=1e-9) if isinstance(value, float) else value
                assert other[column] == close, (name, column)


def reported(path: Path, *engine: str) -> tuple[dict[str, Any], str]:
    """What the command prints for machines, and the report it writes, but for the time at which it was made."""
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "report.html")
        code, out, err = probe("compare", path, "--json", "--html", page, *engine)
        assert code == 0, err
        told = json.loads(out)
        for layer in told["layers"]:
            layer["seconds"] = pytest.approx(layer["seconds"], rel=1e-9)
        return told, re.sub(r"Made by callreach [^<]* UTC", "", page.read_text())
