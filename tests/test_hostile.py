"""Every step against peers that mean ill: it ends in time, in bounded memory, as data, and never as our own error."""

import asyncio
import contextlib
import os
import resource
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import cast

import pytest

from probe.catalogue import Pace
from probe.demo.path import _reset
from probe.demo.stand_ins import Address, name_reply, relay_reply
from probe.demo.whatsapp_stand_in import NoiseAuthority, WhatsAppStandIn, read_hello
from probe.failure import Kind
from probe.model import Chain
from probe.net import SystemNet
from probe.observe import Observer
from probe.plan import Address as Endpoint
from probe.plan import Leg
from probe.steps import (
    AnyStep,
    Dns,
    Dtls,
    Fallback,
    Greeting,
    Http,
    Media,
    Mtproto,
    Noise,
    Quic,
    Reflector,
    ReflectorLoop,
    Stun,
    Tcp,
    Tls,
    Turn,
    Websocket,
)
from probe.steps.signalling import ALPN
from tests.far_end.trial import SUPPLIES as TRIAL
from tests.loopback import HERE, ROOT, context, datagram_server, stream_server
from tests.mtproto.vectors import TELEGRAM

SERVICE = NoiseAuthority()
SUPPLIES = replace(TRIAL, anchors={**TRIAL.anchors, "whatsapp": SERVICE.pem})
Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
ANCHORS = {**SUPPLIES.anchors, "telegram": TELEGRAM}
SECONDS = 0.8  # a step's deadline here
LIMIT = 40_000  # kB that memory may grow by


async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while True:
            writer.write(os.urandom(65536))
            await writer.drain()


async def zeros(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while True:
            writer.write(bytes(65536))
            await writer.drain()


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        for byte in b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.02)


async def endless_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        writer.write(b"HTTP/1.1 200 OK\r\nx: ")
        while True:
            writer.write(b"y" * 65536)
            await writer.drain()


