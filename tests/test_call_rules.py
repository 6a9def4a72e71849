"""What test calls and paced flows mean: every filter named, and nothing called a filter that is none."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probe.call_rules import CALL_RULES
from probe.contrast import Case
from probe.failure import Failure, Kind
from probe.far_end.client import Heartbeat
from probe.model import Chain, Document, Measurement, Verdict
from probe.reading import Reading
from probe.regime import Network
from probe.steps import CallFacts, HttpFacts, MediaFacts
from probe.verdict import judge
from tests import call_networks as nets
from tests.build import (
    at_far_end,
    call_facts,
    chain,
    control,
    dead_from,
    document,
    healthy_controls,
    losing,
    measured,
    media_facts,
    saw,
    stage,
    tried,
    works,
)  # fmt: skip
from tests.call_lines import CALL, TELEGRAM, WHATSAPP, Line, measured_over

SAD = ("blocked", "degraded", "likely_blocked")


def calls(doc: Document, service: str = "paperplane") -> Verdict:
    return judge(doc).services[service]["calls"]


def verdicts(line: type[Line], seed: int = 0) -> dict[str, Verdict]:
    """Of a call of our own and of two services' look-alikes, over this line."""
    if (line, seed) not in _JUDGED:
        _JUDGED[line, seed] = _judged(line(seed))
    return _JUDGED[line, seed]


_JUDGED: dict[tuple[type[Line], int], dict[str, Verdict]] = {}


def _judged(line: Line) -> dict[str, Verdict]:
    judged = judge(measured_over(line, CALL, WHATSAPP, TELEGRAM))
    names = {"webrtc": "call", "whatsapp-native": "whatsapp", "telegram-reflector": "telegram"}
    return {names[service]: purposes["calls"] for service, purposes in judged.services.items()}


def short(verdict: Verdict) -> str:
    return f"{verdict.state} {verdict.mechanism or ''}".strip()


def without_relays(line: type[nets.Filtered]) -> type[nets.Filtered]:
    return type(f"{line.__name__}WithoutRelays", (line,), {"through_relays": False})


# ---------------------------------------------------------------- filters


FILTERS: list[tuple[str, type[Line], dict[str, str]]] = [
    ("1", nets.Cookie, {"call": "degraded stun.dropped.payload", "whatsapp": "blocked stun.dropped.payload"}),
    ("1, no relay", without_relays(nets.Cookie), {
        "call": "blocked stun.dropped.payload", "whatsapp": "blocked stun.dropped.payload",
    }),
    ("3", nets.WhatsApp, {"whatsapp": "blocked media.dropped.payload"}),
    ("4", nets.Reflector, {"telegram": "blocked media.dropped.payload"}),
    ("7", nets.HalfDown, {
        "call": "blocked media.thinned.down", "whatsapp": "blocked media.thinned.down",
        "telegram": "blocked media.thinned.down",
    }),
    ("9", nets.Policed, {"call": "degraded media.policed.rate"}),
    ("9, all UDP", nets.PolicedDatagrams, {"call": "degraded media.policed.rate"}),
    ("10", nets.PolicedHard, {"call": "blocked media.policed.rate", "telegram": "blocked media.policed.rate"}),
    ("10, shaped", nets.ShapedHard, {"call": "blocked media.shaped.rate", "telegram": "blocked media.shaped.rate"}),
    ("13", nets.Frozen, {
        "call": "degraded media.cut.packets", "whatsapp": "inconclusive media.cut",
        "telegram": "inconclusive media.cut",
    }),
    ("13, no relay", without_relays(nets.Frozen), {
        "call": "blocked media.cut.packets", "whatsapp": "inconclusive media.cut",
        "telegram": "inconclusive media.cut",
    }),
    ("13, RTP only", nets.FrozenRtp, {"call": "degraded media.cut.packets", "whatsapp": "blocked media.cut"}),
    ("17", nets.LibraryHello, {"call": "degraded dtls.dropped.hello"}),
    ("17, one way", nets.HelloUp, {"call": "degraded dtls.dropped.hello"}),
    ("17, every hello", nets.Handshakes, {"call": "degraded dtls.dropped"}),
    ("19", nets.AfterHello, {"call": "degraded media.cut.seconds"}),
    ("19, no relay", without_relays(nets.AfterHello), {"call": "blocked media.cut.seconds"}),
    ("21", nets.RtpLike, {"call": "degraded media.dropped.shape", "whatsapp": "blocked media.dropped.shape"}),
    ("21, no relay", without_relays(nets.RtpLike), {
        "call": "blocked media.dropped.shape", "whatsapp": "blocked media.dropped.shape",
    }),
    ("54", nets.Pattern, {"call": "degraded media.cut"}),
    ("54, no relay", without_relays(nets.Pattern), {"call": "blocked media.cut"}),
]  # fmt: skip


