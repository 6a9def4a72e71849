"""Whole documents and their verdicts: the scenarios that need no packets."""

from typing import Any

import msgspec

from probe.failure import Kind
from probe.model import Chain, Disturbance, Document, End, Lookup, Verdict
from probe.step import TcpInfo
from probe.verdict import judge
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


def messaging(doc: Document, service: str = "paperplane") -> Verdict:
    return judge(doc).services[service]["messaging"]


def calls(doc: Document, service: str = "paperplane") -> Verdict:
    return judge(doc).services[service]["calls"]


def reset(variant: str = "target", **where: Any) -> Chain:
    return chain(saw("tcp"), saw("tls", Kind.RESET), variant=variant, **where)


def test_a_service_that_answers_with_its_certificate_is_reachable_and_proved() -> None:
    verdict = messaging(document(measured(works("tcp", "tls", "http"))))

    assert (verdict.state, verdict.identity, verdict.families) == ("reachable", "proved", {"4": "reachable"})


def test_a_bare_connection_is_reachable_and_not_proved() -> None:
    assert messaging(document(measured(works("tcp")))).identity == "not proved"


def test_a_purpose_without_targets_is_not_tested_and_says_why() -> None:
    verdict = calls(document(measured(works("tcp"))))

    assert verdict.state == "not_tested"
    assert "without an account" in verdict.because


def test_a_name_that_fails_at_unrelated_servers_too_is_blocked_by_name() -> None:
    target = measured(
        reset(), reset("again"), reset("again"),
        works("tcp", "tls", variant="other_name"), works("tcp", "tls", variant="no_name"),
        works("tcp", "tls", variant="other_to_control", ip="9.9.9.1"), reset("name_to_control", ip="9.9.9.1"),
        works("tcp", "tls", variant="other_to_control", ip="9.9.9.2"), reset("name_to_control", ip="9.9.9.2"),
    )  # fmt: skip
    verdict = messaging(document(target))

    assert (verdict.state, verdict.mechanism, verdict.rule) == (
        "blocked",
        "tls.reset.name",
        "name.everywhere",
    )


def test_a_reset_under_its_own_name_alone_is_not_called_blocking() -> None:
    stranger = tls_facts("name_mismatch")
    other = [
        chain(saw("tcp"), saw("tls", facts=stranger), variant=v)
        for v in ("other_name", "other_name", "no_name")
    ]
    verdict = messaging(document(measured(reset(), reset("again"), reset("again"), reset("again"), *other)))

    assert (verdict.state, verdict.rule) == ("unreachable", "name.open")


def test_a_reset_under_its_own_name_is_blocking_when_the_server_proves_itself_under_another() -> None:
    other = [works("tcp", "tls", variant=v) for v in ("other_name", "other_name", "no_name")]
    verdict = messaging(document(measured(reset(), reset("again"), reset("again"), reset("again"), *other)))

    assert (verdict.state, verdict.mechanism) == ("blocked", "tls.reset.name")


def test_a_reset_faster_than_the_round_trip_is_blocking() -> None:
    tries = [
        chain(saw("tcp"), saw("tls", Kind.RESET, seconds=0.004), variant=v)
        for v in ("target", "again", "again")
    ]
    assert messaging(document(measured(*tries))).state == "blocked"


def test_a_hello_that_never_arrives_while_others_do_is_dropped_by_name() -> None:
    info = TcpInfo(acked=1, received=0, retransmits=4, rtt=0.03)
    tries = [
        chain(saw("tcp", sent=0), saw("tls", Kind.TIMEOUT, sent=517, tcp=info), variant=v)
        for v in ("target", "again", "again")
    ]
    others = [works("tcp", "tls", variant=v) for v in ("other_name", "no_name")]
    verdict = messaging(document(measured(*tries, *others)))

    assert (verdict.state, verdict.mechanism) == ("blocked", "tls.dropped.name")


def test_a_silent_address_is_unreachable_because_an_outage_looks_the_same() -> None:
    tries = [chain(saw("tcp", Kind.TIMEOUT), variant=v) for v in ("target", "again", "again")]
    verdict = messaging(document(measured(*tries)))

    assert (verdict.state, verdict.mechanism) == ("unreachable", "tcp.dropped.address")


