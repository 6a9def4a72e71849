import asyncio
import ssl
from datetime import timedelta

import pytest

from probe.demo.certificates import Authority
from probe.failure import Kind, Untrusted, classify
from probe.step import Flow
from probe.steps import Tcp, Tls, TlsFacts
from tests.loopback import ROOT, context, flow, stream_server


async def _talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def shake(to: Flow, step: Tls) -> TlsFacts:
    await Tcp().run(to)
    return await step.run(to)


async def test_a_certificate_of_a_named_root_for_the_host_is_verified() -> None:
    async with stream_server(_talk, context(ROOT.issue("chat.example"))) as port, flow(port) as to:
        facts = await shake(to, Tls(trust="test"))

    assert (facts.identity, facts.version, facts.alpn) == ("verified", "1.3", "http/1.1")
    assert facts.chain[0].subject == "CN=chat.example"
    assert facts.chain[0].der == ""
    assert facts.hello_ja4.startswith("t13d")


@pytest.mark.parametrize(
    ("issued", "code"),
    [
        (ROOT.issue("other.example"), "name_mismatch"),
        (ROOT.issue("chat.example", valid=(-timedelta(days=9), -timedelta(days=2))), "expired"),
        (ROOT.issue("chat.example", valid=(timedelta(days=2), timedelta(days=9))), "not_yet_valid"),
        (Authority("Stranger").issue("chat.example"), "unknown_issuer"),
    ],
)  # fmt: skip
async def test_a_wrong_certificate_is_untrusted_and_kept_as_evidence(issued: object, code: str) -> None:
    async with stream_server(_talk, context(issued)) as port, flow(port) as to:  # type: ignore[arg-type]
        with pytest.raises(Untrusted) as caught:
            await shake(to, Tls(trust="test"))

    facts = caught.value.partial
    assert isinstance(facts, TlsFacts)
    assert (caught.value.code, facts.identity) == (code, code)
    assert facts.chain[0].der


async def test_an_identity_that_is_only_recorded_does_not_fail_the_step() -> None:
    async with stream_server(_talk, context(ROOT.issue("other.example"))) as port, flow(port) as to:
        facts = await shake(to, Tls(trust="test", identity="recorded"))

    assert facts.identity == "name_mismatch"


async def test_a_pinned_key_is_enough_and_a_wrong_pin_is_not() -> None:
    from cryptography import x509

    from probe.identity import spki

    issued = Authority("Stranger").issue("chat.example")
    pin = spki(x509.load_pem_x509_certificate(issued.certificate))
    async with stream_server(_talk, context(issued)) as port, flow(port) as to:
        assert (await shake(to, Tls(pins=(pin,)))).identity == "pinned"
    async with stream_server(_talk, context(issued)) as port, flow(port) as to:
        with pytest.raises(Untrusted, match="wrong_pin"):
            await shake(to, Tls(pins=("0" * 64,)))


async def test_the_name_said_can_be_another_one_or_none() -> None:
    said: list[str | None] = []
    tls = context(ROOT.issue("chat.example"))
    tls.sni_callback = lambda sock, name, ctx: said.append(name)
    async with stream_server(_talk, tls) as port:
        for sni in ("host", "www.innocent.example", "none"):
            async with flow(port) as to:
                await shake(to, Tls(trust="test", sni=sni))

    assert said == ["chat.example", "www.innocent.example", None]


async def _reset_after_hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    from probe.demo.path import _reset

    await reader.read(5)
    _reset(writer)


async def _close_after_hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(4096)


async def _garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(4096)
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await writer.drain()
    await asyncio.sleep(1)


async def _alert(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(4096)
    writer.write(bytes.fromhex("15030300020228"))
    await writer.drain()
    await asyncio.sleep(1)


@pytest.mark.parametrize(
    ("peer", "kind"),
    [
        (_reset_after_hello, Kind.RESET),
        (_close_after_hello, Kind.CLOSED),
        (_garbage, Kind.MALFORMED),
        (_alert, Kind.REJECTED),
    ],
)  # fmt: skip
async def test_a_hostile_peer_ends_in_a_classified_failure(peer: object, kind: Kind) -> None:
    async with stream_server(peer) as port, flow(port) as to:  # type: ignore[arg-type]
        with pytest.raises((OSError, ssl.SSLError)) as caught:
            await shake(to, Tls())

    assert classify(caught.value).kind is kind


async def test_a_handshake_reset_at_any_byte_of_the_reply_is_a_classified_failure() -> None:
    reply = await _recorded_reply()
    for cut in (*range(0, 200), *range(200, len(reply), 7)):

        async def cutting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, cut: int = cut) -> None:
            from probe.demo.path import _reset

            await reader.read(4096)
            writer.write(reply[:cut])
            await writer.drain()
            _reset(writer)

        async with stream_server(cutting) as port, flow(port) as to:
            with pytest.raises((OSError, ssl.SSLError)) as caught:
                await shake(to, Tls())
        assert classify(caught.value).kind in (Kind.RESET, Kind.CLOSED, Kind.MALFORMED, Kind.REJECTED)


async def _recorded_reply() -> bytes:
    """What a TLS server answers to one of our hellos."""
    hello, incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO(), ssl.MemoryBIO()
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.check_hostname = False
    client_context.verify_mode = ssl.CERT_NONE
    client = client_context.wrap_bio(ssl.MemoryBIO(), hello, server_hostname="chat.example")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    server = context(ROOT.issue("chat.example")).wrap_bio(incoming, outgoing, server_side=True)
    incoming.write(hello.read())
    with pytest.raises(ssl.SSLWantReadError):
        server.do_handshake()
    return outgoing.read()


async def test_a_certificate_that_holds_an_address_is_kept_as_a_digest_only() -> None:
    """A home router's own certificate names the volunteer's address."""
    tls = context(Authority("Some Router").issue("router.example", "203.0.113.9"))
    async with stream_server(_talk, tls) as port, flow(port) as to:
        await Tcp().run(to)
        with pytest.raises(Untrusted) as caught:
            await Tls(trust="test").run(to)

    facts = caught.value.partial
    assert isinstance(facts, TlsFacts)
    assert facts.chain[0].der == ""
    assert len(facts.chain[0].sha256) == 64


async def test_the_short_hello_has_another_fingerprint_and_says_whether_the_leaf_is_for_its_name() -> None:
    said = []
    for hello in ("library", "short"):
        async with stream_server(_talk, context(ROOT.issue("chat.example"))) as port, flow(port) as to:
            await Tcp().run(to)
            said.append(await Tls(trust="test", hello=hello).run(to))

    assert said[0].hello_ja4 != said[1].hello_ja4
    assert said[0].hello_sha256 != said[1].hello_sha256
    assert [facts.covers_sni for facts in said] == [True, True]
