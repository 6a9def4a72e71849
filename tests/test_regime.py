"""The network is judged before any service, by its controls alone."""

import msgspec
import pytest

from probe.failure import Kind
from probe.findings import findings
from probe.model import Chain, Document, Measurement, Vantage
from probe.regime import Network, regimes
from probe.steps import HttpFacts
from tests.build import (
    FACTS,
    chain,
    control,
    document,
    healthy_controls,
    looked_up,
    measured,
    saw,
    tls_facts,
    works,
)


def regime(doc: Document) -> str:
    applying = regimes(Network(doc))
    return applying[0].regime if applying else "normal"


def https(index: int, *, kind: str = "foreign-large", **how: object) -> Measurement:
    where = {"ip": f"9.9.9.{index}", "host": f"c{index}.example.net"}
    return control(chain(*how.pop("steps", ()), **where), target=f"https-{index}", kind=kind)  # type: ignore[arg-type, misc]


def test_healthy_controls_are_a_normal_network() -> None:
    assert regime(document()) == "normal"


def test_nothing_answers_is_offline() -> None:
    dead = [https(i, steps=(saw("tcp", Kind.TIMEOUT),)) for i in range(4)]

    assert regime(document(controls=dead)) == "offline"


def test_a_dns_that_answers_alone_is_still_offline() -> None:
    dead = [https(i, steps=(saw("tcp", Kind.UNREACHABLE, code="ENETUNREACH"),)) for i in range(4)]

    assert (
        regime(document(controls=dead, lookups=[looked_up("c1.example.net", "system", "9.9.9.9")]))
        == "offline"
    )


def canary(*observations: object) -> Measurement:
    return control(chain(*observations, port=80), target="canary", role="portal")  # type: ignore[arg-type]


def test_a_wrong_canary_without_one_genuine_control_is_a_portal() -> None:
    page = saw("http", Kind.UNEXPECTED, code="302", facts=FACTS["http"])
    dead = [https(i, steps=(saw("tcp"), saw("tls", Kind.TIMEOUT))) for i in range(3)]

    assert regime(document(controls=[canary(saw("tcp"), page), *dead])) == "portal"


def test_a_wrong_canary_beside_genuine_controls_is_only_an_old_canary() -> None:
    page = saw("http", Kind.UNEXPECTED, code="404", facts=FACTS["http"])

    assert regime(document(controls=[canary(saw("tcp"), page), *healthy_controls()])) == "normal"


def test_one_certificate_for_unrelated_names_is_a_portal() -> None:
    face = tls_facts("name_mismatch", leaf="dd")
    same = [
        https(i, steps=(saw("tcp"), saw("tls", Kind.UNTRUSTED, code="name_mismatch", facts=face)))
        for i in range(3)
    ]

    assert regime(document(controls=same)) == "portal"


def test_one_answer_to_every_name_is_a_portal() -> None:
    doc = document(
        controls=[https(1, steps=(saw("tcp", Kind.TIMEOUT),)), control(works("tcp", port=80), target="p")]
    )
    told = tuple(looked_up(f"c{i}.example.net", "system", "10.0.0.1") for i in range(5))
    same = Document(run=doc.run, measurements=doc.measurements, lookups=told)

    assert regime(same) == "portal"


def test_strangers_certificates_on_every_control_are_local_interception() -> None:
    steps = [
        (
            saw("tcp"),
            saw(
                "tls", Kind.UNTRUSTED, code="unknown_issuer", facts=tls_facts("unknown_issuer", leaf=f"e{i}")
            ),
        )
        for i in range(4)
    ]

    assert regime(document(controls=[https(i, steps=steps[i]) for i in range(4)])) == "intercepted"


@pytest.mark.parametrize("word", ["expired", "not_yet_valid"])
def test_wrong_dates_on_unrelated_controls_are_our_clock(word: str) -> None:
    wrong = [
        https(i, steps=(saw("tcp"), saw("tls", Kind.UNTRUSTED, code=word, facts=tls_facts(word))))
        for i in range(3)
    ]

    assert regime(document(controls=wrong)) == "clock_wrong"


