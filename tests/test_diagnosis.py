"""What happened to a flow, on networks whose one rule is known, over several seeds."""

import random
from collections.abc import Callable
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.diagnosis import Diagnosis, diagnose, speech_is_usable
from probe.media.quality import Direction, Outage, Passage, Series, direction

SEEDS = range(6)
HEADERS = 28  # bytes of IPv4 and UDP, which limits count and we do not
OFFSET = 4_000_000.0  # between the two clocks

# Seconds from the start of the flow and bytes of payload, to seconds of delay, or None for a loss.
Network: TypeAlias = Callable[[float, int], float | None]
# Packets a second, the least and the most bytes, seconds.
PROFILES = {
    "voice": (50, 160, 200, 30),
    "video": (45, 1000, 1200, 10),
    "half": (25, 160, 200, 10),
}


def measured(network: Network, seed: int = 0, *names: str) -> list[tuple[str, Direction]]:
    """A flow over this network: its stages one after the other, over a line with 2 ms of jitter."""
    chance = random.Random(seed + 1000)
    began, number, stages = 300.0, 0, []
    for name in names or tuple(PROFILES):
        rate, least, most, seconds = PROFILES[name]
        passages = []
        for index in range(rate * seconds):
            sent, size = began + index / rate, chance.randint(least, most)
            delay = network(sent - 300, size)
            line = 0.03 + chance.random() * 0.002
            arrived = None if delay is None else (sent + delay + line) * 1.00003 + OFFSET
            passages.append(Passage(number, size, sent, arrived))
            number += 1
        stages.append((name, direction(passages, began=began)))
        began += seconds
    return stages


def fair(at: float, size: int) -> float:
    return 0.0


def randomly(share: float, seed: int, *, since: float = 0.0) -> Network:
    chance = random.Random(seed)
    return lambda at, size: None if chance.random() < share and at >= since else 0.0


def in_bursts(share: float, mean: float, seed: int, *, jitter: float = 0.0) -> Network:
    """Gilbert's model: bad states of so many packets in the mean, in which all is lost."""
    chance, bad = random.Random(seed), False

    def network(at: float, size: int) -> float | None:
        nonlocal bad
        bad = chance.random() >= 1 / mean if bad else chance.random() < share / (1 - share) / mean
        return None if bad else chance.random() * jitter

    return network


def policer(bits: float, bucket: float) -> Network:
    """A token bucket of so many bytes: what finds no tokens is dropped."""
    tokens, before = bucket, 0.0

    def network(at: float, size: int) -> float | None:
        nonlocal tokens, before
        tokens, before = min(bucket, tokens + (at - before) * bits / 8), at
        if tokens < size + HEADERS:
            return None
        tokens -= size + HEADERS
        return 0.0

    return network


def shaper(bits: float, longest: float) -> Network:
    """A queue of so many seconds; what finds it full is dropped."""
    free = 0.0

    def network(at: float, size: int) -> float | None:
        nonlocal free
        if free - at > longest:
            return None
        free = max(free, at) + (size + HEADERS) * 8 / bits
        return free - at

    return network


def frozen(packets: int) -> Network:
    left = packets

    def network(at: float, size: int) -> float | None:
        nonlocal left
        left -= 1
        return 0.0 if left >= 0 else None

    return network


def dead(since: float, until: float = 1e9) -> Network:
    return lambda at, size: None if since <= at < until else 0.0


def both(one: Network, other: Network) -> Network:
    def network(at: float, size: int) -> float | None:
        first, second = one(at, size), other(at, size)
        return None if first is None or second is None else first + second

    return network


def test_a_fair_line_is_good() -> None:
    assert diagnose(measured(fair)) == Diagnosis("good")


def test_nothing_sent_is_untried_and_nothing_arrived_is_silent() -> None:
    assert diagnose([]) == diagnose([("voice", Direction())]) == Diagnosis("untried")
    assert diagnose([("voice", Direction(sent=39, lost=39, loss=1, tail=39))]).kind == "untried"
    assert diagnose(measured(dead(0))) == Diagnosis("silent", loss=1)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_stray_here_and_there_is_still_silence(seed: int) -> None:
    assert diagnose(measured(randomly(0.997, seed))).kind == "silent"


