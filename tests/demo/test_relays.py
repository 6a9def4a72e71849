import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from probe.demo.relays import (
    DtlsRelay,
    ReflectorRelay,
    echo_reply,
    keep_alive_reply,
    reflector_stream,
    self_info_reply,
)
from probe.net import SystemNet
from probe.step import SocketLink
from probe.steps import Dtls, Stun
from probe.steps.dtls import Handshake, client_context
from probe.steps.reflector_frames import Data, hello, other_side, pack_data, read_data, read_self_info
from tests.build import NOON
from tests.loopback import HERE, ROOT, datagram_server, flow, stream_server
from tests.play import play

LEAF = ROOT.issue("relay.example")
CALLER = bytes(12)
CALLED = other_side(CALLER)
QUERY = b"question"


@asynccontextmanager
async def sockets(port: int, count: int) -> AsyncIterator[list[SocketLink]]:
    links = [await SystemNet().dial_udp(HERE, port) for _ in range(count)]
    try:
        yield links
    finally:
        for link in links:
            link.close()


async def heard(link: SocketLink, seconds: float = 2.0) -> bytes | None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            return (await link.receive())[0]
    return None


async def registered(link: SocketLink, tag: bytes) -> None:
    await link.send(hello(tag, QUERY))
    assert read_self_info(await heard(link) or b"").port == link.local_port()


async def soon_nobody(relay: DtlsRelay) -> None:
    """Everybody said good-bye, or the relay was closed."""
    async with asyncio.timeout(5):
        while relay._clients:
            await asyncio.sleep(0.01)


async def test_data_goes_to_the_other_side_of_the_call_under_its_own_prefix_and_back() -> None:
    async with datagram_server(ReflectorRelay()) as port, sockets(port, 2) as (caller, called):
        await registered(caller, CALLER + b"1111")
        await registered(called, CALLED + b"2222")
        await caller.send(pack_data(Data(CALLER, b"2222", b"1111", b"hello")))
        assert read_data(await heard(called) or b"") == Data(CALLED, b"2222", b"1111", b"hello")
        await called.send(pack_data(Data(CALLED, b"1111", b"2222", b"yes?")))
        assert read_data(await heard(caller) or b"") == Data(CALLER, b"1111", b"2222", b"yes?")


@pytest.mark.parametrize(
    "frame",
    [
        Data(CALLER, b"1111", b"1111", b"to its own side"),
        Data(CALLER, b"3333", b"1111", b"to nobody"),
        Data(CALLER, b"2222", b"9999", b"from nobody"),
        Data(CALLED, b"2222", b"1111", b"with the other side's prefix"),
    ],
)
async def test_data_for_nobody_or_from_nobody_goes_nowhere(frame: Data) -> None:
    async with datagram_server(ReflectorRelay()) as port, sockets(port, 2) as (caller, called):
        await registered(caller, CALLER + b"1111")
        await registered(called, CALLED + b"2222")
        await caller.send(pack_data(frame))
        await registered(called, CALLED + b"2222")  # its answer would come behind anything forwarded
        await registered(caller, CALLER + b"1111")


async def test_somebody_else_cannot_send_under_a_registered_tag() -> None:
    async with datagram_server(ReflectorRelay()) as port, sockets(port, 3) as (caller, called, third):
        await registered(caller, CALLER + b"1111")
        await registered(called, CALLED + b"2222")
        await third.send(pack_data(Data(CALLER, b"2222", b"1111", b"hello")))
        await registered(third, CALLER + b"3333")
        await registered(called, CALLED + b"2222")


async def test_the_oldest_endpoint_is_forgotten_when_there_are_too_many() -> None:
    relay = ReflectorRelay(most=3)
    async with datagram_server(relay) as port, sockets(port, 1) as (link,):
        for number in range(10):
            await registered(link, CALLER + bytes([0, 0, 0, number]))

    assert len(relay._endpoints) == 3


def test_a_visitor_over_ipv6_is_told_its_address_as_it_is() -> None:
    answer = self_info_reply(hello(CALLER + b"1111", QUERY), ("2001:db8::7", 5000))

    assert answer is not None
    assert read_self_info(answer)[3:] == ("2001:db8::7", 5000)


async def test_a_stream_that_begins_otherwise_is_hung_up_on() -> None:
    async with stream_server(reflector_stream) as port:
        link = await SystemNet().dial_tcp(HERE, port)
        await link.send(b"GET / HTTP/1.1\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            assert await heard(link) == b""
        link.close()


def test_an_echo_is_given_for_the_right_eight_bytes_only() -> None:
    reply = echo_reply()

    assert reply(bytes.fromhex("1337cafe00000007"), (HERE, 1)) == bytes.fromhex("1337cafe00000007")
    assert reply(bytes.fromhex("1337cafe000000"), (HERE, 1)) is None
    assert reply(b"12345678", (HERE, 1)) is None


def test_a_keep_alive_is_a_bare_header_that_comes_back_with_the_next_type() -> None:
    asked = bytes.fromhex("080100002112a442") + b"transaction!"

    assert keep_alive_reply(asked) == bytes.fromhex("080200002112a442") + b"transaction!"
    assert keep_alive_reply(asked + b"\0") is None
    assert keep_alive_reply(b"\0" * 20) is None


async def test_many_clients_shake_hands_at_once_and_stun_is_answered_in_clear_beside_them() -> None:
    relay = DtlsRelay(LEAF)
    async with datagram_server(relay) as port, contextlib.AsyncExitStack() as stack:
        flows = [await stack.enter_async_context(flow(port)) for _ in range(20)]
        shaken = await asyncio.gather(*(Dtls().run(to) for to in flows))
        binding, kept = await Stun().run(flows[0]), await Stun(dialect="whatsapp").run(flows[1])
        await soon_nobody(relay)

    assert {facts.reached for facts in shaken} == {"finished"}
    assert (binding.mapped_family, kept.dialect) == (4, "whatsapp")


async def test_the_oldest_client_is_forgotten_when_there_are_too_many() -> None:
    relay = DtlsRelay(LEAF, most=4)
    handshake = Handshake(client_context("library", NOON))
    with contextlib.suppress(Exception):
        play(handshake.dialogue(0.1), [])
    async with datagram_server(relay) as port, sockets(port, 12) as links:
        for link in links:
            await link.send(handshake.hello)
            assert await heard(link)
        assert len(relay._clients) == 4
        await links[0].send(handshake.hello[:13])  # no hello: nobody to answer
        assert await heard(links[0], 0.1) is None

    await soon_nobody(relay)
