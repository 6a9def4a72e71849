"""One flow as its sender keeps it, against a far end whose clock, word and log are known."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.failure import Malformed
from probe.far_end.protocol import Heard
from probe.far_end.talk import GIVE_UP, StageFacts, Talk, arrivals, is_cut
from probe.media.quality import Direction, RoundTrip
from probe.media.shape import Profile
from probe.media.stamp import Sealer, Stamp
from probe.record import line

KEY = bytes(range(16))
VOICE = Profile(name="voice", title="", every=0.02, sizes=(160, 200), seconds=2.0, source="")
BEGAN = 5000.0  # of the probe's clock
THEIRS = 900.0  # seconds that the far end's clock is ahead when the flow begins


class Bench:
    """A talk, its clock, and a far end that answers as it is told."""

    def __init__(self) -> None:
        self.time = BEGAN
        self.talk = Talk(KEY, lambda: self.time)
        self._up, self._down = Sealer(KEY, "up"), Sealer(KEY, "down")
        self.heard_at: dict[int, float] = {}  # there, by the probe's clock
        self.mute: list[int] = []

    def send(self, kind: int = 0, size: int = 180, *, every: float = 0.02) -> Stamp:
        """A packet leaves; its stamp as the far end opens it."""
        mark = self.talk.mark(kind)
        self.talk.count(kind, size, self.time)
        self.time += every
        stamp = self._up.open(mark)
        assert stamp is not None
        return stamp

    def hear(self, number: int, after: float = 0.03) -> None:
        """The far end hears it so long after it was sent."""
        self.heard_at[number] = BEGAN + self.talk.sent[number].at + after

    def answer(
        self, number: int, after: float = 0.03, *, held: float = 0.0, word: int = 7, way: str = "down"
    ) -> Stamp | None:
        """The answer to a number that was heard arrives so long after it left there."""
        left = self.heard_at[number] + held
        micros = round((left - BEGAN + THEIRS) * 1e6)
        sealer = self._down if way == "down" else self._up
        return self.talk.hear(sealer.seal(Stamp(0, number, word, micros)), 180, left + after)

    def talk_over(self, count: int, *, up: float = 0.03, down: float = 0.03) -> None:
        """So many packets, all heard and answered."""
        for number in range(count):
            self.send()
            self.hear(number, up)
            self.answer(number, down)

    def begin(self, profile: Profile = VOICE) -> None:
        """A stage begins, without sending anything."""
        nothing = msgspec.structs.replace(profile, seconds=0.5, every=5.0)
        asyncio.run(self.talk.play(nothing, lambda size: None))
        stage = self.talk.stages.pop()
        self.talk.stages.append(stage._replace(profile=profile))

    def log(self, **more: object) -> Heard:
        """The far end's log."""
        order = sorted(self.heard_at, key=lambda number: self.heard_at[number])
        micros = [round((self.heard_at[n] - BEGAN + THEIRS) * 1e6) for n in order]
        fields: dict[str, object] = {"numbers": steps(order), "at": steps(micros), "mute": tuple(self.mute)}
        return Heard(**(fields | more))  # type: ignore[arg-type]

    def stage(self, log: Heard | None, media: Iterable[int] = (0,)) -> StageFacts:
        """The only stage."""
        (facts,) = self.talk.facts(media, log)
        return facts


def steps(numbers: Sequence[int]) -> tuple[int, ...]:
    """As differences, the way a log has them."""
    return tuple(numbers[:1]) + tuple(b - a for a, b in pairwise(numbers))


@pytest.fixture
def bench() -> Bench:
    made = Bench()
    made.begin()
    return made


def test_packets_are_numbered_and_carry_the_time_since_the_flow_began(bench: Bench) -> None:
    stamps = [bench.send(kind) for kind in (3, 0, 0)]

    assert [(s.kind, s.number) for s in stamps] == [(3, 0), (0, 1), (0, 2)]
    assert [s.micros for s in stamps] == [0, 20_000, 40_000]


def test_a_packet_that_did_not_leave_takes_no_number(bench: Bench) -> None:
    bench.talk.mark(0)

    assert bench.send().number == 0


def test_the_far_ends_word_is_said_from_its_first_answer_on(bench: Bench) -> None:
    before = bench.send()
    bench.hear(0)
    bench.answer(0, word=4711)

    assert (before.word, bench.send().word) == (0, 4711)


