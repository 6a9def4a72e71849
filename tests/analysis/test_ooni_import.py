"""OONI's measurements as rows."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from probe.analysis.columns import Rows
from probe.analysis.documents import Found, documents
from probe.analysis.lines import LeftOut
from probe.analysis.ooni_export import measurements
from probe.analysis.ooni_failures import from_ooni
from probe.analysis.rows import RowError
from probe.verdict import judge
from tests.analysis.test_ooni_export import everything


def envelope(test: str, keys: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A measurement as OONI's probes write them: df-000, with the lists of df-002, 005 and 006."""
    return {
        "annotations": {"engine_name": "ooniprobe-engine", "network_type": "mobile"},
        "data_format_version": "0.2.0", "input": None, "measurement_start_time": "2026-11-23 12:00:00",
        "probe_asn": "AS64500", "probe_cc": "AA", "probe_ip": "127.0.0.1", "probe_network_name": "Alpha",
        "report_id": "20261123T120000Z_x", "resolver_asn": "AS64500", "software_name": "miniooni",
        "software_version": "3.31.0", "test_keys": keys, "test_name": test, "test_runtime": 3.5,
        "test_start_time": "2026-11-23 12:00:00", "test_version": "0.3.1",
    } | more  # fmt: skip


def connect(ip: str, failure: str | None = None, port: int = 443) -> dict[str, Any]:
    return {
        "ip": ip,
        "port": port,
        "status": {"failure": failure, "success": failure is None},
        "t0": 0.1,
        "t": 0.2,
    }


def query(host: str, *ips: str, failure: str | None = None) -> dict[str, Any]:
    answers = [{"answer_type": "A", "ipv4": ip, "ttl": None} for ip in ips]
    return {
        "hostname": host,
        "query_type": "A",
        "answers": answers,
        "failure": failure,
        "engine": "system",
        "t": 0.1,
    }


def request(url: str, failure: str | None = None) -> dict[str, Any]:
    return {"request": {"url": url, "method": "GET"}, "response": {"code": 200}, "failure": failure, "t": 0.5}


def imported(tmp_path: Path, *told: dict[str, Any]) -> Iterator[Rows]:
    path = tmp_path / "ooni.jsonl"
    path.write_text("\n".join(json.dumps(one) for one in told))
    for found in documents(path):
        assert isinstance(found, Found)
        yield found.rows()


def verdicts(made: Rows) -> dict[str, tuple[str, str]]:
    return {v.purpose: (v.state, v.mechanism) for v in made.verdicts if v.family == 0}


def test_a_measurement_says_where_and_when_and_by_whom(tmp_path: Path) -> None:
    (made,) = imported(tmp_path, envelope("telegram", {"tcp_connect": [connect("149.154.175.50")]}))

    assert made.run.source == "ooni"
    assert made.run.software == "miniooni 3.31.0"
    assert made.run.place[2:7] == ("AS64500", 64500, "Alpha", "AA", "mobile")
    assert [row.rtt_ms for row in made.observations if row.step == "tcp"] == [pytest.approx(100)]


def test_one_telegram_data_centre_that_answers_is_enough(tmp_path: Path) -> None:
    keys = {
        "tcp_connect": [connect("149.154.175.50", "generic_timeout_error"), connect("149.154.167.51")],
        "requests": [request("http://149.154.167.51:443/")],
    }
    (made,) = imported(tmp_path, envelope("telegram", keys))

    assert verdicts(made) == {"messaging": ("reachable", "")}


def test_an_anomaly_is_a_failure_whose_cause_is_open(tmp_path: Path) -> None:
    keys = {
        "queries": [query("web.telegram.org", "149.154.167.99")],
        "tcp_connect": [connect("149.154.175.50", "generic_timeout_error"), connect("149.154.167.99")],
        "tls_handshakes": [
            {
                "address": "149.154.167.99:443",
                "server_name": "web.telegram.org",
                "failure": "connection_reset",
                "t": 1.0,
            }
        ],
    }
    (made,) = imported(tmp_path, envelope("telegram", keys))

    assert verdicts(made) == {
        "messaging": ("unreachable", "tcp.dropped"),
        "web": ("unreachable", "tls.reset"),
    }


