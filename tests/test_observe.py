"""Observing and measuring on loopback: what is counted, what is kept, when it ends."""

import asyncio
import time

from probe.catalogue import Pace
from probe.demo.stand_ins import Datagrams, WebServer, relay_reply
from probe.failure import Kind
from probe.model import Chain
from probe.net import SystemNet
from probe.observe import Observer
from probe.plan import Address, Leg
from probe.step import Supplies
from probe.steps import AnyStep, Http, Stun, Tcp, Tls
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
