"""What happened to one direction of a paced flow, told from what was stored of its stages. Pure.

It names the shape of the damage, not its author: a poor network thins and shapes too, and only a control of the
same sizes and times at the same moment tells whose doing it is.

    silent    nothing came                     cut      all came, then nothing ever again
    shaped    a queue of constant rate         policed  no queue, and what exceeds a constant rate is lost
    thinned   a share is lost at any rate, without a queue
    lossy     lost otherwise                   slow     late, but there
"""

import math
from collections.abc import Sequence
from itertools import accumulate
from statistics import fmean, median
from typing import Literal, NamedTuple, TypeAlias

from probe.media.emodel import BURSTY
from probe.media.quality import Direction

Damage: TypeAlias = Literal[
    "untried", "good", "silent", "cut", "thinned", "policed", "shaped", "lossy", "slow"
]

TRIED = 40  # packets below which nothing is said of a stage
SILENT = 0.01  # share that may arrive: a stray, or the first packet before a filter has made up its mind
# A cut. Filters that freeze flows let 15 to 40 packets through, whole; radio fades for a second, and comes back.
CUT_DELIVERED = 0.8  # share that arrived before
CUT_ARRIVED = 3  # packets; fewer are strays
CUT_PACKETS, CUT_SECONDS = 40, 2.0  # silence that does not end
# Loss. 3 % is audible with every codec; from 15 % on nobody calls it a poor line, and chance no longer makes it.
LITTLE, MUCH, POLICED = 0.03, 0.15, 0.1
SPARED = 0.1  # of the loss at a higher rate: what a poor line loses anyway
WITHIN = 1 / 3  # by so much loss may differ between rates, and be the same
SIGMAS = 3.0  # or by so many standard errors of the smaller sample
# Queues, by the median delay of a second: a bucket has none, a link's own jitter stays below, a plateau is above.
FLAT, QUEUE = 0.08, 0.15
STILL = 0.75  # the second half of a plateau is at least so high, compared with the first
# Goodput. Policers converge to a fixed value, congestion wanders (OONI dd-007; Xue et al. 2021: 130-150 kbit/s).
STEADY = 0.2  # of the median; four seconds in five stay within
STEADIER = 0.5  # times the spread that random loss of the same share has
SAME_RATE = 0.3  # between stages, because limits count headers and we do not
LIMITED = 0.95  # of what was offered: above it nothing was limited
SECONDS = 4  # fewer say nothing of steadiness
_FOUR_IN_FIVE = 1.28  # standard deviations of a normal distribution
# An onset in mid-flow: so much before it, so much after it, and so many seconds after it in which it shows.
ONSET_BEFORE, ONSET_AFTER, ONSET_STAYS = 50, 100, 0.8
# At a fifth lost the full-band score of Opus falls below 2, far into "nearly all users dissatisfied" (G.107 annex B).
UNUSABLE = 0.2


class Diagnosis(NamedTuple):
    """The damage, with its numbers where the kind has them.

    `packets` and `octets` had arrived, and `seconds` had passed, over the whole flow when a cut or a thinning set in
    (a thinning to the second). `loss` is the whole flow's. `rate` is the goodput of a limit, in bit/s of UDP payload.
    """

    kind: Damage
    packets: int | None = None
    seconds: float | None = None
    octets: int | None = None
    loss: float = 0.0
    rate: float | None = None


class _Second(NamedTuple):
    stage: int
    at: float
    sent: int
    arrived: int
    octets: int


def diagnose(stages: Sequence[tuple[str, Direction]]) -> Diagnosis:
    """What happened to one direction of a flow, whose stages are given in order, each with its profile's name.

    A limit of rate is told from plain loss by stages of different rates; one stage alone is `thinned` if its loss
    set in suddenly, else `lossy`.
    """
    flow = [one for _, one in stages if one.sent > 0]
    sent, arrived = sum(one.sent for one in flow), sum(one.arrived for one in flow)
    if sent < TRIED:
        return Diagnosis("untried")
    loss = round(1 - arrived / sent, 6)
    if cut := _cut(flow):
        return cut._replace(loss=loss)
    if arrived < SILENT * sent:
        return Diagnosis("silent", loss=loss)
    tried = [one for one in flow if one.sent >= TRIED]
    if rate := _shaped(tried):
        return Diagnosis("shaped", loss=loss, rate=rate)
    if rate := _policed(tried):
        return Diagnosis("policed", loss=loss, rate=rate)
    if thinned := _thinned(flow, tried):
        return thinned._replace(loss=loss)
    if loss >= LITTLE or any(one.loss >= LITTLE or _is_bursty(one) for one in tried):
        return Diagnosis("lossy", loss=loss)
    return Diagnosis("slow" if any(one.spread >= QUEUE for one in tried) else "good", loss=loss)


