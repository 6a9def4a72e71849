import asyncio
import gzip
import hashlib
import resource
import time
from ipaddress import ip_address, ip_network

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.demo.stand_ins import Pages, WebServer
from probe.failure import Closed, Kind, Malformed, Rejected, StepError, Unexpected, classify
from probe.step import Flow
from probe.steps import Http, HttpFacts, Tcp, Tls
from probe.steps.http import addresses_in
from tests.loopback import ROOT, Handler, context, flow, stream_server

PAGES = {
    "/": (200, {"x-proof": "1", "server": "203.0.113.9 here"}, b"hello"),
    "/json": (200, {}, b'{"ok": true}'),
    "/list": (200, {}, b'["ok"]'),
    "/go": (302, {"location": "/json"}, b""),
    "/away": (302, {"location": "https://block.example/you"}, b""),
    "/forbidden": (403, {}, b"no"),
}


async def ask(to: Flow, step: Http) -> HttpFacts:
    await Tcp().run(to)
    return await step.run(to)


def saying(answer: bytes) -> Handler:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    return serve


async def test_an_answer_is_kept_as_numbers_and_digests_never_as_text() -> None:
    async with stream_server(WebServer(PAGES).serve) as port, flow(port) as to:
        facts = await ask(to, Http(expect_headers=("x-proof",)))

    assert (facts.status, facts.version, facts.body_bytes) == (200, "1.1", 5)
    assert facts.body_sha256 == hashlib.sha256(b"hello").hexdigest()
    assert facts.server == "withheld: it holds an address"
    assert abs(facts.clock_ahead or 99) < 5


async def test_addresses_within_a_targets_prefixes_are_kept_and_no_others() -> None:
    page = b"""[{"region": "russia", "ips": ["66.22.244.154", "66.22.241.7"]}, "66.22.244.154:50004",
      "you are 203.0.113.9 and 2001:db8::9", "166.22.244.1", "66.22.300.1", "[2606:4700::7]:443", 66.22.241.9.]"""
    pages: Pages = {"/rtc": (200, {}, page)}
    async with stream_server(WebServer(pages).serve) as port:
        async with flow(port) as to:
            facts = await ask(to, Http(path="/rtc", addresses_within=("66.22.192.0/18", "2606:4700::/32")))
        async with flow(port) as to:
            without = await ask(to, Http(path="/rtc"))

    assert facts.addresses == ("66.22.244.154", "66.22.241.7", "2606:4700::7", "66.22.241.9")
    assert without.addresses == ()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"66.22.244.154\n66.22.241.7\n", 2),  # one a line
        (b"<td>66.22.244.154</td><td>66.22.241.7</td>", 2),
        (b"66.22.244.154;66.22.241.7,597", 2),
        (b"66.22.244.154.66 066.22.241.007 x66.22.241.7 66.22.241.7x 66.22.241.7.8", 0),
        (b" ".join(b"66.22.%d.1" % n for n in range(192, 256)) + b" 66.22.200.2", 64),
        (b"\xff\xfe66.22.241.7\x00", 1),
    ],
)
def test_a_list_of_relays_may_have_any_format(text: bytes, found: int) -> None:
    assert len(addresses_in(text, ("66.22.192.0/18",))) == found


@given(st.text(alphabet="0123456789abcdef.:[]/ ", max_size=200), st.binary(max_size=100))
def test_no_text_whatever_gives_an_address_outside_the_prefixes(text: str, data: bytes) -> None:
    within = ("10.0.0.0/8", "2001:db8::/32")
    for said in (text.encode(), data, b"10." + text.encode(), b"2001:db8:" + data):
        for found in addresses_in(said, within):
            address = ip_address(found)
            assert any(address in ip_network(prefix) for prefix in within)


def test_the_longest_texts_are_searched_in_no_time() -> None:
    began = time.process_time()
    for piece in (b":", b"1.", b"a:", b"1", b"::1.", b"1.2.3.4:"):
        addresses_in(piece * 100_000, ("10.0.0.0/8", "2001:db8::/32"))

    assert time.process_time() - began < 5


def test_a_prefix_that_is_none_is_refused_by_name() -> None:
    with pytest.raises(msgspec.ValidationError, match="host bits set"):
        msgspec.convert({"step": "http", "addresses_within": ["66.22.192.1/18"]}, Http)


@pytest.mark.parametrize(
    ("step", "code"),
    [
        (Http(expect_status=(204,)), "200"),
        (Http(expect_headers=("x-missing",)), "header"),
        (Http(expect_sha256="0" * 64), "digest"),
        (Http(expect_json=True), "json"),
        (Http(expect_keys=("ok",)), "json"),
        (Http(path="/json", expect_keys=("ok", "other")), "keys"),
        (Http(path="/list", expect_keys=("ok",)), "keys"),
        (Http(path="/forbidden", expect_keys=("ok",)), "403"),
        (Http(path="/forbidden", expect_json=True), "403"),
        (Http(path="/nowhere", expect_status=(200,)), "404"),
    ],
)  # fmt: skip
async def test_an_answer_that_is_not_the_expected_one_is_unexpected_and_kept(step: Http, code: str) -> None:
    async with stream_server(WebServer(PAGES).serve) as port, flow(port) as to:
        with pytest.raises(Unexpected) as caught:
            await ask(to, step)

    assert caught.value.code == code
    assert isinstance(caught.value.partial, HttpFacts)