def test_a_status_451_is_the_services_own_refusal() -> None:
    refused = chain(saw("tcp"), saw("tls"), saw("http", Kind.UNEXPECTED, code="451", facts=FACTS["http"]))
    verdict = messaging(document(measured(refused)))

    assert (verdict.state, verdict.mechanism) == ("unreachable", "service.refuses")


def silent(variant: str = "target", ip: str = "5.5.5.5", port: int = 1400) -> Chain:
    return chain(saw("stun", Kind.SILENT, code="5"), variant=variant, ip=ip, port=port, host="")


def test_stun_that_passes_only_without_its_cookie_is_blocked_by_payload() -> None:
    target = measured(
        silent(),
        silent("again"),
        works("stun", variant="classic", port=1400),
        purpose="calls",
        target="relay",
    )
    verdict = calls(document(target))

    assert (verdict.state, verdict.mechanism) == ("blocked", "stun.dropped.payload")


def test_silent_relays_that_answer_tcp_are_blocked_by_address() -> None:
    alive = chain(saw("tcp"), variant="tcp", ip="5.5.5.6", port=443)
    relay = measured(
        silent(), silent("again"), silent(ip="5.5.5.6"), silent("again", ip="5.5.5.6"), alive,
        purpose="calls", target="relay",
    )  # fmt: skip
    verdict = calls(document(relay))

    assert (verdict.state, verdict.mechanism) == ("blocked", "udp.dropped.address")


def test_one_relay_whose_own_port_is_open_over_tcp_is_blocked_by_address() -> None:
    alive = chain(saw("tcp"), variant="tcp", port=1400)
    relay = measured(silent(), silent("again"), alive, purpose="calls", target="relay")

    assert calls(document(relay)).mechanism == "udp.dropped.address"


def test_silent_relays_on_machines_that_refuse_tcp_are_blocked_only_where_refusals_of_udp_arrive() -> None:
    refused = chain(saw("tcp", Kind.REFUSED), variant="tcp", ip="5.5.5.6", port=3478)
    relay = measured(
        silent(), silent("again"), silent(ip="5.5.5.6"), silent("again", ip="5.5.5.6"), refused,
        purpose="calls", target="relay",
    )  # fmt: skip
    closed = control(
        chain(saw("stun", Kind.REFUSED), ip="9.9.9.9", port=3481), target="closed", role="closed"
    )

    assert calls(document(relay)).state == "unreachable"
    with_refusals = document(relay, controls=[*healthy_controls(), closed])
    assert calls(with_refusals).mechanism == "udp.dropped.address"


def test_a_relay_that_refuses_anywhere_was_switched_off() -> None:
    alive = chain(saw("tcp"), variant="tcp", port=1400)
    off = chain(saw("stun", Kind.REFUSED), ip="5.5.5.6", port=1400)
    relay = measured(silent(), silent("again"), off, alive, purpose="calls", target="relay")

    assert calls(document(relay)).state != "blocked"


def test_one_silent_relay_is_not_enough() -> None:
    alive = chain(saw("tcp"), variant="tcp")
    relay = measured(silent(), silent("again"), alive, purpose="calls", target="relay")

    assert calls(document(relay)).state == "unreachable"


def test_a_relay_that_was_never_confirmed_decides_nothing() -> None:
    relay = measured(silent(), silent("again"), purpose="calls", target="relay", support="inferred")

    assert calls(document(relay)).state == "inconclusive"


def test_a_tcp_relay_beside_blocked_udp_relays_means_degraded() -> None:
    alive = chain(saw("tcp"), variant="tcp")
    udp = measured(
        silent(), silent("again"), silent(ip="5.5.5.6"), silent("again", ip="5.5.5.6"), alive,
        purpose="calls", target="relay-udp", group="relay",
    )  # fmt: skip
    tcp = measured(works("tcp", "tls", "turn"), purpose="calls", target="relay-tls", group="relay")
    verdict = calls(document(udp, tcp))

    assert (verdict.state, verdict.mechanism) == ("degraded", "udp.dropped.address")


