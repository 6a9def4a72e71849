"""A service that proves who it is in a protocol of its own: whole documents, and what the first bytes' fate means."""

from typing import Any

import pytest

from probe.failure import Kind
from probe.model import Chain, Verdict
from probe.mtproto.exchange import Stage
from probe.step import TcpInfo
from probe.steps import MtprotoFacts
from probe.verdict import judge
from tests.build import chain, document, measured, saw

UNHEARD = TcpInfo(acked=1, received=0, retransmits=4, rtt=0.03)
HEARD = TcpInfo(acked=518, received=0, retransmits=0, rtt=0.03)
THRICE = ("target", "again", "again")


def messaging(*chains: Chain, beside: tuple[Chain, ...] = (), **more: Any) -> Verdict:
    """The verdict of a target with these chains, and of another data centre beside it."""
    targets = [measured(*chains, target="dc1", **more)]
    if beside:
        targets.append(measured(*beside, target="dc2", **more))
    return judge(document(*targets)).services["paperplane"]["messaging"]


def asked(
    kind: Kind | None, code: str = "", *, variant: str = "target", stage: Stage = "opened", seconds: float = 10.0,
    tcp: TcpInfo | None = None, sent: int = 108, **where: Any,
) -> Chain:  # fmt: skip
    """TCP opened, and then the service's own protocol."""
    facts = MtprotoFacts(
        transport="obfuscated2", stage=stage, identity="proved" if kind is None else "not proved"
    )
    seen = saw("mtproto", kind, code=code, facts=facts, seconds=seconds, tcp=tcp, sent=sent)
    return chain(saw("tcp", sent=0), seen, variant=variant, **where)


def thrice(kind: Kind, code: str = "", **more: Any) -> list[Chain]:
    return [asked(kind, code, variant=variant, **more) for variant in THRICE]


def other_bytes(kind: Kind | None = Kind.CLOSED, tcp: TcpInfo | None = HEARD, **where: Any) -> Chain:
    return chain(saw("tcp", sent=0), saw("tls", kind, tcp=tcp), variant="other_bytes", **where)


def said(verdict: Verdict) -> tuple[str, str | None, str]:
    return verdict.state, verdict.mechanism, verdict.rule


def test_a_peer_that_holds_the_services_key_has_proved_who_it_is() -> None:
    verdict = messaging(asked(None, stage="proved"))

    assert (verdict.state, verdict.identity) == ("reachable", "proved")


def test_a_peer_that_names_the_key_and_cannot_use_it_is_an_impostor() -> None:
    verdict = messaging(asked(Kind.UNTRUSTED, "impostor"), asked(Kind.UNTRUSTED, "impostor", variant="again"))

    assert said(verdict) == ("blocked", "mtproto.impersonated", "proof.impostor")


def test_one_failed_proof_is_not_enough_to_speak_of_an_impostor_as_proven() -> None:
    verdict = messaging(asked(Kind.UNTRUSTED, "impostor"))

    assert said(verdict) == ("unreachable", "mtproto.impersonated", "proof.impostor.open")


def test_a_key_that_nobody_knows_anywhere_is_an_outdated_catalogue_and_no_impostor() -> None:
    tries = [asked(Kind.UNEXPECTED, "unknown-key", variant=v) for v in ("target", "again")]
    verdict = messaging(*tries, beside=tuple(tries))

    assert said(verdict) == ("inconclusive", "catalogue.outdated", "proof.outdated")


def test_another_key_than_the_service_shows_elsewhere_is_named_and_not_called_blocking() -> None:
    tries = [asked(Kind.UNEXPECTED, "unknown-key", variant=v) for v in ("target", "again")]
    verdict = messaging(*tries, beside=(asked(None, stage="proved", ip="5.5.5.6"),))

    assert said(verdict) == ("unreachable", "mtproto.impersonated", "proof.key.beside")
    assert verdict.partly == ("dc1",)


@pytest.mark.parametrize("code", ["expired", "not-yet-valid"])
def test_a_certificate_outside_its_dates_is_no_impostor(code: str) -> None:
    tries = [asked(Kind.UNTRUSTED, code, variant=v) for v in ("target", "again")]

    assert said(messaging(*tries)) == ("unreachable", "mtproto.untrusted.date", "tls.dates")


def test_first_bytes_that_never_arrive_where_others_do_are_a_filter_of_the_protocol() -> None:
    verdict = messaging(*thrice(Kind.TIMEOUT, tcp=UNHEARD), other_bytes(), other_bytes())

    assert said(verdict) == ("blocked", "mtproto.dropped.protocol", "proof.unheard")


@pytest.mark.parametrize(
    "beside",
    [
        (),
        (other_bytes(),),
        (other_bytes(), other_bytes(Kind.TIMEOUT, UNHEARD)),
        (other_bytes(Kind.TIMEOUT, UNHEARD), other_bytes(Kind.TIMEOUT, UNHEARD)),
    ],
)
def test_where_other_bytes_do_not_arrive_either_it_is_no_filter_of_the_protocol(
    beside: tuple[Chain, ...],
) -> None:
    verdict = messaging(*thrice(Kind.TIMEOUT, tcp=UNHEARD), *beside)

    assert said(verdict) == ("unreachable", "mtproto.dropped", "proof.open")


