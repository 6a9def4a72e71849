"""WebRTC calls to a real far end on loopback: placed, kept up, cut at each stage, and never left behind."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path as File

import pytest

from probe.catalogue import Pace
from probe.configs import load
from probe.failure import Kind
from probe.far_end.client import _ANSWER, _LOG
from probe.model import Chain, Observation
from probe.net import SystemNet
from probe.observe import Observer
from probe.steps import Call, CallFacts
from probe.steps.call import _DEADLINES
from tests.far_end.between import (
    Asked,
    Change,
    CutAfter,
    Lets,
    Path,
    Real,
    Said,
    Way,
    all_pass,
    between,
    call_path,
    is_dtls,
    is_media,
    none_pass,
)
from tests.far_end.house import far_end
from tests.far_end.trial import (
    SUPPLIES,
    all_arrived,
    call,
    facts_of,
    failure_of,
    https,
    leg,
    no_call_is_left,
    quick,
    tried,
)

CONFIGS = File(__file__).parent.parent.parent / "configs"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)


async def by_way_of(lets: Lets, *profiles: str, **more: object) -> tuple[Observation, Path]:
    async with far_end() as visitor, call_path(visitor, lets) as (port, ways):
        seen = await tried(call(*profiles, **more), port)
        return seen, ways[0]


# ---------------------------------------------------------------------- what passes


async def test_a_call_goes_through_its_stages_and_its_media_through_both_ways() -> None:
    async with far_end() as visitor:
        seen = await tried(call("few", "large"), https(visitor))
    facts = all_arrived(seen, CallFacts)
    times = [facts.gathered, facts.answered, facts.ice, facts.dtls, facts.first_media]

    assert None not in times
    assert times == sorted(times, key=lambda one: one or 0.0)
    assert [stage.profile for stage in facts.stages] == ["few", "large"]
    assert facts.candidates == ("host", "host")
    assert (facts.path, facts.ended, facts.stopped) == ("direct", "closed", False)
    assert facts.hello is not None
    assert (facts.hello.sender, facts.hello.kind, facts.hello.resent) == ("us", "library", 0)
    assert facts.hello.version == "DTLSv1.2"


async def test_either_side_sends_the_hello_and_another_kind_has_another_digest() -> None:
    async with far_end() as visitor:
        kinds = (call(), call(), call(hello="permuted"), call(hello_from="them"))
        seen = [
            all_arrived(one, CallFacts)
            for one in await asyncio.gather(*(tried(k, https(visitor)) for k in kinds))
        ]
    hellos = [one.hello for one in seen if one.hello is not None]

    assert [(one.sender, one.kind) for one in hellos] == [
        ("us", "library"), ("us", "library"), ("us", "permuted"), ("them", "library"),
    ]  # fmt: skip
    assert hellos[0].digest == hellos[1].digest != hellos[2].digest
    assert hellos[0].sha256 != hellos[1].sha256
    assert all(one.digest and one.octets > 100 and one.datagrams == 1 for one in hellos)


async def test_packets_have_the_sizes_of_the_profile() -> None:
    seen, way = await by_way_of(all_pass, "few", "large")
    few, large = all_arrived(seen, CallFacts).stages
    media = [len(one) for one in way.up if is_media(one)]

    assert few.up is not None
    assert large.up is not None
    assert len(media) == few.up.sent + large.up.sent
    assert all(60 <= size <= 130 for size in media[: few.up.sent])
    assert seen.sent > sum(stage.up.bytes_sent for stage in (few, large) if stage.up is not None)
    assert seen.received > few.down.bytes_arrived + large.down.bytes_arrived
    assert all(900 <= size <= 1110 for size in media[few.up.sent :])


# ---------------------------------------------------------------------- what is lost


async def test_each_stage_that_is_silent_has_its_name_and_ends_by_our_own_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(_DEADLINES, "ice", 0.8)
    monkeypatch.setitem(_DEADLINES, "dtls", 0.8)
    silent: dict[str, Lets] = {
        "ice": none_pass,
        "dtls": lambda way, data: not is_dtls(data),
        "media": lambda way, data: not is_media(data),
    }
    seen = await asyncio.gather(*(by_way_of(lets) for lets in silent.values()))

    for (one, _), stage in zip(seen, silent, strict=True):
        facts = facts_of(one, CallFacts)
        reached = [facts.gathered, facts.answered, facts.ice, facts.dtls, facts.first_media]
        assert (failure_of(one).kind, failure_of(one).code) == (Kind.SILENT, stage)
        assert [at is not None for at in reached].index(False) == 2 + list(silent).index(stage)
        assert facts.heard
        assert bool(facts.stages) == (stage == "media")


async def test_a_cut_of_media_is_told_by_direction_and_dated() -> None:
    cuts: tuple[tuple[Way, ...], ...] = (("up", "down"), ("up",), ("down",))
    seen = await asyncio.gather(*(by_way_of(CutAfter(4, *ways, kind=is_media), "many") for ways in cuts))

    for (one, _), ways in zip(seen, cuts, strict=True):
        assert (failure_of(one).kind, failure_of(one).code) == (Kind.SILENT, "cut")
        (stage,) = facts_of(one, CallFacts).stages
        assert stage.up is not None
        assert stage.down.arrived == 4
        assert stage.down.last is not None
        assert 0.5 < stage.down.last < 1.5
        assert (stage.up.arrived == 4) == ("up" in ways)


def test_our_own_deadlines_leave_a_call_its_time() -> None:
    """With every stage at its limit, both logs' waits, and the media that ships, the step's own deadline is not met."""
    shipped = load(CONFIGS).profiles
    media = sum(shipped[name].seconds for name in Call().profiles)

    assert sum(_DEADLINES.values()) + media + 2 * _LOG + 2 * _ANSWER < Call().seconds


# ---------------------------------------------------------------------- the end


def hanging_at(what: str, reached: asyncio.Event) -> Change:
    """HTTPS on which one question is never answered."""

    async def hang(asked: Asked, real: Real) -> Said:
        if asked.what == what:
            reached.set()
            await asyncio.Event().wait()
        said: Said = await real()
        return said

    return hang


async def cancelled(port: int, profile: str, reached: Awaitable[object]) -> Observation:
    """A call that is stopped when it has come so far."""
    chains: list[Chain] = []
    observer = Observer(SystemNet(), Pace(), SUPPLIES, max_bytes=1 << 40)
    trying = asyncio.create_task(observer.follow(leg(call(profile), port), chains))
    async with asyncio.timeout(20):
        await reached
    began = time.monotonic()
    trying.cancel()
    await asyncio.gather(trying, return_exceptions=True)
    assert time.monotonic() - began < 3
    return chains[0].observations[-1]


@pytest.mark.parametrize("question", ["POST session", "POST whip", "DELETE calls"])
async def test_a_call_that_is_cancelled_while_a_question_waits_leaves_nothing_behind(question: str) -> None:
    reached = asyncio.Event()
    async with far_end() as visitor, between(visitor, hanging_at(question, reached)) as port:
        seen = await cancelled(port, "few", reached.wait())
        await visitor.far_end.house.calls.close()
        await no_call_is_left()

    assert failure_of(seen).kind is Kind.INTERRUPTED


STAGES: dict[str, tuple[Lets, Callable[[bytes], bool]]] = {
    "ice": (none_pass, lambda data: True),
    "dtls": (lambda way, data: not is_dtls(data), is_dtls),
    "media": (all_pass, is_media),
}


@pytest.mark.parametrize(("lets", "kind"), STAGES.values(), ids=STAGES)
async def test_a_call_that_is_cancelled_in_a_stage_sends_no_more_and_leaves_nothing_behind(
    lets: Lets, kind: Callable[[bytes], bool]
) -> None:
    async with far_end() as visitor, call_path(visitor, lets) as (port, ways):

        async def reached() -> None:
            while not (ways and any(map(kind, ways[0].up))):
                await asyncio.sleep(0.01)

        seen = await cancelled(port, "many", reached())
        assert await ways[0].is_quiet()
        await visitor.far_end.house.calls.close()
        await no_call_is_left()

    assert failure_of(seen).kind is Kind.INTERRUPTED