@pytest.mark.parametrize(
    ("share", "kind"), [(0.01, "good"), (0.05, "lossy"), (0.2, "thinned"), (0.3, "thinned")]
)
@pytest.mark.parametrize("seed", SEEDS)
def test_random_loss_is_named_by_its_share(share: float, kind: str, seed: int) -> None:
    found = diagnose(measured(randomly(share, seed), seed))

    assert (found.kind, found.packets, found.rate) == (kind, None, None)
    assert found.loss == pytest.approx(share, abs=0.035)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_flow_frozen_after_25_packets_is_cut_there(seed: int) -> None:
    found = diagnose(measured(frozen(25), seed))

    assert (found.kind, found.packets, found.seconds) == ("cut", 25, 0.48)
    assert found.octets is not None
    assert 25 * 160 <= found.octets <= 25 * 200


def test_a_flow_cut_after_five_seconds_is_dated() -> None:
    found = diagnose(measured(dead(5), 0, "voice"))

    assert found[:3] == ("cut", 250, 4.98)


def test_a_cut_is_dated_over_the_whole_flow() -> None:
    in_video, at_half = diagnose(measured(dead(33))), diagnose(measured(dead(40)))

    assert (in_video.kind, in_video.packets) == ("cut", 1500 + 3 * 45)
    assert in_video.seconds == pytest.approx(33, abs=0.1)
    assert (at_half.kind, at_half.packets) == ("cut", 1950)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_cut_on_a_poor_line_is_still_a_cut(seed: int) -> None:
    found = diagnose(measured(both(randomly(0.08, seed), dead(7)), seed))

    assert found.kind == "cut"
    assert found.seconds == pytest.approx(7, abs=0.2)


@pytest.mark.parametrize(("since", "until"), [(12, 13.5), (2, 9), (48.6, 1e9)])
def test_a_link_that_comes_back_was_not_cut_nor_one_that_fails_at_the_very_end(
    since: float, until: float
) -> None:
    stages = measured(dead(since, until))

    assert diagnose(stages).kind == "lossy"
    assert sum(len(one.outages) for _, one in stages) == 1


@pytest.mark.parametrize("seed", SEEDS)
def test_half_of_the_packets_is_thinned_from_the_start(seed: int) -> None:
    found = diagnose(measured(randomly(0.5, seed), seed))

    assert (found.kind, found.seconds, found.rate) == ("thinned", None, None)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.9])
@pytest.mark.parametrize("names", [("voice",), ("voice", "video", "half")])
@pytest.mark.parametrize("seed", SEEDS)
def test_thinning_that_sets_in_is_dated_to_the_second(
    seed: int, names: tuple[str, ...], share: float
) -> None:
    found = diagnose(measured(randomly(share, seed, since=8.4), seed, *names))

    assert found.kind == "thinned"
    assert found.seconds in (8, 9)
    assert found.packets == pytest.approx(420, abs=30)
    assert found.octets == pytest.approx(420 * 180, rel=0.08)


@pytest.mark.parametrize("bucket", [4_000, 16_000, 32_000])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_policer_that_spares_voice_is_named_with_its_rate(seed: int, bucket: int) -> None:
    stages = measured(policer(130_000, bucket), seed)
    found = diagnose(stages)

    assert found.kind == "policed"
    assert found.rate == pytest.approx(130_000 * 1100 / 1128, rel=0.05)
    assert speech_is_usable(stages[0][1])


@pytest.mark.parametrize("bits", [20_000, 30_000, 60_000])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_policer_that_hits_voice_is_named_with_its_rate(seed: int, bits: int) -> None:
    stages = measured(policer(bits, 8_000), seed)
    found = diagnose(stages)

    assert found.kind == "policed"
    assert found.rate == pytest.approx(bits * 180 / 208, rel=0.1)
    assert not speech_is_usable(stages[0][1])


@pytest.mark.parametrize("seed", SEEDS)
def test_a_policer_on_a_poor_line_is_a_policer(seed: int) -> None:
    network = both(policer(130_000, 16_000), randomly(0.02, seed))

    assert diagnose(measured(network, seed)).kind == "policed"


@pytest.mark.parametrize("bits", [32_000, 48_000])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_shaper_of_voice_is_named_with_its_rate(seed: int, bits: int) -> None:
    for names in (("voice",), ("voice", "video", "half")):
        stages = measured(shaper(bits, 0.64), seed, *names)
        found = diagnose(stages)

        assert found.kind == "shaped"
        assert found.rate == pytest.approx(bits * 180 / 208, rel=0.05)
        assert not speech_is_usable(stages[0][1])


