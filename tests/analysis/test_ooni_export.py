"""A run as OONI measurements, checked by OONI's own parser."""

import json
import re
from typing import Any

import pytest

from probe.analysis.ooni_export import measurements
from probe.analysis.ooni_failures import STRINGS, as_ooni, from_ooni
from probe.failure import Failure, Kind
from probe.model import Chain, Document
from tests.analysis.runs import run
from tests.build import chain, document, looked_up, measured, saw, works
from tests.ooni_parser import lost

ALPHA: dict[str, Any] = {"asn": 64500, "country": "AA", "as_name": "Alpha", "label": "at my aunt's"}


def exported(doc: Document) -> dict[str, dict[str, Any]]:
    """Measurements by test name and input."""
    found = [json.loads(json.dumps(one)) for one in measurements(doc)]
    return {one["input"] or one["test_name"]: one for one in found}


def refused(*hosts: str, **where: Any) -> list[Chain]:
    return [chain(saw("tcp", Kind.REFUSED, code="ECONNREFUSED"), host=host, **where) for host in hosts]


def everything(**where: Any) -> Document:
    """A run with something of every test."""
    return run(
        document(
            measured(works("tcp", ip="149.154.175.50", host=""), service="telegram", target="dc1"),
            measured(
                works("tcp", "tls", "http", host="web.telegram.org"), service="telegram", target="w", purpose="web"
            ),
            measured(
                works("stun", ip="91.108.9.106", host="", port=3478), service="telegram", target="r", purpose="calls"
            ),
            measured(works("tcp", host="g.whatsapp.net"), service="whatsapp"),
            measured(works("tcp", "tls", "http", host="v.whatsapp.net"), service="whatsapp", target="registration"),
            measured(*(chain(saw("tcp"), saw("tls", Kind.RESET), host="chat.signal.org") for _ in range(2)),
                     service="signal"),
            measured(works("tcp", "tls", host="edge-mqtt.facebook.com"), service="messenger"),
            measured(chain(saw("stun", Kind.SILENT), host="stun.viber.example", port=3478), service="viber",
                     target="relay", purpose="calls"),
            lookups=[
                looked_up("chat.signal.org", "system", "5.5.5.5", "2001:db8::5"),
                looked_up("edge-mqtt.facebook.com", "system", code="NXDOMAIN"),
            ],
        ),
        **(ALPHA | where),
    )  # fmt: skip


def test_oonis_own_parser_reads_every_measurement_and_drops_nothing_of_it() -> None:
    assert {name: lost(one) for name, one in exported(everything()).items() if lost(one)} == {}


def test_the_envelope_is_what_oonis_collector_accepts() -> None:
    for one in exported(everything()).values():
        assert re.fullmatch(r"AS[1-9][0-9]{0,9}", one["probe_asn"])
        assert re.fullmatch(r"[A-Z]{2}", one["probe_cc"])
        assert re.fullmatch(r"[a-z_]{2,30}", one["test_name"])
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", one["measurement_start_time"])
        assert (one["probe_ip"], one["data_format_version"]) == ("127.0.0.1", "0.2.0")
        assert all(isinstance(value, str) for value in one["annotations"].values())


def test_every_failure_is_one_of_oonis_strings() -> None:
    failures = [
        as_ooni(step, Failure(kind=kind, code=code))
        for step in ("dns", "tcp", "tls", "http", "quic", "stun")
        for kind in Kind
        for code in ("", "NXDOMAIN", "name_mismatch", "EHOSTUNREACH", "503")
    ]

    assert all(one in STRINGS or str(one).startswith("unknown_failure: ") for one in failures)


@pytest.mark.parametrize("text", sorted(STRINGS))
def test_oonis_strings_come_back_as_they_were(text: str) -> None:
    step = {"dns": "dns", "ssl": "tls", "http": "http"}.get(text.partition("_")[0], "tcp")

    assert as_ooni(step, from_ooni(text)) == text


def test_the_label_and_the_pseudonym_do_not_leave() -> None:
    assert "aunt" not in json.dumps(exported(everything()))


def test_a_network_without_a_number_is_written_as_ooni_hides_one() -> None:
    one = exported(everything(asn=None, country=""))["telegram"]

    assert (one["probe_asn"], one["probe_cc"]) == ("AS0", "ZZ")