@pytest.mark.parametrize(("row", "line", "right"), FILTERS, ids=[row for row, _, _ in FILTERS])
def test_a_filter_is_named_and_what_it_spares_is_not(
    row: str, line: type[Line], right: dict[str, str]
) -> None:
    for name, verdict in verdicts(line).items():
        unharmed = "reachable" if name == "call" else "inconclusive"
        assert short(verdict) == right.get(name, unharmed), (row, name, verdict.rule)


@pytest.mark.parametrize(
    "line", [nets.Cookie, nets.HalfDown, nets.PolicedHard, nets.LibraryHello, nets.RtpLike]
)
def test_a_filter_on_a_line_that_loses_a_little_is_still_named(line: type[nets.Filtered]) -> None:
    """Three per cent, each way."""
    poor = type(f"Poor{line.__name__}", (line,), {"noise": 0.03})

    for name, verdict in verdicts(line).items():
        assert short(verdicts(poor, 3)[name]) == short(verdict)


def test_a_frozen_flow_says_after_how_much() -> None:
    verdict = verdicts(without_relays(nets.Frozen))["call"]

    assert verdict.rule == "call.cut.alike"
    assert " packets (0." in verdict.because


def test_a_limit_says_its_rate_and_its_direction() -> None:
    assert "126 kbit/s" in verdicts(nets.Policed)["call"].because
    assert "on the way down" in verdicts(nets.HalfDown)["telegram"].because


def test_a_sad_verdict_rests_on_what_it_was_compared_with() -> None:
    doc = measured_over(nets.WhatsApp(0), WHATSAPP)
    (measurement,) = [m for m in doc.measurements if m.service]
    evidence = set(judge(doc).services["whatsapp-native"]["calls"].evidence)

    assert {chain.observations[-1].id for chain in measurement.chains} <= evidence


# ---------------------------------------------------------------- what is no filter

CONFOUNDERS: list[tuple[str, type[Line], int]] = [
    ("60, 5 % lost", nets.Lossy5, 2), ("60, 15 % lost", nets.Lossy, 4), ("60, 30 % lost", nets.Lossy30, 3),
    ("61, radio", nets.Fading, 3), ("62, a long queue and an upload", nets.Bufferbloat, 1),
    ("63, second generation", nets.SecondGeneration, 1), ("68, forgets after 20 s", nets.Forgetful, 2),
    ("68, forgets after 9 s", nets.VeryForgetful, 2), ("68, forgets at random", nets.ForgetfulAtRandom, 3),
    ("70, no UDP", nets.NoUdp, 1), ("73, a port is closed", nets.Shut, 1), ("73, calls' ports", nets.ShutForCalls, 1),
    ("73, calls' ports and the relay", nets.RelaysMisconfigured, 1), ("73, its calls", nets.BrokenCalls, 2),
    ("73, restarts once", nets.Restarted, 5), ("73, crashes of a shape", nets.CrashesEachTime, 2),
    ("73, gives no log", nets.NoLogs, 1), ("73, lets go", nets.LetsGo, 2), ("73, over quota", nets.OverQuota, 2),
    ("84, nothing large", nets.NothingLarge, 1), ("86, peak hour", nets.Crowded, 2), ("87, one way", nets.OneWay, 2),
    ("89, 100 kbit/s", nets.Narrow, 1), ("89, 128 kbit/s and no queue", nets.Quota, 1),
    ("92, gone for 5 s", nets.Gone, 5), ("92, gone for 11 s", nets.GoneLonger, 6),
    ("92, dead half of the time", nets.DeadHalfTheTime, 5),
    ("92, UDP dead half of the time", nets.DatagramsDeadHalfTheTime, 5), ("94, busy", nets.Busy, 1),
]  # fmt: skip


