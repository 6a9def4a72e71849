"""Documents and OONI's measurements as somebody who means harm would write them: rows, or one sentence."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from probe.analysis.documents import documents
from probe.analysis.lines import LeftOut
from probe.analysis.ooni_export import measurements
from probe.analysis.sources import convert_alone
from tests.analysis.runs import text
from tests.analysis.test_ooni_export import everything
from tests.fuzz import fuzz

_DOC = everything()
_SAMPLES = Path(__file__).parent / "ooni"
_OURS = [json.loads(line) for line in text(_DOC).splitlines()]
_OONI = [json.loads(path.read_text()) for path in sorted(_SAMPLES.glob("*.json"))]
_EXPORTED = [json.loads(json.dumps(one)) for one in measurements(_DOC)]


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in a JSON value with each of its keys."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        yield value, key
        if isinstance(inner, dict | list):
            yield from _places(inner)


_HARD: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from([
        None, True, -1, 0, 2**31, 2**32, 2**63, 2**64, -(2**63), 10**400, 1e308, -1e308, 1e-320, 1e18, "", [], {},
        "\x1b[31m\x07", "\u202egnp.exe", "\ud83d\ude00", "=cmd()", "a\nb", "\x00", "9" * 5000, "AS9999999999",
        "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-11-23T12:00:00Z", "9999-12-31 23:59:59",
        "0001-01-01 00:00:00", "2026-11-23 12:00:00", "http://[", "http://a:b@[::1]:99999/", "[::]:x", "a" * 10_000,
        "reachable", "blocked", "complete", "timeout", "messaging", "calls", "1.2.3.4", "2001:db8::1", "٣",
    ]),
    st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=20),
)  # fmt: skip
_CHANGES = st.lists(
    st.tuples(st.integers(0, 10_000), st.sampled_from(["set", "drop", "copy"]), _HARD), min_size=1, max_size=4
)


def _changed(value: Any, changes: list[tuple[int, str, Any]]) -> Any:
    made = json.loads(json.dumps(value))
    for where, how, other in changes:
        places = list(_places(made))
        if not places:
            break
        container, key = places[where % len(places)]
        if how == "drop":
            del container[key]
        elif how == "copy":
            container[key] = json.loads(json.dumps(places[(where * 7 + 3) % len(places)][0]))
        else:
            container[key] = other
    return made


def _taken_in(lines: list[Any]) -> None:
    """Rows in Parquet, or sentences: never an exception, and nothing that comes is lost without a word."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "in.jsonl")
        path.write_bytes(b"\n".join(json.dumps(line).encode() for line in lines))
        came = list(documents(path))
        done = convert_alone([path], Path(folder, "rows"), (), ())
        assert done.runs + done.twice + done.left_out.count == len(came) > 0
        assert all(
            len(one.reason) <= 300 for one in [*done.left_out.named, *came] if isinstance(one, LeftOut)
        )


@fuzz("analysis documents", _CHANGES)
def test_a_changed_run_becomes_rows_or_is_left_out_with_a_sentence(
    changes: list[tuple[int, str, Any]],
) -> None:
    _taken_in(_changed(_OURS, changes))


@fuzz("analysis ooni", st.tuples(st.integers(0, len(_OONI) - 1), _CHANGES))
def test_a_changed_measurement_of_oonis_becomes_rows_or_is_left_out(given: tuple[int, Any]) -> None:
    _taken_in([_changed(_OONI[given[0]], given[1])])


@fuzz("analysis exchange", st.tuples(st.integers(0, len(_EXPORTED) - 1), _CHANGES))
def test_a_changed_annotation_of_ours_becomes_rows_or_is_left_out(given: tuple[int, Any]) -> None:
    one = _EXPORTED[given[0]]
    inside = _changed(json.loads(one["annotations"]["callreach"]), given[1])
    _taken_in([one | {"annotations": {"callreach": json.dumps(inside)}}])


_CONNECT = {"ip": "1.2.3.4", "port": 443, "status": {"success": True}}


@pytest.mark.parametrize(
    ("changes", "left_out"),
    [
        ({"test_keys": {"tcp_connect": [_CONNECT], "requests": [{"request": {"url": "http://[x"}}]}}, None),
        ({"test_name": "stunreachability", "test_keys": {"endpoint": "a:" + "9" * 5000}}, None),
        ({"test_keys": {"tcp_connect": [_CONNECT | {"port": 10**30}]}}, None),
        ({"test_keys": {"tcp_connect": [_CONNECT | {"t0": -1e300}]}}, "-1e+300 seconds is not a time of OONI's"),
        ({"test_keys": {"tcp_connect": [{}] * 1001}}, "test_keys.tcp_connect: more than 1000 entries"),
        ({"measurement_start_time": "9999-12-31 23:59:59"},
         "it says that it began at 9999-12-31: that clock is broken"),
        ({"test_name": "\x1b" * 400}, "OONI's test " + "\x1b" * 40 + " is not about messengers"),
    ],
)  # fmt: skip
def test_one_measurement_that_nobody_can_have_made_does_not_stop_the_others(
    changes: dict[str, Any], left_out: str | None, tmp_path: Path
) -> None:
    good = {"test_name": "telegram", "measurement_start_time": "2026-11-23 12:00:00", "test_keys": {}}
    bad = good | {"report_id": "x"} | changes
    (tmp_path / "in.jsonl").write_text(json.dumps(bad) + "\n" + json.dumps(good))
    done = convert_alone([tmp_path / "in.jsonl"], tmp_path / "rows", (), ())

    assert [one.reason for one in done.left_out.named] == ([left_out] if left_out else [])
    assert done.runs == 2 - done.left_out.count
