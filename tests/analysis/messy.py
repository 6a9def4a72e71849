"""Rows that no orderly month of runs would give: few hours and households, every state, names that nobody knows."""

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, get_args

import ibis
import pyarrow as pa

from probe.analysis import engine
from probe.analysis.columns import TABLES, schema
from probe.analysis.engine import Tables
from probe.model import State

NETWORKS = ("AS1", "AS2", "AS3", "AS4", "home", "café", "")
COUNTRIES = ("AA", "BB", "CC", "DD", "EE", "FF", "")
_BEGAN = datetime(2026, 11, 1, 22)  # noqa: DTZ001 - as rows have it; two days
_EMPTY: dict[pa.DataType, Any] = {pa.string(): "", pa.int64(): 0, pa.float64(): 0.5, pa.bool_(): False}


def tables(seed: int, runs: int = 150) -> Tables:
    """So many runs within four hours, of seven networks and five households."""
    chance = random.Random(seed)  # noqa: S311 - the same rows each time
    made: dict[str, list[dict[str, Any]]] = {table: [] for table in TABLES}
    for number in range(runs):
        place = _place(chance, number)
        made["run"].append({**place, "software": f"callreach {chance.randrange(3)}"})
        for own in _asked(chance):
            made["verdict"].extend({**place, **own, **one} for one in _verdicts(chance))
            made["measurement"].extend({**place, **own, **one} for one in _endpoints(chance, own["service"]))
    return engine.tables({table: ibis.memtable(_whole(table, rows)) for table, rows in made.items() if rows})


def _place(chance: random.Random, number: int) -> dict[str, Any]:
    network = chance.choice(NETWORKS)
    asn = int(network[2:]) if network.startswith("AS") else 0
    return {
        "run": f"{number:04x}",
        "started": _BEGAN + timedelta(minutes=chance.randrange(240)),
        "network": network,
        "asn": asn,
        "as_name": chance.choice(("", f"Net {asn}")),
        "country": chance.choice(COUNTRIES),
        "kind": chance.choice(("mobile", "fixed", "")),
        "label": "" if asn else network,
        "vantage": f"v{chance.randrange(5)}",
    }


def _asked(chance: random.Random) -> Iterator[dict[str, str]]:
    for service in ("paperplane", "pigeon", "dodo"):
        for purpose in ("messaging", "calls"):
            if chance.random() < 0.8:
                yield {"service": service, "purpose": purpose}


def _verdicts(chance: random.Random) -> Iterator[dict[str, Any]]:
    for family in (0, 4, 6):
        state = chance.choice(("reachable", "unreachable", "unreachable", *get_args(State)))
        rule = "dns.nothing" if state == "inconclusive" and chance.random() < 0.5 else f"rule.{state}"
        yield {
            "family": family,
            "state": state,
            "rule": rule,
            "mechanism": chance.choice(("", "tcp.dropped", "tls.reset.name")),
            "because": f"it is {state}",
            "identity": chance.choice(("", "proved")),
            "regime": chance.choice(("normal",) * 9 + ("no_udp",)),
        }


def _endpoints(chance: random.Random, service: str) -> Iterator[dict[str, Any]]:
    """Nobody reaches a dodo; some are told that there is none."""
    there = service != "dodo"
    for target in ("chat", "media"):
        for family in (4, 6):
            nameless = chance.random() < 0.2 if there else target == "media"
            outcome = chance.choice(("works" if there else "nothing", "fails", "fails", "fails", "nothing"))
            yield {
                "target": target,
                "group": chance.choice(("chat", "media")),
                "host": f"{target}.example",
                "ip": "" if nameless else f"5.5.5.{family}",
                "port": 443,
                "family": 0 if nameless else family,
                "at": "far-end" if chance.random() < 0.05 else "endpoint",
                "outcome": outcome,
                "step": "" if outcome != "fails" else chance.choice(("tcp", "tcp", "tls")),
                "failure": "" if outcome != "fails" else "timeout",
                "nameless": nameless,
                "denied": nameless and chance.random() < 0.9,
            }


def _whole(table: str, rows: list[dict[str, Any]]) -> pa.Table:
    shape = schema(table)
    whole = [{field.name: row.get(field.name, _EMPTY.get(field.type)) for field in shape} for row in rows]
    return pa.Table.from_pylist(whole, schema=shape)