@pytest.mark.parametrize(("row", "line", "seeds"), CONFOUNDERS, ids=[row for row, _, _ in CONFOUNDERS])
def test_what_is_no_filter_is_never_called_one(row: str, line: type[Line], seeds: int) -> None:
    for seed in range(seeds):
        for name, verdict in verdicts(line, seed).items():
            assert verdict.state not in SAD, (row, seed, name, verdict.rule, verdict.mechanism)


@pytest.mark.parametrize(
    ("line", "name", "rule"),
    [
        (Line, "call", "call.works"), (Line, "whatsapp", "media.alike"), (nets.Lossy30, "call", "media.nothing"),
        (nets.NoUdp, "call", "media.nothing"), (nets.NoUdp, "whatsapp", "media.nothing"),
        (nets.ShutForCalls, "call", "media.port"), (nets.Shut, "whatsapp", "media.port"),
        (nets.BrokenCalls, "call", "media.open"), (nets.Busy, "call", "ours"), (nets.Busy, "whatsapp", "ours"),
        (nets.OverQuota, "call", "far_end.refuses"), (nets.Gone, "call", "call.works"),
        (nets.Bufferbloat, "call", "call.works"), (nets.NothingLarge, "whatsapp", "media.alike"),
    ],
)  # fmt: skip
def test_what_is_no_filter_is_called_what_it_is(line: type[Line], name: str, rule: str) -> None:
    assert verdicts(line)[name].rule == rule


# ---------------------------------------------------------------- by hand


@cache
def outcome(name: str, call: bool = False) -> tuple[MediaFacts | CallFacts, str]:
    """Facts and code of what may become of a flow of twelve seconds, or of a call."""
    make: Callable[..., Any] = call_facts if call else media_facts
    gone = dead_from(7.0)
    match name:
        case "good":
            return make(stage()), ""
        case "opening" | "ice" | "dtls":
            return make(), name
        case "media":
            return make(stage(down=dead_from(0), seconds=6)), "media"
        case "cut":
            return make(stage(up=gone, down=gone)), "cut"
        case "cut down":
            return make(stage(down=gone)), "cut"
        case "half down":
            return make(stage(down=losing(0.5))), ""
        case "fifth":
            return make(stage(up=losing(0.2, 5), down=losing(0.2, 6))), ""
        case "gone for a while":
            return make(stage(up=dead_from(4, 9), down=dead_from(4, 9))), ""
        case _:
            raise KeyError(name)


def told(name: str, variant: str = "target", at: float = 0.0, *, call: bool = False, **more: Any) -> Chain:
    """A try with this outcome, `at` seconds after noon, and what else is to be said of it."""
    facts, code = outcome(name, call)
    return tried(msgspec.structs.replace(facts, **more), code, variant=variant, at=at)


OWN, BESIDE = ("target", "again", "again"), (0.0, 20.0, 40.0)


def thrice(name: str, *, call: bool = False, **more: Any) -> list[Chain]:
    return [told(name, variant, at, call=call, **more) for variant, at in zip(OWN, BESIDE, strict=True)]


def twice(name: str, variant: str = "as_random", *, call: bool = False, **more: Any) -> list[Chain]:
    return [told(name, variant, at, call=call, **more) for at in BESIDE[1:]]


@pytest.mark.parametrize(
    ("own", "verdict"),
    [
        ("opening", "blocked media.dropped.payload"), ("media", "blocked media.dropped.payload"),
        ("cut", "blocked media.cut"), ("half down", "blocked media.lossy.down"),
    ],
)  # fmt: skip
def test_three_own_tries_and_two_of_other_bytes_beside_them_are_enough(own: str, verdict: str) -> None:
    assert short(calls(document(at_far_end(*thrice(own), *twice("good"))))) == verdict