async def endless_interim(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while True:
            writer.write(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" * 500)
            await writer.drain()


async def endless_h2(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Settings, then headers that never end (RFC 9113 section 6.10)."""
    with contextlib.suppress(OSError):
        writer.write(bytes.fromhex("000000040000000000") + bytes.fromhex("004000010000000001") + bytes(16384))
        while True:
            writer.write(bytes.fromhex("004000090000000001") + bytes(16384))
            await writer.drain()


async def huge_lengths(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        writer.write(b"\xff" * 64)
        await writer.drain()
        await reader.read()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


async def nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


PEERS: tuple[Peer, ...] = (
    garbage,
    zeros,
    drip,
    endless_head,
    endless_interim,
    endless_h2,
    huge_lengths,
    echo,
    nothing,
)
STREAMS: dict[str, tuple[AnyStep, ...]] = {
    "tls": (Tcp(), Tls(seconds=SECONDS)),
    "http": (Tcp(), Http(seconds=SECONDS)),
    "dns": (Tcp(), Dns(name="chat.example", seconds=SECONDS)),
    "dns-https": (Tcp(), Dns(name="chat.example", path="/dns-query", seconds=SECONDS)),
    "stun": (Tcp(), Stun(seconds=SECONDS)),
    "turn": (Tcp(), Turn(username="u", password="p", seconds=SECONDS)),
    "noise": (Tcp(), Noise(seconds=SECONDS)),
    "mtproto": (Tcp(), Mtproto(dc=2, seconds=SECONDS)),
    "mtproto-plain": (Tcp(), Mtproto(dc=2, transport="abridged", seconds=SECONDS)),
    "mtproto-full": (Tcp(), Mtproto(dc=2, transport="full", seconds=SECONDS)),
    "mtproto-http": (Tcp(), Mtproto(dc=2, transport="http", seconds=SECONDS)),
    "fallback": (Tcp(), Fallback(path="/", trust="telegram", seconds=SECONDS)),
    "websocket": (Tcp(), Websocket(seconds=SECONDS)),
    "greeting": (Tcp(), Greeting(expect_json={"op": 10}, seconds=SECONDS)),
}
INSIDE_TLS: dict[str, tuple[AnyStep, ...]] = {
    "http-1": (Tcp(), Tls(trust="any", alpn=("http/1.1",)), Http(seconds=SECONDS)),
    "http-2": (Tcp(), Tls(trust="any", alpn=("h2",)), Http(seconds=SECONDS)),
    "media": (Tcp(), Tls(trust="any", alpn=ALPN), Media(trust="any", profiles=("few",), seconds=SECONDS)),
}


async def followed(port: int, steps: tuple[AnyStep, ...]) -> Chain:
    observer = Observer(SystemNet(), Pace(), replace(SUPPLIES, anchors=ANCHORS), max_bytes=1 << 40)
    chains: list[Chain] = []
    to = Leg(
        variant="target",
        address=Endpoint(ip=HERE, said_by=("x",)),
        port=port,
        host="chat.example",
        steps=steps,
    )
    async with asyncio.timeout(SECONDS + 4):
        await observer.follow(to, chains)
    return chains[0]


def memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def assert_harmless(chain: Chain, before: int) -> None:
    last = chain.observations[-1]
    assert last.failure is not None
    assert last.failure.kind.is_evidence, last.failure
    assert last.seconds < SECONDS + 1
    assert memory() - before < LIMIT


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("steps", STREAMS.values(), ids=STREAMS)
async def test_a_stream_that_means_ill_is_a_classified_failure(
    steps: tuple[AnyStep, ...], peer: Peer
) -> None:
    before = memory()
    async with stream_server(peer) as port:
        chain = await followed(port, steps)

    assert_harmless(chain, before)


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("steps", INSIDE_TLS.values(), ids=INSIDE_TLS)
async def test_an_encrypted_stream_that_means_ill_is_a_classified_failure(
    steps: tuple[AnyStep, ...], peer: Peer
) -> None:
    before = memory()
    tls = context(ROOT.issue("chat.example"), "h2", "http/1.1")
    async with stream_server(peer, tls) as port:
        chain = await followed(port, steps)

    assert_harmless(chain, before)


class Flood(asyncio.DatagramProtocol):
    """Answers each datagram with many: garbage, echoes, lengths that lie."""

    def __init__(self, make: Callable[[bytes], bytes]) -> None:
        self._make = make

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        for _ in range(300):
            self._transport.sendto(self._make(data), addr)


FLOODS: dict[str, Callable[[bytes], bytes]] = {
    "garbage": lambda asked: os.urandom(1200),
    "big": lambda asked: bytes(60_000),
    "echo": lambda asked: asked,
    "our-id-then-garbage": lambda asked: asked[:20] + os.urandom(400),
    "answer-bit": lambda asked: asked[:2] + b"\x84\x00" + asked[4:] + os.urandom(40),
    "empty": lambda asked: b"",
}
DATAGRAMS: dict[str, AnyStep] = {
    "dns": Dns(name="chat.example", linger=0.2, seconds=SECONDS),
    "stun": Stun(seconds=SECONDS),
    "reflector": Reflector(seconds=SECONDS),
    "dtls": Dtls(seconds=SECONDS),
    "classic": Stun(dialect="rfc3489", seconds=SECONDS),
    "turn": Turn(username="u", password="p", seconds=SECONDS),
    "microsoft": Turn(dialect="microsoft", seconds=SECONDS),
    "quic": Quic(patience=0.6, seconds=SECONDS),
    "reflectorloop": ReflectorLoop(profile="few", seconds=SECONDS),
}


@pytest.mark.parametrize("make", FLOODS.values(), ids=FLOODS)
@pytest.mark.parametrize("step", DATAGRAMS.values(), ids=DATAGRAMS)
async def test_a_flood_of_datagrams_is_a_classified_failure_or_an_answer(
    step: AnyStep, make: Callable[[bytes], bytes]
) -> None:
    before = memory()
    async with datagram_server(Flood(make)) as port:
        chain = await followed(port, (step,))

    last = chain.observations[-1]
    assert last.failure is not None
    assert_harmless(chain, before)


def name_answer(asked: bytes) -> bytes:
    reply = name_reply({"chat.example": ("192.0.2.7",)})
    answers = []
    while asked:
        size = int.from_bytes(asked[:2], "big")
        answer = reply(asked[2 : 2 + size], (HERE, 1)) or b""
        answers.append(len(answer).to_bytes(2, "big") + answer)
        asked = asked[2 + size :]
    return b"".join(answers)


def relay_answer(asked: bytes) -> bytes:
    return relay_reply("lab.example")(asked, (HERE, 1)) or b""


def chat_answer(asked: bytes) -> bytes:
    hello = read_hello(asked[:4], asked[7:])
    return WhatsAppStandIn(SERVICE).answer(hello) if hello else b""


@pytest.mark.parametrize(
    ("step", "answer"),
    [
        (Dns(name="chat.example", seconds=SECONDS), name_answer),
        (Stun(seconds=SECONDS), relay_answer),
        (Turn(seconds=SECONDS), relay_answer),
        (Noise(seconds=SECONDS), chat_answer),
    ],
    ids=["dns", "stun", "turn", "noise"],
)
async def test_an_answer_that_is_reset_at_any_byte_is_a_classified_failure(
    step: AnyStep, answer: Callable[[bytes], bytes]
) -> None:
    whole = 1
    cut = 0
    while cut < whole:

        async def cutting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, cut: int = cut) -> None:
            nonlocal whole
            said = answer(await reader.read(4096))
            whole = len(said)
            writer.write(said[:cut])
            await writer.drain()
            _reset(writer)

        async with stream_server(cutting) as port:
            chain = await followed(port, (Tcp(), step))
        failure = chain.observations[-1].failure
        assert failure is not None
        assert failure.kind in (Kind.RESET, Kind.CLOSED), (cut, failure)
        cut += 1
