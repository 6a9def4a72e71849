"""The step on loopback against the stand-in, which holds keys of its own."""

import asyncio

import pytest

from probe.demo.whatsapp_stand_in import Behaviour, NoiseAuthority, WhatsAppStandIn
from probe.failure import Malformed, StepError, Unexpected, Untrusted, kept
from probe.steps import Noise, NoiseFacts, Tcp
from tests.loopback import flow, stream_server

SERVICE = NoiseAuthority()
ANCHORS = {"whatsapp": SERVICE.pem}


async def asked(behaviour: Behaviour, step: Noise | None = None) -> NoiseFacts:
    peer = WhatsAppStandIn(SERVICE, behaviour)
    async with stream_server(peer.serve) as port, flow(port, anchors=ANCHORS) as to:
        await Tcp().run(to)
        return await (step or Noise()).run(to)


@pytest.mark.parametrize("header", ["57410603", "57410503"])
async def test_an_honest_server_proves_itself_to_both_kinds_of_clients(header: str) -> None:
    facts = await asked("honest", Noise(header=header))

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
    with pytest.raises(error) as caught:
        await asked(behaviour)

    facts = kept(caught.value)
    assert isinstance(facts, NoiseFacts)
    assert (caught.value.code, facts.stage, facts.identity) == (code, stage, "not proved")
    if code in ("expired", "not-yet-valid"):
        assert facts.leaf is not None
        assert abs(facts.leaf.skew) == pytest.approx(20 * 86400, abs=60)
        assert (facts.leaf.skew > 0) == (code == "expired")


async def test_an_answer_that_stops_after_its_first_bytes_is_a_timeout_that_tells_how_far_it_got() -> None:
    with pytest.raises(TimeoutError) as caught:
        await asked("cut", Noise(seconds=0.6))

    facts = kept(caught.value)
    assert isinstance(facts, NoiseFacts)
    assert facts.stage == "opened"


async def test_a_server_that_hangs_up_on_the_hello_is_closed() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)

    async with stream_server(hang_up) as port, flow(port, anchors=ANCHORS) as to:
        await Tcp().run(to)
        with pytest.raises((StepError, ConnectionError)) as caught:
            await Noise().run(to)

    assert isinstance(kept(caught.value), NoiseFacts)
