"""Media that goes through a service's own relay: how it fared, and whether to try again. Pure."""

from collections.abc import Sequence
from dataclasses import replace

from probe.diagnosis import Diagnosis, diagnose
from probe.media.quality import Direction
from probe.model import Chain
from probe.plan import Leg
from probe.steps import LoopFacts, ReflectorLoopFacts

TRIES = 3  # of media that suffers: a poor moment passes
_RELAYED = (ReflectorLoopFacts, LoopFacts)
_LIMITED = ("policed", "shaped", "thinned")


def directions(chain: Chain) -> dict[str, list[tuple[str, Direction]]]:
    """Both ways of a chain's media, each with its stages; empty where it did not come so far."""
    facts = next((o.facts for o in chain.observations if isinstance(o.facts, _RELAYED)), None)
    if facts is None or not facts.stages:
        return {}
    ups = [(stage.profile, stage.up) for stage in facts.stages if stage.up is not None]
    return {"up": ups, "down": [(stage.profile, stage.down) for stage in facts.stages]}


def damage(chain: Chain) -> dict[str, Diagnosis]:
    """What happened to each way that was held down as a filter does it, or lost a great part at one rate."""
    found = {way: diagnose(stages) for way, stages in directions(chain).items()}
    return {
        way: one for way, one in found.items() if one.kind in _LIMITED or _is_halved(directions(chain)[way])
    }


def _is_halved(stages: Sequence[tuple[str, Direction]]) -> bool:
    """A quarter or more is lost throughout, at random and without a queue: one rate cannot tell why, but it is much."""
    return bool(stages) and all(
        one.loss >= 0.25 and one.burst_ratio < 1.6 and one.spread < 0.15 for _, one in stages
    )


def follow_ups(done: Sequence[Chain], leg: Leg) -> list[Leg]:
    """The same again, while it suffers and was not tried often enough; `leg` is the first one."""
    own = [chain for chain in done if chain.variant in ("target", "again")]
    suffers = bool(own) and all(damage(chain) or chain.observations[-1].failure is not None for chain in own)
    about_us = any(
        o.failure is not None and not o.failure.kind.is_evidence for c in own for o in c.observations
    )
    return [replace(leg, variant="again")] if suffers and not about_us and len(own) < TRIES else []