def test_when_the_controls_are_silent_too_nothing_is_said_of_the_service() -> None:
    dead = [control(silent(ip=f"9.9.9.{i}", port=1400), target=f"stun-{i}") for i in range(3)]
    https = [control(works("tcp", "tls", "http", ip=f"9.9.9.{i}"), target=f"https-{i}") for i in range(3)]
    relay = measured(silent(), silent("again"), purpose="calls", target="relay")
    judgement = judge(document(relay, controls=[*dead, *https]))

    assert judgement.regime == "no_udp"
    assert judgement.services["paperplane"]["calls"].state == "inconclusive"


def test_one_reachable_target_of_a_group_is_enough() -> None:
    down = measured(chain(saw("tcp", Kind.TIMEOUT)), target="old", group="chat")
    up = measured(works("tcp", "tls"), target="new", group="chat")

    assert messaging(document(down, up)).state == "reachable"


def test_some_data_centres_that_do_not_answer_must_not_read_as_works() -> None:
    verdict = messaging(
        document(
            measured(works("tcp"), target="dc1"),
            measured(chain(saw("tcp", Kind.TIMEOUT), ip="5.5.5.6"), target="dc2"),
        )
    )

    assert verdict.state == "unreachable"
    assert verdict.because.startswith("partly: dc2 of 2")


def names_for(*systems: str, code: str = "") -> list[Lookup]:
    host = "chat.example.org"
    system = looked_up(host, "system", code=code) if code else looked_up(host, "system", *systems)
    return [system, looked_up(host, "udp", "5.5.5.5"), looked_up(host, "doh", "5.5.5.5")]


def test_a_name_that_only_the_systems_resolver_denies_is_dns_tampering() -> None:
    target = measured(works("tcp", "tls", said_by=("udp", "doh")))
    verdict = messaging(document(target, lookups=names_for(code="NXDOMAIN")))

    assert (verdict.state, verdict.mechanism) == ("blocked", "dns.nxdomain")


def test_a_bogus_address_is_dns_tampering() -> None:
    target = measured(works("tcp", "tls", said_by=("udp", "doh")))

    assert messaging(document(target, lookups=names_for("10.10.34.34"))).mechanism == "dns.bogon"


def test_a_false_server_behind_the_systems_address_is_dns_spoofing() -> None:
    false = chain(
        saw("tcp"), saw("tls", Kind.UNTRUSTED, code="unknown_issuer"), ip="6.6.6.6", said_by=("system",)
    )
    target = measured(false, works("tcp", "tls", said_by=("udp", "doh")))

    assert messaging(document(target, lookups=names_for("6.6.6.6"))).mechanism == "dns.spoofed"


def test_a_name_that_nobody_knows_any_more_is_no_block() -> None:
    host = "old.example.org"
    gone = [looked_up(host, resolver, code="NXDOMAIN") for resolver in ("system", "udp", "doh")]
    verdict = messaging(document(measured(), lookups=gone))

    assert verdict.state in ("inconclusive", "not_tested")


def test_two_answers_to_one_question_are_an_injection() -> None:
    host = "chat.example.org"
    lookups = [
        looked_up(host, "system", "6.6.6.6"),
        looked_up(host, "udp", "6.6.6.6", further=[["5.5.5.5"]]),
        looked_up(host, "udp-2", "6.6.6.6", further=[["5.5.5.5"]]),
        looked_up(host, "doh", "5.5.5.5"),
    ]
    false = chain(saw("tcp", Kind.TIMEOUT), ip="6.6.6.6", said_by=("system", "udp", "udp-2"))
    verdict = messaging(document(measured(false, works("tcp", "tls", said_by=("doh",))), lookups=lookups))

    assert verdict.mechanism in ("dns.injected", "dns.spoofed")
    assert verdict.state == "blocked"


