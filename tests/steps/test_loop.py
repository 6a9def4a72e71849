"""A call to ourselves through a real coturn on loopback."""

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from probe.catalogue import Pace
from probe.demo.path import DatagramPath, Drop
from probe.failure import Kind
from probe.model import Chain, Observation
from probe.net import SystemNet
from probe.observe import Observer
from probe.plan import Address, Leg
from probe.step import TurnAccess
from probe.steps import Loop, LoopFacts
from probe.steps.loop import _DEADLINES, Over
from tests.far_end.between import is_media as is_srtp
from tests.far_end.trial import SUPPLIES, facts_of, failure_of, no_call_is_left, quick
from tests.loopback import HERE, datagram_server
from tests.steps.test_turn import coturn, needs_coturn

HOST = "turn.example"
pytestmark = needs_coturn


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)


def access(udp: int = 0, tcp: int = 0, tls: int = 0, password: str = "secret") -> TurnAccess:
    return TurnAccess(host=HOST, username="me", password=password, udp=udp, tcp=tcp, tls=tls)


def loop(over: Over, *profiles: str) -> Loop:
    return Loop(over=over, profiles=profiles or ("few",), trust="test")


async def follow(step: Loop, turn: TurnAccess | None, chains: list[Chain]) -> None:
    observer = Observer(SystemNet(), Pace(), replace(SUPPLIES, turn=turn), max_bytes=1 << 40)
    address = Address(ip=HERE, said_by=("x",))
    await observer.follow(Leg(variant="target", address=address, port=9, host=HOST, steps=(step,)), chains)


async def tried(step: Loop, turn: TurnAccess | None) -> Observation:
    chains: list[Chain] = []
    await follow(step, turn, chains)
    return chains[0].observations[-1]


async def test_a_call_to_ourselves_passes_both_ways_over_each_transport(tmp_path: Path) -> None:
    transports: tuple[Over, ...] = ("udp", "tcp", "tls")
    async with coturn(tmp_path, "--user=me:secret") as (plain, tls):
        turn = access(plain, plain, tls)
        seen = await asyncio.gather(*(tried(loop(over, "few", "large"), turn) for over in transports))

    for one, over in zip(seen, transports, strict=True):
        assert one.failure is None, one.failure
        facts = facts_of(one, LoopFacts)
        assert facts.over == over
        assert facts.gathered is not None
        assert facts.ice is not None
        assert facts.dtls is not None
        assert facts.gathered < facts.ice < facts.dtls
        assert [stage.profile for stage in facts.stages] == ["few", "large"]
        for stage in facts.stages:
            assert stage.up is not None
            assert (stage.up.lost, stage.down.lost) == (0, 0)
            assert stage.up.sent == stage.down.arrived >= 3


async def test_what_a_relay_refuses_is_told_from_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(_DEADLINES, "ice", 1.0)
    async with coturn(tmp_path, "--user=me:secret", f"--denied-peer-ip={HERE}") as (plain, tls):
        wrong, itself, trusted, none = await asyncio.gather(
            tried(loop("tcp"), access(tcp=plain, password="wrong")),
            tried(loop("udp"), access(udp=plain)),
            tried(Loop(over="tls", profiles=("few",)), access(tls=tls)),
            tried(loop("tls"), access(udp=plain)),
        )

    assert (failure_of(wrong).kind, failure_of(wrong).code) == (Kind.REJECTED, "turn-401")
    assert (failure_of(itself).kind, failure_of(itself).code) == (Kind.REJECTED, "ice-denied")
    assert failure_of(trusted).kind is Kind.UNTRUSTED
    assert (failure_of(none).kind, failure_of(none).code) == (Kind.UNSUPPORTED, "turn")


class Watching:
    """What of a call passes on the way to its relay: so much media, both ways and of both peers together."""

    def __init__(self, most: int) -> None:
        self.most, self.seen = most, 0

    def drop(self) -> Drop:
        """For each client."""
        return self._drops

    def _drops(self, data: bytes) -> bool:
        # Channel data (RFC 8656 section 12.4) with SRTP in it, by first bytes (RFC 7983).
        is_media = 63 < data[0] < 128 and is_srtp(data[4:])
        self.seen += is_media
        return is_media and self.seen > self.most


async def test_media_that_is_lost_or_cut_on_the_way_to_the_relay_is_told(tmp_path: Path) -> None:
    async with coturn(tmp_path, "--user=me:secret") as (plain, _), AsyncExitStack() as stack:
        ports = [
            await stack.enter_async_context(datagram_server(DatagramPath((HERE, plain), Watching(most).drop)))
            for most in (0, 16)
        ]
        lost, cut = await asyncio.gather(*(tried(loop("udp", "many"), access(udp=port)) for port in ports))

    assert (failure_of(lost).kind, failure_of(lost).code) == (Kind.SILENT, "media")
    assert (failure_of(cut).kind, failure_of(cut).code) == (Kind.SILENT, "cut")
    assert 3 <= facts_of(cut, LoopFacts).stages[0].down.arrived <= 5  # each passes the path four times


async def test_a_call_to_ourselves_that_is_cancelled_sends_no_more_and_leaves_nothing_behind(
    tmp_path: Path,
) -> None:
    watching = Watching(1000)
    chains: list[Chain] = []
    async with (
        coturn(tmp_path, "--user=me:secret") as (plain, _),
        datagram_server(DatagramPath((HERE, plain), watching.drop)) as port,
    ):
        trying = asyncio.create_task(follow(loop("udp", "many"), access(udp=port), chains))
        async with asyncio.timeout(20):
            while watching.seen < 8:
                await asyncio.sleep(0.01)
        began = time.monotonic()
        trying.cancel()
        await asyncio.gather(trying, return_exceptions=True)
        assert time.monotonic() - began < 3
        seen = watching.seen
        await asyncio.sleep(0.5)
        assert watching.seen == seen
        await no_call_is_left()

    assert failure_of(chains[0].observations[-1]).kind is Kind.INTERRUPTED