def test_silence_to_bytes_that_arrived_may_be_the_services_own_fault() -> None:
    heard = TcpInfo(acked=109, received=0, retransmits=0, rtt=0.03)
    verdict = messaging(*thrice(Kind.TIMEOUT, tcp=heard), other_bytes(), other_bytes())

    assert said(verdict) == ("unreachable", "mtproto.dropped", "proof.open")


def test_a_reset_faster_than_the_server_can_be_is_interference() -> None:
    early = thrice(Kind.RESET, seconds=0.004)

    assert said(messaging(*early, other_bytes(), other_bytes())) == (
        "blocked",
        "mtproto.reset.protocol",
        "proof.early",
    )
    assert said(messaging(*early)) == ("blocked", "mtproto.reset", "proof.early.any")


def elsewhere(kind: Kind | None = Kind.TIMEOUT) -> list[Chain]:
    """The first bytes at two controls, and a plain question there."""
    found = []
    for ip in ("9.9.9.1", "9.9.9.2"):
        question = chain(saw("tcp"), saw("http"), variant="other_bytes_to_control", ip=ip)
        found += [question, asked(kind, variant="bytes_to_control", ip=ip)]
    return found


def test_first_bytes_that_unrelated_servers_do_not_answer_either_are_filtered() -> None:
    heard = TcpInfo(acked=109, received=0, retransmits=0, rtt=0.03)
    verdict = messaging(*thrice(Kind.TIMEOUT, tcp=heard), *elsewhere())

    assert said(verdict) == ("blocked", "mtproto.dropped.protocol", "proof.elsewhere")


def test_first_bytes_that_unrelated_servers_refuse_in_their_own_way_are_not_filtered() -> None:
    heard = TcpInfo(acked=109, received=0, retransmits=0, rtt=0.03)

    for refusal in (Kind.MALFORMED, Kind.CLOSED, Kind.RESET):
        verdict = messaging(*thrice(Kind.TIMEOUT, tcp=heard), *elsewhere(refusal))
        assert said(verdict) == ("unreachable", "mtproto.dropped", "proof.open")


def test_a_reset_at_unrelated_servers_shows_nothing_because_servers_reset_what_they_leave_unread() -> None:
    verdict = messaging(*thrice(Kind.RESET), *elsewhere(Kind.RESET))

    assert said(verdict) == ("unreachable", "mtproto.reset", "proof.open")


def test_one_form_that_gets_no_answer_where_another_does_is_known_by_its_fingerprint() -> None:
    good = tuple(asked(None, stage="proved", variant=v) for v in ("target", "again"))
    verdict = messaging(*thrice(Kind.TIMEOUT), beside=good)

    assert said(verdict)[:2] == ("degraded", "mtproto.dropped.fingerprint")
    assert verdict.partly == ("dc1",)


def test_another_form_that_passed_once_is_luck() -> None:
    verdict = messaging(*thrice(Kind.TIMEOUT), beside=(asked(None, stage="proved"),))

    assert said(verdict)[:2] == ("unreachable", "mtproto.dropped")


def test_a_dialogue_that_is_cut_after_the_first_answer_is_told_by_what_was_not_acknowledged() -> None:
    cut = TcpInfo(acked=109, received=90, retransmits=5, rtt=0.03)
    unheard = thrice(Kind.TIMEOUT, stage="spoke", tcp=cut, sent=500)
    heard = TcpInfo(acked=501, received=90, retransmits=0, rtt=0.03)

    assert said(messaging(*unheard)) == ("blocked", "mtproto.cut.protocol", "proof.cut")
    assert said(messaging(*thrice(Kind.TIMEOUT, stage="spoke", tcp=heard, sent=500))) == (
        "unreachable",
        "mtproto.cut",
        "proof.stops",
    )


def test_a_service_that_is_busy_with_this_address_says_nothing_of_the_network() -> None:
    assert said(messaging(*thrice(Kind.REJECTED, "-429")))[::2] == ("inconclusive", "proof.busy")
    assert said(messaging(*thrice(Kind.REJECTED, "-404"))) == (
        "unreachable",
        "mtproto.rejected",
        "proof.refused",
    )


def test_an_answer_in_another_protocol_is_somebody_elses() -> None:
    assert said(messaging(*thrice(Kind.MALFORMED, "http"))) == (
        "unreachable",
        "mtproto.garbled",
        "proof.garbled",
    )


def test_inside_tls_nobody_reads_the_first_bytes_so_their_fate_shows_no_filter() -> None:
    facts = MtprotoFacts(transport="obfuscated2", stage="opened", identity="not proved")
    tries = [
        chain(saw("tcp"), saw("tls"), saw("mtproto", Kind.TIMEOUT, facts=facts, tcp=UNHEARD), variant=v)
        for v in THRICE
    ]

    assert said(messaging(*tries, other_bytes(), other_bytes())) == (
        "unreachable",
        "mtproto.dropped",
        "other",
    )
