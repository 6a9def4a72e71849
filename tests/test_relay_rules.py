"""Media through a service's own relay: what is said of it, on good lines and on bad ones."""

import random

import pytest

from probe import relay_media
from probe.contrast import Case
from probe.failure import Kind
from probe.far_end.talk import StageFacts
from probe.media.quality import Passage, direction
from probe.model import Chain, Measurement, Verdict
from probe.plan import Address, Leg
from probe.reading import Reading
from probe.regime import Network
from probe.relay_rules import RELAY_RULES
from probe.steps import ReflectorLoop, ReflectorLoopFacts, StunFacts
from probe.steps.stun import StunAnswer
from probe.verdict import judge
from tests.build import chain, control, document, measured, saw

EVERY = 0.06


def way(lost: float, *, cut: int | None = None, count: int = 300, seed: int = 1) -> list[Passage]:
    rng = random.Random(seed)
    return [
        Passage(
            n,
            240,
            n * EVERY,
            None if rng.random() < lost or (cut is not None and n >= cut) else 5 + n * EVERY + 0.04,
        )
        for n in range(count)
    ]


def looped(up: list[Passage], down: list[Passage], code: str = "") -> Chain:
    stage = StageFacts(
        profile="telegram-short",
        began=0.0,
        every=EVERY,
        up=direction(up, began=0.0),
        down=direction(down, began=0.0),
    )
    facts = ReflectorLoopFacts(answered=2, profile="telegram-short", stages=(stage,))
    return chain(saw("reflectorloop", Kind.SILENT if code else None, code=code, facts=facts), port=596)


def said(*chains: Chain, lossy: bool = False) -> Verdict:
    relay = measured(
        *chains, service="telegram", target="loop", purpose="calls", group="relay-media", vital=True
    )
    return judge(document(relay, controls=lossy_controls() if lossy else None)).services["telegram"]["calls"]


def lossy_controls() -> list[Measurement]:
    """They answer, and only when asked again."""
    answers = (StunAnswer(at=2.0, kind="success"),)
    facts = StunFacts(rtt=0.03, transmissions=3, answers=answers, dialect="rfc8489")
    return [
        control(
            chain(saw("stun", facts=facts), host=f"c{n}.example", ip=f"9.9.9.{n}", port=3478), target=f"c{n}"
        )
        for n in range(1, 6)
    ]


def test_media_that_passes_answers() -> None:
    assert said(looped(way(0.0), way(0.01))).state == "reachable"


def test_half_lost_each_time_is_thinned_and_not_cut() -> None:
    verdict = said(*(looped(way(0.5, seed=n), way(0.0)) for n in range(3)))

    assert (verdict.state, verdict.mechanism, verdict.rule) == ("degraded", "media.thinned", "relay.limited")


def test_hardly_anything_left_is_not_blocked_either_for_the_relay_may_be_full() -> None:
    verdict = said(*(looped(way(0.8, seed=n), way(0.8, seed=n + 9)) for n in range(3)))

    assert (verdict.state, verdict.rule) == ("degraded", "relay.limited")


def test_media_cut_each_time_leaves_the_cause_open() -> None:
    verdict = said(*(looped(way(0.0, cut=30), way(0.0, cut=30), "cut") for _ in range(3)))

    assert (verdict.state, verdict.mechanism) == ("unreachable", "media.cut")


@pytest.mark.parametrize("tries", [1, 2])
def test_fewer_tries_say_nothing(tries: int) -> None:
    verdict = said(*(looped(way(0.5, seed=n), way(0.0)) for n in range(tries)))

    assert verdict.state == "inconclusive"


def test_one_good_try_among_bad_ones_is_no_filter() -> None:
    assert (
        said(*(looped(way(lost, seed=n), way(0.0)) for n, lost in enumerate((0.5, 0.0, 0.5)))).state
        == "reachable"
    )


def test_a_lossy_line_is_an_excuse() -> None:
    assert said(*(looped(way(0.5, seed=n), way(0.0)) for n in range(3)), lossy=True).state == "inconclusive"


@pytest.mark.parametrize("lost", [0.0, 0.5])
def test_no_rule_of_relays_speaks_of_what_is_no_media_through_one(lost: float) -> None:
    """The table leaves them out for everything else."""
    relayed = [looped(way(lost, seed=n), way(0.0)) for n in range(3)]
    plain = [chain(saw("stun", Kind.SILENT if lost else None), port=596) for _ in range(3)]
    for chains, speaks in ((relayed, lost > 0), (plain, False)):
        doc = document(measured(*chains, service="telegram", purpose="calls"))
        network = Network(doc)
        case = Case(
            reading=Reading(doc.measurements[0], 4),
            controls=network.controls,
            service=network.tried,
            everything=network.tried,
            document=doc,
        )
        assert case.reading.own
        assert any(rule.when(case) for rule in RELAY_RULES) == speaks


def test_what_suffers_is_tried_three_times_and_what_does_not_once() -> None:
    step = ReflectorLoop()
    leg = Leg(
        variant="target",
        address=Address(ip="5.5.5.5", said_by=("catalogue",)),
        port=596,
        host="",
        steps=(step,),
    )
    bad, good = looped(way(0.5), way(0.0)), looped(way(0.0), way(0.0))

    assert [one.variant for one in relay_media.follow_ups([bad], leg)] == ["again"]
    assert relay_media.follow_ups([bad, bad, bad], leg) == []
    assert relay_media.follow_ups([good], leg) == []