def test_a_cut_over_ipv4_alone_is_an_impairment() -> None:
    six = [
        control(works("tcp", "tls", ip=f"2600::{i}", host=f"six{i}.example.net"), target=f"six-{i}")
        for i in range(3)
    ]
    four = [chain(saw("tcp", Kind.TIMEOUT), variant=v) for v in ("target", "again", "again")]
    target = measured(*four, works("tcp", "tls", ip="2600::5"))
    verdict = messaging(document(target, controls=[*healthy_controls(), *six]))

    assert verdict.state == "degraded"
    assert verdict.families == {"4": "unreachable", "6": "reachable"}


def test_several_services_with_one_strangers_certificates_are_intercepted_by_the_network() -> None:
    bad = tls_facts("unknown_issuer", leaf="cc", issuer="CN=Stranger")

    def stranger(variant: str = "target") -> Chain:
        return chain(
            saw("tcp"), saw("tls", Kind.UNTRUSTED, code="unknown_issuer", facts=bad), variant=variant
        )

    doc = document(
        measured(stranger(), stranger("again")), measured(stranger(), stranger("again"), service="northmail")
    )
    verdict = messaging(doc)

    assert (verdict.state, verdict.mechanism) == ("blocked", "tls.replaced")


def test_one_service_with_an_unknown_issuer_is_left_open() -> None:
    bad = chain(
        saw("tcp"), saw("tls", Kind.UNTRUSTED, code="unknown_issuer", facts=tls_facts("unknown_issuer"))
    )

    assert messaging(document(measured(bad))).state == "unreachable"


def test_every_sad_verdict_names_its_evidence() -> None:
    verdict = messaging(document(measured(reset(), reset("again"), reset("again"))))

    assert verdict.evidence
    assert verdict.because


def test_a_reset_that_only_looks_early_because_a_syn_was_lost_is_not_an_artefact() -> None:
    slow = FACTS["tcp"].__class__(connect=1.05)  # type: ignore[call-arg]

    def late(variant: str = "target") -> Chain:
        return chain(saw("tcp", facts=slow), saw("tls", Kind.RESET, seconds=0.04), variant=variant)

    target = measured(late(), late("again"), reset("again"), works("tcp", variant="other_port"))

    assert messaging(document(target)).state == "unreachable"


def test_a_server_that_refuses_its_own_name_with_an_alert_is_not_blocked() -> None:
    def refused(variant: str = "target") -> Chain:
        return chain(saw("tcp"), saw("tls", Kind.REJECTED, code="unrecognized_name"), variant=variant)

    target = measured(
        refused(), refused("again"), refused("again"), refused("again"),
        works("tcp", "tls", variant="other_name"), works("tcp", "tls", variant="other_name"),
    )  # fmt: skip

    assert messaging(document(target)).state == "unreachable"


def test_the_certificate_of_a_helper_host_proves_nothing_about_a_vital_group() -> None:
    bare = measured(works("tcp"), target="chat", vital=True)
    helper = measured(works("tcp", "tls"), target="media")

    assert messaging(document(bare, helper)).identity == "not proved"
    assert (
        messaging(document(measured(works("tcp", "tls"), target="chat", vital=True), helper)).identity
        == "proved"
    )


def hello(variant: str, *, passes: bool, seconds: float = 0.03) -> Chain:
    return chain(
        saw("tcp"), saw("tls") if passes else saw("tls", Kind.RESET, seconds=seconds), variant=variant
    )


def test_a_hello_that_is_reset_early_while_another_with_the_same_name_passes_is_filtered_by_fingerprint() -> (
    None
):
    tries = [hello(v, passes=False, seconds=0.004) for v in ("target", "again", "again")]
    others = [hello("other_hello", passes=True) for _ in range(2)]
    verdict = messaging(document(measured(*tries, *others)))

    assert (verdict.state, verdict.mechanism) == ("degraded", "tls.reset.fingerprint")


def test_a_server_may_dislike_a_programs_hello_for_reasons_of_its_own() -> None:
    tries = [hello(v, passes=False) for v in ("target", "again", "again")]
    others = [hello("other_hello", passes=True) for _ in range(2)]
    verdict = messaging(document(measured(*tries, *others)))

    assert (verdict.state, verdict.rule) == ("inconclusive", "hello.open")