@pytest.mark.parametrize("own", ["opening", "media", "cut", "half down"])
@pytest.mark.parametrize(
    "beside",
    [
        lambda own: [*thrice(own)[:2], told("good", "as_random", 1.0), told("good", "as_random", 21.0)],
        lambda own: [*thrice(own), *twice("good")[:1]],
        lambda own: [*thrice(own), *twice("good"), told(own, "as_random", 60.0)],
        lambda own: [*thrice(own), told("good", "again", 60.0), *twice("good")],
        # The other bytes at another moment: before everything, or after it.
        lambda own: [*thrice(own), told("good", "as_random", -60.0), told("good", "as_random", -40.0)],
        lambda own: [*thrice(own), told("good", "as_random", 60.0), told("good", "as_random", 80.0)],
        # A far end of which nothing was heard, or that let go, or whose HTTPS was dead or slow as well.
        lambda own: [*thrice(own, heard=False), *twice("good")],
        lambda own: [*thrice(own), *twice("good", heard=False)],
        lambda own: [*thrice(own, ended="octets"), *twice("good")],
        lambda own: [*thrice(own, ended="time"), *twice("good")],
        lambda own: [*thrice(own, heartbeat=Heartbeat(asked=2, answered=2, slowest=3.5)), *twice("good")],
        lambda own: [
            *thrice(own, heartbeat=Heartbeat(asked=1, failure=Failure(kind=Kind.TIMEOUT))), *twice("good")
        ],
        lambda own: [*thrice(own), *twice("good", port=443), *twice(own)],
    ],
)  # fmt: skip
def test_less_is_not_enough(own: str, beside: Callable[[str], list[Chain]]) -> None:
    assert calls(document(at_far_end(*beside(own)))).state not in SAD


def test_other_bytes_that_were_not_sent_for_as_long_do_not_show_that_they_go_on() -> None:
    brief = msgspec.structs.replace(outcome("good")[0], stages=(stage(seconds=7.0),))
    others = [tried(brief, variant="as_random", at=at) for at in BESIDE[1:]]

    assert calls(document(at_far_end(*thrice("cut"), *others))).rule == "media.open"


def test_other_bytes_that_suffered_beside_another_target_count_too() -> None:
    target = at_far_end(*thrice("opening"), *twice("good"))
    beside = at_far_end(*thrice("opening"), *twice("opening"), service="pigeon")
    elsewhere = at_far_end(*thrice("opening"), *twice("opening", port=598), service="pigeon")

    assert calls(document(target, beside)).state not in SAD
    assert calls(document(target, elsewhere)).state == "blocked"


def test_flows_that_fare_differently_for_no_reason_take_the_word_from_all() -> None:
    """Of several lines behind one address one is bad: of another target one try passed and one did not."""
    target = at_far_end(*thrice("opening"), *twice("good"))
    mixed = at_far_end(told("opening"), told("good", "again", 20.0), service="pigeon")

    assert calls(document(target, mixed)).state not in SAD


def test_other_bytes_that_lost_nearly_as_much_or_waited_in_a_queue_were_not_spared() -> None:
    def queue(at: float) -> float:
        return 0.025 + 0.17 * (at % 2 < 1)

    own = thrice("half down")
    lossy = media_facts(stage(up=losing(0.12, 8), down=losing(0.12, 9)))
    waiting = media_facts(stage(up=queue, down=queue))

    for facts in (lossy, waiting):
        others = [tried(facts, variant="as_random", at=at) for at in BESIDE[1:]]
        assert calls(document(at_far_end(*thrice("fifth"), *others))).state not in SAD
    clean = [tried(media_facts(stage(down=losing(0.05, 8))), variant="as_random", at=at) for at in BESIDE[1:]]
    assert calls(document(at_far_end(*own, *clean))).state == "blocked"


