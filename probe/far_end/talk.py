"""One flow as its sender keeps it: what was sent, what came back, and what the far end's log adds.

Numbers count every stamped packet of a flow. An answer repeats the number it answers and carries the far end's own
time, so each direction is told apart without a common clock (docs/paced-flow.md).
"""

import random
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import NamedTuple

from probe.failure import Malformed
from probe.far_end.protocol import Heard
from probe.media.emodel import Score, score
from probe.media.pacing import Pacer, Pacing
from probe.media.quality import Direction, Passage, RoundTrip, direction, round_trip, worst_window
from probe.media.shape import Profile
from probe.media.stamp import NUMBERS, Sealer, Stamp
from probe.record import Record

_TURN = 1 << 32  # microseconds after which a stamp's time begins again
# Seconds, beyond the time that answers took, and packets of silence at the end that are more than lost packets.
_DEAD_TAIL, _DEAD_PACKETS = 2.0, 30
_DEAF = ("time", "octets", "unproved")  # why a far end stops listening by itself
GIVE_UP = 6.0  # seconds without any answer after which media is not sent on: it costs, and says no more


class Sent(NamedTuple):
    """A packet that left: of which kind, how many bytes, when (seconds since the flow began)."""

    kind: int
    size: int
    at: float


class Answer(NamedTuple):
    """The answer to a number: when it arrived here, when it left there (its own clock), bytes, how often it came."""

    at: float
    left: float
    size: int
    copies: int = 1


class StageFacts(Record):
    """One stage of media. `up` is missing where the far end's log is.

    `down` counts what the far end answered, or, without its log, what came back of everything that was sent.
    `worst_up` and `worst_down` are the share of packets not heard within 100 ms in the worst ten seconds: an average
    hides "fine for 20 s, then dead".
    """

    profile: str
    began: float  # seconds since the flow began
    every: float
    down: Direction
    up: Direction | None = None
    rtt: RoundTrip | None = None
    score_up: Score | None = None
    score_down: Score | None = None
    worst_up: float | None = None
    worst_down: float | None = None


class Stage(NamedTuple):
    """A stage while it is measured."""

    profile: Profile
    began: float
    first: int  # number of the first packet that may belong to it