def test_a_reflected_packet_of_our_own_is_no_answer(bench: Bench) -> None:
    bench.send()
    bench.hear(0)

    assert bench.answer(0, way="up") is None
    assert bench.talk.answers == {}
    assert bench.talk.last_answer == 0
    assert bench.stage(None).down.arrived == 0


def test_an_answer_to_a_number_that_was_never_sent_is_none(bench: Bench) -> None:
    bench.send()
    forged = Sealer(KEY, "down").seal(Stamp(0, 1, 7, 0))

    assert bench.talk.hear(forged, 180, bench.time) is None
    assert bench.talk.hear(b"short", 180, bench.time) is None


def test_what_is_lost_up_and_what_is_lost_down_is_told_apart(bench: Bench) -> None:
    for number in range(100):
        bench.send()
        if number % 10:  # every tenth is lost up
            bench.hear(number)
            if number % 5:  # and of the rest every fifth down
                bench.answer(number)
    stage = bench.stage(bench.log())

    assert stage.up is not None
    assert (stage.up.sent, stage.up.lost) == (100, 10)
    assert (stage.down.sent, stage.down.lost) == (90, 10)


def test_without_a_log_down_counts_everything_and_up_is_unknown(bench: Bench) -> None:
    bench.talk_over(100)
    del bench.talk.answers[99]
    stage = bench.stage(None)

    assert (stage.up, stage.score_up) == (None, None)
    assert (stage.down.sent, stage.down.lost, stage.down.tail) == (100, 1, 1)
    assert stage.down.last == pytest.approx(1.96, abs=0.001)


def test_numbers_that_the_far_end_kept_silent_about_are_no_loss_down(bench: Bench) -> None:
    for number in range(50):
        bench.send()
        bench.hear(number)
        if number % 2:
            bench.answer(number)
        else:
            bench.mute.append(number)
    stage = bench.stage(bench.log())

    assert stage.up is not None
    assert (stage.up.lost, stage.down.sent, stage.down.lost) == (0, 25, 0)


def test_only_packets_of_media_are_counted(bench: Bench) -> None:
    for kind in (1, 0, 2, 0):
        bench.hear(bench.send(kind).number)
    stage = bench.stage(bench.log(), media=[0])

    assert stage.up is not None
    assert stage.up.sent == 2
    assert bench.stage(bench.log(), media=[0, 2]).down.sent == 3


def test_stages_share_one_count_of_numbers(bench: Bench) -> None:
    bench.talk_over(10)
    bench.begin(msgspec.structs.replace(VOICE, name="half", every=0.04))
    for _ in range(5):
        bench.hear(bench.send(every=0.04).number)
    first, second = bench.talk.facts([0], bench.log())

    assert (first.profile, first.down.sent, first.began) == ("voice", 10, 0)
    assert (second.profile, second.down.sent, second.down.arrived, second.began) == ("half", 5, 0, 0.2)


def test_a_round_trip_leaves_out_what_the_far_end_held_it(bench: Bench) -> None:
    for number in range(10):
        bench.send()
        bench.hear(number, 0.02)
        bench.answer(number, 0.03, held=1.5)

    assert (with_log := bench.stage(bench.log()).rtt) is not None
    assert with_log.median == pytest.approx(0.05, abs=1e-5)
    assert (without := bench.stage(None).rtt) is not None
    assert without.median == pytest.approx(1.55, abs=1e-5)


def test_delay_up_and_delay_down_are_told_apart_whatever_the_clocks_say(bench: Bench) -> None:
    for number in range(100):
        bench.send()
        bench.hear(number, 0.03 + 0.3 * (number >= 50))
        bench.answer(number)
    stage = bench.stage(bench.log())

    assert stage.up is not None
    assert (stage.up.late_200, stage.down.late_200) == (50, 0)


def test_one_packet_that_was_held_up_does_not_move_the_stage(bench: Bench) -> None:
    """Its time must not become the far end's zero: the flow would seem to end seconds before it does."""
    for number in range(300):
        bench.send()
        bench.hear(number, 4.0 if number == 10 else 0.03)
        bench.answer(number)
    stage = bench.stage(bench.log())

    assert stage.down.last == pytest.approx(5.98, abs=0.01)
    assert not is_cut([stage])


