"""The step on loopback against the stand-in, which holds keys of its own."""

import asyncio
import contextlib

import pytest

from probe.anchors import x25519_keys
from probe.demo.whatsapp_stand_in import Behaviour, NoiseAuthority, WhatsAppStandIn, read_hello
from probe.failure import Closed, Malformed, StepError, Unexpected, Untrusted
from probe.steps import Noise, NoiseFacts, Tcp, Tls
from tests.loopback import HERE, ROOT, Handler, context, flow, stream_server

SERVICE = NoiseAuthority()
ANCHORS = {"whatsapp": SERVICE.pem}


async def asked(peer: Handler, step: Noise | None = None) -> tuple[NoiseFacts, Exception | None]:
    """What was learned, and the error that ended it."""
    async with stream_server(peer) as port, flow(port, anchors=ANCHORS) as to:
        await Tcp().run(to)
        error = None
        try:
            assert await (step or Noise()).run(to) == to.learned
        except (StepError, OSError) as caught:
            error = caught
        assert isinstance(to.learned, NoiseFacts)
        return to.learned, error


def behaving(behaviour: Behaviour) -> Handler:
    return WhatsAppStandIn(SERVICE, behaviour).serve


@pytest.mark.parametrize("header", ["57410603", "57410503"])
async def test_an_honest_server_proves_itself_to_both_kinds_of_clients(header: str) -> None:
    facts, error = await asked(behaving("honest"), Noise(header=header))

    assert error is None
    assert (facts.stage, facts.identity, facts.header) == ("proved", "proved", header)
    assert facts.leaf is not None
    assert facts.intermediate is not None
    assert (facts.leaf.serial, facts.leaf.skew, facts.intermediate.serial) == (329, 0, 3)
    assert facts.leaf.not_before < facts.leaf.not_after
    assert facts.rtt is not None
    assert 0 < facts.rtt < 5


@pytest.mark.parametrize(
    ("behaviour", "error", "code", "stage"),
    [
        ("impostor", Untrusted, "static", "decrypted"),
        ("signature", Untrusted, "signature", "decrypted"),
        ("expired", Untrusted, "expired", "decrypted"),
        ("not-yet-valid", Untrusted, "not-yet-valid", "decrypted"),
        ("other_key", Unexpected, "unknown-root", "decrypted"),
        ("garbage", Malformed, "frame", "opened"),
        ("http", Malformed, "http", "opened"),
    ],
)
async def test_who_fails_the_proof_fails_in_his_own_way(
    behaviour: Behaviour, error: type[StepError], code: str, stage: str
) -> None:
    facts, raised = await asked(behaving(behaviour))

    assert type(raised) is error
    assert (raised.code, facts.stage, facts.identity) == (code, stage, "not proved")
    if code in ("expired", "not-yet-valid"):
        assert facts.leaf is not None
        assert abs(facts.leaf.skew) == pytest.approx(20 * 86400, abs=60)
        assert (facts.leaf.skew > 0) == (code == "expired")


async def test_an_answer_that_stops_after_its_first_bytes_is_a_timeout_that_tells_how_far_it_got() -> None:
    facts, raised = await asked(behaving("cut"), Noise(seconds=0.6))

    assert isinstance(raised, TimeoutError)
    assert (facts.stage, facts.heard, facts.rtt, facts.identity) == ("opened", 20, None, "not proved")


async def test_a_server_that_hangs_up_on_the_hello_is_closed_or_reset() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)

    facts, raised = await asked(hang_up)

    assert isinstance(raised, Closed | ConnectionError)
    assert (facts.stage, facts.heard) == ("opened", 0)


async def test_nothing_is_sent_after_the_hello_and_the_connection_is_closed() -> None:
    heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def record(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said = await reader.readexactly(43)
        hello = read_hello(said[:4], said[7:])
        assert hello is not None
        writer.write(WhatsAppStandIn(SERVICE).answer(hello))
        heard.set_result(said + await reader.read())

    async with stream_server(record) as port:
        async with flow(port, anchors=ANCHORS) as to:
            await Tcp().run(to)
            facts = await Noise().run(to)
        everything = await asyncio.wait_for(heard, 5)

    assert facts.identity == "proved"
    assert len(everything) == 43


async def test_the_proof_works_inside_tls_as_well() -> None:
    tls = context(ROOT.issue("chat.example"))
    anchors = {**ANCHORS, "test": ROOT.pem.decode()}
    async with stream_server(behaving("honest"), tls) as port, flow(port, anchors=anchors) as to:
        for step in (Tcp(), Tls(trust="test", alpn=("http/1.1",))):
            await step.run(to)
        facts = await Noise().run(to)

    assert facts.identity == "proved"


async def test_the_stand_in_hangs_up_on_what_is_not_a_hello() -> None:
    for asked in (
        b"\x16\x03\x01" + bytes(60),
        b"WA\x06\x03\xff\xff\xff",
        b"WA\x06\x03\0\0\x02\x12\x09",
        b"WA",
    ):
        async with stream_server(behaving("honest")) as port:
            reader, writer = await asyncio.open_connection(HERE, port)
            writer.write(asked)
            writer.write_eof()
            with contextlib.suppress(ConnectionError):
                assert await asyncio.wait_for(reader.read(), 5) == b""
            writer.close()


def test_processes_that_know_one_seed_stand_in_for_one_service() -> None:
    one, other = NoiseAuthority(b"s" * 32), NoiseAuthority(b"s" * 32)

    assert one.pem == other.pem != SERVICE.pem
    assert x25519_keys(one.pem) == (one.root.public,)