def inspected(name: str, *, covers: bool) -> Chain:
    facts = msgspec.structs.replace(
        tls_facts("unknown_issuer", leaf=name, issuer="CN=Inspection"), covers_sni=covers
    )
    if name == "other_name":
        return chain(saw("tcp"), saw("tls", facts=facts), variant=name)
    return chain(saw("tcp"), saw("tls", Kind.UNTRUSTED, code="unknown_issuer", facts=facts), variant=name)


def test_somebody_with_a_certificate_for_every_name_is_not_the_service() -> None:
    tries = [inspected(v, covers=True) for v in ("target", "again", "again", "other_name")]
    verdict = messaging(document(measured(*tries)))

    assert (verdict.state, verdict.mechanism) == ("blocked", "tls.replaced")


def test_an_unknown_authority_that_signs_only_the_services_names_may_be_the_services_own() -> None:
    tries = [inspected(v, covers=v != "other_name") for v in ("target", "again", "again", "other_name")]

    assert messaging(document(measured(*tries))).state == "unreachable"


def test_what_worked_and_then_never_again_changed_while_it_was_measured() -> None:
    tries = [works("tcp", "tls", "http"), *(reset("again") for _ in range(3))]
    judged = judge(document(measured(*tries)))
    verdict = judged.services["paperplane"]["messaging"]

    assert (verdict.state, verdict.rule) == ("inconclusive", "changed")
    assert "12:00:00" in verdict.because
    assert "run.mixed" in [finding.rule for finding in judged.findings]


def test_one_failure_after_a_success_is_bad_luck() -> None:
    assert messaging(document(measured(works("tcp", "tls"), reset("again")))).state == "reachable"


def test_a_machine_that_moved_during_the_run_says_nothing_sad() -> None:
    doc = document(measured(*[reset(v) for v in ("target", "again", "again")]))
    moved = Disturbance(kind="address_changed", at=doc.run.started)
    end = End(ended="complete", seconds=1.0, sent=1, received=1, disturbances=(moved,))
    judged = judge(Document(run=doc.run, measurements=doc.measurements, lookups=doc.lookups, end=end))

    assert judged.services["paperplane"]["messaging"].rule == "run.disturbed"
    assert [finding.rule for finding in judged.findings] == ["run.disturbed"]


def test_a_failure_on_a_detour_is_the_tunnels() -> None:
    tries = [msgspec.structs.replace(reset(v), detour=True) for v in ("target", "again", "again")]

    assert messaging(document(measured(*tries))).rule == "detour"


def test_a_bare_connection_to_a_block_page_that_two_services_share_is_no_answer() -> None:
    """A block page accepts TCP; that it stands in for two services shows that it is neither."""
    lookups, targets = [], []
    for service, host in (("paperplane", "chat.example.org"), ("pigeon", "talk.example.com")):
        lookups += [looked_up(host, "system", "6.6.6.6"), looked_up(host, "doh", "5.5.5.5")]
        targets.append(measured(works("tcp", host=host, ip="6.6.6.6", said_by=("system",)), service=service))
    doc = document(*targets, lookups=lookups)

    assert messaging(doc).mechanism == "dns.spoofed"
    assert messaging(doc, "pigeon").state == "blocked"


def test_an_edge_that_two_services_share_and_that_proves_both_is_theirs() -> None:
    lookups, targets = [], []
    for service, host in (("paperplane", "chat.example.org"), ("pigeon", "talk.example.com")):
        lookups += [looked_up(host, "system", "6.6.6.6"), looked_up(host, "doh", "5.5.5.5")]
        targets.append(
            measured(works("tcp", "tls", host=host, ip="6.6.6.6", said_by=("system",)), service=service)
        )

    assert messaging(document(*targets, lookups=lookups)).state == "reachable"


def test_a_resolver_that_leads_nowhere_is_said_and_not_called_a_lie() -> None:
    host = "chat.example.org"
    lookups = [looked_up(host, "system", "6.6.6.6"), looked_up(host, "doh", "5.5.5.5")]
    dead = [
        chain(saw("tcp", Kind.TIMEOUT), ip="6.6.6.6", said_by=("system",), variant=variant)
        for variant in ("target", "again")
    ]
    verdict = messaging(document(measured(*dead, works("tcp", said_by=("doh",))), lookups=lookups))

    assert (verdict.state, verdict.rule) == ("unreachable", "dns.elsewhere")