def test_an_answer_that_comes_twice_is_counted_once_and_its_copy_noted(bench: Bench) -> None:
    bench.send()
    bench.hear(0)
    bench.answer(0, 0.03)
    bench.answer(0, 0.50)
    stage = bench.stage(bench.log())

    assert (stage.down.arrived, stage.down.duplicates) == (1, 1)
    assert stage.rtt is not None
    assert stage.rtt.max == pytest.approx(0.06, abs=1e-5)


def test_the_far_ends_clock_may_begin_again_and_answers_overtake_each_other_there() -> None:
    bench = Bench()
    bench.begin()
    turn = (1 << 32) / 1e6
    down = Sealer(KEY, "down")
    for number in range(200):
        bench.send()
        bench.hear(number)
    order = list(range(200))
    order[100], order[101] = order[101], order[100]
    for number in order:
        at = bench.heard_at[number]
        micros = round((at - BEGAN + turn - 2.0) * 1e6)  # it begins again in the middle, at number 100
        bench.talk.hear(down.seal(Stamp(0, number, 7, micros % (1 << 32))), 180, at + 0.03)
    heard = [round((bench.heard_at[n] - BEGAN + turn - 2.0) * 1e6) for n in range(200)]
    log = Heard(numbers=steps(range(200)), at=steps(heard))

    for stage in (bench.stage(log), bench.stage(None)):
        assert (stage.down.arrived, stage.down.late_60) == (200, 0)
        assert stage.down.seconds == pytest.approx(3.98, abs=0.01)


def test_media_is_given_up_after_six_seconds_without_an_answer() -> None:
    bench = Bench()
    profile = msgspec.structs.replace(VOICE, every=0.5, seconds=60.0)

    def send(size: int) -> float:
        bench.send(every=0.5)
        if len(bench.talk.sent) <= 10:  # five seconds with answers
            bench.hear(len(bench.talk.sent) - 1)
            bench.answer(len(bench.talk.sent) - 1)
        return bench.time

    asyncio.run(bench.talk.play(profile, send))

    assert bench.talk.gave_up
    assert bench.time - BEGAN == pytest.approx(4.5 + GIVE_UP, abs=0.6)
    assert len(bench.talk.sent) == pytest.approx(22, abs=1)


def test_a_log_that_takes_its_time_does_not_make_it_given_up() -> None:
    bench = Bench()

    def send(size: int) -> float:
        bench.send(every=0.5)
        bench.hear(len(bench.talk.sent) - 1)
        bench.answer(len(bench.talk.sent) - 1)
        return bench.time

    asyncio.run(bench.talk.play(msgspec.structs.replace(VOICE, every=0.5, seconds=3.0), send))
    bench.time += 20.0

    assert not bench.talk.gave_up
    assert bench.talk.account().packets == 6


@pytest.mark.parametrize("why", ["time", "octets", "unproved"])
def test_what_was_sent_after_the_far_end_stopped_listening_is_nobodys_loss(bench: Bench, why: str) -> None:
    bench.talk_over(60)
    for _ in range(200):
        bench.send()
    let_go, listening = bench.stage(bench.log(ended=why)), bench.stage(bench.log(ended="closed"))

    assert let_go.up is not None
    assert (let_go.up.sent, let_go.up.lost, is_cut([let_go])) == (60, 0, False)
    assert listening.up is not None
    assert (listening.up.lost, is_cut([listening])) == (200, True)


def test_a_flow_that_was_never_heard_is_lost_even_if_the_far_end_waited_no_longer(bench: Bench) -> None:
    for _ in range(50):
        bench.send()
    stage = bench.stage(Heard(ended="time"))

    assert stage.up is not None
    assert stage.up.lost == 50


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda log: msgspec.structs.replace(log, at=log.at[:-1]), "not a log of this flow"),
        (lambda log: msgspec.structs.replace(log, numbers=(*log.numbers, 1), at=(*log.at, 1)), "never sent"),
        (lambda log: msgspec.structs.replace(log, numbers=(-1, *log.numbers[1:])), "never sent"),
        (lambda log: msgspec.structs.replace(log, at=(*log.at[:-1], -1)), "runs backwards"),
        (lambda log: msgspec.structs.replace(log, numbers=(0,) * 60, at=(0,) * 60), "not a log of this flow"),
        (lambda log: msgspec.structs.replace(log, numbers=log.numbers[:-1], at=log.at[:-1]), "denies"),
        (lambda log: msgspec.structs.replace(log, mute=(3,)), "denies"),
        (lambda log: Heard(), "denies"),
    ],
)  # fmt: skip
def test_a_log_that_cannot_be_true_is_refused(
    bench: Bench, change: Callable[[Heard], Heard], why: str
) -> None:
    bench.talk_over(10)

    with pytest.raises(Malformed, match=why) as caught:
        bench.talk.facts([0], change(bench.log()))
    assert caught.value.code == "log"