class Talk:
    """A flow in progress. `clock` gives seconds; `key` is the flow's."""

    def __init__(self, key: bytes, clock: Callable[[], float]) -> None:
        self.clock, self._began = clock, clock()
        self._up, self._down = Sealer(key, "up"), Sealer(key, "down")
        self._word = 0
        self._micros: int | None = None  # their clock, as their last answer showed it
        self.pacer = Pacer(clock)
        self.sent: list[Sent] = []
        self.answers: dict[int, Answer] = {}
        self.stages: list[Stage] = []
        self.last_answer = 0.0
        self.gave_up = False  # whether media was ended early

    def now(self) -> float:
        """Seconds since the flow began."""
        return self.clock() - self._began

    def mark(self, kind: int) -> bytes:
        """The sealed stamp of the next packet; `count` must follow if it leaves."""
        number = len(self.sent) % NUMBERS
        return self._up.seal(Stamp(kind, number, self._word, int(self.now() * 1e6)))

    def count(self, kind: int, size: int, at: float) -> float:
        """The packet left; `at` is the clock's time just before it did, and is returned.

        Not after: who is interrupted between sending and looking at the clock would seem to have sent later than that,
        and one packet that seems to have been faster than the path shifts every delay of its stage.
        """
        self.sent.append(Sent(kind, size, at - self._began))
        return at

    def hear(self, mark: bytes, size: int, at: float) -> Stamp | None:
        """An answer's stamp, if it is one to this flow; `at` is the clock's time of its arrival."""
        stamp = self._down.open(mark)
        if stamp is None or stamp.number >= len(self.sent):
            return None
        self._word = stamp.word
        left = self._unwrapped(stamp.micros) / 1e6
        known = self.answers.get(stamp.number)
        self.answers[stamp.number] = (
            known._replace(copies=known.copies + 1)
            if known is not None
            else Answer(at - self._began, left, size)
        )
        self.last_answer = max(self.last_answer, at - self._began)
        return stamp

    def _unwrapped(self, micros: int) -> int:
        """The time nearest to the last one: answers overtake each other, also where the count begins again."""
        before = micros if self._micros is None else self._micros
        self._micros = before + (micros - before + _TURN // 2) % _TURN - _TURN // 2
        return self._micros

    async def play(self, profile: Profile, send: Callable[[int], float | None]) -> None:
        """Media of one profile; `send(size)` lets a packet leave. Ends early if nothing has come back for long."""
        self.stages.append(Stage(profile, self.now(), len(self.sent)))
        count, (low, high) = max(1, round(profile.seconds / profile.every)), profile.sizes
        done = await self.pacer.run(
            count, profile.every, lambda index: send(random.randint(low, high)), self._is_alive
        )
        self.gave_up = not done

    def _is_alive(self) -> bool:
        return self.now() - max(self.last_answer, self.stages[-1].began) < GIVE_UP

    def account(self) -> Pacing:
        """How punctual we were."""
        return self.pacer.account()

    def facts(self, media: Iterable[int], heard: Heard | None) -> tuple[StageFacts, ...]:
        """Every stage, counted over packets of these kinds. Raises Malformed for a log that cannot be true.

        What was sent after the far end had stopped listening by itself is not counted: nobody knows its fate.
        """
        log, mute, until = None, frozenset[int](), len(self.sent)
        if heard is not None:
            log, mute = arrivals(heard, len(self.sent)), frozenset(heard.mute)
            self._refuse_contradictions(log, mute)
            if heard.ended in _DEAF and log:
                until = max(log) + 1
        kinds = frozenset(media)
        ends = [*(stage.first for stage in self.stages), len(self.sent)][1:]
        return tuple(
            self._stage(
                stage,
                [n for n in range(stage.first, min(end, until)) if self.sent[n].kind in kinds],
                log,
                mute,
            )
            for stage, end in zip(self.stages, ends, strict=True)
        )

    def _refuse_contradictions(self, log: dict[int, float], mute: frozenset[int]) -> None:
        """An answer cannot be forged on the way: a log that knows nothing of one that came is false."""
        if not self.answers.keys() <= log.keys() - mute or not mute <= log.keys():
            raise Malformed("the far end's log denies what it answered", code="log")

    def _stage(
        self, stage: Stage, numbers: Sequence[int], log: dict[int, float] | None, mute: frozenset[int]
    ) -> StageFacts:
        rtt = round_trip(self._round_trips(numbers, log))
        ups = None if log is None else self._ups(numbers, log)
        answered = numbers if log is None else [n for n in numbers if n in log and n not in mute]
        downs = self._downs(answered, log)
        up = None if ups is None else direction(ups, began=stage.began)
        down = direction(downs, began=stage.began)
        return StageFacts(
            profile=stage.profile.name,
            began=round(stage.began, 3),
            every=stage.profile.every,
            up=up,
            down=down,
            rtt=rtt,
            score_up=score(up, rtt) if up is not None else None,
            score_down=score(down, rtt),
            worst_up=None if ups is None else _worst(ups, stage.began),
            worst_down=_worst(downs, stage.began),
        )

    def _ups(self, numbers: Sequence[int], log: dict[int, float]) -> list[Passage]:
        return [Passage(n, self.sent[n].size, self.sent[n].at, log.get(n)) for n in numbers]

    def _downs(self, numbers: Sequence[int], log: dict[int, float] | None) -> list[Passage]:
        """What came back. A lost answer left when its question was heard; without a log, when it was asked."""
        found = []
        shift = self._shift(log)
        for n in numbers:
            answer = self.answers.get(n)
            if answer is not None:
                # Sent on their clock, shifted onto ours by a constant, so that stages begin where they begin.
                found.append(Passage(n, answer.size, answer.left + shift, answer.at, answer.copies))
            else:
                left = self.sent[n].at if log is None else log[n] + shift
                found.append(Passage(n, self.sent[n].size, left, None))
        return found

    def _shift(self, log: dict[int, float] | None) -> float:
        """Our time of the far end's zero, as if the fastest packet up had taken no time: what was held up leaves there
        late, and nothing leaves before it was sent."""
        if log:
            return max(self.sent[n].at - at for n, at in log.items())
        return max((self.sent[n].at - answer.left for n, answer in self.answers.items()), default=0.0)

    def _round_trips(self, numbers: Sequence[int], log: dict[int, float] | None) -> list[float]:
        """There and back, without what the far end held it."""
        found = []
        for n in numbers:
            answer = self.answers.get(n)
            if answer is not None:
                held = max(0.0, answer.left - log[n]) if log is not None and n in log else 0.0
                found.append(max(0.0, answer.at - self.sent[n].at - held))
        return found


def _worst(passages: Sequence[Passage], began: float) -> float | None:
    window = worst_window(passages, began=began)
    return None if window is None else round(window.effective_loss(), 4)


def is_cut(stages: Sequence[StageFacts]) -> bool:
    """Whether a flow ended in silence: nothing of the last seconds that were sent came back.

    Where answers took seconds, behind a long queue, those of the end are still on their way when a flow is over.
    """
    seconds, packets, late = 0.0, 0.0, 0.0
    for stage in reversed(stages):
        length = (stage.down if stage.up is None else stage.up).sent * stage.every
        silent = length if stage.down.last is None else max(0.0, length - stage.down.last)
        seconds, packets = seconds + silent, packets + silent / stage.every
        if stage.down.last is not None:
            late = stage.rtt.p95 if stage.rtt is not None else 0.0
            break
    return seconds >= _DEAD_TAIL + late and packets >= _DEAD_PACKETS


def arrivals(heard: Heard, sent: int) -> dict[int, float]:
    """When each number arrived at the far end, seconds on its clock. Raises Malformed for what cannot be true."""
    numbers, times = list(accumulate(heard.numbers)), list(accumulate(heard.at))
    if len(numbers) != len(times) or len(numbers) > 4 * sent + 16:
        raise Malformed("the far end's log is not a log of this flow", code="log")
    if any(not 0 <= n < sent for n in numbers) or any(later < 0 for later in heard.at):
        raise Malformed("the far end's log has numbers that were never sent, or runs backwards", code="log")
    found: dict[int, float] = {}
    for number, micros in zip(numbers, times, strict=True):
        found.setdefault(number, micros / 1e6)
    return found