def test_a_line_that_is_no_wider_than_the_limit_explains_it() -> None:
    def loads(speed: float) -> Measurement:
        facts = HttpFacts(
            version="1.1", status=200, first_byte=0.1, body_bytes=48_000, body_seconds=48_000 / speed,
            body_complete=True, body_sha256="00",
        )  # fmt: skip
        body = chain(saw("tcp"), saw("tls"), saw("http", facts=facts), host="c8.example.net", ip="9.9.9.8")
        return control(body, target="load", role="load")

    target = at_far_end(*thrice("half down"), *twice("good"))

    assert calls(document(target, controls=[*healthy_controls(), loads(16_000.0)])).state == "inconclusive"
    assert calls(document(target, controls=[*healthy_controls(), loads(900_000.0)])).state == "blocked"


def test_datagrams_that_are_held_down_whatever_is_in_them_are_told_by_tcp_beside_them() -> None:
    """Who holds them down, this network or the far end's, is not told: calls are impaired, not blocked."""
    policed = nets.PolicedDatagrams(0)
    doc = measured_over(policed, CALL)
    (call,) = [m for m in doc.measurements if m.service]

    def without(*variants: str) -> Document:
        kept = tuple(chain for chain in call.chains if chain.variant not in variants)
        return document(msgspec.structs.replace(call, chains=kept))

    assert calls(without(), "webrtc").rule == "media.limited.udp"
    assert calls(without("over_tcp"), "webrtc").rule == "media.nothing"
    assert calls(without("as_random"), "webrtc").state not in SAD


def test_random_loss_of_datagrams_alone_has_no_rate_and_is_not_a_limit() -> None:
    own, others = thrice("fifth"), twice("fifth")

    assert calls(document(at_far_end(*own, *others, *twice("good", "over_tcp")))).rule == "media.nothing"


def test_a_first_packet_that_slips_through_is_still_silence() -> None:
    """A filter of RTP makes up its mind at the second packet."""
    slipped = media_facts(stage(down=lambda at: 0.025 if at < 1.04 else None, seconds=6.0))
    own = [tried(slipped, "cut", variant=v, at=at) for v, at in zip(OWN, BESIDE, strict=True)]

    assert short(calls(document(at_far_end(*own, *twice("good"))))) == "blocked media.dropped.payload"


def test_loss_in_bursts_is_radio_and_no_limit() -> None:
    target = at_far_end(*thrice("gone for a while"), *twice("good"))

    assert calls(document(target)).state not in SAD


def test_loss_that_only_video_has_leaves_calls_degraded() -> None:
    harmed = media_facts(stage(), stage("video", every=0.022, size=1100, down=losing(0.4)))
    fair = media_facts(stage(), stage("video", every=0.022, size=1100))
    own = [tried(harmed, variant=v, at=at) for v, at in zip(OWN, BESIDE, strict=True)]
    verdict = calls(
        document(at_far_end(*own, *[tried(fair, variant="as_random", at=at) for at in BESIDE[1:]]))
    )

    assert (verdict.state, verdict.rule) == ("degraded", "media.limited")
    narrower = [tried(media_facts(stage()), variant="as_random", at=at) for at in BESIDE[1:]]
    assert calls(document(at_far_end(*own, *narrower))).rule == "media.open"


def webrtc(*chains: Chain) -> Measurement:
    return at_far_end(*chains, target="call", group="call")


def test_a_call_whose_checks_fail_is_judged_by_checks_alone() -> None:
    own, others = thrice("ice", call=True), twice("good")
    checks, passing = twice("opening", "as_stun"), told("good", "as_stun", 20.0)

    assert short(calls(document(webrtc(*own, *others, *checks)))) == "blocked stun.dropped"
    assert calls(document(webrtc(*own, *others, passing))).rule == "media.port"
    assert calls(document(webrtc(*own, *others))).state not in SAD
    assert (
        calls(document(webrtc(*own, *others, told("good", "by_turn_tcp", 30.0, call=True)))).state not in SAD
    )


