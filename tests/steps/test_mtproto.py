import asyncio
import os
import resource
from typing import Any, get_args

import msgspec
import pytest

from probe.catalogue import Pace
from probe.demo.path import _reset
from probe.demo.telegram_stand_in import Behaviour, TelegramStandIn
from probe.failure import Kind, Rejected, Unexpected, Untrusted
from probe.model import Observation
from probe.mtproto.framing import Intermediate
from probe.net import SystemNet
from probe.observe import Observer
from probe.plan import Address, Leg
from probe.step import Supplies
from probe.steps import AnyStep, Mtproto, MtprotoFacts, Tcp
from probe.steps.mtproto import Transport
from tests.loopback import HERE, Handler, flow, stream_server

TRANSPORTS: tuple[Transport, ...] = get_args(Transport)
SERVER = TelegramStandIn()


async def proved(server: TelegramStandIn, transport: Transport, *, dc: int = 2) -> MtprotoFacts:
    async with stream_server(server.serve) as port, flow(port, anchors={"telegram": server.pem}) as to:
        await Tcp().run(to)
        return await Mtproto(transport=transport, dc=dc).run(to)


async def observed(peer: Handler, transport: Transport, *, seconds: float = 5.0) -> Observation:
    """What a run would write down."""
    supplies = Supplies(anchors={"telegram": SERVER.pem})
    observer = Observer(SystemNet(), Pace(), supplies, max_bytes=1 << 40)
    steps = (Tcp(), Mtproto(transport=transport, dc=2, seconds=seconds))
    chains: list[Any] = []
    async with stream_server(peer) as port:
        there = Address(ip=HERE, said_by=("x",))
        await observer.follow(Leg(variant="target", address=there, port=port, host="", steps=steps), chains)
    found: Observation = chains[0].observations[-1]
    return found


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_an_honest_data_centre_proves_itself_over_every_transport(transport: Transport) -> None:
    facts = await proved(SERVER, transport)

    assert (facts.stage, facts.identity, facts.speaks, facts.key_offered) == ("proved", "proved", True, True)
    assert facts.transport == transport
    assert len(facts.rtts) == 2
    assert all(0 < trip < 2 for trip in facts.rtts)
    assert facts.factoring is not None
    assert facts.clock_ahead == pytest.approx(0, abs=3)
    assert facts.offered[0] == "216be86c022bb4c3"
    assert len(facts.offered) == 2


async def test_the_servers_clock_is_compared_with_ours() -> None:
    facts = await proved(TelegramStandIn(ahead=-7200), "obfuscated2", dc=-4)

    assert facts.clock_ahead == pytest.approx(7200, abs=3)


FAILURES: dict[Behaviour, tuple[Kind, str, str]] = {
    "impostor": (Kind.UNTRUSTED, "impostor", "offered"),
    "other_key": (Kind.UNEXPECTED, "unknown-key", "spoke"),
    "nonce": (Kind.MALFORMED, "nonce", "opened"),
    "-404": (Kind.REJECTED, "-404", "opened"),
    "-429": (Kind.REJECTED, "-429", "opened"),
    "-444": (Kind.REJECTED, "-444", "opened"),
    "http": (Kind.MALFORMED, "http", "opened"),
    "garbage": (Kind.MALFORMED, "frame", "opened"),
}


@pytest.mark.parametrize("behaviour", FAILURES)
@pytest.mark.parametrize("transport", [one for one in TRANSPORTS if one != "http"])
async def test_every_misbehaviour_has_a_kind_a_code_and_a_stage(
    transport: Transport, behaviour: Behaviour
) -> None:
    seen = await observed(TelegramStandIn(behaviour).serve, transport)
    assert seen.failure is not None
    assert isinstance(seen.facts, MtprotoFacts)
    kind, code, stage = FAILURES[behaviour]

    assert (seen.failure.kind, seen.failure.code, seen.facts.stage) == (kind, code, stage)
    assert seen.facts.identity == "not proved"
    assert seen.facts.speaks == (stage != "opened" or kind is Kind.REJECTED)
    assert seen.facts.clock_ahead is None