async def test_a_redirect_is_followed_only_when_asked_and_only_on_the_same_host() -> None:
    async with stream_server(WebServer(PAGES).serve) as port:
        async with flow(port) as to:
            assert (await ask(to, Http(path="/go"))).status == 302
        async with flow(port) as to:
            followed = await ask(to, Http(path="/go", redirects=1, expect_json=True))
            assert (followed.status, followed.redirects) == (200, 1)
        async with flow(port) as to:
            away = await ask(to, Http(path="/away", redirects=3))
            assert (away.status, away.location_host) == (302, "block.example")


async def test_an_object_with_the_expected_keys_is_what_is_expected() -> None:
    async with stream_server(WebServer(PAGES).serve) as port, flow(port) as to:
        assert (await ask(to, Http(path="/json", expect_keys=("ok",)))).status == 200


async def test_two_questions_share_one_connection() -> None:
    async with stream_server(WebServer(PAGES).serve) as port, flow(port) as to:
        await ask(to, Http())
        assert (await Http(path="/json", expect_json=True).run(to)).status == 200


async def test_tls_and_http_use_the_same_link() -> None:
    tls = context(ROOT.issue("chat.example"))
    async with stream_server(WebServer(PAGES).serve, tls) as port, flow(port) as to:
        await Tcp().run(to)
        await Tls(trust="test").run(to)
        assert (await Http().run(to)).status == 200
        assert len(to.sockets) == 1


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", Closed),
        (b"HTTP/1.1 200 OK\r\ncontent-le", Closed),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort", Closed),
        (b"\x16\x03\x01 this is not HTTP\r\n\r\n", Malformed),
        (b"HTTP/1.1 abc OK\r\n\r\n", Malformed),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", Malformed),
        (b"HTTP/1.1 200 OK\r\nx: " + b"a" * 200_000 + b"\r\n\r\n", Malformed),
    ],
)  # fmt: skip
async def test_a_broken_answer_is_a_classified_failure(answer: bytes, error: type[StepError]) -> None:
    async with stream_server(saying(answer)) as port, flow(port) as to:
        with pytest.raises(error):
            await ask(to, Http())


async def test_an_endless_body_is_read_no_further_than_its_cap() -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    async with stream_server(endless) as port, flow(port) as to:
        facts = await ask(to, Http(cap=100_000))

    assert (facts.body_bytes, facts.body_complete) == (100_000, False)


async def test_a_compressed_bomb_stays_compressed() -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    head = f"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {len(bomb)}\r\n\r\n".encode()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with stream_server(saying(head + bomb)) as port, flow(port) as to:
        facts = await ask(to, Http(cap=16384))

    assert facts.body_bytes == 16384
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # kB


async def test_a_slow_drip_ends_at_the_deadline() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"H")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with stream_server(drip) as port, flow(port) as to:
        with pytest.raises((TimeoutError, Malformed)) as caught:
            async with asyncio.timeout(0.5):
                await ask(to, Http())

    assert classify(caught.value).kind in (Kind.TIMEOUT, Kind.MALFORMED)


async def test_an_answer_reset_at_any_byte_is_a_classified_failure() -> None:
    whole = b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\nx-header: value\r\n\r\n" + b"x" * 20
    for cut in range(len(whole)):

        async def cutting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, cut: int = cut) -> None:
            from probe.demo.path import _reset

            await reader.readuntil(b"\r\n\r\n")
            writer.write(whole[:cut])
            await writer.drain()
            _reset(writer)

        async with stream_server(cutting) as port, flow(port) as to:
            with pytest.raises((OSError, StepError)) as caught:
                await ask(to, Http())
        assert classify(caught.value).kind in (Kind.RESET, Kind.CLOSED)


async def test_http2_is_spoken_where_alpn_says_so_and_carries_several_questions() -> None:
    tls = context(ROOT.issue("chat.example"), "h2")
    async with stream_server(_http2, tls) as port, flow(port) as to:
        await Tcp().run(to)
        await Tls(trust="test").run(to)
        first, second = await asyncio.gather(Http().run(to), Http(path="/json").run(to))

    assert (first.version, first.status, second.status) == ("2", 200, 200)


async def test_a_question_refused_in_http2_is_rejected() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _http2(reader, writer, refusing=True)

    tls = context(ROOT.issue("chat.example"), "h2")
    async with stream_server(refuse, tls) as port, flow(port) as to:
        await Tcp().run(to)
        await Tls(trust="test").run(to)
        with pytest.raises((Rejected, Closed, Malformed)) as caught:
            await Http().run(to)

    assert classify(caught.value).kind.is_evidence


async def _http2(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, refusing: bool = False
) -> None:
    """The h2 library's own server side: answers every question with 200 and two bytes."""
    from h2.config import H2Configuration
    from h2.connection import H2Connection
    from h2.events import RequestReceived

    connection = H2Connection(H2Configuration(client_side=False))
    connection.initiate_connection()
    writer.write(connection.data_to_send())
    while data := await reader.read(65536):
        for event in connection.receive_data(data):
            if isinstance(event, RequestReceived):
                stream = event.stream_id
                assert stream is not None
                if refusing:
                    connection.reset_stream(stream, error_code=7)
                else:
                    connection.send_headers(stream, [(":status", "200")])
                    connection.send_data(stream, b"ok", end_stream=True)
        writer.write(connection.data_to_send())
        await writer.drain()