def test_a_call_that_is_cut_is_judged_by_how() -> None:
    both_ways, answers_only = thrice("cut", call=True), thrice("cut down", call=True)
    relayed = told("good", "by_turn_tls", 30.0, call=True)
    relays_die = told("cut", "by_turn_tls", 30.0, call=True)

    assert calls(document(webrtc(*both_ways, *twice("good")))).rule == "media.cut"
    assert calls(document(webrtc(*both_ways, *twice("good"), relayed))).rule == "call.relayed"
    assert calls(document(webrtc(*both_ways, *twice("good"), relays_die))).state not in SAD
    assert calls(document(webrtc(*answers_only, *twice("good"), relayed))).state not in SAD
    assert (
        calls(document(webrtc(*answers_only, *twice("good"), *twice("cut", "as_generic")))).rule
        == "media.cut"
    )


def test_a_call_that_is_cut_after_another_time_each_time_is_not_cut_by_a_rule() -> None:
    own = []
    for after, variant, at in zip((2.0, 4.0, 7.0), OWN, BESIDE, strict=True):
        gone = dead_from(1 + after)
        facts = call_facts(stage(up=gone, down=gone, seconds=after + 6))
        own.append(tried(facts, "cut", variant=variant, at=at))

    assert calls(document(webrtc(*own, *twice("good")))).state not in SAD


def test_a_call_that_is_cut_late_may_have_been_forgotten_by_a_router() -> None:
    gone = dead_from(13.0)
    late = call_facts(stage(up=gone, down=gone, seconds=18))
    own = [tried(late, "cut", variant=v, at=at) for v, at in zip(OWN, BESIDE, strict=True)]
    others = [tried(media_facts(stage(seconds=18)), variant="as_random", at=at) for at in BESIDE[1:]]

    assert calls(document(webrtc(*own, *others))).state not in SAD
    rtp = [tried(media_facts(*late.stages), "cut", variant="as_generic", at=at) for at in BESIDE[1:]]
    assert calls(document(webrtc(*own, *others, *rtp))).rule == "media.cut"


def test_a_handshake_is_compared_with_packets_as_large() -> None:
    own, relayed = thrice("dtls", call=True), told("good", "by_turn_tcp", 30.0, call=True)
    large = media_facts(stage("video", every=0.022, size=1100, seconds=4))
    others = [tried(large, variant="as_random", at=at) for at in BESIDE[1:]]

    assert calls(document(webrtc(*own, *others, relayed))).rule == "call.relayed"
    assert calls(document(webrtc(*own, *twice("good"), relayed))).state not in SAD
    assert calls(document(webrtc(*own, *others))).state not in SAD


def test_another_hello_has_to_pass_twice_and_the_other_sides_needs_a_relay_beside_it() -> None:
    own, relayed = thrice("dtls", call=True), told("good", "by_turn_tls", 30.0, call=True)
    ours, theirs = twice("good", "other_hello", call=True), twice("good", "their_hello", call=True)

    assert calls(document(webrtc(*own, *ours))).rule == "call.hello"
    assert calls(document(webrtc(*own, *ours[:1]))).state not in SAD
    assert calls(document(webrtc(*own, *theirs))).state not in SAD
    assert calls(document(webrtc(*own, *theirs, relayed))).rule == "call.hello"


def test_a_call_that_the_far_end_hung_up_says_nothing() -> None:
    hung_up = [
        tried(call_facts(stage()), "media", variant=v, at=at) for v, at in zip(OWN, BESIDE, strict=True)
    ]

    assert calls(document(webrtc(*hung_up, *twice("good")))).rule == "far_end.unreachable"


def test_a_far_end_that_heard_and_did_not_answer_says_nothing() -> None:
    answered = stage()
    left = msgspec.structs.replace(answered, down=msgspec.structs.replace(stage(seconds=1).down))
    own = [tried(media_facts(left), v and "cut", variant=v, at=at) for v, at in zip(OWN, BESIDE, strict=True)]

    assert calls(document(at_far_end(*own, *twice("good")))).state not in SAD


