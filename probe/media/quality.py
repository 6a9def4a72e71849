"""How well the packets of one direction of one stage got through, from numbers and times alone. Pure.

The sender's and the receiver's clock are not synchronised. Every delay here is therefore counted from the
fastest packet of the stage, and every time is the sender's, from the start of the stage; an arrival is put
on that axis as if the fastest packet had taken no time. Clocks that drift apart show in `trend`, at 20 to 100
microseconds a second. All times are seconds, all sizes bytes of UDP payload.
"""

import math
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import accumulate, combinations, pairwise
from statistics import fmean, median
from typing import NamedTuple

from probe.record import Record

MAX_BINS = 300  # seconds of a stage that are kept one by one
MAX_OUTAGES = 20
OUTAGE = 0.5  # seconds without an arrival that a listener takes for a drop-out, not for a glitch
ENOUGH = 250  # packets below which nothing is scored: at 5 % loss the error of the loss is already 1.4 points
_JITTER_GAIN = 16  # RFC 3550 section 6.4.1
_TREND_BINS = 3
_GRAIN = 1e-6  # seconds: what stamps resolve


class Passage(NamedTuple):
    """One packet: when it was sent by the sender's clock, when it arrived by the receiver's, None if it did not."""

    number: int
    size: int
    sent: float
    arrived: float | None = None
    copies: int = 1


class Outage(Record):
    """A stretch in which nothing that was sent arrived: its start and length on the sender's clock."""

    start: float
    seconds: float
    packets: int


class Series(Record):
    """The stage second by second, at most MAX_BINS of them.

    `sent`, `arrived` and `delay_ms` (the median; None if nothing arrived) are of the packets *sent* in that second.
    `bytes` is what *arrived* in that second: behind a queue that is the rate of the queue. There may be more bins
    than seconds of sending, for what a queue held back.
    """

    sent: tuple[int, ...] = ()
    arrived: tuple[int, ...] = ()
    bytes: tuple[int, ...] = ()
    delay_ms: tuple[float | None, ...] = ()


class Direction(Record):
    """One direction of one stage.

    seconds       from the start of the stage to the last packet sent
    loss          share of the packets sent
    reordered     arrivals with a lower number than one before them (RFC 4737 section 3)
    duplicates    copies beyond the first
    runs          groups of packets lost in a row; `longest_run` in packets; `tail` is the run at the very end
    burst_ratio   mean run by the mean run of random loss, 1 / (1 - loss) (ITU-T G.107): 1 is random, above it bursty
    late_60       arrivals more than 60 ms behind the fastest packet; so for 100 and 200
    jitter        mean of the running estimate of RFC 3550 appendix A.8, in order of arrival
    jitter_p95    95th percentile of the differences |D| that it averages
    spread        95th percentile of the delay
    trend         slope of the delay, seconds per second: Theil-Sen over medians of a second, None under three of them
    first_loss    when the first lost packet was sent
    last          when the last packet that arrived was sent
    outages       OUTAGE or longer; the longest of them, in order of time
    """

    sent: int = 0
    arrived: int = 0
    lost: int = 0
    loss: float = 0.0
    bytes_sent: int = 0
    bytes_arrived: int = 0
    seconds: float = 0.0
    reordered: int = 0
    duplicates: int = 0
    runs: int = 0
    longest_run: int = 0
    tail: int = 0
    burst_ratio: float = 1.0
    late_60: int = 0
    late_100: int = 0
    late_200: int = 0
    jitter: float = 0.0
    jitter_p95: float = 0.0
    spread: float = 0.0
    trend: float | None = None
    first_loss: float | None = None
    last: float | None = None
    outages: tuple[Outage, ...] = ()
    series: Series = Series()

    def effective_loss(self, playout: float = 0.1) -> float:
        """Share of the packets that a receiver who waits `playout` seconds does not hear: lost, or later than that.

        Of the deadlines that were counted, the longest that `playout` reaches is taken, 60 ms at least.
        """
        late = self.late_200 if playout >= 0.2 else self.late_100 if playout >= 0.1 else self.late_60
        return min(1.0, (self.lost + late) / self.sent) if self.sent else 0.0


