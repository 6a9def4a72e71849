"""The numbers of a run's tests that are compared between networks: time to set up, round trip, loss each way. Pure."""

from collections.abc import Iterable, Sequence
from statistics import median
from typing import NamedTuple

from probe.far_end.talk import StageFacts
from probe.media.quality import Direction
from probe.model import Chain, Measurement, Observation
from probe.reading import OWN, failure_of, round_trip
from probe.steps import (
    CallFacts,
    EchoFacts,
    LoopFacts,
    MediaFacts,
    ReflectorFacts,
    ReflectorLoopFacts,
    StunFacts,
    TurnFacts,
)

_MEDIA = (CallFacts, MediaFacts, ReflectorLoopFacts, LoopFacts)
_ANSWERED = (StunFacts, TurnFacts, ReflectorFacts, EchoFacts)


class Figures(NamedTuple):
    """Seconds, milliseconds, and shares of the packets; None where nothing was measured."""

    setup_s: float | None = None
    rtt_ms: float | None = None
    loss_up: float | None = None
    loss_down: float | None = None


_NOTHING = Figures()


def of_observation(observation: Observation) -> Figures:
    """The figures of one step: the round trip where the step shows one, and the loss of a call or flow."""
    facts = observation.facts
    if isinstance(facts, _MEDIA):
        return _of_stages(facts.stages)
    trip = facts.rtt if isinstance(facts, _ANSWERED) else round_trip(observation)
    return Figures(rtt_ms=_ms(trip)) if trip is not None else _NOTHING


def of_purpose(measurements: Iterable[Measurement]) -> Figures:
    """The figures of everything that was tested for one purpose: medians, and the loss of all its flows together."""
    chains = [c for m in measurements for c in m.chains if c.variant in OWN and c.observations]
    if not chains:
        return _NOTHING
    seen = [o for c in chains for o in c.observations]
    media = _of_stages([s for o in seen if isinstance(o.facts, _MEDIA) for s in o.facts.stages])
    return Figures(
        setup_s=_middle(_setup(chain) for chain in chains if failure_of(chain) is None),
        rtt_ms=media.rtt_ms if media.rtt_ms is not None else _middle(of_observation(o).rtt_ms for o in seen),
        loss_up=media.loss_up,
        loss_down=media.loss_down,
    )


def _setup(chain: Chain) -> float:
    """Seconds until a call was set up; of anything else, until its last step was done."""
    facts = chain.observations[-1].facts
    before = sum(o.seconds for o in chain.observations[:-1])
    if isinstance(facts, CallFacts | LoopFacts):
        return facts.dtls or 0.0
    if isinstance(facts, MediaFacts | ReflectorLoopFacts):
        return before
    return before + chain.observations[-1].seconds


def _of_stages(stages: Sequence[StageFacts]) -> Figures:
    if not stages:
        return _NOTHING
    trips = [stage.rtt.median for stage in stages if stage.rtt is not None]
    return Figures(
        rtt_ms=_ms(_middle(trips)),
        loss_up=_loss(stage.up for stage in stages if stage.up is not None),
        # Without the far end's log `down` counts whole round trips.
        loss_down=_loss(stage.down for stage in stages if stage.up is not None),
    )


def _loss(directions: Iterable[Direction]) -> float | None:
    counted = [(one.lost, one.sent) for one in directions]
    sent = sum(count for _, count in counted)
    return sum(lost for lost, _ in counted) / sent if sent > 0 else None


def _middle(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else 1000 * seconds