@pytest.mark.parametrize("longest", [0.5, 5.0])
def test_a_shaper_of_video_is_named_whether_its_queue_runs_over_or_not(longest: float) -> None:
    found = diagnose(measured(shaper(250_000, longest)))

    assert found.kind == "shaped"
    assert found.rate == pytest.approx(250_000 * 1100 / 1128, rel=0.05)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_radio_that_fades_is_lossy_and_no_filter(seed: int) -> None:
    for share in (0.05, 0.12, 0.25):
        assert diagnose(measured(in_bursts(share, 5, seed, jitter=0.08), seed)).kind == "lossy"
        assert diagnose(measured(in_bursts(share, 5, seed), seed)).kind == "lossy"


@pytest.mark.parametrize("seed", SEEDS)
def test_a_little_loss_in_bursts_is_worse_than_the_same_at_random(seed: int) -> None:
    assert diagnose(measured(in_bursts(0.02, 6, seed), seed)).kind == "lossy"
    assert diagnose(measured(randomly(0.02, seed), seed, "voice")).kind == "good"


@pytest.mark.parametrize("seed", SEEDS)
def test_packets_lost_at_random_where_there_are_more_of_them_are_not_policed(seed: int) -> None:
    chance = random.Random(seed)
    crowded = diagnose(measured(lambda at, size: None if size > 500 and chance.random() < 0.3 else 0.0, seed))

    assert (crowded.kind, crowded.rate) == ("lossy", None)


def test_large_packets_lost_altogether_are_neither_a_cut_nor_a_rate() -> None:
    assert diagnose(measured(lambda at, size: None if size > 500 else 0.0)).kind == "lossy"


@pytest.mark.parametrize("seed", SEEDS)
def test_delay_without_loss_is_slow(seed: int) -> None:
    chance = random.Random(seed)
    jittery = diagnose(measured(lambda at, size: chance.random() * 0.3, seed))
    # Somebody else's upload fills the queue of the line and gives way, again and again.
    bloated = diagnose(measured(lambda at, size: 0.5 * (at % 7), seed))

    assert (jittery.kind, bloated.kind) == ("slow", "slow")


def test_speech_bears_a_fifth_and_no_more() -> None:
    assert speech_is_usable(Direction(sent=1000, arrived=900, lost=100, late_200=90))
    assert not speech_is_usable(Direction(sent=1000, arrived=900, lost=100, late_200=100))
    assert not speech_is_usable(Direction())


COUNTS = st.integers(-10, 1 << 40) | st.integers(0, 100)
NUMBERS = st.floats() | st.floats(-1, 60)
SERIES = st.builds(
    Series,
    sent=st.lists(COUNTS, max_size=20).map(tuple),
    arrived=st.lists(COUNTS, max_size=20).map(tuple),
    bytes=st.lists(COUNTS, max_size=20).map(tuple),
    delay_ms=st.lists(st.none() | NUMBERS, max_size=20).map(tuple),
)
DIRECTIONS = st.builds(
    Direction,
    sent=COUNTS,
    arrived=COUNTS,
    lost=COUNTS,
    loss=NUMBERS,
    bytes_sent=COUNTS,
    bytes_arrived=COUNTS,
    seconds=NUMBERS,
    runs=COUNTS,
    tail=COUNTS,
    burst_ratio=NUMBERS,
    late_200=COUNTS,
    spread=NUMBERS,
    last=st.none() | NUMBERS,
    outages=st.just((Outage(start=0, seconds=1, packets=1),)),
    series=SERIES,
)


@given(st.lists(st.tuples(st.sampled_from(list(PROFILES)), DIRECTIONS), max_size=4))
def test_whatever_a_file_says_there_is_a_diagnosis(stages: list[tuple[str, Direction]]) -> None:
    assert isinstance(diagnose(stages), Diagnosis)
    assert all(isinstance(speech_is_usable(one), bool) for _, one in stages)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([1, 40, 60, 300]),
            st.sampled_from([0.002, 0.02, 0.2]),
            st.floats(0, 1),
            st.integers(),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_whatever_arrives_there_is_a_diagnosis(stages: list[tuple[int, float, float, int]]) -> None:
    flow = []
    for count, every, share, seed in stages:
        chance = random.Random(seed)
        times = [index * every for index in range(count)]
        passages = [
            Passage(n, 180, at, at + chance.random() if chance.random() >= share else None)
            for n, at in enumerate(times)
        ]
        flow.append(("voice", direction(passages, began=0)))

    found, sent = diagnose(flow), sum(one.sent for _, one in flow)
    assert (found.kind == "untried") == (sent < 40)
    assert found.kind == "untried" or found.loss == pytest.approx(
        sum(one.lost for _, one in flow) / sent, abs=1e-6
    )
