"""Observing and measuring on loopback: what is counted, what is kept, when it ends."""

import asyncio
import random
import time

from probe.catalogue import Pace
from probe.demo.stand_ins import Datagrams, WebServer, relay_reply
from probe.demo.whatsapp_stand_in import NoiseAuthority
from probe.failure import Kind
from probe.model import Chain
from probe.net import SystemNet
from probe.observe import Observer, _Lanes, _lanes
from probe.plan import Address, Leg
from probe.step import Supplies
from probe.steps import (
    AnyStep,
    Call,
    Http,
    Loop,
    Media,
    Noise,
    NoiseFacts,
    ReflectorLoop,
    Stun,
    Tcp,
    TcpFacts,
    Tls,
)
from tests.loopback import HERE, datagram_server, stream_server


def observer(**pace: float) -> Observer:
    return Observer(SystemNet(), Pace(**pace), Supplies(), max_bytes=1_000_000)  # type: ignore[arg-type]


def leg(port: int, *steps: AnyStep) -> Leg:
    return Leg(
        variant="target", address=Address(ip=HERE, said_by=("x",)), port=port, host="h.example", steps=steps
    )


async def followed(one: Observer, to: Leg) -> Chain:
    chains: list[Chain] = []
    await one.follow(to, chains)
    return chains[0]


async def test_every_byte_is_counted_and_every_step_is_an_observation() -> None:
    one = observer()
    async with stream_server(WebServer({"/": (200, {}, b"hello")}).serve) as port:
        chain = await followed(one, leg(port, Tcp(), Http()))

    assert [o.step for o in chain.observations] == ["tcp", "http"]
    assert [o.id for o in chain.observations] == [1, 2]
    assert one.sent == sum(o.sent for o in chain.observations) >= 100
    assert one.received == sum(o.received for o in chain.observations) > 50
    assert chain.observations[1].tcp is not None
    assert chain.observations[0].source_port == chain.observations[1].source_port


async def test_the_first_failure_ends_a_chain_and_is_data() -> None:
    async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)

    async with stream_server(close) as port:
        chain = await followed(observer(), leg(port, Tcp(), Tls(), Http()))

    assert [o.step for o in chain.observations] == ["tcp", "tls"]
    failure = chain.observations[-1].failure
    assert failure is not None
    assert failure.kind in (Kind.CLOSED, Kind.RESET)


async def test_a_deadline_is_a_timeout_and_a_cancellation_is_interrupted() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(30)

    async with stream_server(silent) as port:
        chain = await followed(observer(), leg(port, Tcp(), Tls(seconds=0.2)))
        assert chain.observations[-1].failure is not None
        assert chain.observations[-1].failure.kind is Kind.TIMEOUT

        chains: list[Chain] = []
        task = asyncio.create_task(observer().follow(leg(port, Tcp(), Tls()), chains))
        await asyncio.sleep(0.2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert chains[0].observations[-1].failure is not None
        assert chains[0].observations[-1].failure.kind is Kind.INTERRUPTED


async def test_a_bug_in_a_step_is_internal_and_tells_only_its_type() -> None:
    class Broken(Tcp):
        async def run(self, flow: object) -> object:  # type: ignore[override]
            raise RuntimeError("secret 203.0.113.9")

    chain = await followed(observer(), leg(1, Broken()))
    failure = chain.observations[0].failure

    assert failure is not None
    assert (failure.kind, failure.code) == (Kind.INTERNAL, "RuntimeError")
    assert "203.0.113.9" not in failure.detail


async def test_one_address_is_not_asked_by_more_flows_at_once_than_the_pace_allows() -> None:
    most = now = 0

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal most, now
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.05)
        now -= 1

    one = observer(per_host=2, gap=0.0)
    async with stream_server(count) as port:
        await asyncio.gather(*(followed(one, leg(port, Tcp(), Tls())) for _ in range(8)))

    assert most == 2


async def test_two_flows_to_one_address_start_a_gap_apart() -> None:
    one = observer(per_host=8, gap=0.1)
    began = time.monotonic()
    async with datagram_server(Datagrams(relay_reply("x"))) as port:
        chains = await asyncio.gather(*(followed(one, leg(port, Stun())) for _ in range(3)))

    assert time.monotonic() - began >= 0.2
    assert len({chain.observations[0].at for chain in chains}) == 3