class RoundTrip(Record):
    """Round trips, in seconds. `deviation` is the mean difference between one and the next."""

    count: int
    min: float
    median: float
    p95: float
    p99: float
    max: float
    deviation: float


class _Arrival(NamedTuple):
    """A packet that arrived, with both times on the axis of the stage."""

    number: int
    size: int
    sent: float
    arrived: float

    @property
    def delay(self) -> float:
        return self.arrived - self.sent


def direction(passages: Sequence[Passage], *, began: float) -> Direction:
    """What became of these packets. `began` is the start of the stage on the sender's clock. Times are finite."""
    return _direction(_in_order(passages), began, _fastest(passages))


def worst_window(passages: Sequence[Passage], *, began: float, seconds: float = 10.0) -> Direction | None:
    """The stretch of so many seconds of sending (ENOUGH packets, if that is longer) that was heard worst.

    An average hides "fine for 20 s, then dead". Worst by effective loss; delays still count from the fastest packet
    of the whole stage, and times from its start. A shorter stage is its own window; None below ENOUGH packets.
    """
    flow, fastest = _in_order(passages), _fastest(passages)
    times = [one.sent for one in flow]
    bad = [one.arrived is None or one.arrived - one.sent - fastest > 0.1 + _GRAIN for one in flow]
    until = list(accumulate(bad, initial=0))
    worst: tuple[float, int, int] | None = None
    for start, sent in enumerate(times):
        stop = max(bisect_left(times, sent + seconds), start + ENOUGH)
        if stop > len(flow):
            break
        share = (until[stop] - until[start]) / (stop - start)
        if worst is None or share > worst[0]:
            worst = share, start, stop
        if stop == len(flow):
            break
    return _direction(flow[worst[1] : worst[2]], began, fastest) if worst else None


def round_trip(times: Sequence[float]) -> RoundTrip | None:
    """The round trips of a stage, given in the order of sending. None if there are none."""
    if not times:
        return None
    ranked = sorted(times)
    return RoundTrip(
        count=len(ranked),
        min=_rounded(ranked[0]),
        median=_rounded(median(ranked)),
        p95=_rounded(_percentile(ranked, 0.95)),
        p99=_rounded(_percentile(ranked, 0.99)),
        max=_rounded(ranked[-1]),
        deviation=_rounded(fmean(abs(b - a) for a, b in pairwise(times)) if len(times) > 1 else 0.0),
    )


def _in_order(passages: Sequence[Passage]) -> list[Passage]:
    return sorted(passages, key=lambda one: (one.sent, one.number))


def _fastest(passages: Sequence[Passage]) -> float:
    """The least difference between the two clocks' stamps."""
    return min((one.arrived - one.sent for one in passages if one.arrived is not None), default=0.0)


def _direction(flow: Sequence[Passage], began: float, fastest: float) -> Direction:
    if not flow:
        return Direction()
    heard = [
        _Arrival(one.number, one.size, one.sent - began, one.arrived - fastest - began)
        for one in flow
        if one.arrived is not None
    ]
    lost = len(flow) - len(heard)
    runs = list(_runs(flow))
    lengths = [stop - start for start, stop in runs]
    by_arrival = sorted(heard, key=lambda one: one.arrived)
    delays = sorted(one.delay for one in heard)
    jitter, jitter_p95 = _jitter([one.delay for one in by_arrival])
    by_second = _by_second(heard)
    return Direction(
        sent=len(flow),
        arrived=len(heard),
        lost=lost,
        loss=_rounded(lost / len(flow)),
        bytes_sent=sum(one.size for one in flow),
        bytes_arrived=sum(one.size for one in heard),
        seconds=_rounded(flow[-1].sent - began),
        reordered=_reordered(by_arrival),
        duplicates=sum(max(0, one.copies - 1) for one in flow if one.arrived is not None),
        runs=len(runs),
        longest_run=max(lengths, default=0),
        tail=lengths[-1] if runs and runs[-1][1] == len(flow) else 0,
        burst_ratio=_rounded(lost / len(runs) * len(heard) / len(flow)) if runs and heard else 1.0,
        late_60=_beyond(delays, 0.06),
        late_100=_beyond(delays, 0.1),
        late_200=_beyond(delays, 0.2),
        jitter=_rounded(jitter),
        jitter_p95=_rounded(jitter_p95),
        spread=_rounded(_percentile(delays, 0.95)),
        trend=_trend([(second, median(some)) for second, some in by_second.items()]),
        first_loss=_rounded(flow[runs[0][0]].sent - began) if runs else None,
        last=_rounded(heard[-1].sent) if heard else None,
        outages=_outages(flow, runs, began),
        series=_series(flow, by_arrival, by_second, began),
    )


