import asyncio
import sys

import pytest
from hypothesis import strategies as st
from nacl.public import PrivateKey

from probe.anchors import x25519_keys
from probe.catalogue import Pace
from probe.demo.threema_stand_in import Behaviour, ThreemaStandIn
from probe.failure import Kind, Malformed, StepError, Unexpected, Unsupported
from probe.model import Chain
from probe.net import SystemNet
from probe.observe import Observer
from probe.plan import Address, Leg
from probe.step import Supplies
from probe.steps import Tcp, Threema, ThreemaFacts
from probe.steps.threema import Hello, opened
from tests.fuzz import fuzz
from tests.loopback import HERE, Handler, flow, stream_server
from tests.play import play

COOKIE = bytes(range(16))
SERVER = ThreemaStandIn()
# The vector of NaCl's own test "box": Alice opens what Bob put in.
ALICE = bytes.fromhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
BOB = bytes.fromhex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")
NONCE = bytes.fromhex("69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37")
MESSAGE = bytes.fromhex(
    "be075fc53c81f2d5cf141316ebeb0c7b5228c52a4c62cbd44b66849b64244ffce5ecbaaf33bd751a1ac728d45e6c61296cdc3c01"
    "233561f41db66cce314adb310e3be8250c46f06dceea3a7fa1348057e2f6556ad6b1318a024a838f21af1fde048977eb48f59ffd"
    "4924ca1c60902e52f0a089bc76897040e082f937763848645e0705"
)
BOX = bytes.fromhex(
    "f3ffc7703f9400e52a7dfb4b3d3305d98e993b9f48681273c29650ba32fc76ce48332ea7164d96a4476fb8c531a1186ac0dfc17c"
    "98dce87b4da7f011ec48c97271d2c20f9b928fe2270d6fb863d51738b48eeee314a7cc8ab932164548e526ae90224368517acfea"
    "bd6bb3732bc0e9da99832b61ca01b6de56244a9e88d5f9b37973f622a43d14a6599b1f654cb45a74e355a5"
)


def hello_to(*pems: str) -> tuple[Hello, bytes]:
    """A hello and its bytes."""
    secret = PrivateKey.generate()
    return Hello(x25519_keys("".join(pems)), secret, COOKIE), bytes(secret.public_key) + COOKIE


def test_a_box_of_nacls_own_vector_opens_and_a_changed_one_does_not() -> None:
    assert opened([BOB], PrivateKey(ALICE), NONCE, BOX) == MESSAGE
    for place in range(0, len(BOX), 13):
        changed = BOX[:place] + bytes([BOX[place] ^ 1]) + BOX[place + 1 :]
        with pytest.raises(Unexpected):
            opened([BOB], PrivateKey(ALICE), NONCE, changed)


def test_a_hello_is_a_key_and_a_cookie_and_a_good_answer_is_proof() -> None:
    hello, said = hello_to(SERVER.pem)
    sent, _ = play(hello.dialogue(8.0), [SERVER.answer(said)])

    assert sent == [said]
    assert len(said) == 48
    assert hello.facts() == ThreemaFacts(stage="proved", identity="proved", rtt=0.01, heard=80)


def test_an_answer_may_come_in_pieces_and_no_more_than_it_is_kept() -> None:
    hello, said = hello_to(SERVER.pem)
    answer = SERVER.answer(said)
    play(hello.dialogue(8.0), [answer[:1], answer[1:79], answer[79:] + b"x" * 1000])

    assert hello.facts() == ThreemaFacts(stage="proved", identity="proved", rtt=0.03, heard=80)


def test_every_key_of_the_file_is_accepted() -> None:
    hello, said = hello_to(ThreemaStandIn().pem, SERVER.pem)
    play(hello.dialogue(8.0), [SERVER.answer(said)])

    assert hello.facts().identity == "proved"


