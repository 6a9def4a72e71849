"""Two sides of a made-up call through a stand-in for Telegram's reflector, and what becomes of frames that are lost."""

import asyncio
import os
import random
from collections.abc import Callable

import pytest

from probe.catalogue import Pace
from probe.demo.relays import ReflectorRelay
from probe.demo.stand_ins import Address
from probe.failure import Kind
from probe.model import Chain, Observation
from probe.net import SystemNet
from probe.observe import Observer
from probe.plan import Address as Endpoint
from probe.plan import Leg
from probe.steps import ReflectorLoop, ReflectorLoopFacts
from probe.steps.reflector_frames import TAG
from tests.far_end.trial import SUPPLIES, facts_of, failure_of, quick
from tests.loopback import HERE, datagram_server


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)
    monkeypatch.setattr("probe.steps.reflectorloop._EVERY", 0.1)


class Relay(ReflectorRelay):
    """A relay of which `lets(side, frame)` says what it takes in. Sides are 0 and 1, in the order in which they came;
    `frame` counts a side's frames, and is 0 for a hello."""

    def __init__(self, lets: Callable[[int, int], bool] = lambda side, frame: True) -> None:
        super().__init__()
        self._lets = lets
        self._sides: list[Address] = []
        self.frames = [0, 0]
        self.data: list[bytes] = []
        self.hellos = 0

    def datagram_received(self, data: bytes, addr: Address) -> None:
        if addr not in self._sides:
            self._sides.append(addr)
        side, frame = self._sides.index(addr), 0
        if data[16:28] != b"\xff" * 12:
            self.frames[side] += 1
            frame = self.frames[side]
            self.data.append(data)
        else:
            self.hellos += 1
        if self._lets(side, frame):
            super().datagram_received(data, addr)


async def follow(port: int, chains: list[Chain], profile: str = "few") -> None:
    observer = Observer(SystemNet(), Pace(), SUPPLIES, max_bytes=1 << 40)
    address = Endpoint(ip=HERE, said_by=("x",))
    step = ReflectorLoop(profile=profile)
    await observer.follow(Leg(variant="target", address=address, port=port, host="", steps=(step,)), chains)


async def tried(relay: Relay, profile: str = "few") -> Observation:
    chains: list[Chain] = []
    async with datagram_server(relay) as port:
        await follow(port, chains, profile)
    return chains[0].observations[-1]


def arrived(seen: Observation) -> tuple[int, int]:
    (stage,) = facts_of(seen, ReflectorLoopFacts).stages
    assert stage.up is not None
    return stage.up.arrived, stage.down.arrived


async def test_frames_pass_both_ways_at_the_sizes_of_the_profile_and_every_byte_is_counted() -> None:
    relay = Relay()
    seen = await tried(relay)
    (stage,) = facts_of(seen, ReflectorLoopFacts).stages

    assert seen.failure is None
    assert facts_of(seen, ReflectorLoopFacts).answered == 2
    assert stage.up is not None
    assert stage.up.sent == stage.down.sent == 3
    assert arrived(seen) == (3, 3)
    assert stage.rtt is None
    assert all(60 <= len(frame) <= 123 for frame in relay.data)  # padded to four bytes
    assert seen.sent == sum(map(len, relay.data)) + 40 * relay.hellos
    assert seen.received == sum(map(len, relay.data)) + 64 * relay.hellos


async def test_a_side_whose_hello_is_not_answered_is_told_by_how_many_were() -> None:
    relays = Relay(lambda side, frame: side == 0), Relay(lambda side, frame: False)
    seen = await asyncio.gather(*map(tried, relays))

    for one, answered in zip(seen, (1, 0), strict=True):
        assert (failure_of(one).kind, failure_of(one).code) == (Kind.SILENT, "opening")
        assert facts_of(one, ReflectorLoopFacts).answered == answered
        assert facts_of(one, ReflectorLoopFacts).stages == ()


async def test_frames_that_are_lost_are_told_by_how_many_ways_and_when() -> None:
    """All; of the first side; of the first side after four; of both after four; one in the middle."""
    losses: dict[str, Callable[[int, int], bool]] = {
        "media": lambda side, frame: frame == 0,
        "one-way": lambda side, frame: side == 1 or frame == 0,
        "cut up": lambda side, frame: side == 1 or frame <= 4,
        "cut": lambda side, frame: frame <= 4,
        "": lambda side, frame: frame != 6,
    }
    seen = await asyncio.gather(*(tried(Relay(lets), "many") for lets in losses.values()))
    codes = [one.failure.code if one.failure is not None else "" for one in seen]

    assert codes == ["media", "one-way", "cut", "cut", ""]
    assert [arrived(one) for one in seen] == [(0, 0), (0, 12), (4, 12), (4, 4), (11, 11)]


async def test_what_a_relay_makes_up_is_not_heard() -> None:
    """Garbage, frames under the right tags, and frames once more: none of it is a frame of the other side."""

    class Liar(Relay):
        def datagram_received(self, data: bytes, addr: Address) -> None:
            super().datagram_received(data, addr)
            assert self._transport is not None
            for junk in (os.urandom(random.randint(0, 1400)), data[:TAG] + os.urandom(100), data, data[:64]):
                self._transport.sendto(junk, addr)

    seen = await tried(Liar())

    assert seen.failure is None
    assert arrived(seen) == (3, 3)


async def test_no_frame_leaves_after_it_was_cancelled() -> None:
    relay, chains = Relay(), list[Chain]()
    async with datagram_server(relay) as port:
        trying = asyncio.create_task(follow(port, chains, "many"))
        async with asyncio.timeout(20):
            while len(relay.data) < 4:
                await asyncio.sleep(0.01)
        trying.cancel()
        await asyncio.gather(trying, return_exceptions=True)
        sent = len(relay.data)
        await asyncio.sleep(0.4)

    assert len(relay.data) == sent
    assert failure_of(chains[0].observations[-1]).kind is Kind.INTERRUPTED