def speech_is_usable(one: Direction) -> bool:
    """Whether people can talk over this direction: less than UNUSABLE lost, or later than 200 ms."""
    return one.sent > 0 and one.effective_loss(0.2) < UNUSABLE


def _cut(flow: Sequence[Direction]) -> Diagnosis | None:
    heard = [index for index, one in enumerate(flow) if one.arrived > 0]
    if not heard:
        return None
    stage, later = flow[heard[-1]], flow[heard[-1] + 1 :]
    until = stage.last or 0.0
    arrived = sum(one.arrived for one in flow)
    missed = stage.tail + sum(one.sent for one in later)
    silence = stage.seconds - until + sum(one.seconds for one in later)
    before = sum(one.sent for one in flow) - missed
    if (
        arrived < max(CUT_ARRIVED, CUT_DELIVERED * before)
        or missed < CUT_PACKETS
        or not silence >= CUT_SECONDS
    ):
        return None
    return Diagnosis(
        "cut",
        packets=arrived,
        seconds=round(sum(one.seconds for one in flow[: heard[-1]]) + until, 3),
        octets=sum(one.bytes_arrived for one in flow),
    )


def _shaped(tried: Sequence[Direction]) -> float | None:
    """The rate of the queue that held a stage up."""
    for one in tried:
        delays = _delays(one)[1:]  # the queue fills in the first second
        half = len(delays) // 2
        if half < SECONDS // 2 or median(delays) < QUEUE:
            continue
        octets = _octets(one, 1)
        stands = median(delays[half:]) >= STILL * median(delays[:half])
        if stands and _is_limited(one, octets) and _deviation(octets) <= _steady(one, octets):
            return _rate(octets)
    return None


def _policed(tried: Sequence[Direction]) -> float | None:
    """The rate above which a stage was lost: a slower stage was spared, or another rate came to the same goodput."""
    rates = [(one, rate) for one in tried if (rate := _policed_rate(one))]
    for one, rate in rates:
        offered = _offered(one)
        faster = [other for other in tried if _offered(other) > 1.1 * offered]
        if any(other.loss < one.loss for other in faster):
            continue
        little = max(LITTLE, SPARED * one.loss)
        spared = any(other.loss <= little and _offered(other) < 0.8 * offered for other in tried)
        agrees = any(
            abs(rate - theirs) <= SAME_RATE * max(rate, theirs) and _differ(_offered(other), offered)
            for other, theirs in rates
        )
        if spared or agrees:
            return rate
    return None


def _policed_rate(one: Direction) -> float | None:
    """Goodput that is steadier than chance would leave it, with loss and without a queue."""
    if one.loss < POLICED or not _is_flat(one):
        return None
    sent, arrived = one.series.sent, one.series.arrived
    lost = [(n - m) / n if n > 0 else 0.0 for n, m in zip(sent, arrived, strict=False)]
    start = next((second for second, share in enumerate(lost) if share >= one.loss / 2), 0)
    octets = _octets(one, start + 1)  # the bucket was emptied in that second
    if not _is_limited(one, octets):
        return None
    share = fmean(octets) / (one.bytes_sent / one.seconds)
    chance = _packet(one) * math.sqrt(max(0.0, share * (1 - share) * one.sent / one.seconds))
    allowed = max(1.2 * _packet(one), STEADIER * _FOUR_IN_FIVE * chance)
    return _rate(octets) if _deviation(octets) <= min(allowed, _steady(one, octets)) else None


def _thinned(flow: Sequence[Direction], tried: Sequence[Direction]) -> Diagnosis | None:
    if not all(map(_is_flat, tried)):
        return None
    seconds = _seconds(flow)
    onset = _onset(seconds)
    after = _lost(seconds[onset:]) if onset else _lost(seconds)
    runs = sum(one.runs for one in flow)
    mean_run = sum(one.lost for one in flow) / runs if runs > 0 else 0.0
    if after < MUCH or mean_run * (1 - after) > BURSTY:
        return None
    if onset:
        before = seconds[:onset]
        return Diagnosis(
            "thinned",
            packets=sum(second.arrived for second in before),
            seconds=round(seconds[onset].at, 3),
            octets=sum(second.octets for second in before),
        )
    return Diagnosis("thinned") if _is_of_any_rate(tried) else None