def test_a_number_that_was_heard_twice_arrived_when_it_was_first_heard() -> None:
    log = Heard(numbers=(0, 1, -1, 2), at=(5, 10, 20, 30))

    assert arrivals(log, 3) == {0: 5e-6, 1: 15e-6, 2: 65e-6}


LOGS = st.builds(
    Heard,
    numbers=st.lists(st.integers(-3, 12) | st.integers(-(1 << 63), 1 << 63), max_size=30).map(tuple),
    at=st.lists(st.integers(-1, 10**7) | st.integers(-(1 << 63), 1 << 63), max_size=30).map(tuple),
    mute=st.lists(st.integers(-2, 12), max_size=4).map(tuple),
    ended=st.sampled_from(["", "time", "octets", "unproved", "closed"]),
)


@given(LOGS, st.sets(st.integers(0, 9)))
def test_any_log_is_counted_or_refused(log: Heard, answered: set[int]) -> None:
    bench = Bench()
    bench.begin()
    for number in range(10):
        bench.send()
        bench.hear(number)
        if number in answered:
            bench.answer(number)
    stage = None
    with contextlib.suppress(Malformed):
        stage = bench.stage(log)
    if stage is None:
        return
    assert stage.up is not None
    assert stage.down.arrived <= len(answered)
    assert stage.down.sent <= stage.up.arrived <= stage.up.sent <= 10
    assert msgspec.json.decode(line(stage), type=StageFacts) == stage


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, (1 << 32) - 1), st.floats(0, 1e4)), max_size=30))
def test_whatever_clock_the_far_end_has_there_are_facts(said: list[tuple[int, int, float]]) -> None:
    bench, down = Bench(), Sealer(KEY, "down")
    bench.begin()
    for _ in range(10):
        bench.send()
    for number, micros, after in said:
        bench.talk.hear(down.seal(Stamp(0, number, 7, micros)), 180, BEGAN + after)

    assert bench.stage(None).down.arrived == len({number for number, _, _ in said})


def test_the_worst_ten_seconds_of_each_direction_are_kept(bench: Bench) -> None:
    for number in range(1000):
        bench.send()
        if not 700 <= number < 800:  # two seconds of silence, up
            bench.hear(number)
            bench.answer(number)
    stage = bench.stage(bench.log())

    assert (stage.worst_up, stage.worst_down) == (0.2, 0.0)
    assert bench.stage(None).worst_up is None


def ended(last: float | None, *, sent: int = 500, every: float = 0.02, trip: float = 0.05) -> StageFacts:
    """A stage of so many packets, of which nothing came back after `last`."""
    rtt = RoundTrip(count=9, min=trip, median=trip, p95=trip, p99=trip, max=trip, deviation=0)
    down = Direction(sent=sent, arrived=0 if last is None else 1, last=last)
    return StageFacts(profile="voice", began=0, every=every, down=down, rtt=rtt)


@pytest.mark.parametrize(
    ("stages", "cut"),
    [
        ([ended(9.98)], False),
        ([ended(8.2)], False),  # a second and a half
        ([ended(7.9)], True),
        ([ended(None)], True),
        ([ended(9.98), ended(None, sent=60)], False),  # too few, too short
        ([ended(9.98), ended(None, sent=150)], True),
        ([ended(None), ended(9.98)], False),  # it came back
        ([ended(7.0, sent=60, every=0.16)], False),  # sixteen packets of a sparse call
        ([ended(7.0, trip=3.0)], False),  # answers of three seconds are still on their way
        ([ended(4.0, trip=3.0)], True),
        ([], False),
    ],
)  # fmt: skip
def test_a_flow_is_cut_where_nothing_of_its_last_seconds_came_back(
    stages: list[StageFacts], cut: bool
) -> None:
    assert is_cut(stages) == cut
