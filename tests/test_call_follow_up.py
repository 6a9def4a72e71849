"""What is asked next of a call or flow, given what happened to it."""

from pathlib import Path

import msgspec
import pytest

from probe.call_follow_up import follow_ups
from probe.catalogue import Catalogue, Target
from probe.configs import load
from probe.failure import Kind
from probe.model import Chain
from probe.plan import Address, Leg
from probe.steps import Call, CallFacts, Media, MediaFacts, Tcp, Tls
from tests.build import call_facts, chain, dead_from, losing, media_facts, saw, stage, tried
from tests.call_lines import CALL, RANDOM, TELEGRAM, WHATSAPP, target_of

SHIPPED = load(Path(__file__).parent.parent / "configs")
RELAYS = ["by_turn_tcp", "by_turn_tls", "by_turn_udp"]


def asked(target: Target, *done: Chain, catalogue: Catalogue = SHIPPED) -> list[Leg]:
    address = Address(ip="7.7.7.7", said_by=("system",))
    first = Leg(variant="target", address=address, port=443, host=target.host, steps=target.steps)
    return follow_ups(target, done, catalogue, first)


def variants(legs: list[Leg]) -> list[str]:
    return sorted(leg.variant for leg in legs)


def step_of(legs: list[Leg], variant: str) -> Media | Call:
    step = next(leg.steps[-1] for leg in legs if leg.variant == variant)
    assert isinstance(step, Media | Call)
    return step


def flow(facts: MediaFacts | CallFacts | None = None, code: str = "", **more: object) -> Chain:
    return tried(facts or media_facts(stage()), code, **more)  # type: ignore[arg-type]


def unopened(variant: str = "target") -> Chain:
    return flow(media_facts(), "opening", variant=variant)


def call(code: str = "", variant: str = "target") -> Chain:
    facts = call_facts() if code in ("ice", "dtls") else call_facts(stage())
    return tried(facts, code, variant=variant)


def cut_call(after: float, variant: str = "target") -> Chain:
    gone = dead_from(1 + after)
    return tried(call_facts(stage(up=gone, down=gone, seconds=after + 6)), "cut", variant=variant)


def test_what_went_well_asks_nothing_more() -> None:
    assert asked(WHATSAPP, flow()) == []
    assert asked(CALL, call()) == []
    assert asked(WHATSAPP, flow(media_facts(stage(up=losing(0.05))))) == []


@pytest.mark.parametrize(
    ("step", "kind", "code"),
    [
        ("tcp", Kind.TIMEOUT, "ETIMEDOUT"), ("tls", Kind.REJECTED, "x"), ("media", Kind.REJECTED, "401"),
        ("media", Kind.REJECTED, "429"), ("media", Kind.UNSUPPORTED, "busy"), ("media", Kind.MALFORMED, "log"),
        ("media", Kind.UNSUPPORTED, "udp-3478"), ("media", Kind.TIMEOUT, ""), ("media", Kind.INTERRUPTED, ""),
        ("call", Kind.SILENT, "signalling"), ("call", Kind.REJECTED, "dtls-alert"),
    ],
)  # fmt: skip
def test_a_word_of_the_far_end_or_a_failure_of_ours_is_not_asked_again(
    step: str, kind: Kind, code: str
) -> None:
    assert asked(CALL if step == "call" else WHATSAPP, chain(saw(step, kind, code=code))) == []


def test_a_call_that_was_hung_up_is_not_asked_again() -> None:
    """Media came, and the step failed in "media": the other side ended it."""
    assert asked(CALL, tried(call_facts(stage()), "media")) == []


def test_a_silent_flow_is_repeated_beside_other_bytes_of_its_sizes_and_times() -> None:
    legs = asked(WHATSAPP, unopened())
    again, random, generic = (step_of(legs, name) for name in ("again", "as_random", "as_generic"))

    assert variants(legs) == ["again", "as_generic", "as_random"]
    assert isinstance(random, Media)
    assert isinstance(generic, Media)
    assert (random.disguise, generic.disguise) == ("random", "generic")
    assert (
        msgspec.structs.replace(random, disguise="") == msgspec.structs.replace(generic, disguise="") == again
    )
    assert again.at_most == 12


def test_every_leg_goes_where_the_first_one_went_by_the_same_connection() -> None:
    for leg in asked(WHATSAPP, unopened()):
        assert (leg.host, leg.port, leg.address.ip) == ("far.example.org", 443, "7.7.7.7")
        assert [type(step) for step in leg.steps[:-1]] == [Tcp, Tls]