def test_an_orderly_end_under_its_own_name_is_a_server_speaking() -> None:
    """A load balancer whose backend is gone closes; its certificate for all names proves it under another."""
    tries = [
        chain(saw("tcp"), saw("tls", Kind.CLOSED), variant=v) for v in ("target", "again", "again", "again")
    ]
    other = [works("tcp", "tls", variant=v) for v in ("other_name", "other_name", "no_name")]

    assert messaging(document(measured(*tries, *other))).state == "unreachable"


def test_a_name_the_resolver_never_answers_for_is_dropped_and_one_silence_is_not() -> None:
    others = [looked_up("chat.example.org", resolver, "5.5.5.5") for resolver in ("udp", "doh")]
    silent = looked_up("chat.example.org", "system", code="x", kind=Kind.TIMEOUT)
    once = msgspec.structs.replace(silent, observations=silent.observations[:1])
    target = measured(works("tcp", "tls", said_by=("udp", "doh")))

    assert messaging(document(target, lookups=[silent, *others])).mechanism == "dns.dropped"
    assert messaging(document(target, lookups=[once, *others])).state == "reachable"


def test_a_resolver_that_loses_questions_of_controls_too_drops_nothing_on_purpose() -> None:
    others = [looked_up("chat.example.org", resolver, "5.5.5.5") for resolver in ("udp", "doh")]
    silent = looked_up("chat.example.org", "system", code="x", kind=Kind.TIMEOUT)
    slow = looked_up("c9.example.net", "system", "9.9.9.9")
    slow = msgspec.structs.replace(slow, observations=(silent.observations[0], *slow.observations))
    lossy = control(works("tcp", "tls", host="c9.example.net", ip="9.9.9.9"), target="slow")
    target = measured(works("tcp", "tls", said_by=("udp", "doh")))
    doc = document(target, controls=[*healthy_controls(), lossy], lookups=[silent, *others, slow])

    assert messaging(doc).state == "reachable"


def test_answers_to_a_question_sent_twice_may_differ_without_a_lie() -> None:
    lookups = [looked_up("chat.example.org", "system", "5.5.5.5")]
    for name in ("udp", "udp-2"):
        lookup = looked_up("chat.example.org", name, "5.5.5.5", further=[["5.5.5.6"]])
        (seen,) = lookup.observations
        facts = msgspec.structs.replace(seen.facts, tries=2)  # type: ignore[type-var]
        again = msgspec.structs.replace(seen, facts=facts)
        lookups.append(msgspec.structs.replace(lookup, observations=(again,)))

    assert messaging(document(measured(works("tcp", "tls")), lookups=lookups)).state == "reachable"


def test_servers_that_mind_every_name_but_their_own_prove_nothing() -> None:
    target = measured(
        reset(), reset("again"), reset("again"),
        works("tcp", "tls", variant="other_name"), works("tcp", "tls", variant="no_name"),
        reset("other_to_control", ip="9.9.9.1"), reset("name_to_control", ip="9.9.9.1"),
        reset("other_to_control", ip="9.9.9.2"), reset("name_to_control", ip="9.9.9.2"),
    )  # fmt: skip

    assert messaging(document(target)).rule != "name.everywhere"


def test_servers_that_refuse_a_strange_name_in_words_prove_nothing() -> None:
    refused = [
        chain(saw("tcp"), saw("tls", Kind.REJECTED), variant="name_to_control", ip=f"9.9.9.{i}")
        for i in (1, 2)
    ]
    fair = [works("tcp", "tls", variant="other_to_control", ip=f"9.9.9.{i}") for i in (1, 2)]
    target = measured(reset(), reset("again"), reset("again"), *fair, *refused)

    assert messaging(document(target)).rule != "name.everywhere"