# The cases of OONI's own quality assurance (their names and expectations; ours where we differ on purpose).
def keys(test: str, *tested: Any, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = exported(run(document(*tested, **more), asn=1, country="AA"))[test]["test_keys"]
    return found


def test_telegram_without_interference() -> None:
    found = keys(
        "telegram",
        measured(works("tcp", host="", ip="149.154.175.50"), service="telegram"),
        measured(works("tcp", "tls", "http", host="web.telegram.org"), service="telegram", target="w"),
    )

    assert (found["telegram_tcp_blocking"], found["telegram_http_blocking"]) == (False, None)
    assert (found["telegram_web_status"], found["telegram_web_failure"]) == ("ok", None)


def test_telegram_with_every_data_centre_dropped() -> None:
    dropped = [chain(saw("tcp", Kind.TIMEOUT), host="", ip=ip) for ip in ("149.154.175.50", "149.154.167.51")]
    found = keys("telegram", measured(*dropped, service="telegram"))

    assert (found["telegram_tcp_blocking"], found["telegram_http_blocking"]) == (True, True)
    assert found["telegram_web_status"] is None


def test_telegram_with_its_web_name_reset() -> None:
    web = chain(saw("tcp"), saw("tls", Kind.RESET, code="ECONNRESET"), host="web.telegram.org")
    found = keys("telegram", measured(web, service="telegram", target="w"))

    assert (found["telegram_web_status"], found["telegram_web_failure"]) == ("blocked", "connection_reset")


def test_whatsapp_with_one_port_of_a_host_closed_is_not_blocked() -> None:
    chains = [*refused("e1.whatsapp.net", port=5222), works("tcp", host="e1.whatsapp.net")]
    found = keys("whatsapp", measured(*chains, service="whatsapp"))

    assert (found["whatsapp_endpoints_status"], found["whatsapp_endpoints_blocked"]) == ("ok", [])


def test_whatsapp_with_every_port_of_one_host_closed_names_it() -> None:
    chains = [
        *refused("e1.whatsapp.net", port=5222),
        *refused("e1.whatsapp.net"),
        works("tcp", host="e2.whatsapp.net"),
    ]
    found = keys("whatsapp", measured(*chains, service="whatsapp"))

    assert (found["whatsapp_endpoints_status"], found["whatsapp_endpoints_blocked"]) == (
        "ok",
        ["e1.whatsapp.net"],
    )


def test_whatsapp_interrupted_is_null_and_not_blocked() -> None:
    found = keys(
        "whatsapp", measured(chain(saw("tcp", Kind.INTERRUPTED), host="e1.whatsapp.net"), service="whatsapp")
    )

    assert (found["whatsapp_endpoints_status"], found["whatsapp_endpoints_blocked"]) == (None, [])


def test_signal_is_blocked_if_one_of_its_hosts_is() -> None:
    bad = chain(saw("tcp"), saw("tls", Kind.CLOSED), host="storage.signal.org")
    found = keys("signal", measured(works("tcp", "tls", host="chat.signal.org"), bad, service="signal"))

    assert (found["signal_backend_status"], found["signal_backend_failure"]) == ("blocked", "eof_error")


def test_messenger_tells_names_from_connections() -> None:
    found = keys(
        "facebook_messenger",
        measured(
            *refused("b-api.facebook.com"), works("tcp", host="star.c10r.facebook.com"), service="messenger"
        ),
        lookups=[
            looked_up("b-api.facebook.com", "system", "5.5.5.5"),
            looked_up("star.c10r.facebook.com", "system", code="NXDOMAIN"),
        ],
    )

    assert (found["facebook_b_api_dns_consistent"], found["facebook_b_api_reachable"]) == (True, False)
    assert (found["facebook_star_dns_consistent"], found["facebook_star_reachable"]) == (False, True)
    assert (found["facebook_dns_blocking"], found["facebook_tcp_blocking"]) == (True, True)
    assert found["facebook_stun_reachable"] is None


def test_a_silent_stun_server_is_a_measurement_of_its_own() -> None:
    found = exported(everything())["stun://stun.viber.example:3478"]

    assert found["test_name"] == "stunreachability"
    assert (found["test_keys"]["endpoint"], found["test_keys"]["failure"]) == (
        "stun.viber.example:3478", "generic_timeout_error",
    )  # fmt: skip