@pytest.mark.parametrize(
    ("behaviour", "error", "code"),
    [
        ("impostor", Untrusted, "impostor"),
        ("other_key", Unexpected, "unknown-key"),
        ("-404", Rejected, "404"),
        ("-429", Rejected, "429"),
    ],
)
async def test_over_http_a_refusal_is_a_status_that_any_web_server_has(
    behaviour: Behaviour, error: type[Exception], code: str
) -> None:
    seen = await observed(TelegramStandIn(behaviour).serve, "http")

    assert seen.failure is not None
    assert (seen.failure.kind, seen.failure.code) == (error.kind, code)  # type: ignore[attr-defined]
    assert isinstance(seen.facts, MtprotoFacts)
    assert seen.facts.speaks == (code in ("impostor", "unknown-key"))


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_cut_after_the_first_answer_is_a_timeout_that_tells_how_far_it_got(
    transport: Transport,
) -> None:
    seen = await observed(TelegramStandIn("cut").serve, transport, seconds=0.6)
    assert seen.failure is not None
    assert isinstance(seen.facts, MtprotoFacts)

    assert seen.failure.kind is Kind.TIMEOUT
    assert (seen.facts.stage, seen.facts.key_offered, len(seen.facts.rtts)) == ("offered", True, 1)


async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(10)
    _reset(writer)


async def ends(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1000)


@pytest.mark.parametrize(("peer", "kind"), [(mute, Kind.TIMEOUT), (resets, Kind.RESET), (ends, Kind.CLOSED)])
@pytest.mark.parametrize("transport", ["obfuscated2", "http"])
async def test_what_happens_to_the_connection_comes_as_it_is(
    transport: Transport, peer: Handler, kind: Kind
) -> None:
    seen = await observed(peer, transport, seconds=0.5)
    assert seen.failure is not None
    assert isinstance(seen.facts, MtprotoFacts)

    assert seen.failure.kind is kind
    assert (seen.facts.stage, seen.facts.speaks, seen.facts.rtts) == ("opened", False, ())


async def gigabyte(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(10)
    writer.write((1 << 30).to_bytes(4, "little"))
    await flood(reader, writer)


async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    block = os.urandom(65536)
    while True:
        writer.write(block)
        await writer.drain()


async def answers_without_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    packet = Intermediate().pack(bytes(800), 0) * 100
    while True:
        writer.write(packet)
        await writer.drain()


async def endless_page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(bytes(65536))
        await writer.drain()


@pytest.mark.parametrize(
    ("peer", "transport"),
    [
        (gigabyte, "intermediate"),
        (flood, "obfuscated2"),
        (flood, "full"),
        (answers_without_end, "intermediate"),
        (answers_without_end, "padded"),
        (endless_page, "http"),
    ],
)
async def test_a_peer_without_measure_is_malformed_and_costs_little(
    peer: Handler, transport: Transport
) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seen = await observed(peer, transport)

    assert seen.failure is not None
    assert seen.failure.kind is Kind.MALFORMED
    assert seen.received < 2_000_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # kB


async def test_other_flows_have_their_turn_while_a_number_is_factored() -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    task = asyncio.create_task(other())
    facts = await proved(SERVER, "full")
    task.cancel()

    assert facts.factoring is not None
    assert turns > 10


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"transport": "abridged", "dc": 0}, "dc is needed"),
        ({"transport": "abridged", "dc": 40000}, "20000"),
        ({"transport": "abridged"}, "dc is needed"),
        ({"transport": "quantum", "dc": 2}, "quantum"),
        ({"transport": "full", "dc": 2, "trust": "any"}, "names no RSA key"),
        ({"transport": "full", "dc": 2, "key": "x"}, "key"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_the_configuration(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=says):
        msgspec.convert({"step": "mtproto"} | fields, AnyStep)