@pytest.mark.parametrize(("target", "own"), [(WHATSAPP, unopened), (CALL, lambda v="target": call("ice", v))])
def test_other_bytes_are_sent_before_each_further_try_of_its_own(target: Target, own: object) -> None:
    first = [own()]  # type: ignore[operator]
    second = [*first, own("again"), flow(variant="as_random")]  # type: ignore[operator]
    for done in (first, second):
        order = [leg.variant for leg in asked(target, *done)]
        assert order.index("as_random") < order.index("again")


def test_where_other_bytes_passed_both_are_asked_once_more_and_the_cookie() -> None:
    legs = asked(WHATSAPP, unopened(), unopened("again"), flow(variant="as_random"))

    assert variants(legs) == ["again", "as_cookie", "as_random"]
    done = [unopened(), unopened("again"), flow(variant="as_random")] + [unopened("again")]
    assert asked(WHATSAPP, *done) == []


def test_a_shape_without_a_cookie_has_none_to_change() -> None:
    legs = asked(target_of(Media(shape="discord")), unopened(), unopened("again"), flow(variant="as_random"))

    assert variants(legs) == ["again", "as_random"]


def test_where_other_bytes_failed_too_another_port_is_asked_once() -> None:
    failed = [unopened(), unopened("again"), unopened("as_random")]
    legs = asked(WHATSAPP, *failed)
    step = step_of(legs, "as_port")

    assert variants(legs) == ["as_port"]
    assert isinstance(step, Media)
    assert step.disguise == "port"
    assert asked(WHATSAPP, *failed, unopened("as_port")) == []


def test_a_second_try_that_passed_ends_the_matter() -> None:
    assert asked(WHATSAPP, unopened(), flow(variant="again")) == []


def test_a_flow_that_was_cut_is_sent_again_for_longer_than_it_took() -> None:
    gone = dead_from(9.0)
    cut = flow(media_facts(stage(up=gone, down=gone, seconds=14)), "cut")
    legs = asked(WHATSAPP, cut)

    assert step_of(legs, "again").at_most == step_of(legs, "as_random").at_most
    assert step_of(legs, "again").at_most == pytest.approx(1.5 * 8 + 6, abs=0.2)


def test_loss_that_nobody_can_talk_over_is_asked_again_whole_and_then_at_another_rate_too() -> None:
    limping = media_facts(stage("telegram-short", every=0.06, seconds=18, down=losing(0.3)))
    first = flow(limping)
    again = step_of(asked(TELEGRAM, first), "again")
    done = [first, flow(limping, variant="again"), flow(variant="as_random")]
    legs = asked(TELEGRAM, *done)

    assert (again.profiles, again.at_most) == ((), 0)
    assert variants(legs) == ["again", "as_random"]
    for variant in ("again", "as_random"):
        assert step_of(legs, variant).profiles == ("telegram-short", "voice")
        assert step_of(legs, variant).at_most == 30


def test_where_a_rate_holds_down_whatever_is_sent_it_is_asked_over_tcp() -> None:
    def policed(at: float) -> float | None:  # every fourth packet passes, evenly
        return 0.025 if round(at / 0.02) % 4 == 0 else None

    def fair_for_half(at: float) -> float | None:
        return 0.025

    rates = media_facts(stage(up=policed), stage("half", every=0.04, up=fair_for_half, began=13))
    limited = [tried(call_facts(*rates.stages)), tried(call_facts(*rates.stages), variant="again")]
    legs = asked(CALL, *limited, flow(rates, variant="as_random"))
    tcp, random = step_of(legs, "over_tcp"), step_of(legs, "as_random")

    assert variants(legs) == ["again", "as_random", "over_tcp", "over_tcp"]
    assert isinstance(tcp, Media)
    assert isinstance(random, Media)
    assert (tcp.transport, tcp.port, tcp.disguise) == ("tcp", 41000, "")
    assert tcp.profiles == random.profiles == step_of(legs, "again").profiles == ("half", "voice")
    assert [leg.variant for leg in legs][-1] == "again"


def test_without_video_where_speech_suffers_already() -> None:
    stages = [
        stage(down=losing(0.5)), stage("video", every=0.022, size=1100, down=losing(0.9)),
        stage("half", every=0.04, down=losing(0.4)),
    ]  # fmt: skip

    assert step_of(asked(CALL, tried(call_facts(*stages))), "again").profiles == ("half", "voice")


def test_a_control_is_asked_again_and_has_no_likeness() -> None:
    assert variants(asked(RANDOM, unopened())) == ["again"]
    assert asked(RANDOM, unopened(), unopened("again")) == []


