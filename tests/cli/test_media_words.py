"""Test calls and flows in one line each, and as numbers for machines."""

import msgspec

from probe.cli import media_words
from probe.model import Document
from probe.steps import LoopFacts, ReflectorLoopFacts
from probe.steps.call import HelloFacts
from probe.steps.media import OpeningFacts
from tests.build import at_far_end, call_facts, dead_from, document, losing, media_facts, stage, tried, works


def test_a_call_is_told_by_how_far_it_came() -> None:
    whole = call_facts(stage(), hello=HelloFacts(sender="them", kind="library"))
    cases = {
        "media after 600 ms": whole,
        "DTLS after 500 ms": msgspec.structs.replace(whole, first_media=None),
        "ICE after 300 ms": msgspec.structs.replace(whole, first_media=None, dtls=None),
        "no connection": msgspec.structs.replace(whole, first_media=None, dtls=None, ice=None),
    }

    for reached, facts in cases.items():
        assert media_words.head(facts) == f"direct call, hello from them, {reached}"


def test_a_flow_is_told_by_what_it_wore_and_what_was_not_answered() -> None:
    dumb = OpeningFacts(name="allocate", transmissions=10, heard=0)

    assert media_words.summary(media_facts()) == "whatsapp-native at UDP 3478"
    assert (
        media_words.summary(media_facts(disguise="cookie", opening=(dumb,), refusals={"ECONNREFUSED": 3}))
        == "whatsapp-native as cookie at UDP 3478, allocate unanswered, refused (ECONNREFUSED)"
    )
    assert media_words.summary(media_facts(transport="tcp", port=443)) == "whatsapp-native at TCP 443"


def test_a_stage_is_told_by_what_was_lost_each_way_and_how_it_would_sound() -> None:
    assert media_words.stage(stage()).startswith(
        "voice up 0.0 % lost, down 0.0 % lost, 50 ms round trip, MOS 4."
    )
    assert media_words.stage(stage(log=False)).startswith("voice up unknown, down 0.0 % lost, 50 ms")
    assert media_words.stage(stage(up=dead_from(0))).startswith("voice up all lost, down nothing answered")
    assert media_words.stage(stage(down=dead_from(0))).startswith("voice up 0.0 % lost, down all lost")
    lossy = media_words.stage(stage(up=losing(0.2)))
    assert "up 2" in lossy or "up 1" in lossy
    assert "MOS 1." in lossy or "MOS 2." in lossy or "MOS 3." in lossy


def test_the_worst_ten_seconds_are_told_where_an_average_would_hide_them() -> None:
    fine = msgspec.structs.replace(stage(), worst_up=0.04, worst_down=0.0)
    dead = msgspec.structs.replace(stage(), worst_up=0.0, worst_down=0.62)

    assert "worst" not in media_words.stage(fine)
    assert ", 62 % not heard in the worst 10 s, MOS" in media_words.stage(dead)


def test_what_goes_through_relays_says_so() -> None:
    loop = LoopFacts(over="tls", stages=(stage("half"),))

    assert media_words.summary(loop).startswith("call to ourselves through TURN over TLS: half up 0.0 % lost")
    assert (
        media_words.summary(ReflectorLoopFacts(answered=1, profile="voice"))
        == "through a relay of its own, 1 of 2 sides registered"
    )


def shown() -> Document:
    flow = tried(media_facts(stage(up=losing(0.5), log=True)))
    dead = tried(None, "opening", variant="again")
    return document(at_far_end(flow, dead, tried(call_facts(stage(log=False)), variant="their_hello")))


def test_machines_get_every_flow_with_its_numbers_and_none_without_facts() -> None:
    document_ = shown()
    flow, call = media_words.as_json(document_)
    (lossy,), (deaf,) = flow["stages"], call["stages"]

    assert [one["variant"] for one in (flow, call)] == ["target", "their_hello"]
    assert (flow["service"], flow["target"]) == ("paperplane", "look-alike")
    assert flow["test"] == "whatsapp-native at UDP 3478"
    assert 0.4 < lossy["loss_up"] < 0.6
    assert lossy["loss_down"] == 0.0
    assert lossy["score_up"]["mos"] < lossy["score_down"]["mos"]
    assert [one["model"][:7] for one in lossy["other_scales_up"]] == ["G.107.1", "G.107 n"]
    assert deaf["other_scales_up"] == []
    assert (deaf["loss_up"], deaf["jitter_up"], deaf["score_up"]) == (None, None, None)
    assert msgspec.json.encode([flow, call])
    assert len(list(media_words.tests(document_))) == 2
    assert media_words.as_json(document(at_far_end(works("tcp", "tls")))) == []