def test_only_domestic_controls_answer_is_an_allowlist() -> None:
    home = control(works("tcp", "tls", ip="7.7.7.7"), target="home", kind="domestic")
    foreign = [https(i, steps=(saw("tcp", Kind.TIMEOUT),)) for i in range(3)]

    assert regime(document(controls=[home, *foreign])) == "allowlist"


def test_without_a_domestic_control_no_allowlist_is_claimed() -> None:
    foreign = [https(i, steps=(saw("tcp"), saw("tls", Kind.TIMEOUT))) for i in range(3)]

    assert regime(document(controls=foreign)) != "allowlist"


def udp(index: int, *observations: object, **more: object) -> Measurement:
    return control(chain(*observations, ip=f"9.9.8.{index}", port=3478, **more), target=f"stun-{index}")  # type: ignore[arg-type]


def test_no_datagram_gets_through_is_no_udp() -> None:
    dead = [udp(i, saw("stun", Kind.SILENT, code="5")) for i in range(3)]
    well = [https(i, steps=(saw("tcp"), saw("tls"), saw("http"))) for i in range(3)]

    assert regime(document(controls=[*dead, *well])) == "no_udp"


def test_stun_that_passes_on_the_dns_port_is_still_no_udp() -> None:
    dead = [udp(i, saw("stun", Kind.SILENT, code="5")) for i in range(3)]
    well = [https(i, steps=(saw("tcp"), saw("tls"))) for i in range(3)]
    on_53 = control(works("stun", port=53, ip="9.9.8.9"), target="stun-53")

    assert regime(document(controls=[*dead, *well, on_53])) == "no_udp"


def test_quic_that_passes_shows_that_udp_works() -> None:
    dead = [udp(i, saw("stun", Kind.SILENT, code="5")) for i in range(3)]
    well = [https(i, steps=(saw("tcp"), saw("tls"))) for i in range(3)]

    assert regime(document(controls=[*dead, *well, control(works("quic"), target="quic")])) == "normal"


def load(index: int, kind: str, bytes_per_second: float, *, late: float = 0.0) -> Measurement:
    facts = HttpFacts(
        version="2", status=200, first_byte=0.1, body_bytes=60_000, body_seconds=60_000 / bytes_per_second,
        body_complete=True, body_sha256="",
    )  # fmt: skip
    http = saw("http", facts=facts, seconds=0.1 + facts.body_seconds, late=late)
    tried = chain(saw("tcp"), saw("tls"), http, ip=f"9.9.7.{index}")
    return control(tried, target=f"load-{index}", kind=kind, role="load")


def test_a_slow_outside_beside_a_fast_home_is_a_slow_lane() -> None:
    slow = [load(1, "foreign-large", 14_000), load(2, "domestic", 2_000_000)]

    assert regime(document(controls=[*healthy_controls(), *slow])) == "foreign_slow"


def test_what_a_busy_machine_was_slow_to_take_is_no_slow_lane() -> None:
    slow = [load(1, "foreign-large", 14_000, late=3.0), load(2, "domestic", 2_000_000)]

    assert regime(document(controls=[*healthy_controls(), *slow])) == "normal"


def test_everything_slow_is_a_poor_network() -> None:
    slow = [load(1, "foreign-large", 4_000), load(2, "domestic", 5_000)]

    assert regime(document(controls=[*healthy_controls(), *slow])) == "too_poor"


def test_half_of_all_control_connections_failing_is_a_poor_network() -> None:
    def flaky(index: int) -> Measurement:
        good = works("tcp", "tls", ip=f"9.9.9.{index}")
        bad: Chain = chain(saw("tcp", Kind.TIMEOUT), ip=f"9.9.9.{index}", variant="again")
        return control(good, bad, target=f"flaky-{index}")

    assert regime(document(controls=[flaky(i) for i in range(4)])) == "too_poor"


def test_an_active_tunnel_is_said() -> None:
    doc = document()
    run = type(doc.run)(
        format=1, id="0", software="x", started=doc.run.started, vantage=Vantage(tunnel=True), catalogue="x"
    )

    assert regime(Document(run=run, measurements=doc.measurements, lookups=doc.lookups)) == "tunnelled"


def test_ipv6_that_is_configured_and_reaches_nothing_is_broken() -> None:
    six = [control(chain(saw("tcp", Kind.TIMEOUT), ip=f"2600::{i}"), target=f"six-{i}") for i in range(3)]

    assert regime(document(controls=[*healthy_controls(), *six])) == "ipv6_broken"