def test_a_call_without_a_connection_asks_for_its_checks_and_through_relays() -> None:
    legs = asked(CALL, call("ice"))
    stun, nearly, random = (step_of(legs, name) for name in ("as_stun", "as_cookie", "as_random"))

    assert variants(legs) == ["again", "as_cookie", "as_random", "as_stun", *RELAYS]
    assert isinstance(stun, Media)
    assert isinstance(nearly, Media)
    assert isinstance(random, Media)
    assert (stun.shape, stun.disguise, nearly.shape, nearly.disguise) == (
        "stun-ice",
        "",
        "stun-ice",
        "cookie",
    )
    assert (random.shape, random.disguise, random.profiles) == ("rtp", "random", Call().profiles)
    paths = [step.path for name in RELAYS if isinstance(step := step_of(legs, name), Call)]
    assert paths == ["turn-tcp", "turn-tls", "turn-udp"]


def test_a_call_without_a_handshake_tries_other_hellos_and_packets_as_large() -> None:
    legs = asked(CALL, call("dtls"))
    other, theirs, random = (step_of(legs, name) for name in ("other_hello", "their_hello", "as_random"))

    assert variants(legs) == ["again", "as_random", *RELAYS, "other_hello", "their_hello"]
    assert isinstance(other, Call)
    assert isinstance(theirs, Call)
    assert (other.hello, other.hello_from) == ("permuted", "us")
    assert (theirs.hello, theirs.hello_from) == ("library", "them")
    assert random.profiles == ("video",)


def test_a_call_without_media_asks_for_its_rtp_alone() -> None:
    silent = tried(call_facts(stage(down=dead_from(0), seconds=6)), "media")
    legs = asked(CALL, silent)

    assert variants(legs) == ["again", "as_generic", "as_random", *RELAYS, "other_hello", "their_hello"]
    assert step_of(legs, "as_generic").profiles == Call().profiles


def test_a_call_that_is_cut_at_once_asks_for_its_rtp_at_half_the_rate_and_later_at_its_own() -> None:
    early, late = asked(CALL, cut_call(0.5)), asked(CALL, cut_call(20))

    assert step_of(early, "as_generic").profiles == ("half",)
    assert step_of(late, "as_generic").profiles == Call().profiles
    assert step_of(late, "again").at_most == pytest.approx(36, abs=0.2)


def test_a_call_whose_video_limps_is_asked_for_video_and_another_rate() -> None:
    rates = [stage(), stage("video", every=0.022, size=1100, down=losing(0.5)), stage("half", every=0.04)]
    legs = asked(CALL, tried(call_facts(*rates)))

    assert variants(legs) == ["again", "as_random"]
    for variant in ("again", "as_random"):
        assert step_of(legs, variant).profiles == ("half", "video")
        assert step_of(legs, variant).at_most == 22


def test_what_of_a_call_passed_once_is_enough_and_a_hello_that_passed_is_said_again() -> None:
    done = [
        call("dtls"), call("dtls", "again"), flow(variant="as_random"), call(variant="other_hello"),
        call("dtls", "their_hello"),
    ]  # fmt: skip

    assert variants(asked(CALL, *done)) == ["again", "as_random", "other_hello"]


def test_checks_that_vanish_alone_are_sent_once_more() -> None:
    done = [call("ice"), call("ice", "again"), flow(variant="as_random"), unopened("as_stun")]

    assert variants(asked(CALL, *done, flow(variant="as_cookie"))) == ["again", "as_random", "as_stun"]
    assert "as_stun" not in variants(asked(CALL, *done[:3], flow(variant="as_stun")))


def test_a_call_beside_which_nothing_passes_is_asked_no_more() -> None:
    assert asked(CALL, call("ice"), call("ice", "again"), unopened("as_random")) == []


def test_where_everything_is_cut_it_is_asked_a_third_time() -> None:
    gone = dead_from(1.5)
    cut = flow(media_facts(stage(up=gone, down=gone, seconds=7)), "cut", variant="as_random")

    assert variants(asked(CALL, cut_call(0.5), cut_call(0.5, "again"), cut)) == [
        "again", "as_generic", "as_random",
    ]  # fmt: skip
    done = [cut_call(0.5), cut_call(0.5, "again"), cut_call(0.5, "again"), cut]
    assert asked(CALL, *done) == []


def test_a_hello_that_is_cut_as_well_is_said_again_at_half_the_rate() -> None:
    """It is no contrast any more, and tells whether packets or seconds are counted."""
    done = [cut_call(5.0), cut_call(5.0, "again"), flow(variant="as_random"), cut_call(5.0, "their_hello")]
    theirs = step_of(asked(CALL, *done), "their_hello")

    assert isinstance(theirs, Call)
    assert (theirs.profiles, theirs.hello_from) == (("half",), "them")


def test_a_catalogue_without_a_shape_is_not_asked_for_it() -> None:
    bare = msgspec.structs.replace(SHIPPED, shapes={"rtp": SHIPPED.shapes["rtp"]})

    assert variants(asked(CALL, call("ice"), catalogue=bare)) == ["again", "as_random", *RELAYS]