@pytest.mark.parametrize(
    ("answer", "error", "code", "stage"),
    [
        (bytes(80), Unexpected, "unknown-key", "answered"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", Malformed, "http", "opened"),
        (b"<HTML>" + b"x" * 100, Malformed, "http", "answered"),
        (b"\x15\x03\x01\x00\x02\x02\x28", Malformed, "tls", "opened"),
        (b"\x16\x03\x03\x00\x7a\x02\x00", Malformed, "tls", "opened"),
    ],
)  # fmt: skip
def test_whatever_else_comes_is_told_apart(
    answer: bytes, error: type[StepError], code: str, stage: str
) -> None:
    hello, _ = hello_to(SERVER.pem)
    with pytest.raises(error) as caught:
        play(hello.dialogue(8.0), [answer])

    assert caught.value.code == code
    assert (hello.facts().stage, hello.facts().identity) == (stage, "not proved")


def test_silence_is_waited_for_no_longer_than_asked() -> None:
    hello, _ = hello_to(SERVER.pem)
    with pytest.raises(TimeoutError):
        play(hello.dialogue(8.0), [b"x" * 30, None])

    assert hello.facts() == ThreemaFacts(stage="opened", identity="not proved", heard=30)


async def observed(serve: Handler, pem: str = SERVER.pem) -> Chain:
    observer = Observer(SystemNet(), Pace(), Supplies(anchors={"threema": pem}), max_bytes=100_000)
    chains: list[Chain] = []
    async with stream_server(serve) as port:
        address = Address(ip=HERE, said_by=("catalogue",))
        steps = (Tcp(), Threema(seconds=0.5))
        leg = Leg(variant="target", address=address, port=port, host="chat.example", steps=steps)
        await observer.follow(leg, chains)
    return chains[0]


@pytest.mark.parametrize(
    ("behaviour", "kind", "code", "stage"),
    [
        ("honest", None, "", "proved"),
        # The two look alike on the wire, so neither may be called by a name that only one of them deserves.
        ("impostor", Kind.UNEXPECTED, "unknown-key", "answered"),
        ("other_key", Kind.UNEXPECTED, "unknown-key", "answered"),
        ("wrong_cookie", Kind.MALFORMED, "nonce", "answered"),
        ("cut", Kind.TIMEOUT, "", "opened"),
    ],
)  # fmt: skip
async def test_a_server_on_a_socket_proves_itself_or_fails_in_its_own_way(
    behaviour: Behaviour, kind: Kind | None, code: str, stage: str
) -> None:
    server = ThreemaStandIn(behaviour)
    chain = await observed(server.serve, server.pem)
    observation = chain.observations[-1]
    failure = observation.failure

    assert isinstance(observation.facts, ThreemaFacts)
    assert (failure and failure.kind, failure.code if failure else "") == (kind, code)
    assert observation.facts.stage == stage
    assert (observation.facts.identity == "proved") == (behaviour == "honest")
    assert (observation.sent, observation.received) == (48, 0 if behaviour == "cut" else 80)


@pytest.mark.parametrize("count", [0, 1, 16, 79])
async def test_a_stream_that_ends_within_the_answer_is_closed_and_says_how_far_it_came(count: int) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(SERVER.answer(await reader.readexactly(48))[:count])
        await writer.drain()

    observation = (await observed(serve)).observations[-1]

    assert observation.failure is not None
    assert observation.failure.kind is Kind.CLOSED
    assert observation.facts == ThreemaFacts(stage="opened", identity="not proved", heard=count)


async def test_without_pynacl_it_says_what_is_missing_and_sends_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "nacl.public", None)
    async with flow(1) as to:
        with pytest.raises(Unsupported, match=r"pip install callreach\[threema\]"):
            await Threema().run(to)


@fuzz("threema", st.tuples(st.lists(st.binary(max_size=90), max_size=4), st.booleans()))
def test_whatever_bytes_come_only_step_errors_come_out(example: tuple[list[bytes], bool]) -> None:
    pieces, honest = example
    hello, said = hello_to(SERVER.pem)
    script = [SERVER.answer(said)[: 80 - len(pieces)], *pieces] if honest else pieces
    try:
        play(hello.dialogue(8.0), script)
    except (StepError, TimeoutError):
        assert hello.facts().identity == "not proved"
    else:
        assert honest
    assert hello.facts().heard <= 80