# ---------------------------------------------------------------------- lanes of media


class Traffic:
    """Flows on lanes: how many lanes are taken, and whether anybody shared them with one who needs all."""

    def __init__(self, count: int) -> None:
        self.lanes, self.count = _Lanes(count), count
        self.most = self.taken = self.flows = self.done = 0
        self.order: list[int] = []

    async def flow(self, wanted: int, seconds: float = 0.002) -> None:
        async with self.lanes.taken(wanted):
            self.taken += wanted
            self.flows += wanted > 0
            self.order.append(wanted)
            self.most = max(self.most, self.taken)
            assert wanted < self.count or self.flows == 1
            try:
                await asyncio.sleep(seconds)
            finally:
                self.taken -= wanted
                self.flows -= wanted > 0
            self.done += 1


def test_a_call_needs_every_lane_a_flow_one_and_anything_else_none() -> None:
    steps: tuple[AnyStep, ...] = (Call(), Loop(), Media(), ReflectorLoop(), Http())

    assert [_lanes(leg(1, Tcp(), step), Pace()) for step in steps] == [3, 3, 1, 1, 0]


async def test_three_flows_go_at_once_and_a_call_goes_alone() -> None:
    traffic = Traffic(3)
    async with asyncio.timeout(10):
        await asyncio.gather(*(traffic.flow(wanted) for wanted in [1, 1, 1, 1, 3, 1, 3, 3, 1] * 3))

    assert (traffic.done, traffic.most) == (27, 3)


async def test_a_call_does_not_wait_for_flows_that_come_after_it() -> None:
    traffic = Traffic(3)
    async with asyncio.timeout(10):
        await asyncio.gather(*(traffic.flow(wanted) for wanted in [1, 3, 1, 1, 1, 1]))

    assert traffic.order[:2] == [1, 3]


async def test_what_is_no_media_does_not_wait_for_lanes() -> None:
    traffic = Traffic(1)
    async with traffic.lanes.taken(1), asyncio.timeout(5):
        await traffic.flow(0)

    assert traffic.done == 1


async def test_whoever_is_cancelled_in_a_lane_at_the_door_or_in_it_leaves_it_free() -> None:
    traffic, luck = Traffic(3), random.Random(5)
    for _ in range(40):
        tasks = [asyncio.create_task(traffic.flow(luck.choice([1, 1, 3]))) for _ in range(12)]
        for task in luck.sample(tasks, 6):
            await asyncio.sleep(luck.choice([0, 0, 0.001]))
            task.cancel()
        async with asyncio.timeout(10):
            await asyncio.gather(*tasks, return_exceptions=True)
        assert not [task for task in tasks if not task.cancelled() and task.exception()]
    async with asyncio.timeout(10):
        await asyncio.gather(*(traffic.flow(1, 0.05) for _ in range(3)), traffic.flow(3))

    assert traffic.taken == 0
    assert traffic.most == 3


async def test_what_a_step_has_learned_is_kept_when_its_time_is_over() -> None:
    async def nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    supplies = Supplies(anchors={"whatsapp": NoiseAuthority().pem})
    one = Observer(SystemNet(), Pace(), supplies, max_bytes=1_000_000)
    async with stream_server(nothing) as port:
        chain = await followed(one, leg(port, Tcp(), Noise(seconds=0.2)))

    tcp, noise = chain.observations
    assert noise.failure is not None
    assert noise.failure.kind is Kind.TIMEOUT
    assert isinstance(noise.facts, NoiseFacts)
    assert noise.facts.stage == "opened"
    assert isinstance(tcp.facts, TcpFacts)


async def test_how_late_this_machine_was_stands_beside_an_observation() -> None:
    async def held_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.15)
        time.sleep(0.4)  # noqa: ASYNC251 - the loop is ours too: it cannot attend meanwhile

    one = observer()
    beating = asyncio.create_task(one.pulse.beat())
    async with stream_server(held_up) as port:
        chain = await followed(one, leg(port, Tcp(), Tls()))
    beating.cancel()

    assert 0.25 <= chain.observations[-1].late <= chain.observations[-1].seconds
