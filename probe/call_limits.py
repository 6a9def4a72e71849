"""What limps and is not cut: media of several tries against what was sent beside it in other bytes. Pure."""

from collections.abc import Sequence

from probe.call_outcome import Ways, damages, media_stages, ways
from probe.diagnosis import POLICED, QUEUE, WITHIN, Diagnosis, speech_is_usable
from probe.media.emodel import BURSTY
from probe.media.quality import Direction
from probe.model import Chain

_LIMITED = ("policed", "shaped", "thinned")
_WIDE = 400_000  # bit/s: what several flows at once fill is a narrow line, and its losses are our own


def harmed(own: Sequence[Chain], beside: Sequence[Chain], enough: int) -> Ways:
    """Where each of `own` lost much, or got it late, and so many of `beside` lost little at the same rate and did not
    wait, and none did."""
    bad, fair = [_steadily_bad(chain) for chain in own], [ways(chain) for chain in beside]
    found: Ways = {}
    for key in set.intersection(*map(set, bad)) if bad else set[tuple[str, str]]():
        least = min(one[key].effective_loss(0.2) for one in bad)
        compared = [one[key] for one in fair if key in one]
        if least >= POLICED and len(compared) >= enough and all(_is_spared(one, least) for one in compared):
            found[key] = max((one[key] for one in bad), key=lambda one: one.loss)
    return found


def _steadily_bad(chain: Chain) -> Ways:
    """Without what was lost in bursts, as radio loses it, unless the loss has the form of a limit."""
    named = {
        name
        for name, damage in zip(("up", "down"), damages(chain), strict=True)
        if damage is not None and damage.kind in _LIMITED
    }
    return {key: one for key, one in ways(chain).items() if key[1] in named or one.burst_ratio <= BURSTY}


def _is_spared(one: Direction, harm: float) -> bool:
    return one.effective_loss(0.2) <= WITHIN * harm and one.spread < QUEUE


def limit(own: Sequence[Chain], where: Ways) -> Diagnosis | None:
    """How media limped, where that has a name: a rate if any try showed one, for it takes two rates to show."""
    directions = {way for _, way in where}
    found = [
        damage
        for chain in own
        for way, damage in zip(("up", "down"), damages(chain), strict=True)
        if damage is not None and way in directions and damage.kind in _LIMITED
    ]
    kinds = [damage.kind for damage in found]
    return max(found, key=lambda one: (one.kind != "thinned", kinds.count(one.kind)), default=None)


def line_needed(where: Ways) -> float:
    """Bit/s that a line carries if it could carry what suffered, and several flows at once."""
    return max([_WIDE, *(16 * one.bytes_sent / max(one.seconds, 1.0) for one in where.values())])


def speech_suffers(own: Sequence[Chain]) -> bool:
    """In every own try one direction was too poor for people to talk."""
    return all(any(not speech_is_usable(one) for one in speech(chain)) for chain in own)


def speech(chain: Chain) -> list[Direction]:
    """Both directions of the stages at which people talk: not those of video."""
    stages = [stage for stage in media_stages(chain) if stage.profile != "video"]
    return [one for stage in stages for one in (stage.up, stage.down) if one is not None and one.sent]


def way(own: Sequence[Chain], where: Ways) -> str:
    """In which direction media suffers: up, down, or both."""
    suffer = {name for _, name in where} or {
        name
        for chain in own
        for name, damage in zip(("up", "down"), damages(chain), strict=True)
        if damage is not None and damage.kind not in ("good", "untried")
    }
    return "both" if len(suffer) == 2 else next(iter(suffer), "down")
