"""Paced flows to a real far end on loopback: over every transport, in every shape, and when something goes wrong."""

import asyncio
import time

import msgspec
import pytest

from probe.catalogue import Pace
from probe.failure import Kind
from probe.media.shape import Disguise, Exchange, Opening
from probe.model import Chain, Observation
from probe.net import SystemNet
from probe.observe import Observer
from probe.steps import Media, MediaFacts
from tests.far_end.between import (
    CutAfter,
    Lets,
    Line,
    Path,
    Way,
    all_pass,
    closed_port,
    listen_as,
    none_pass,
    only,
    path,
)
from tests.far_end.house import Visitor, far_end
from tests.far_end.trial import (
    SHAPES,
    SUPPLIES,
    all_arrived,
    facts_of,
    failure_of,
    https,
    leg,
    media,
    quick,
    tried,
)
from tests.loopback import stream_server


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)


async def by_way_of(visitor: Visitor, lets: Lets, *profiles: str, **more: object) -> tuple[Observation, Path]:
    async with path(visitor, lets) as (port, way):
        return await tried(media("random", *profiles, port=port, **more), https(visitor)), way


def is_opening(data: bytes) -> bool:
    return len(data) == 20  # of the shape "random"


def opening_only(way: Way, data: bytes) -> bool:
    return is_opening(data)


def passed(seen: Observation) -> MediaFacts:
    facts = all_arrived(seen, MediaFacts)
    assert facts.proved
    return facts


# ---------------------------------------------------------------------- what passes


async def test_every_shape_passes() -> None:
    async with far_end() as visitor:
        (port,) = visitor.far_end.udp
        seen = await asyncio.gather(
            *(tried(media(shape, "slow", port=port), https(visitor)) for shape in SHAPES)
        )

    for shape, one in zip(SHAPES.values(), seen, strict=True):
        facts = passed(one)
        assert (facts.shape, facts.port, facts.transport) == (shape.shape, port, "udp")
        assert [o.name for o in facts.opening] == [o.name for o in shape.opening]
        assert all(o.heard == o.transmissions for o in facts.opening)
        assert all(o.rtt is not None for o in facts.opening)


