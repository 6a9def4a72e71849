import asyncio
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import strategies as st
from wsproto.utilities import generate_accept_token

from probe.demo.websocket_stand_in import WebSocketServer
from probe.failure import Closed, Kind, Malformed, StepError, Unexpected, Unsupported, classify
from probe.step import Flow
from probe.steps import Tcp, Tls, Websocket, WebsocketFacts
from tests.fuzz import fuzz
from tests.loopback import ROOT, Handler, context, flow, stream_server


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1000):
        writer.write(data)
        await writer.drain()
    writer.close()


SERVER = WebSocketServer({"/": echo, "/hello": "héllo"})


async def opened(to: Flow, step: Websocket) -> WebsocketFacts:
    await Tcp().run(to)
    return await step.run(to)


async def received(to: Flow, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece, _ = await to.stream().receive()
        if not piece:
            break
        data += piece
    return data


def upgraded(*after: bytes, head: str = "", status: str = "101 Switching Protocols") -> Handler:
    """A server that accepts the upgrade in words of its own, says these bytes and takes what comes until the end."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        question = await reader.readuntil(b"\r\n\r\n")
        key = next(
            line.split(b": ")[1]
            for line in question.split(b"\r\n")
            if line.lower().startswith(b"sec-websocket-key")
        )
        token = generate_accept_token(key).decode()
        lines = ["HTTP/1.1 " + status, "Upgrade: websocket", "Connection: Upgrade"]
        lines += ["Sec-WebSocket-Accept: " + token, *([head] if head else [])]
        writer.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + b"".join(after))
        await writer.drain()
        heard.append(await reader.read(65536))

    return serve


heard: list[bytes] = []


async def test_what_is_sent_comes_back_as_one_stream_whatever_the_messages_were() -> None:
    async with stream_server(SERVER.serve) as port, flow(port) as to:
        facts = await opened(
            to, Websocket(subprotocols=("binary", "other"), headers={"Origin": "https://x.example"})
        )
        for size in (1, 125, 126, 65535, 65536, 100_000):
            sent = bytes(range(256)) * (size // 256 + 1)
            await to.stream().send(sent[:size])
            await to.stream().send(b"")
            assert await received(to, size) == sent[:size]

    assert (facts.status, facts.subprotocol) == (101, "binary")
    assert 0 < facts.first_byte < 5


async def test_a_text_that_the_server_says_first_is_read_as_bytes() -> None:
    async with stream_server(SERVER.serve) as port, flow(port) as to:
        await opened(to, Websocket(path="/hello"))
        assert await received(to, 6) == "héllo".encode()
        to.stream().unread(b"back")
        assert await received(to, 4) == b"back"


async def test_it_goes_over_tls_as_well() -> None:
    tls = context(ROOT.issue("chat.example"))
    async with stream_server(SERVER.serve, tls) as port, flow(port) as to:
        await Tcp().run(to)
        await Tls(trust="test", alpn=("http/1.1",)).run(to)
        await Websocket().run(to)
        await to.stream().send(b"through both")
        assert await received(to, 12) == b"through both"


async def test_another_status_is_unexpected_and_kept() -> None:
    async with stream_server(SERVER.serve) as port, flow(port) as to:
        with pytest.raises(Unexpected) as caught:
            await opened(to, Websocket(path="/nowhere"))

    assert caught.value.code == "404"
    assert isinstance(caught.value.partial, WebsocketFacts)
    assert caught.value.partial.status == 404


async def test_a_refusal_may_be_what_is_expected_and_then_gives_no_stream() -> None:
    step = Websocket(path="/nowhere", expect_status=404)
    async with stream_server(SERVER.serve) as port, flow(port) as to:
        assert (await opened(to, step)).status == 404

    assert step.gives is None


async def test_over_http2_it_is_not_possible_here() -> None:
    async with flow(1) as to:
        to.alpn = "h2"
        with pytest.raises(Unsupported):
            await Websocket().run(to)


async def test_a_ping_is_answered_and_of_many_at_once_the_last() -> None:
    heard.clear()
    pings = b"\x89\x03one\x89\x03two\x82\x02hi"
    async with stream_server(upgraded(pings)) as port, flow(port) as to:
        await opened(to, Websocket())
        assert await received(to, 2) == b"hi"
        await asyncio.sleep(0.05)

    assert len(heard) == 1
    opcode, length, mask, masked = heard[0][0], heard[0][1], heard[0][2:6], heard[0][6:]
    assert (opcode, length) == (0x8A, 0x83)
    assert bytes(a ^ mask[i % 4] for i, a in enumerate(masked)) == b"two"


async def test_a_close_frame_ends_the_stream_in_order_and_is_answered() -> None:
    heard.clear()
    async with stream_server(upgraded(b"\x82\x02hi\x88\x02\x03\xe8")) as port, flow(port) as to:
        await opened(to, Websocket())
        assert await received(to, 3) == b"hi"
        assert await to.stream().receive() == (b"", None)
        with pytest.raises(Closed):
            await to.stream().send(b"more")
        await asyncio.sleep(0.05)

    assert heard[0][0] == 0x88


async def test_a_stream_that_ends_without_a_close_frame_ends_too() -> None:
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.close()

    async with stream_server(WebSocketServer({"/": cut}).serve) as port, flow(port) as to:
        await opened(to, Websocket())
        await to.stream().send(b"x")
        assert await received(to, 1) == b""


@pytest.mark.parametrize(
    "frames",
    [
        b"\x83\x00",  # no such opcode
        b"\xc2\x00",  # a reserved bit
        b"\x82\x81abcd1",  # masked by the server
        b"\x80\x01x",  # a continuation of nothing
        b"\x89\x7e\x00\x80" + b"x" * 128,  # a ping that is too long
        b"\x88\x01\x00",  # a close code of one byte
        b"\x81\x02\xff\xfe",  # a text that is none
        b"\x82\xff" + b"\xff" * 8,  # a length of 2**64 - 1
        b"HTTP/1.1 200 OK\r\n\r\n",
    ],
)  # fmt: skip
async def test_what_came_before_a_broken_frame_is_read_and_then_it_is_malformed(frames: bytes) -> None:
    async with stream_server(upgraded(b"\x82\x02hi" + frames)) as port, flow(port) as to:
        await opened(to, Websocket())
        assert (await to.stream().receive())[0] == b"hi"
        with pytest.raises(Malformed) as caught:
            await to.stream().receive()

    assert caught.value.code == "websocket"


async def test_a_message_that_claims_to_be_endless_is_handed_on_as_it_comes() -> None:
    head = b"\x82\x7f" + (1 << 62).to_bytes(8, "big")
    async with stream_server(upgraded(head + b"x" * 1000)) as port, flow(port) as to:
        await opened(to, Websocket())
        assert await received(to, 1000) == b"x" * 1000


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "upgrade"),
        (b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
         b"sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n", "upgrade"),
        (b"HTTP/1.1 101 Switching Protocols\r\nconnection: \xff\r\n\r\n", "upgrade"),
        (b"HTTP/1.1 abc OK\r\n\r\n", "http"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"a" * 200_000 + b"\r\n\r\n", "http"),
        (b"\x15\x03\x01\x00\x02\x02\x28", "tls"),
        (b"SSH-2.0-OpenSSH_9\r\n", "http"),
    ],
)  # fmt: skip
async def test_an_answer_that_is_no_answer_to_an_upgrade_is_malformed(answer: bytes, code: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        await reader.read(1)

    async with stream_server(serve) as port, flow(port) as to:
        with pytest.raises((Malformed, Closed)) as caught:
            async with asyncio.timeout(5):
                await opened(to, Websocket())

    assert caught.value.code == code


@pytest.mark.parametrize(
    "head", ["Sec-WebSocket-Protocol: other", "Sec-WebSocket-Extensions: permessage-deflate"]
)
async def test_a_subprotocol_or_an_extension_that_was_not_offered_is_malformed(head: str) -> None:
    async with stream_server(upgraded(head=head)) as port, flow(port) as to:
        with pytest.raises(Malformed) as caught:
            await opened(to, Websocket(subprotocols=("binary",)))

    assert caught.value.code == "upgrade"


async def test_what_the_server_calls_itself_is_kept_without_addresses() -> None:
    async with stream_server(upgraded(head="Server: 203.0.113.9 here")) as port, flow(port) as to:
        assert (await opened(to, Websocket())).server == "withheld: it holds an address"


async def test_an_answer_cut_at_any_byte_is_a_classified_failure() -> None:
    whole = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n"
    for cut in range(0, len(whole) - 1, 3):

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, cut: int = cut) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(whole[:cut])
            await writer.drain()

        async with stream_server(serve) as port, flow(port) as to:
            with pytest.raises((OSError, StepError)) as caught:
                await opened(to, Websocket())
        assert classify(caught.value).kind in (Kind.RESET, Kind.CLOSED)


class Scripted:
    """A link that answers an upgrade as it should and then says these pieces, whatever they are."""

    is_stream = True

    def __init__(self, pieces: Sequence[bytes], *, accept: bool) -> None:
        self._pieces, self._accept = list(pieces), accept

    async def send(self, data: bytes) -> None:
        if self._accept:
            key = data.split(b"Sec-WebSocket-Key: ")[1].split(b"\r\n")[0]
            head = b"HTTP/1.1 101 S\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: "
            self._pieces.insert(0, head + generate_accept_token(key) + b"\r\n\r\n")
            self._accept = False

    async def receive(self) -> tuple[bytes, int | None]:
        return (self._pieces.pop(0) if self._pieces else b""), None

    def unread(self, data: bytes) -> None:
        raise AssertionError("nothing is given back")

    def now(self) -> float:
        return 0.0


SHORT = st.binary(max_size=125)
FRAMES = st.one_of(
    st.binary(min_size=1, max_size=60),
    st.builds(lambda o, d: bytes([o, len(d)]) + d, st.sampled_from((128, 129, 130, 136, 137, 138)), SHORT),
    st.builds(lambda o, d: bytes([o, len(d)]) + d, st.sampled_from((0, 1, 2)), SHORT),
    st.builds(lambda n: b"HTTP/1.1 " + str(n).encode() + b" X\r\n", st.integers(0, 9999)),
)  # fmt: skip


def speak(pieces: Sequence[bytes], *, accept: bool) -> int:
    """Whatever a peer says: the bytes of messages that were read, or a step error; more than came never."""
    from probe.websocket_link import WebSocketLink

    async def run() -> int:
        link, size = WebSocketLink(Scripted(pieces, accept=accept)), 0
        answer = await link.upgrade(host="x.example", path="/", subprotocols=(), headers={})
        while answer.accepted and (data := (await link.receive())[0]):
            size += len(data)
        return size

    coroutine = run()
    try:
        coroutine.send(None)
    except StopIteration as end:
        return int(end.value)
    except StepError:
        return -1
    raise AssertionError("a link that never waits was waited for")


@fuzz("websocket", st.tuples(st.lists(FRAMES, max_size=12), st.booleans()))
def test_whatever_bytes_come_only_step_errors_come_out(example: tuple[list[bytes], bool]) -> None:
    pieces, accept = example
    assert -1 <= speak(pieces, accept=accept) <= sum(map(len, pieces))


@pytest.mark.parametrize(
    "wrong",
    [
        {"path": "no-slash"},
        {"path": "/with space"},
        {"path": "/nové"},
        {"subprotocols": ["two words"]},
        {"headers": {"Bad Name": "x"}},
        {"headers": {"Origin": "x\r\nInjected: y"}},
        {"headers": {"Origin": ""}},
        {"cap": 4096},
    ],
)  # fmt: skip
def test_what_cannot_be_sent_is_refused_in_the_catalogue(wrong: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"step": "websocket"} | wrong, Websocket)