@pytest.mark.parametrize(
    ("chains", "rule"),
    [
        ([chain(saw("tcp", Kind.TIMEOUT))], "far_end.unreachable"),
        ([chain(saw("tcp"), saw("tls", Kind.UNTRUSTED, code="unknown_issuer"))], "far_end.unreachable"),
        ([tried(None, "429", kind=Kind.REJECTED)], "far_end.refuses"),
        ([tried(None, "log", kind=Kind.MALFORMED)], "far_end.refuses"),
        ([tried(None, "busy", kind=Kind.UNSUPPORTED)], "ours"),
        ([tried(None, "udp-3478", kind=Kind.UNSUPPORTED)], "ours"),
        ([tried(media_facts(stage(seconds=0.5), ended="octets"))], "far_end.ends"),
        ([told("opening")], "media.once"),
        ([told("opening"), told("good", "again", 20.0)], "media.alike"),
        ([told("opening"), told("opening", "again", 20.0), told("opening", "as_random", 20.0)], "media.nothing"),
    ],
)  # fmt: skip
def test_a_test_that_could_not_be_made_says_why(chains: list[Chain], rule: str) -> None:
    verdict = calls(document(at_far_end(*chains)))

    assert (verdict.state, verdict.rule) == ("inconclusive", rule)


def test_a_far_end_behind_a_vpn_of_its_own_says_nothing_of_the_network() -> None:
    around = [msgspec.structs.replace(c, detour=True) for c in [*thrice("opening"), *twice("good")]]

    assert calls(document(at_far_end(*around))).rule == "media.detour"


def six(chains: Sequence[Chain]) -> list[Chain]:
    return [msgspec.structs.replace(chain, ip="2600::7", family=6) for chain in chains]


def test_over_ipv6_only_the_same_holds_and_families_are_not_mixed() -> None:
    """Other bytes that passed over IPv4 say nothing of calls over IPv6."""
    own, others = six(thrice("opening")), twice("good")

    assert short(calls(document(at_far_end(*own, *six(others))))) == "blocked media.dropped.payload"
    assert calls(document(at_far_end(*own, *others))).state not in SAD
    ours = control(*twice("good"), target="far-end-random", role="media")
    assert calls(document(at_far_end(*own), msgspec.structs.replace(ours, at="far-end"))).state not in SAD


# ---------------------------------------------------------------- beside a service's own relays

RELAY = measured(works("turn", ip="5.5.5.5", port=3478), purpose="calls", target="relay", vital=True)


def relayed(*more: Measurement, relay: Measurement = RELAY) -> Verdict:
    return calls(document(relay, *more))


def test_relays_that_answer_and_flows_that_pass_are_reachable() -> None:
    assert relayed(at_far_end(told("good"))).state == "reachable"


def test_a_far_end_in_trouble_takes_nothing_from_what_relays_showed() -> None:
    for chains in (
        [chain(saw("tcp", Kind.TIMEOUT))],
        [told("opening")],
        [tried(None, "429", kind=Kind.REJECTED)],
    ):
        assert relayed(at_far_end(*chains)).state == "reachable"


def test_a_filtered_look_alike_counts_beside_relays_that_answer() -> None:
    assert short(relayed(at_far_end(*thrice("opening"), *twice("good")))) == "blocked media.dropped.payload"


def test_flows_of_which_one_passes_and_another_could_not_be_tested_show_no_service() -> None:
    passing = at_far_end(told("good"))
    untested = at_far_end(chain(saw("tcp", Kind.TIMEOUT)), target="look-alike-web", group="look-alike-web")

    assert calls(document(passing, untested)).rule == "media.alike"


def test_a_relay_over_tls_leaves_calls_degraded_where_datagrams_are_filtered() -> None:
    """Row 51: UDP to the relays is dead and says so, TURN over TLS answers; the far end's UDP is dead for all."""
    dead = [
        chain(saw("stun", Kind.SILENT, code="5"), variant=v, ip=ip, port=3478, host="")
        for ip in ("5.5.5.5", "5.5.5.6")
        for v in ("target", "again")
    ]
    udp = measured(
        *dead, chain(saw("tcp"), variant="tcp", port=443), purpose="calls", target="udp", group="relay"
    )
    tls = measured(works("tcp", "tls", "turn"), purpose="calls", target="tls", group="relay")
    nothing = at_far_end(told("opening"), told("opening", "again", 20.0), told("opening", "as_random", 20.0))

    assert short(relayed(tls, nothing, relay=udp)) == "degraded udp.dropped.address"