@pytest.mark.parametrize("shape", ["whatsapp-native", "telegram-reflector"])
async def test_every_disguise_passes(shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
    disguises: tuple[Disguise, ...] = ("", "random", "generic", "cookie", "port")
    async with far_end() as visitor:
        (port,) = visitor.far_end.udp
        async with path(visitor) as (other, _):
            monkeypatch.setattr("probe.media.shape.OTHER_PORT", other)
            flows = [tried(media(shape, port=port, disguise=one), https(visitor)) for one in disguises]
            facts = [passed(one) for one in await asyncio.gather(*flows)]

    assert [one.disguise for one in facts] == list(disguises)
    assert [one.port for one in facts] == [port] * 4 + [other]


async def test_a_flow_passes_on_a_tcp_stream() -> None:
    async with far_end() as visitor:
        (port,) = visitor.far_end.tcp
        shapes = ("random", "signal", "whatsapp-native", "discord")
        flows = [tried(media(shape, port=port, transport="tcp"), https(visitor)) for shape in shapes]
        seen = await asyncio.gather(*flows)

    for one in seen:
        facts = passed(one)
        assert (facts.transport, facts.port, facts.refusals) == ("tcp", port, {})


async def test_packets_have_the_sizes_of_the_profile_both_ways_and_every_byte_is_counted() -> None:
    async with far_end() as visitor:
        seen, way = await by_way_of(visitor, all_pass, "few", "large")
    few, large = passed(seen).stages
    up = [len(one) for one in way.up if not is_opening(one)]

    assert (few.profile, large.profile) == ("few", "large")
    assert few.up is not None
    assert all(60 <= size <= 120 for size in up[: few.up.sent])
    assert all(900 <= size <= 1100 for size in up[few.up.sent :])
    assert [len(one) for one in way.down] == [len(one) for one in way.up]
    assert few.up.bytes_sent == sum(up[: few.up.sent])
    signalling = seen.sent - sum(map(len, way.up)), seen.received - sum(map(len, way.down))
    assert all(0 < octets < 5000 for octets in signalling)


async def test_at_most_so_many_seconds_of_media_are_sent() -> None:
    async with far_end() as visitor:
        (port,) = visitor.far_end.udp
        seen = await tried(media("random", "few", "many", "large", port=port, at_most=1.0), https(visitor))
    stages = passed(seen).stages

    assert [one.profile for one in stages] == ["few", "many"]
    assert stages[1].down.sent == 2  # of 0.4 s, one every 200 ms


async def test_a_counter_belongs_to_its_packet_and_a_constant_to_the_flow() -> None:
    text = "80 {count16} {same:call:4} {stamp}"
    shape = msgspec.structs.replace(
        SHAPES["random"],
        opening=(Opening(name="first", up=text, times=3),),
        media=Exchange(up=f"{text} {{fill}}"),
    )
    async with far_end() as visitor, path(visitor) as (port, way):
        seen = await tried(media(port=port), https(visitor), shapes={"random": shape})
        count = passed(seen).opening[0].transmissions
    counters = [int.from_bytes(one[1:3], "big") for one in way.up]

    assert counters == [*range(count), *range(len(way.up) - count)]
    assert len({one[3:7] for one in way.up}) == len({one[3:7] for one in way.down}) == 1
    assert [one[1:3] for one in way.down] == [one[1:3] for one in way.up]


async def test_heartbeats_go_beside_the_media(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("probe.far_end.client._HEARTBEAT", 0.2)
    async with far_end() as visitor:
        (port,) = visitor.far_end.udp
        heartbeat = passed(await tried(media(port=port), https(visitor))).heartbeat

    assert heartbeat.asked == heartbeat.answered >= 1
    assert heartbeat.slowest > 0.0
    assert heartbeat.failure is None


# ---------------------------------------------------------------------- what is lost


async def test_a_silent_opening_is_told_by_what_the_far_end_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("probe.steps.media._GAPS", (0.1, 0.1, 0.1))
    async with far_end() as visitor:
        ways: tuple[Lets, ...] = (none_pass, only("up"), only("down"))
        seen = [one for one, _ in await asyncio.gather(*(by_way_of(visitor, lets) for lets in ways))]

    for one, heard in zip(seen, (0, 3, 0), strict=True):
        facts = facts_of(one, MediaFacts)
        assert (failure_of(one).kind, failure_of(one).code) == (Kind.SILENT, "opening")
        assert [(o.transmissions, o.heard, o.rtt) for o in facts.opening] == [(3, heard, None)]
        assert (facts.heard, facts.stages, facts.packets_in) == (True, (), heard)


async def test_an_opening_that_is_lost_at_first_is_sent_again() -> None:
    lost = CutAfter(0, "up")
    async with far_end() as visitor:
        asyncio.get_running_loop().call_later(0.2, lost.heal)
        seen, _ = await by_way_of(visitor, lost)
    (opening,) = facts_of(seen, MediaFacts).opening

    assert seen.failure is None
    assert opening.transmissions >= 2
    assert opening.heard is not None
    assert 1 <= opening.heard < opening.transmissions


async def test_media_of_which_nothing_comes_back_is_silent_and_not_sent_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("probe.far_end.talk.GIVE_UP", 0.6)
    async with far_end() as visitor:
        seen, _ = await by_way_of(visitor, opening_only, "many", "few")
    facts = facts_of(seen, MediaFacts)
    (stage,) = facts.stages

    assert (failure_of(seen).kind, failure_of(seen).code) == (Kind.SILENT, "media")
    assert facts.stopped
    assert stage.up is not None
    assert (stage.up.arrived, stage.down.sent) == (0, 0)
    assert 0 < stage.up.sent < 12


async def test_a_cut_is_told_by_direction_and_dated() -> None:
    """After 5 packets of each way, of which the opening is one: 4 of media at 200 ms."""
    cuts: tuple[tuple[Way, ...], ...] = (("up", "down"), ("up",), ("down",))
    async with far_end() as visitor:
        seen = await asyncio.gather(*(by_way_of(visitor, CutAfter(5, *ways), "many") for ways in cuts))

    for (one, _), ways in zip(seen, cuts, strict=True):
        assert (failure_of(one).kind, failure_of(one).code) == (Kind.SILENT, "cut")
        (stage,) = facts_of(one, MediaFacts).stages
        assert stage.up is not None
        assert stage.down.arrived == 4
        assert stage.down.last is not None
        assert 0.5 < stage.down.last < 1.5
        if "up" in ways:
            assert (stage.up.arrived, stage.down.lost) == (4, 0)
            assert stage.up.last == pytest.approx(stage.down.last, abs=0.3)
        else:
            assert (stage.up.lost, stage.down.sent) == (0, stage.up.sent)


async def test_a_refusal_by_icmp_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("probe.steps.media._GAPS", (0.1, 0.1, 0.1))
    port = closed_port()
    async with far_end() as visitor:
        listen_as(visitor, port)
        seen = await tried(media(port=port), https(visitor))
    facts = facts_of(seen, MediaFacts)

    assert failure_of(seen).code == "opening"
    assert facts.refusals["ECONNREFUSED"] >= 3


async def test_a_machine_that_is_too_busy_to_send_says_nothing_of_the_network() -> None:
    def busy(way: Way, data: bytes) -> bool:
        if way == "up" and not is_opening(data):
            time.sleep(0.6)  # the event loop of the sender is this one
        return True

    async with far_end() as visitor:
        seen, _ = await by_way_of(visitor, busy)
    pacing = facts_of(seen, MediaFacts).pacing

    assert (failure_of(seen).kind, failure_of(seen).code) == (Kind.UNSUPPORTED, "busy")
    assert pacing is not None
    assert pacing.missed >= 1


# ---------------------------------------------------------------------- the end


async def following(step: Media, port: int, chains: list[Chain]) -> None:
    observer = Observer(SystemNet(), Pace(), SUPPLIES, max_bytes=1 << 40)
    await observer.follow(leg(step, port), chains)


@pytest.mark.parametrize(("lets", "sent"), [(none_pass, 1), (all_pass, 4)], ids=["opening", "media"])
async def test_no_packet_leaves_after_a_flow_was_cancelled(lets: Lets, sent: int) -> None:
    chains: list[Chain] = []
    async with far_end() as visitor, path(visitor, lets) as (port, way):
        trying = asyncio.create_task(following(media("random", "many", port=port), https(visitor), chains))
        await way.carries(sent)
        began = time.monotonic()
        trying.cancel()
        await asyncio.gather(trying, return_exceptions=True)
        took = time.monotonic() - began
        assert await way.is_quiet()

    assert took < 2
    assert failure_of(chains[0].observations[-1]).kind is Kind.INTERRUPTED


async def test_a_question_under_way_does_not_hold_up_a_cancellation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Heartbeats are asked and never answered: the line swallows what comes back."""
    monkeypatch.setattr("probe.far_end.client._HEARTBEAT", 0.1)
    chains: list[Chain] = []
    async with far_end() as visitor, path(visitor) as (port, way):
        line = Line(https(visitor))
        async with stream_server(line.serve) as signalling:
            trying = asyncio.create_task(following(media("random", "many", port=port), signalling, chains))
            await way.carries(2)
            line.deaf = True
            await way.carries(5)
            began = time.monotonic()
            trying.cancel()
            await asyncio.gather(trying, return_exceptions=True)
            assert time.monotonic() - began < 2


async def test_a_step_without_profiles_sends_those_of_its_shape() -> None:
    shape = msgspec.structs.replace(SHAPES["random"], profiles=("few",))
    async with far_end() as visitor:
        step = Media(shape="random", port=visitor.far_end.udp[0], trust="test")
        seen = await tried(step, https(visitor), shapes={"random": shape})

    assert [one.profile for one in passed(seen).stages] == ["few"]
