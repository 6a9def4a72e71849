"""What became of one call or flow to the far end, read from its chain. Pure."""

from collections.abc import Sequence
from datetime import timedelta
from statistics import fmean
from typing import NamedTuple, TypeAlias

from probe.diagnosis import CUT_ARRIVED, MUCH, Diagnosis, diagnose
from probe.far_end.talk import StageFacts
from probe.media.quality import Direction
from probe.model import Chain, Observation
from probe.steps import CallFacts, MediaFacts

# What a failed test ended in, where it ended in silence; any other code is somebody's word, or about this machine.
SILENCES = ("ice", "dtls", "opening", "media", "cut")
RATES = ("policed", "shaped")  # damage that has a rate
SAD = ("silent", "cut", "thinned", "policed", "shaped")  # damage that a filter could have done
_STALLED = 2.0  # seconds that HTTPS to the far end may take meanwhile: a line in trouble takes longer
_ANSWERED = 0.9  # of what was heard: a far end that answers less is busy, or has nothing left to spend
_AT_ONCE = 1.0  # seconds between the last packets heard on both sides
_SLOWER = 1.5  # times
_PACKETS = 150  # of a stage: fewer say nothing of a share
# Ways in which media can suffer: a stage's profile and a direction.
Ways: TypeAlias = dict[tuple[str, str], Direction]


class Cut(NamedTuple):
    """How much had passed when a flow was cut, both ways together, and how many packets a second were sent.

    `at_once`: the far end heard no more from then on either. A router that forgets a flow takes only its answers.
    """

    packets: int
    seconds: float
    octets: int
    rate: float
    at_once: bool


def media_facts(chain: Chain) -> MediaFacts | CallFacts | None:
    """What was seen of the call or flow, if the chain came so far."""
    return next((o.facts for o in chain.observations if isinstance(o.facts, MediaFacts | CallFacts)), None)


def media_stages(chain: Chain) -> tuple[StageFacts, ...]:
    """The media of a chain, if it came so far."""
    facts = media_facts(chain)
    return facts.stages if facts is not None else ()


def damages(chain: Chain) -> tuple[Diagnosis | None, Diagnosis]:
    """What happened to each direction, up (None where the far end's log is missing) and down."""
    stages = media_stages(chain)
    ups = [(stage.profile, stage.up) for stage in stages if stage.up is not None]
    return diagnose(ups) if ups else None, diagnose([(stage.profile, stage.down) for stage in stages])


def code_of(chain: Chain) -> str:
    """The silence in which it ended; "" if it did not, or otherwise.

    "media" where media had come is a call that the other side or a lost consent ended: no silence from the start. And
    a flow that is cut after a packet or two was silent, but for what passed before a filter had made up its mind.
    """
    last = _last(chain)
    failure = last.failure if last is not None else None
    if failure is None or failure.code not in SILENCES or not failure.kind.is_evidence:
        return ""
    came = sum(stage.down.arrived for stage in media_stages(chain))
    if failure.code == "media" and came:
        return ""
    return "media" if failure.code == "cut" and came < CUT_ARRIVED else failure.code


def is_test(chain: Chain) -> bool:
    """Whether it says something of media: it ended in silence, or went to its end and was long enough.

    Nothing is said by what this machine was too slow for, what the far end refused or ended, or heard and left
    unanswered.
    """
    last = _last(chain)
    if last is None or _was_left_unanswered(chain):
        return False
    if last.failure is not None:
        return code_of(chain) != ""
    return any(damage is not None and damage.kind != "untried" for damage in damages(chain))


def _last(chain: Chain) -> Observation | None:
    """The call or flow itself, if it came so far as to have facts."""
    last = chain.observations[-1] if chain.observations else None
    return last if last is not None and isinstance(last.facts, MediaFacts | CallFacts) else None


def _was_left_unanswered(chain: Chain) -> bool:
    """The far end heard media and did not answer it all, although it had no reason to doubt who asks."""
    facts = media_facts(chain)
    if facts is None or facts.ended == "unproved":
        return False
    both = [stage for stage in facts.stages if stage.up is not None]
    heard = sum(stage.up.arrived for stage in both if stage.up is not None)
    return sum(stage.down.sent for stage in both) < _ANSWERED * heard