def test_a_dead_address_of_the_systems_resolver_is_not_proved_false() -> None:
    """One region of a service is down, and the resolver leads there."""
    dead = [
        chain(saw("tcp", Kind.TIMEOUT), ip="6.6.6.6", said_by=("system",), variant=variant)
        for variant in ("target", "again")
    ]
    verdict = messaging(
        document(measured(*dead, works("tcp", "tls", said_by=("udp", "doh"))), lookups=names_for("6.6.6.6"))
    )

    assert (verdict.state, verdict.mechanism) == ("unreachable", "dns.elsewhere")


def test_one_answer_in_the_clear_and_another_under_encryption_is_a_lie_on_the_way() -> None:
    host = "chat.example.org"
    clear = [looked_up(host, resolver, "6.6.6.6") for resolver in ("system", "udp", "udp-2")]
    private = [looked_up(host, resolver, "5.5.5.5") for resolver in ("doh", "dot")]
    opening = [msgspec.structs.replace(lookup, name="") for lookup in private]
    dead = [
        chain(saw("tcp", Kind.TIMEOUT), ip="6.6.6.6", said_by=("system", "udp", "udp-2"), variant=variant)
        for variant in ("target", "again")
    ]
    target = measured(*dead, works("tcp", "tls", said_by=("doh", "dot")))

    assert messaging(document(target, lookups=[*clear, *private, *opening])).mechanism == "dns.spoofed"


def test_a_machine_that_refuses_the_services_port_and_answers_on_another_is_somebody_elses() -> None:
    refused = [
        chain(saw("tcp", Kind.REFUSED), ip="6.6.6.6", said_by=("system",), variant=variant)
        for variant in ("target", "again")
    ]
    page = works("tcp", ip="6.6.6.6", port=80, variant="other_port", said_by=("system",))
    target = measured(*refused, page, works("tcp", "tls", said_by=("udp", "doh")))

    assert messaging(document(target, lookups=names_for("6.6.6.6"))).mechanism == "dns.spoofed"


def test_a_family_over_which_the_vital_group_was_not_tried_is_not_said_to_work() -> None:
    chat = measured(*[reset(v) for v in ("target", "again", "again")], vital=True)
    media = measured(works("tcp", "tls"), works("tcp", "tls", ip="2600::5"), target="media")
    verdict = messaging(document(chat, media))

    assert verdict.families == {"4": "unreachable"}
    only_six = judge(
        document(measured(vital=True), measured(works("tcp", "tls", ip="2600::5"), target="media"))
    )
    assert only_six.services["paperplane"]["messaging"].rule == "none.vital"


def _silent(late: float, kind: Kind = Kind.TIMEOUT) -> Document:
    tries = [
        chain(saw("tcp"), saw("tls", kind, seconds=10.0, late=late), variant=variant)
        for variant in ("target", "again", "again")
    ]
    return document(measured(*tries))


def test_silence_while_this_machine_was_too_busy_to_listen_says_nothing_and_is_told() -> None:
    busy = judge(_silent(9.0))

    assert busy.services["paperplane"]["messaging"].state == "inconclusive"
    told = [f.because for f in busy.findings if f.rule == "run.busy"]
    assert len(told) == 1
    assert f"too busy to listen: 3 of {3 + _controls()} attempts say nothing" in told[0]


def test_silence_to_which_it_listened_counts_and_so_does_what_a_peer_said() -> None:
    for heard in (_silent(4.0), _silent(9.0, Kind.REJECTED)):
        assert messaging(heard).state == "unreachable"
        assert not [f for f in judge(heard).findings if f.rule == "run.busy"]


def _controls() -> int:
    return sum(len(measurement.chains) for measurement in healthy_controls())


def test_tries_that_this_machine_missed_do_not_keep_a_filter_from_being_found() -> None:
    silent = [
        chain(saw("stun", Kind.SILENT, code="5"), variant=variant, port=3478)
        for variant in ("again", "again", "again")
    ]
    missed = chain(saw("stun", Kind.TIMEOUT, seconds=15.0, late=9.0), port=3478)
    classic = chain(saw("stun"), variant="classic", port=3478)
    relay = measured(missed, *silent, classic, target="relay", purpose="calls")

    assert calls(document(relay)).rule == "stun.payload"
