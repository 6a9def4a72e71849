import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hypothesis import given
from hypothesis import strategies as st

from probe.demo.path import (
    AfterPackets,
    AfterType,
    DatagramPath,
    StreamPath,
    any_of,
    is_reflector_hello,
    is_stun,
    no_interference,
)
from probe.demo.stand_ins import Datagrams
from probe.net import SystemNet
from probe.step import SocketLink
from probe.steps.reflector_frames import fresh_tag, hello
from probe.stun_message import COOKIE
from tests.loopback import HERE, datagram_server, stream_server

HELLO = hello(fresh_tag(), b"question")


def stun(kind: int) -> bytes:
    return struct.pack("!HHI12s", kind, 0, COOKIE, b"transaction!")


async def heard(link: SocketLink, seconds: float) -> bytes | None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            return (await link.receive())[0]
    return None


async def answered(link: SocketLink, data: bytes) -> None:
    await link.send(data)
    assert await heard(link, 5.0) == data


@asynccontextmanager
async def behind(path: DatagramPath) -> AsyncIterator[tuple[SocketLink, SocketLink]]:
    """Two clients in front of a path."""
    async with datagram_server(path) as port:
        links = [await SystemNet().dial_udp(HERE, port) for _ in range(2)]
        try:
            yield links[0], links[1]
        finally:
            for link in links:
                link.close()


async def test_a_path_counts_each_clients_packets_both_ways_and_cuts_its_flow_alone() -> None:
    async with datagram_server(Datagrams(lambda data, sender: data)) as port:
        path = DatagramPath((HERE, port), lambda: AfterPackets(5, is_reflector_hello))
        async with behind(path) as (caller, other):
            for data in (HELLO, b"media"):
                await answered(caller, data)
            await caller.send(b"the fifth packet; its answer is the sixth")
            await caller.send(b"the seventh")
            for _ in range(10):
                await answered(other, b"of no kind that is minded")
            assert await heard(caller, 0.1) is None


async def test_what_comes_before_the_way_is_open_goes_on_in_its_order() -> None:
    sent = [bytes([number]) for number in range(8)]
    async with (
        datagram_server(Datagrams(lambda data, sender: data)) as port,
        behind(DatagramPath((HERE, port))) as (client, _),
    ):
        for data in sent:
            await client.send(data)
        assert [await heard(client, 5.0) for _ in sent] == sent


def test_a_flow_is_dropped_after_a_stun_message_of_one_type_and_not_before() -> None:
    drop = AfterType(0x0805)

    assert not any(map(drop, [stun(0x0003), b"\x08\x05 no cookie after it", stun(0x0805)]))
    assert all(map(drop, [stun(0x0003), b"media"]))


def test_only_a_flow_that_begins_as_a_minded_one_is_cut() -> None:
    minded, other = AfterPackets(3, is_reflector_hello), AfterPackets(3, is_reflector_hello)

    assert [minded(data) for data in (HELLO, b"", b"", b"", HELLO)] == [False, False, False, True, True]
    assert not any(other(data) for data in (b"", HELLO, HELLO, HELLO, HELLO))


def test_every_filter_sees_what_another_one_drops() -> None:
    drop = any_of(is_stun, AfterPackets(1, is_reflector_hello))

    assert [drop(data) for data in (HELLO, stun(1), b"")] == [False, True, True]
    assert not any_of()(stun(1))


@given(st.binary(max_size=64))
def test_any_bytes_are_looked_at_without_harm(data: bytes) -> None:
    for drop in (is_stun, is_reflector_hello, AfterType(0x0805), no_interference):
        assert drop(data) in (True, False)


async def test_a_stream_may_be_cut_after_the_first_answer() -> None:
    async def talkative(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data.upper())
        writer.close()

    async with (
        stream_server(talkative) as there,
        stream_server(StreamPath((HERE, there), cut=True).serve) as port,
    ):
        link = await SystemNet().dial_tcp(HERE, port)
        await link.send(b"first")
        assert await heard(link, 5.0) == b"FIRST"
        await link.send(b"second")
        assert await heard(link, 0.3) is None
        link.close()