def is_sad(chain: Chain) -> bool:
    """Whether a call or flow failed, or its media suffered as much as a filter would have it suffer."""
    if chain.observations and chain.observations[-1].failure is not None:
        return True
    if any(damage is not None and damage.kind in SAD for damage in damages(chain)):
        return True
    return any(one is not None and one.loss >= MUCH for s in media_stages(chain) for one in (s.up, s.down))


def is_clean(chain: Chain) -> bool:
    """Whether it went through, and hardly anything of it was lost."""
    return is_test(chain) and not is_sad(chain)


def lived(chain: Chain) -> bool:
    """The far end's log was had, it did not let go, and HTTPS to it lived meanwhile."""
    facts = media_facts(chain)
    if facts is None or not facts.heard or facts.ended in ("time", "octets"):
        return False
    return facts.heartbeat.failure is None and facts.heartbeat.slowest <= _STALLED


def when(chain: Chain) -> tuple[float, float]:
    """When its last step began and ended, seconds of the wall clock."""
    last = chain.observations[-1]
    return last.at.timestamp(), (last.at + timedelta(seconds=last.seconds)).timestamp()


def port(chain: Chain) -> int:
    """The far end's port, 0 for a call."""
    facts = media_facts(chain)
    return facts.port if isinstance(facts, MediaFacts) else 0


def length(chain: Chain) -> float:
    """Seconds of media."""
    return sum(stage.down.seconds for stage in media_stages(chain))


def cut_of(chain: Chain) -> Cut | None:
    """Where a flow was cut, if it was."""
    stages = media_stages(chain)
    alive = [stage for stage in stages if stage.down.last is not None]
    if code_of(chain) != "cut" or not alive:
        return None
    ways = [one for stage in stages for one in (stage.up, stage.down) if one is not None]
    until = alive[-1].began + (alive[-1].down.last or 0.0)
    heard = [
        stage.began + stage.up.last for stage in stages if stage.up is not None and stage.up.last is not None
    ]
    return Cut(
        packets=sum(one.arrived for one in ways),
        seconds=round(until - stages[0].began, 3),
        octets=sum(one.bytes_arrived for one in ways),
        rate=1 / max(alive[-1].every, 0.001),
        at_once=bool(heard) and heard[-1] - until < _AT_ONCE,
    )


def spread(cuts: Sequence[Cut]) -> float:
    """By how much the length of cuts differs, as a share, in what differs least: packets, seconds or bytes. A call's
    first packets and a round trip are let off."""
    return min(
        _spread([cut.packets for cut in cuts], 6),
        _spread([cut.seconds for cut in cuts], 0.3),
        _spread([cut.octets for cut in cuts], 1500),
    )


def _spread(numbers: Sequence[float], let_off: float) -> float:
    middle = fmean(numbers) if numbers else 0.0
    return max(0.0, max(numbers) - min(numbers) - let_off) / middle if middle else 1.0


def unit(own: Sequence[Cut], others: Sequence[Cut]) -> str:
    """What the rule counts, where flows of a lower rate were cut, too: the number that is the same for both."""
    slower = [cut for cut in others if own and own[0].rate >= _SLOWER * cut.rate]
    if not slower:
        return ""
    differ = {
        "packets": _differ([cut.packets for cut in own], [cut.packets for cut in slower]),
        "seconds": _differ([cut.seconds for cut in own], [cut.seconds for cut in slower]),
        "bytes": _differ([cut.octets for cut in own], [cut.octets for cut in slower]),
    }
    if _differ([_size(cut) for cut in own], [_size(cut) for cut in slower]) < 1 - 1 / _SLOWER:
        del differ["bytes"]  # packets of one size: either may be counted
    return min(differ, key=lambda name: differ[name])


def _size(cut: Cut) -> float:
    return cut.octets / max(1, cut.packets)


def _differ(some: Sequence[float], others: Sequence[float]) -> float:
    one, other = fmean(some), fmean(others)
    return abs(one - other) / max(one, other, 1e-9)


def ways(chain: Chain) -> Ways:
    """Every direction of every stage of which enough was sent."""
    return {
        (stage.profile, name): one
        for stage in media_stages(chain)
        for name, one in (("up", stage.up), ("down", stage.down))
        if one is not None and one.sent >= _PACKETS
    }