def test_what_was_interrupted_says_nothing(tmp_path: Path) -> None:
    (made,) = imported(tmp_path, envelope("whatsapp", {"tcp_connect": [connect("5.5.5.5", "interrupted")]}))

    assert verdicts(made) == {"messaging": ("inconclusive", "")}


def test_every_host_of_signal_is_needed(tmp_path: Path) -> None:
    keys = {
        "queries": [
            query("chat.signal.org", "5.5.5.5"),
            query("storage.signal.org", failure="dns_nxdomain_error"),
        ],
        "tcp_connect": [connect("5.5.5.5")],
    }
    (made,) = imported(tmp_path, envelope("signal", keys))

    assert verdicts(made) == {"messaging": ("unreachable", "dns.nxdomain")}


def test_a_stun_server_of_nobodys_messenger_has_rows_and_no_verdict(tmp_path: Path) -> None:
    keys = {"endpoint": "stun.example.org:3478", "failure": "generic_timeout_error"}
    (made,) = imported(tmp_path, envelope("stunreachability", keys, input="stun://stun.example.org:3478"))

    assert made.verdicts == []
    assert [(r.host, r.port, r.step, r.outcome) for r in made.measurements] == [
        ("stun.example.org", 3478, "stun", "fails")
    ]


def test_a_networks_measurements_count_as_one_vantage_point(tmp_path: Path) -> None:
    one, two, other = imported(
        tmp_path,
        envelope("telegram", {}, report_id="a"),
        envelope("telegram", {}, report_id="b"),
        envelope("telegram", {}, probe_asn="AS64501"),
    )

    assert one.run.place.run != two.run.place.run
    assert one.run.place.vantage == two.run.place.vantage != other.run.place.vantage


def test_missing_and_null_keys_are_borne(tmp_path: Path) -> None:
    keys = {"queries": None, "tcp_connect": [{"ip": "1.2.3.4", "port": 443, "status": {}}], "unknown": 1}
    (made,) = imported(tmp_path, envelope("whatsapp", keys, annotations=None, probe_cc=None, probe_asn="AS0"))

    assert (made.run.place.asn, made.run.place.country) == (0, "")


def test_a_sample_over_many_lines_is_read_from_a_json_file(tmp_path: Path) -> None:
    path = tmp_path / "sample.json"
    path.write_text(json.dumps(envelope("telegram", {"tcp_connect": [connect("149.154.175.50")]}), indent=2))
    (found,) = documents(path)

    assert isinstance(found, Found)
    assert verdicts(found.rows()) == {"messaging": ("reachable", "")}


def test_other_tests_and_broken_measurements_are_named(tmp_path: Path) -> None:
    path = tmp_path / "ooni.jsonl"
    bad = envelope("telegram", {"tcp_connect": [{"ip": 1}]})
    path.write_text(json.dumps(bad) + "\n" + json.dumps(envelope("web_connectivity", {})))
    left, found = documents(path)

    assert isinstance(left, LeftOut)
    assert left.reason == "test_keys.tcp_connect[0].ip: expected `str`, got `int`"
    assert isinstance(found, Found)
    with pytest.raises(RowError, match="web_connectivity is not about messengers"):
        found.rows()


@pytest.mark.parametrize("keys", [{"tcp_connect": [connect("x") | {"t": 1e300, "t0": 0.0}]}])
def test_times_that_cannot_be_are_named(tmp_path: Path, keys: dict[str, Any]) -> None:
    with pytest.raises(RowError, match="is not a time of OONI's"):
        list(imported(tmp_path, envelope("telegram", keys)))
    with pytest.raises(RowError, match="is not a time of OONI's"):
        list(imported(tmp_path, envelope("telegram", {}, measurement_start_time="yesterday")))


def test_a_round_trip_keeps_verdicts_and_observations(tmp_path: Path) -> None:
    doc = everything()
    path = tmp_path / "ours.jsonl"
    path.write_bytes(b"\n".join(msgspec.json.encode(one) for one in measurements(doc)))
    made = [found.rows() for found in documents(path) if isinstance(found, Found)]
    back = {(v.service, v.purpose): v for one in made for v in one.verdicts if v.family == 0}

    for service, said in judge(doc).services.items():
        for purpose, verdict in said.items():
            row = back[service, purpose]
            assert (row.state, row.mechanism or None, row.rule) == (
                verdict.state,
                verdict.mechanism,
                verdict.rule,
            )
    kept = {row.observation for one in made for row in one.observations}
    assert {o.id for m in doc.measurements if m.service for c in m.chains for o in c.observations} <= kept
    assert {one.run.source for one in made} == {"callreach"}