# ---------------------------------------------------------------- whatever happens

BAD = st.sampled_from(["opening", "media", "half down", "fifth", "gone for a while"])
ANY = st.sampled_from(["opening", "media", "half down", "fifth", "gone for a while", "good"])
TIMES = st.floats(-100, 100)
OTHERS = ("as_generic", "as_cookie", "as_port")


@settings(max_examples=40)
@given(
    st.lists(st.tuples(BAD, BAD, TIMES), min_size=1, max_size=5), st.lists(st.tuples(ANY, TIMES), max_size=4)
)
def test_where_other_bytes_suffer_as_the_flow_does_nothing_is_called_a_filter(
    pairs: list[tuple[str, str, float]], beside: list[tuple[str, float]]
) -> None:
    own = [told(name, "again" if index else "target", at) for index, (name, _, at) in enumerate(pairs)]
    others = [told(name, "as_random", at + 1) for _, name, at in pairs]
    more = [told(name, OTHERS[index % 3], at) for index, (name, at) in enumerate(beside)]

    assert calls(document(at_far_end(*own, *others, *more))).state not in SAD


CALLED = ("ice", "dtls", "media", "half down", "fifth", "good")
CALL_OTHERS = ("other_hello", "their_hello", "by_turn_udp", "by_turn_tcp", "by_turn_tls")


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.sampled_from(CALLED[:5]), BAD, TIMES), min_size=1, max_size=5),
    st.lists(st.tuples(ANY, st.sampled_from(["as_generic", "as_stun", "as_cookie"]), TIMES), max_size=5),
    st.lists(st.tuples(st.sampled_from(CALLED), st.sampled_from(CALL_OTHERS[2:]), TIMES), max_size=3),
)
def test_a_call_beside_which_random_bytes_suffer_is_not_called_filtered(
    pairs: list[tuple[str, str, float]],
    parts: list[tuple[str, str, float]],
    relays: list[tuple[str, str, float]],
) -> None:
    own = [told(n, "again" if i else "target", at, call=True) for i, (n, _, at) in enumerate(pairs)]
    others = [told(name, "as_random", at + 1) for _, name, at in pairs]
    more = [told(name, variant, at) for name, variant, at in parts]
    more += [told(name, variant, at, call=True) for name, variant, at in relays]

    assert calls(document(webrtc(*own, *others, *more))).state not in SAD


@settings(max_examples=40)
@given(st.lists(st.tuples(ANY, TIMES), min_size=1, max_size=5), st.lists(st.tuples(ANY, TIMES), max_size=5))
def test_luck_that_does_not_know_bytes_is_told_by_its_mixture(
    own: list[tuple[str, float]], others: list[tuple[str, float]]
) -> None:
    """Whatever the outcomes: a filter is named only where every own try suffered and no other bytes did."""
    mine = [told(name, "again" if index else "target", at) for index, (name, at) in enumerate(own)]
    theirs = [told(name, "as_random", at) for name, at in others]

    if calls(document(at_far_end(*mine, *theirs))).state in SAD:
        assert len(own) >= 3
        assert "good" not in [name for name, _ in own]
        assert {name for name, _ in others} == {"good"}


@pytest.mark.parametrize("line", [nets.Cookie, nets.WhatsApp, nets.HalfDown])
def test_no_rule_of_calls_speaks_of_what_is_no_test_call(line: type[Line]) -> None:
    """The table leaves them out for everything else."""
    doc = measured_over(line(0), CALL, WHATSAPP)
    tests = [m for m in doc.measurements if m.at == "far-end"]
    for at, spoken in (("far-end", True), ("endpoint", False)):
        readings = [Reading(msgspec.structs.replace(m, at=at), 4) for m in tests]
        cases = [
            Case(
                reading=one,
                controls=Network(doc).controls,
                service=readings,
                everything=readings,
                document=doc,
            )
            for one in readings
        ]
        assert all(any(rule.when(case) for rule in CALL_RULES) == spoken for case in cases)
