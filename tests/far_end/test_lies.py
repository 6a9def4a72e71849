"""Far ends that lie about media: in answers to a flow, in a log, in the media of a call."""

import asyncio
import os
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from probe.failure import Kind
from probe.media.stamp import Sealer, Stamp
from probe.model import Observation
from probe.record import line
from tests.far_end.between import Said
from tests.far_end.liar import Lie, Log, honest, lying_to_calls, lying_to_flows
from tests.far_end.trial import call, media, quick, tried
from tests.test_hostile import LIMIT, memory


def jumping(stamp: Stamp, sealer: Sealer) -> list[bytes]:
    return [sealer.seal(stamp._replace(micros=random.randrange(1 << 32)))]


LIES: dict[str, Lie] = {
    "other words": lambda stamp, sealer: [sealer.seal(stamp._replace(word=random.randrange(1 << 16)))],
    "replays": lambda stamp, sealer: [sealer.seal(stamp)] * 50,
    "numbers never sent": lambda stamp, sealer: [
        sealer.seal(stamp._replace(number=(stamp.number + 500) % (1 << 20))),
        sealer.seal(stamp._replace(number=(1 << 20) - 1)),
    ],
    "numbers to come, all at once": lambda stamp, sealer: [
        sealer.seal(stamp._replace(number=number)) for number in range(40)
    ],
    "kinds that do not exist": lambda stamp, sealer: [sealer.seal(stamp._replace(kind=15))],
    "a clock that jumps": jumping,
    "a clock that stands": lambda stamp, sealer: [sealer.seal(stamp._replace(micros=0))],
    "a clock that runs backwards": lambda stamp, sealer: [
        sealer.seal(stamp._replace(micros=-stamp.micros - 5_000_000 * stamp.number))
    ],
    "stamps of nobody": lambda stamp, sealer: [os.urandom(12) for _ in range(50)],
}


def unnumbered(log: Said) -> Said:
    return Said.json(200)


def of_another_flow(log: Said) -> Said:
    return Said.json(200, numbers=[3000, 1, 1], at=[0, 20_000, 20_000])


def backwards(log: Said) -> Said:
    return Said.json(200, numbers=[0, 1, 1], at=[50_000, -20_000, -20_000])


def too_few_times(log: Said) -> Said:
    return Said.json(200, numbers=[0, 1, 1], at=[0])


def an_hour_ahead(log: Said) -> Said:
    return Said.json(200, numbers=[0, 1, 1, 1, 1], at=[0, 3_600_000_000, 1, 1, 1], proved=True)


def mute_on_everything(log: Said) -> Said:
    return Said.json(200, numbers=[0, 1, 1, 1, 1], at=[0] * 5, mute=[0, 1, 2, 3, 4, 5, 6, -7])


LOGS: tuple[Log, ...] = (
    unnumbered, of_another_flow, backwards, too_few_times, an_hour_ahead, mute_on_everything,
)  # fmt: skip


@contextmanager
def nothing_raised() -> Iterator[None]:
    """Nothing that ended in the event loop's own hands."""
    raised: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, about: raised.append(about))
    yield
    assert raised == []


def assert_plain(seen: Observation, before: int) -> None:
    """A failure that is not ours, or facts; either can be written down."""
    assert seen.step in ("media", "call")
    assert seen.facts is not None
    assert seen.failure is None or seen.failure.kind.is_evidence or seen.failure.code == "busy", seen.failure
    assert len(line(seen)) < 20_000
    assert seen.seconds < 15
    assert memory() - before < LIMIT


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)
    monkeypatch.setattr("probe.steps.media._GAPS", (0.2, 0.2, 0.2))


async def lied_to(lie: Lie, log: Log = honest) -> Observation:
    async with lying_to_flows(lie, log) as (https, udp):
        return await tried(media(port=udp), https)


async def called(lie: Lie) -> Observation:
    async with lying_to_calls(lie) as https:
        return await tried(call(), https)


async def test_lies_in_answers_to_a_flow_are_plain_facts_or_a_classified_failure() -> None:
    before = memory()
    with nothing_raised():
        seen = await asyncio.gather(*map(lied_to, LIES.values()))

    for one in seen:
        assert_plain(one, before)


async def test_lies_in_the_media_of_a_call_are_plain_facts_or_a_classified_failure() -> None:
    before = memory()
    with nothing_raised():
        seen = await asyncio.gather(*map(called, LIES.values()))

    for one in seen:
        assert_plain(one, before)


@pytest.mark.parametrize("place", [lied_to, called])
async def test_a_flood_of_garbage_is_plain_facts_or_a_classified_failure(
    place: Callable[[Lie], Awaitable[Observation]],
) -> None:
    before = memory()
    with nothing_raised():
        seen = await place(lambda stamp, sealer: [os.urandom(random.randrange(1200)) for _ in range(300)])

    assert_plain(seen, before)


async def test_lies_in_a_log_are_plain_facts_or_a_classified_failure() -> None:
    before = memory()
    with nothing_raised():
        seen = await asyncio.gather(
            *(lied_to(lambda stamp, sealer: [sealer.seal(stamp)], log) for log in LOGS)
        )

    for one, log in zip(seen, LOGS, strict=True):
        assert_plain(one, before)
        assert one.failure is None or (one.failure.kind, one.failure.code) == (Kind.MALFORMED, "log")
        assert one.failure is not None or log is an_hour_ahead
