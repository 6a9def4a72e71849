"""What is asked next, given what failed."""

from datetime import date

from probe.catalogue import Evidence, Target
from probe.failure import Kind
from probe.follow_up import Situation, follow_ups, recheck
from probe.model import Chain
from probe.plan import Leg
from probe.steps import AnyStep, Dns, Greeting, Http, Mtproto, Quic, Stun, Tcp, Tls, Websocket
from tests.build import chain, saw, works

CALM = Situation(innocent_name="www.example.com", control_addresses=["9.9.9.1", "9.9.9.2"], deliberate=False)
BOLD = Situation(innocent_name="www.example.com", control_addresses=["9.9.9.1", "9.9.9.2"], deliberate=True)


def target(*steps: AnyStep, port: int = 443) -> Target:
    return Target(
        name="chat", purpose="messaging", host="chat.example.org", port=port, steps=steps, checked=date(2026, 1, 1),
        evidence=Evidence(host="source", reply="source"),
    )  # fmt: skip


HTTPS = target(Tcp(), Tls(), Http(expect_status=(200,)))
STUN = target(Stun(), port=1400)


def variants(legs: list[Leg]) -> list[str]:
    return sorted(leg.variant for leg in legs)


def test_success_asks_nothing_more() -> None:
    assert follow_ups(HTTPS, [works("tcp", "tls", "http")], BOLD) == []


def test_a_failed_handshake_is_repeated_beside_other_names() -> None:
    legs = follow_ups(HTTPS, [chain(saw("tcp"), saw("tls", Kind.RESET))], CALM)

    assert variants(legs) == ["again", "no_name", "other_hello", "other_name"]


def test_a_peer_that_says_it_is_asked_too_often_is_left_alone() -> None:
    centre = target(Tcp(), Mtproto(dc=2))
    asked = {
        code: follow_ups(centre, [chain(saw("tcp"), saw("mtproto", Kind.REJECTED, code=code))], BOLD)
        for code in ("-429", "429", "-404")
    }
    page = [chain(saw("tcp"), saw("tls"), saw("http", Kind.UNEXPECTED, code="429"))]

    assert asked["-429"] == asked["429"] == follow_ups(HTTPS, page, BOLD) == []
    assert variants(asked["-404"]) == ["again"]


def test_a_services_name_goes_to_other_addresses_only_when_the_user_agreed() -> None:
    """And an innocent one before it, because some servers mind every name but their own."""
    failed = [chain(saw("tcp"), saw("tls", Kind.RESET))]
    again = [*failed, chain(saw("tcp"), saw("tls", Kind.RESET), variant="again")]

    for done in (failed, again):
        assert not {"name_to_control", "other_to_control"} & set(variants(follow_ups(HTTPS, done, CALM)))
    assert variants(follow_ups(HTTPS, failed, BOLD)).count("other_to_control") == 2
    assert "name_to_control" not in variants(follow_ups(HTTPS, failed, BOLD))
    assert variants(follow_ups(HTTPS, again, BOLD)).count("name_to_control") == 2


def test_an_innocent_name_expects_nothing_of_the_answer() -> None:
    legs = follow_ups(HTTPS, [chain(saw("tcp"), saw("tls", Kind.RESET))], CALM)
    other = next(leg for leg in legs if leg.variant == "other_name")
    tls = next(step for step in other.steps if isinstance(step, Tls))
    http = next(step for step in other.steps if isinstance(step, Http))

    assert (tls.sni, tls.identity, http.expect_status) == ("www.example.com", "recorded", ())


def test_under_another_name_no_websocket_is_expected_and_nothing_behind_it() -> None:
    socket = target(Tcp(), Tls(alpn=("http/1.1",)), Websocket(path="/ws"), Greeting(expect_json={"op": 10}))
    legs = follow_ups(socket, [chain(saw("tcp"), saw("tls"), saw("websocket", Kind.RESET))], CALM)
    steps = {leg.variant: leg.steps for leg in legs}

    assert sorted(steps) == ["again", "no_name", "other_hello", "other_name"]
    assert steps["other_name"][2:] == (Http(path="/ws"),)
    assert steps["again"] == socket.steps


def test_a_look_up_is_not_asked_again_for_it_asks_thrice_itself() -> None:
    look_up = target(Dns(type="SRV"), port=0)

    assert follow_ups(look_up, [chain(saw("dns", Kind.SILENT, code="3"), port=53)], BOLD) == []
    assert recheck(look_up, [chain(saw("dns"), port=53)]) == []


def test_a_contrast_is_confirmed_once_more_and_then_it_is_enough() -> None:
    failed = chain(saw("tcp"), saw("tls", Kind.RESET))
    again = chain(saw("tcp"), saw("tls", Kind.RESET), variant="again")
    first = [failed, again, works("tcp", "tls", variant="other_name"), works("tcp", "tls", variant="no_name")]
    second = follow_ups(HTTPS, first, CALM)

    assert variants(second).count("again") == 2
    assert variants(second).count("other_name") == 2
    assert follow_ups(HTTPS, [*first, again, again], CALM) == []


def test_silence_over_udp_is_repeated_without_the_cookie_and_over_tcp() -> None:
    legs = follow_ups(STUN, [chain(saw("stun", Kind.SILENT, code="5"), port=1400)], CALM)

    assert variants(legs) == ["again", "classic", "tcp", "tcp"]
    assert {leg.port for leg in legs if leg.variant == "tcp"} == {443, 1400}


def test_a_closed_address_is_tried_on_another_port() -> None:
    legs = follow_ups(target(Tcp(), port=5222), [chain(saw("tcp", Kind.TIMEOUT), port=5222)], CALM)

    assert next(leg.port for leg in legs if leg.variant == "other_port") == 443


def test_a_missing_address_family_is_not_asked_again() -> None:
    lost: Chain = chain(saw("tcp", Kind.UNREACHABLE, code="ENETUNREACH"), ip="2600::1")

    assert follow_ups(HTTPS, [lost], CALM) == []


def test_our_own_failure_is_not_asked_again() -> None:
    assert follow_ups(HTTPS, [chain(saw("tcp", Kind.INTERNAL))], CALM) == []


def test_quic_is_asked_under_other_names_too() -> None:
    legs = follow_ups(target(Quic()), [chain(saw("quic", Kind.SILENT, code="4"))], CALM)

    assert variants(legs) == ["again", "no_name", "other_name"]


def test_families_are_followed_up_apart() -> None:
    failed = [chain(saw("tcp"), saw("tls", Kind.RESET)), works("tcp", "tls", "http", ip="2600::1")]

    assert {leg.address.family for leg in follow_ups(HTTPS, failed, CALM)} == {4}


def test_a_target_that_worked_is_asked_again_over_the_families_it_worked_in() -> None:
    done = [works("tcp", "tls", "http"), chain(saw("tcp", Kind.TIMEOUT), ip="2600::5")]
    legs = recheck(HTTPS, done)

    assert [(leg.variant, leg.address.family) for leg in legs] == [("again", 4)]


def test_another_hello_says_the_same_name() -> None:
    legs = follow_ups(HTTPS, [chain(saw("tcp"), saw("tls", Kind.RESET))], CALM)
    other = next(leg for leg in legs if leg.variant == "other_hello")

    assert [(s.hello, s.sni) for s in other.steps if isinstance(s, Tls)] == [("short", "host")]