def test_a_damaged_annotation_is_named(tmp_path: Path) -> None:
    with pytest.raises(RowError, match="annotation 'callreach' is damaged"):
        list(imported(tmp_path, envelope("telegram", {}, annotations={"callreach": "{"})))


SAMPLES = Path(__file__).parent / "ooni"
ITALIAN = ("AS30722", "IT")


def sample(name: str) -> Rows:
    (found,) = documents(SAMPLES / f"{name}.json")
    assert isinstance(found, Found)
    return found.rows()


@pytest.mark.parametrize(
    ("name", "expected", "hosts"),
    [
        (
            "ts-018-whatsapp",
            {"web": ("reachable", ""), "messaging": ("reachable", "")},
            [("web.whatsapp.com", 443), ("web.whatsapp.com", 80), ("v.whatsapp.net", 443), ("e3.whatsapp.net", 443)],
        ),
        (
            "ts-019-facebook-messenger",
            {"web": ("reachable", ""), "messaging": ("reachable", "")},
            [("star.c10r.facebook.com", 443), ("external.xx.fbcdn.net", 443), ("scontent.xx.fbcdn.net", 443),
             ("b-graph.facebook.com", 443), ("edge-mqtt.facebook.com", 443), ("b-api.facebook.com", 443)],
        ),
        (
            "ts-020-telegram",
            {"web": ("reachable", ""), "messaging": ("reachable", "")},
            [("web.telegram.org", 443), *((f"149.154.{rest}", port) for rest, port in (
                ("167.51", 80), ("167.91", 80), ("175.100", 80), ("175.50", 80))), ("95.161.76.100", 80),
             ("149.154.167.51", 443), ("149.154.171.5", 80), ("149.154.175.50", 443), ("149.154.167.91", 443),
             ("95.161.76.100", 443), ("149.154.175.100", 443), ("149.154.171.5", 443)],
        ),
        ("ts-025-stun-reachability", {}, [("stun.l.google.com", 19302)]),
        (
            "ts-029-signal",
            {"messaging": ("unreachable", "tls.untrusted")},
            [("textsecure-service.whispersystems.org", 443), ("storage.signal.org", 443), ("cdn2.signal.org", 443),
             ("cdn.signal.org", 443), ("api.directory.signal.org", 443)],
        ),
    ],
)  # fmt: skip
def test_the_samples_of_the_specification_become_rows_and_verdicts(
    name: str, expected: dict[str, tuple[str, str]], hosts: list[tuple[str, int]]
) -> None:
    made = sample(name)

    assert (made.run.place.network, made.run.place.country, made.run.source) == (*ITALIAN, "ooni")
    assert verdicts(made) == expected
    assert [(row.host, row.port) for row in made.measurements] == hosts


def test_a_handshake_without_an_address_belongs_to_the_connection_of_its_name() -> None:
    """Older probes did not say over which connection a handshake went; two hosts of WhatsApp share an address."""
    steps = {
        name: [(row.host, row.step, row.failure) for row in sample(name).observations if row.step == "tls"]
        for name in ("ts-018-whatsapp", "ts-029-signal")
    }

    assert steps["ts-018-whatsapp"] == [("web.whatsapp.com", "tls", ""), ("v.whatsapp.net", "tls", "")]
    assert steps["ts-029-signal"][0] == ("textsecure-service.whispersystems.org", "tls", "untrusted")


@pytest.mark.parametrize(
    ("text", "kind"),
    [("tcp_timed_out_error", "timeout"), ("connection_refused_error", "refused"), ("dns_name_error", "rejected"),
     ("ssl_unknown_autority", "untrusted"), ("task_timed_out", "internal"), ("unknown_failure: x", "internal")],
)  # fmt: skip
def test_the_strings_of_older_probes_are_known(text: str, kind: str) -> None:
    failure = from_ooni(text)

    assert failure is not None
    assert failure.kind == kind