def test_a_machine_without_ipv6_is_not_broken() -> None:
    six = [
        control(chain(saw("tcp", Kind.UNREACHABLE, code="ENETUNREACH"), ip=f"2600::{i}"), target=f"six-{i}")
        for i in range(3)
    ]

    assert regime(document(controls=[*healthy_controls(), *six])) == "normal"


def test_quic_dropped_everywhere_is_a_finding_and_no_services_verdict() -> None:
    quic = [
        control(chain(saw("quic", Kind.SILENT, code="4"), ip=f"9.9.9.{i}"), target=f"q-{i}") for i in range(2)
    ]
    others = [m for m in healthy_controls() if not m.target.startswith("quic")]

    assert "quic.dropped" in {
        finding.rule for finding in findings(Network(document(controls=[*others, *quic])))
    }


def test_an_allowlist_that_lets_every_connection_open_is_one_all_the_same() -> None:
    home = control(works("tcp", "tls", ip="7.7.7.7"), target="home", kind="domestic")
    foreign = [https(i, steps=(saw("tcp"), saw("tls", Kind.TIMEOUT))) for i in range(3)]
    bare = control(works("tcp", ip="9.9.9.8", port=5222), target="bare", kind="foreign-hosting")

    assert regime(document(controls=[home, *foreign, bare])) == "allowlist"


def stalled(*received: int, kind: Kind = Kind.TIMEOUT) -> Measurement:
    tries = []
    for index, size in enumerate(received):
        stopped = msgspec.structs.replace(saw("http", kind), received=size)
        variant = "again" if index else "target"
        tries.append(
            chain(saw("tcp"), saw("tls"), stopped, host="load.example", ip="9.9.8.8", variant=variant)
        )
    return control(*tries, target="load", kind="foreign-hosting", role="load")


def rules(doc: Document) -> list[str]:
    return [finding.rule for finding in findings(Network(doc))]


def test_downloads_that_stop_at_the_same_size_every_time_are_frozen() -> None:
    assert rules(document(controls=[*healthy_controls(), stalled(17_000, 17_200, 16_900)])) == ["tcp.frozen"]


@pytest.mark.parametrize(
    "stopped",
    [
        stalled(13_000, 22_000, 39_000),
        stalled(17_000),
        stalled(2_000, 2_000),
        stalled(17_000, 17_000, kind=Kind.RESET),
    ],
)
def test_downloads_that_stop_anywhere_or_once_are_not(stopped: Measurement) -> None:
    assert rules(document(controls=[*healthy_controls(), stopped])) == []


def test_a_resolver_that_denies_what_is_no_messenger_is_named() -> None:
    ads = control(works("tcp", "tls", host="ads.example.net", ip="9.9.7.7", said_by=("doh",)), target="ads")
    lookups = [
        looked_up("ads.example.net", "system", code="NXDOMAIN"),
        looked_up("ads.example.net", "doh", "9.9.7.7"),
    ]

    assert rules(document(controls=[*healthy_controls(), ads], lookups=lookups)) == ["dns.policy"]


def test_a_companys_root_that_this_machine_trusts_is_found_by_a_service_with_roots_of_its_own() -> None:
    inspected = msgspec.structs.replace(tls_facts("unknown_issuer", issuer="CN=A Root"), covers_sni=True)
    false = saw("tls", Kind.UNTRUSTED, code="unknown_issuer", facts=inspected)
    own = [chain(saw("tcp"), false, variant=v) for v in ("target", "again", "again")]
    other = chain(saw("tcp"), saw("tls", facts=inspected), variant="other_name")

    assert regime(document(measured(*own, other))) == "intercepted"
    assert regime(document(measured(*own))) == "normal"


def test_a_family_that_is_dead_is_no_lossy_line() -> None:
    dead = [
        control(
            chain(saw("tcp", Kind.TIMEOUT, seconds=10.0), ip=f"2600::{i}", host=f"c{i}.example.net"),
            target=f"six-{i}",
        )
        for i in range(8)
    ]

    assert regime(document(controls=[*healthy_controls(), *dead])) == "ipv6_broken"