def _runs(flow: Sequence[Passage]) -> Iterator[tuple[int, int]]:
    """Where packets lost in a row begin, and where the next that arrived stands."""
    start: int | None = None
    for index, one in enumerate(flow):
        if one.arrived is None:
            start = index if start is None else start
        elif start is not None:
            yield start, index
            start = None
    if start is not None:
        yield start, len(flow)


def _outages(flow: Sequence[Passage], runs: Sequence[tuple[int, int]], began: float) -> tuple[Outage, ...]:
    found = []
    for start, stop in runs:
        first, end = flow[start].sent, flow[min(stop, len(flow) - 1)].sent
        if (length := _rounded(end - first)) >= OUTAGE:
            found.append(Outage(start=_rounded(first - began), seconds=length, packets=stop - start))
    longest = sorted(found, key=lambda one: -one.seconds)[:MAX_OUTAGES]
    return tuple(sorted(longest, key=lambda one: one.start))


def _reordered(by_arrival: Sequence[_Arrival]) -> int:
    count, highest = 0, -math.inf
    for one in by_arrival:
        count += one.number < highest
        highest = max(highest, one.number)
    return count


def _jitter(delays: Sequence[float]) -> tuple[float, float]:
    """The mean of J over the stage, and the 95th percentile of |D|.

    The last J alone would be a mean of some 16 packets, and wander by a fifth on a path that does not change.
    """
    steps = [abs(after - before) for before, after in pairwise(delays)]
    running = accumulate(steps, lambda j, step: j + (step - j) / _JITTER_GAIN, initial=0.0)
    return fmean(list(running)[1:]) if steps else 0.0, _percentile(sorted(steps), 0.95)


def _by_second(heard: Sequence[_Arrival]) -> dict[int, list[float]]:
    """Delays by the second in which the packets were sent."""
    found: defaultdict[int, list[float]] = defaultdict(list)
    for one in heard:
        found[_second(one.sent)].append(one.delay)
    return {second: found[second] for second in sorted(found) if second < MAX_BINS}


def _trend(medians: Sequence[tuple[int, float]]) -> float | None:
    if len(medians) < _TREND_BINS:
        return None
    return _rounded(median((y2 - y1) / (x2 - x1) for (x1, y1), (x2, y2) in combinations(medians, 2)))


def _series(
    flow: Sequence[Passage],
    by_arrival: Sequence[_Arrival],
    by_second: dict[int, list[float]],
    began: float,
) -> Series:
    sent = Counter(_second(one.sent - began) for one in flow)
    octets: Counter[int] = Counter()
    for one in by_arrival:
        octets[_second(one.arrived)] += one.size
    bins = range(min(MAX_BINS, 1 + max([*sent, *octets])))
    return Series(
        sent=tuple(sent[second] for second in bins),
        arrived=tuple(len(by_second.get(second, ())) for second in bins),
        bytes=tuple(octets[second] for second in bins),
        delay_ms=tuple(
            round(1000 * median(by_second[second]), 1) + 0.0 if second in by_second else None
            for second in bins
        ),
    )


def _second(time: float) -> int:
    return max(0, math.floor(time))


def _beyond(ranked: Sequence[float], limit: float) -> int:
    """How many of these, in rising order, exceed the limit."""
    return len(ranked) - bisect_left(ranked, limit + _GRAIN)


def _percentile(ranked: Sequence[float], share: float) -> float:
    """By nearest rank; 0 of nothing."""
    return ranked[math.ceil(share * len(ranked)) - 1] if ranked else 0.0


def _rounded(value: float) -> float:
    return round(value, 6) + 0.0  # never -0.0
