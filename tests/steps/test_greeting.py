import asyncio
import json
from typing import Any

import msgspec
import pytest
from hypothesis import strategies as st

from probe.demo.websocket_stand_in import WebSocketServer
from probe.failure import Closed, Malformed, StepError, Unexpected
from probe.step import Flow
from probe.steps import Greeting, GreetingFacts, Tcp, Websocket
from probe.steps.greeting import Words
from tests.fuzz import fuzz
from tests.loopback import flow, stream_server
from tests.play import play

# What Discord's gateway says, as its documentation shows it.
HELLO = b'{"t":null,"s":null,"op":10,"d":{"heartbeat_interval":41250,"_trace":["[\\"gateway\\"]"]}}'
STEP = Greeting(expect_json={"op": 10})


def heard(*pieces: bytes, cap: int = 16384) -> dict[str, Any]:
    return play(Words(cap).dialogue(10.0), pieces)[1]


def test_the_first_object_is_read_however_it_is_cut() -> None:
    for cut in range(1, len(HELLO)):
        assert heard(HELLO[:cut], HELLO[cut:]) == json.loads(HELLO)
    assert heard(*(bytes([byte]) for byte in HELLO)) == json.loads(HELLO)


def test_nothing_is_sent_and_what_follows_the_object_does_not_matter() -> None:
    sent, said = play(Words(16384).dialogue(10.0), [b' \r\n{"op": 10} and more'])

    assert sent == []
    assert said == {"op": 10}


@pytest.mark.parametrize("cut", [4, 5])
def test_a_character_that_is_cut_in_two_is_whole_again(cut: int) -> None:
    text = '{"é": 1}'.encode()
    assert heard(text[: cut - 1], text[cut - 1 :]) == {"é": 1}


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 400 Bad Request\r\n",
        b"[10]",
        b"10",
        b'{"op": 10, oops and then some more}',
        b'{"op": ' + b"[" * 5000,
        b'{"op": ' + b"9" * 5000 + b"}",
        b'{"op": "\xff"}',
        b"\xff\xfe{",
        b'{"op": "' + b"x" * 20_000,
        b" " * 20_000,
    ],
)  # fmt: skip
def test_what_is_not_an_object_is_malformed(said: bytes) -> None:
    with pytest.raises(Malformed) as caught:
        heard(said)

    assert caught.value.code == "json"


def test_silence_is_waited_for_no_longer_than_asked() -> None:
    with pytest.raises(TimeoutError):
        play(Words(16384).dialogue(10.0), [b'{"op": 1', None])


async def through_a_websocket(said: str, step: Greeting = STEP) -> GreetingFacts:
    async with stream_server(WebSocketServer({"/": said}).serve) as port, flow(port) as to:
        await Tcp().run(to)
        await Websocket().run(to)
        return await step.run(to)


async def test_a_gateways_hello_comes_through_a_websocket() -> None:
    facts = await through_a_websocket(HELLO.decode())

    assert facts.size == len(HELLO)
    assert facts.differing == ()
    assert 0 <= (facts.first_byte or 0) < 5


@pytest.mark.parametrize(
    ("said", "expected", "differing"),
    [
        ('{"op": 11}', {"op": 10}, ("op",)),
        ("{}", {"op": 10}, ("op",)),
        ('{"op": true}', {"op": 1}, ("op",)),
        ('{"op": "10"}', {"op": 10}, ("op",)),
        ('{"op": 10, "v": "a"}', {"op": 10, "v": "b", "w": True}, ("v", "w")),
    ],
)  # fmt: skip
async def test_another_value_is_unexpected_by_its_key(
    said: str, expected: dict[str, str | int | bool], differing: tuple[str, ...]
) -> None:
    with pytest.raises(Unexpected) as caught:
        await through_a_websocket(said, Greeting(expect_json=expected))

    assert caught.value.code == differing[0]
    assert isinstance(caught.value.partial, GreetingFacts)
    assert caught.value.partial.differing == differing


async def test_a_stream_that_ends_first_is_closed_and_says_how_far_it_came() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'{"op"')
        await writer.drain()

    async with stream_server(serve) as port, flow(port) as to:
        await Tcp().run(to)
        with pytest.raises(Closed) as caught:
            await asked(to)

    assert isinstance(caught.value.partial, GreetingFacts)
    assert caught.value.partial.size == 5


async def asked(to: Flow) -> GreetingFacts:
    return await STEP.run(to)


@fuzz(
    "greeting",
    st.lists(
        st.one_of(
            st.binary(max_size=40), st.text(alphabet='{}[]":,\\u10ef tn-.', max_size=30).map(str.encode)
        )
    ),
)
def test_whatever_bytes_come_only_step_errors_come_out(pieces: list[bytes]) -> None:
    words = Words(256)
    try:
        said = play(words.dialogue(10.0), pieces)[1]
    except (StepError, TimeoutError):
        pass
    else:
        assert isinstance(said, dict)
    assert words.facts().size <= 256


@pytest.mark.parametrize(
    "wrong", [{}, {"expect_json": {}}, {"expect_json": {"op": None}}, {"expect_json": {"op": 10}, "cap": 9}]
)
def test_a_greeting_that_expects_nothing_is_refused_in_the_catalogue(wrong: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"step": "greeting"} | wrong, Greeting)