def _is_of_any_rate(tried: Sequence[Direction]) -> bool:
    """The loss is the same in stages of different rates."""
    rates = [_offered(one) for one in tried]
    if not rates or not _differ(min(rates), max(rates)):
        return False
    most, least = max(one.loss for one in tried), min(one.loss for one in tried)
    error = math.sqrt(max(0.0, most * (1 - most)) / min(one.sent for one in tried))
    return most - least <= max(WITHIN * most, SIGMAS * error)


def _onset(seconds: Sequence[_Second]) -> int | None:
    """The second in the middle of a stage from which on packets are lost, where hardly any were before."""
    if not seconds:
        return None
    sent = list(accumulate((second.sent for second in seconds), initial=0))
    arrived = list(accumulate((second.arrived for second in seconds), initial=0))

    def split(at: int) -> float:
        return _likelihood(arrived[at], sent[at]) + _likelihood(
            arrived[-1] - arrived[at], sent[-1] - sent[at]
        )

    at = max(range(len(seconds)), key=split)
    before, after = seconds[:at], seconds[at:]
    if sent[at] < ONSET_BEFORE or sent[-1] - sent[at] < ONSET_AFTER or _lost(before) > LITTLE:
        return None
    # At the seam of two stages it would be the rate that changed, and not the mind of a filter.
    if at < 2 or seconds[at - 2].stage != seconds[at].stage:
        return None
    share = _lost(after)
    stays = sum(second.sent > 0 and _lost([second]) >= share * WITHIN for second in after)
    return at if share >= MUCH and stays >= ONSET_STAYS * len(after) else None


def _likelihood(arrived: int, sent: int) -> float:
    """Log-likelihood of so many arrivals at their own share, up to a constant."""
    return sum(n * math.log(n / sent) for n in (arrived, sent - arrived) if n > 0)


def _seconds(flow: Sequence[Direction]) -> list[_Second]:
    """The seconds in which packets were sent, of all stages, one after the other."""
    found, began = [], 0.0
    for index, one in enumerate(flow):
        series = zip(one.series.sent, one.series.arrived, one.series.bytes, strict=False)
        found += [
            _Second(index, began + second, sent, min(max(arrived, 0), sent), octets)
            for second, (sent, arrived, octets) in enumerate(series)
            if sent > 0
        ]
        began += one.seconds
    return found


def _lost(seconds: Sequence[_Second]) -> float:
    sent = sum(second.sent for second in seconds)
    return 1 - sum(second.arrived for second in seconds) / sent if sent else 0.0


def _delays(one: Direction) -> list[float]:
    return [delay / 1000 for delay in one.series.delay_ms if delay is not None]


def _is_flat(one: Direction) -> bool:
    delays = _delays(one)
    return not delays or median(delays) < FLAT


def _is_bursty(one: Direction) -> bool:
    """Some loss, and not at random: a radio's."""
    return one.loss >= LITTLE / 3 and one.burst_ratio > BURSTY and one.lost >= 10


def _offered(one: Direction) -> float:
    """Bytes a second that were sent."""
    return one.bytes_sent / one.seconds if one.seconds > 0 else 0.0


def _differ(one: float, other: float) -> bool:
    return max(one, other) >= 1.5 * min(one, other) > 0


def _octets(one: Direction, start: int) -> tuple[int, ...]:
    """Bytes that arrived in each whole second of sending, from one on."""
    sending = [second for second, sent in enumerate(one.series.sent) if sent > 0]
    return one.series.bytes[start : sending[-1]] if sending else ()


def _is_limited(one: Direction, octets: Sequence[int]) -> bool:
    return len(octets) >= SECONDS and 0 < fmean(octets) <= LIMITED * _offered(one)


def _deviation(octets: Sequence[int]) -> float:
    """What four seconds in five stay within, around the median."""
    middle = median(octets)
    return sorted(abs(some - middle) for some in octets)[math.ceil(0.8 * len(octets)) - 1]


def _steady(one: Direction, octets: Sequence[int]) -> float:
    """The deviation that a fixed rate may have: a second holds a packet more or less."""
    return max(STEADY * median(octets), 1.2 * _packet(one))


def _packet(one: Direction) -> float:
    return one.bytes_sent / one.sent


def _rate(octets: Sequence[int]) -> float:
    return round(8 * fmean(octets), 1)
