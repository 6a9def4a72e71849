"""Test calls and paced flows in words and numbers, for people and for machines."""

from collections.abc import Iterator
from typing import Any

from probe.cli.words import plain
from probe.far_end.talk import StageFacts
from probe.language import _, in_english
from probe.media.emodel import Score, other_scales
from probe.media.quality import Direction, RoundTrip
from probe.model import Chain, Document, Measurement
from probe.steps import CallFacts, LoopFacts, MediaFacts, ReflectorLoopFacts

_MUCH_WORSE = 0.05  # of the packets
AnyMedia = MediaFacts | CallFacts | ReflectorLoopFacts | LoopFacts


def tests(document: Document) -> Iterator[tuple[Measurement, Chain, AnyMedia]]:
    """Every call and flow that came so far as to have facts."""
    for measurement in document.measurements:
        for chain in measurement.chains:
            facts = next((o.facts for o in chain.observations if isinstance(o.facts, AnyMedia)), None)
            if facts is not None:
                yield measurement, chain, facts


def summary(facts: AnyMedia) -> str:
    """One flow in one line: how far it came, then each stage."""
    stages = "; ".join(stage(one) for one in facts.stages)
    return f"{head(facts)}: {stages}" if stages else head(facts)


def head(facts: AnyMedia) -> str:
    """What was tried, and how far it came."""
    match facts:
        case CallFacts():
            return _call(facts)
        case MediaFacts():
            return _flow(facts)
        case LoopFacts():
            return _("call to ourselves through TURN over {transport}").format(transport=facts.over.upper())
        case ReflectorLoopFacts():
            return _("through a relay of its own, {count} of 2 sides registered").format(count=facts.answered)


def _call(facts: CallFacts) -> str:
    reached = next(
        (
            _("{stage} after {milliseconds} ms").format(stage=name, milliseconds=f"{1000 * at:.0f}")
            for name, at in ((_("media"), facts.first_media), ("DTLS", facts.dtls), ("ICE", facts.ice))
            if at is not None
        ),
        _("no connection"),
    )
    call = _("direct call") if facts.path == "direct" else _("{path} call").format(path=facts.path)
    if facts.hello is None:
        return f"{call}, {reached}"
    hello = _("hello from us") if facts.hello.sender == "us" else _("hello from them")
    return f"{call}, {hello}, {reached}"


def _flow(facts: MediaFacts) -> str:
    place = f"{facts.transport.upper()} {facts.port}"
    text = _("{shape} at {place}")
    if facts.disguise:
        text = _("{shape} as {disguise} at {place}")
    said = text.format(shape=plain(facts.shape), disguise=plain(facts.disguise or ""), place=place)
    unanswered = [one.name for one in facts.opening if one.rtt is None]
    if unanswered:
        said += ", " + _("{name} unanswered").format(name=plain(unanswered[0]))
    if facts.refusals:
        said += ", " + _("refused ({what})").format(what=plain(", ".join(facts.refusals)))
    return said


def stage(one: StageFacts) -> str:
    """One stage: loss both ways, round trip, how it would sound."""
    up = _loss(one.up, _("nothing sent")) if one.up is not None else _("unknown")
    text = _("{profile} up {up}, down {down}")
    said = text.format(profile=one.profile, up=up, down=_loss(one.down, _("nothing answered")))
    if one.rtt is not None:
        said += ", " + _("{milliseconds} ms round trip").format(milliseconds=f"{1000 * one.rtt.median:.0f}")
    return f"{said}{_worst(one)}{_sound(one)}"


def _loss(one: Direction, nothing: str) -> str:
    if not one.sent:
        return nothing
    return _("{share} lost").format(share=f"{100 * one.loss:.1f} %") if one.arrived else _("all lost")


def _worst(one: StageFacts) -> str:
    """The worst ten seconds, where they were a good deal worse than the stage as a whole."""
    ways = ((one.worst_up, one.up), (one.worst_down, one.down))
    shares = [
        worst
        for worst, way in ways
        if worst is not None and way is not None and worst > way.effective_loss() + _MUCH_WORSE
    ]
    if not shares:
        return ""
    return ", " + _("{number} % not heard in the worst 10 s").format(number=f"{100 * max(shares):.0f}")


def _sound(one: StageFacts) -> str:
    scores = [score for score in (one.score_up, one.score_down) if score is not None]
    return f", MOS {min(score.mos for score in scores):.1f}" if scores else ""


def as_json(document: Document) -> list[dict[str, Any]]:
    """Each call and flow with the numbers of its stages; seconds, shares, MOS with its model."""
    return [
        {
            "service": measurement.service,
            "target": measurement.target,
            "variant": chain.variant,
            "test": _head_in_english(facts),
            "stages": [_stage_json(one) for one in facts.stages],
        }
        for measurement, chain, facts in tests(document)
    ]


def _head_in_english(facts: AnyMedia) -> str:
    with in_english():
        return head(facts)


def _stage_json(one: StageFacts) -> dict[str, Any]:
    return {
        "profile": one.profile,
        "loss_up": one.up.loss if one.up is not None else None,
        "loss_down": one.down.loss,
        "jitter_up": one.up.jitter if one.up is not None else None,
        "jitter_down": one.down.jitter,
        "round_trip": one.rtt.median if one.rtt is not None else None,
        "score_up": _score_json(one.score_up),
        "score_down": _score_json(one.score_down),
        "other_scales_up": _others_json(one.up, one.rtt),
        "other_scales_down": _others_json(one.down, one.rtt),
        "worst_up": one.worst_up,
        "worst_down": one.worst_down,
    }


def _others_json(one: Direction | None, rtt: RoundTrip | None) -> list[dict[str, Any] | None]:
    """The same direction on the scales that other tools use."""
    return [] if one is None else [_score_json(score) for score in other_scales(one, rtt)]


def _score_json(score: Score | None) -> dict[str, Any] | None:
    if score is None:
        return None
    return {field: getattr(score, field) for field in score.__struct_fields__}
