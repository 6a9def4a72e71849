"""What the lab's box did to each tool's packets, from its log (tests.lab.truth), in each tool's own terms."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, median

from tests.lab.packets import UDP
from tests.lab.truth import Passed

# Sizes of each tool's media as IP packets; by their middle the log's flows are told apart, as no address is in it.
SIZES = {
    "getstats": (60, 78),
    "uclient": (132, 132),
    "irtt": (156, 156),
    "media": (188, 228),
    "call": (216, 256),
}
WATCH = 33  # bytes of the packets that watch the box itself
_AROUND = 9  # bytes by which the median of a flow may differ from the middle
_ENOUGH = 50  # packets of a flow below which it is none of these


def loss(packets: Sequence[Passed]) -> float:
    """Percent."""
    return 100 * sum(one.left is None for one in packets) / len(packets)


def running(packets: Iterable[Passed]) -> float:
    """Milliseconds: the mean of RFC 3550's J (appendix A.8) in order of arrival."""
    arrived = sorted((left, left - one.came) for one in packets if (left := one.left) is not None)
    estimate, kept = 0.0, list[float]()
    for (_, before), (_, after) in pairwise(arrived):
        estimate += (abs(after - before) - estimate) / 16
        kept.append(estimate)
    return 1000 * fmean(kept) if kept else 0.0


def steps(packets: Iterable[Passed | None]) -> float:
    """Milliseconds: the mean |D| of neighbours that both arrived, in the order in which they are given."""
    took = [_took(one) for one in packets]
    found = [abs(b - a) for a, b in pairwise(took) if a is not None and b is not None]
    return fmean(found) if found else 0.0


def _took(one: Passed | None) -> float | None:
    return 1000 * (one.left - one.came) if one is not None and one.left is not None else None


@dataclass
class Truth:
    """Both directions of a tool's packets as they came to the box, and for each of those up its answer, if it had one.

    `is_paired`: each packet down is the answer to one up, sent at once.
    """

    up: list[Passed]
    down: list[Passed]
    answers: list[Passed | None]
    is_paired: bool = True

    @property
    def both(self) -> float:
        """Percent of what was sent up that did not come down."""
        return 100 - 100 * sum(one.left is not None for one in self.down) / len(self.up)

    @property
    def trips(self) -> list[float]:
        """Milliseconds that packets and their answers spent in the box."""
        found = []
        for one, answer in zip(self.up, self.answers, strict=True):
            there, back = _took(one), _took(answer)
            if there is not None and back is not None:
                found.append(there + back)
        return found


def truths(passed: Sequence[Passed], sent: Mapping[str, int]) -> dict[str, Truth]:
    """By tool, of the last so many packets that it sent: handshakes before the media may have its sizes.

    Raises LookupError for a tool whose packets are not in the log.
    """
    flows: defaultdict[int, list[Passed]] = defaultdict(list)
    for one in passed:
        if one.protocol == UDP and one.size != WATCH:
            flows[one.flow].append(one)
    ways: defaultdict[str, list[tuple[list[Passed], list[Passed]]]] = defaultdict(list)
    for flow in flows.values():
        tool = _whose([one.size for one in flow if one.up])
        if tool:
            low, high = SIZES[tool]
            media = [one for one in flow if low <= one.size <= high]
            ways[tool].append(([one for one in media if one.up], [one for one in media if not one.up]))
    return {tool: _truth(tool, ways[tool], count) for tool, count in sent.items()}


def _whose(sizes: Sequence[int]) -> str:
    if len(sizes) < _ENOUGH:
        return ""
    middle = median(sizes)
    return next((tool for tool, (low, high) in SIZES.items() if abs(middle - (low + high) / 2) < _AROUND), "")


def _truth(tool: str, ways: Sequence[tuple[list[Passed], list[Passed]]], sent: int) -> Truth:
    if len(ways) < 1 + (tool == "uclient"):
        raise LookupError(f"the box has seen nothing of {tool}")
    if tool == "uclient":  # two clients talk to each other: what one sends up comes down at the other
        (up, back), (other_up, other_back) = ways
        answers = _answers(up, other_back) + _answers(other_up, back)
        return Truth(up + other_up, other_back + back, answers)
    ups, downs = max(ways, key=lambda both: len(both[0]))
    ups = ups[-sent:]
    downs = [one for one in downs if one.came > ups[0].came]
    if tool == "getstats":  # its far side sends packets of its own
        return Truth(ups, downs, _next(ups, downs), is_paired=False)
    return Truth(ups, downs, _answers(ups, downs))


def _answers(up: Sequence[Passed], down: Sequence[Passed]) -> list[Passed | None]:
    """Each is answered at once, so what arrives there in some order comes back in the same.

    Raises LookupError if these are not the answers.
    """
    asked = sorted((left, index) for index, one in enumerate(up) if (left := one.left) is not None)
    if len(asked) != len(down):
        raise LookupError(f"{len(asked)} packets arrived, and {len(down)} were answered")
    found: list[Passed | None] = [None] * len(up)
    for (_, index), answer in zip(asked, down, strict=True):
        found[index] = answer
    return found


def _next(up: Sequence[Passed], down: Sequence[Passed]) -> list[Passed | None]:
    """For each the packet that came down next: their means are those of answers."""
    kept = [one for one in down if one.left is not None]
    times = [one.came for one in kept]
    places = [bisect_right(times, one.left or one.came) for one in up]
    return [kept[place] if place < len(kept) else None for place in places]


@dataclass
class Punctual:
    """How late the box took packets in and let them go (99th percentiles, milliseconds)."""

    taking: float
    leaving: float


def punctual(passed: Iterable[Passed], sent: Sequence[float], delay: float) -> Punctual:
    """From packets that nothing befalls but `delay` (seconds), and the times at which they were sent."""
    found = [one for one in passed if one.protocol == UDP and one.size == WATCH and one.up]
    taking = sorted(one.came - at for one, at in zip(found, sent, strict=False))
    leaving = sorted((one.left or one.came) - one.came - delay for one in found)
    return Punctual(*(1000 * ranked[int(0.99 * (len(ranked) - 1))] for ranked in (taking, leaving)))
