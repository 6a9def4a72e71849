import asyncio
from collections.abc import Callable, Iterator
from typing import Literal, cast

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from hypothesis import given
from hypothesis import strategies as st

from probe.demo.relays import DtlsRelay, _server_context
from probe.demo.stand_ins import Address, Datagrams
from probe.failure import Malformed, Rejected, Silent, StepError, Untrusted
from probe.steps import Dtls, DtlsFacts
from probe.steps.dtls import Handshake, client_context
from probe.steps.dtls_engine import Engine, context, datagrams, handshake_types, records
from tests.build import NOON
from tests.loopback import ROOT, datagram_server, flow
from tests.play import play

LEAF = ROOT.issue("relay.example")
LEAF_SHA256 = x509.load_pem_x509_certificate(LEAF.certificate).fingerprint(hashes.SHA256()).hex()
FORBIDDEN = bytes.fromhex("001d00170018")
ALERT = bytes.fromhex("15fefd000000000000000000020228")  # fatal, handshake_failure


def hello(said: Literal["library", "permuted"]) -> Handshake:
    """A handshake that has said hello to nobody."""
    handshake = Handshake(client_context(said, NOON))
    with pytest.raises(Silent):
        play(handshake.dialogue(0.5), [])
    return handshake


def flight_for(said: bytes) -> bytes:
    """What a server answers to a hello."""
    server = Engine(_server_context(LEAF), server=True)
    server.feed(said)
    assert not server.shake_hands()
    return b"".join(server.outgoing())


async def test_a_relay_shakes_hands_and_shows_its_certificate() -> None:
    async with datagram_server(DtlsRelay(LEAF)) as port, flow(port) as to:
        facts = await Dtls(fingerprints=("00" * 32, LEAF_SHA256), identity="required").run(to)

    assert (facts.reached, facts.version, facts.pinned) == ("finished", "1.2", True)
    assert facts.cipher == "ECDHE-ECDSA-AES128-GCM-SHA256"
    assert facts.certificate_sha256 == LEAF_SHA256
    assert (facts.handshake or 0) > 0
    assert facts.flights >= 3  # hello, the certificate's flight, good-bye


async def test_another_certificate_is_recorded_and_only_where_required_untrusted() -> None:
    async with datagram_server(DtlsRelay(LEAF)) as port:
        async with flow(port) as to:
            assert not (await Dtls(fingerprints=("00" * 32,)).run(to)).pinned
        async with flow(port) as to:
            with pytest.raises(Untrusted) as caught:
                await Dtls(fingerprints=("00" * 32,), identity="required").run(to)

    assert caught.value.code == "fingerprint"
    assert isinstance(caught.value.partial, DtlsFacts)
    assert caught.value.partial.certificate_sha256 == LEAF_SHA256


@pytest.mark.parametrize("said", ["library", "permuted"])
def test_a_hello_offers_srtp_and_has_not_the_bytes_that_a_filter_looked_for(
    said: Literal["library", "permuted"],
) -> None:
    sent = hello(said).hello

    assert records(sent) == [sent]
    assert FORBIDDEN not in sent
    assert bytes.fromhex("000e0009000600080007") in sent  # use_srtp (RFC 5764) with three profiles
    assert len(sent) == hello(said).facts().hello_bytes < 300


def test_the_two_hellos_differ_and_each_is_the_same_every_time() -> None:
    first, again, other = (hello(said).facts() for said in ("library", "library", "permuted"))

    assert first.hello_sha256 == again.hello_sha256 != other.hello_sha256


async def test_the_permuted_hello_is_answered_too() -> None:
    async with datagram_server(DtlsRelay(LEAF)) as port, flow(port) as to:
        assert (await Dtls(hello="permuted").run(to)).reached == "finished"


class Losing(DtlsRelay):
    """A relay on a path that loses the first datagrams, and everything after some answers."""

    def __init__(self, first: int = 0, answers: int = 1000) -> None:
        super().__init__(LEAF)
        self._first, self._answers = first, answers

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._first -= 1
        if self._first < 0 < self._answers:
            self._answers -= 1
            super().datagram_received(data, addr)


async def test_a_lost_hello_is_sent_again() -> None:
    async with datagram_server(Losing(first=1)) as port, flow(port) as to:
        facts = await Dtls().run(to)

    assert facts.reached == "finished"
    assert facts.flights >= 4
    assert (facts.handshake or 0) > 0.9


async def test_a_handshake_that_stops_halfway_says_how_far_it_came() -> None:
    async with datagram_server(Losing(answers=1)) as port, flow(port) as to:
        with pytest.raises(Silent) as caught:
            await Dtls(seconds=1.0).run(to)

    partial = caught.value.partial
    assert isinstance(partial, DtlsFacts)
    assert caught.value.code == partial.reached == "server_hello"
    assert (partial.certificate_sha256, partial.handshake) == (LEAF_SHA256, None)


async def test_silence_is_said_with_the_number_of_datagrams_and_our_own_hello() -> None:
    async with datagram_server(Datagrams(lambda data, sender: None)) as port, flow(port) as to:
        with pytest.raises(Silent) as caught:
            await Dtls(seconds=2.0).run(to)

    partial = caught.value.partial
    assert isinstance(partial, DtlsFacts)
    assert (caught.value.code, partial.reached) == (str(partial.flights), "nothing")
    assert 1 <= partial.flights <= 2
    assert len(partial.hello_sha256) == 64


# A HelloVerifyRequest with a cookie of 16 bytes (RFC 6347 section 4.2.1).
VERIFY = bytes.fromhex("16feff 0000000000000000 001f 03000013 0000 000000 000013 feff 10") + b"c" * 16
ANSWERS: dict[str, tuple[Callable[[bytes], bytes], type[StepError], str, str]] = {
    "an alert": (lambda asked: ALERT, Rejected, "handshake_failure", "nothing"),
    "our own hello": (lambda asked: asked, Malformed, "unexpected_message", "nothing"),
    "something else": (lambda asked: b"HTTP/1.1 400 Bad Request", Malformed, "nothing", "nothing"),
    "STUN": (lambda asked: bytes.fromhex("010100002112a442") + bytes(12), Malformed, "nothing", "nothing"),
    "a cookie": (lambda asked: VERIFY, Silent, "hello_verify", "hello_verify"),
}


@pytest.mark.parametrize(("make", "error", "code", "reached"), ANSWERS.values(), ids=ANSWERS)
def test_a_peer_that_answers_something_else_is_told_by_what_it_said(
    make: Callable[[bytes], bytes], error: type[StepError], code: str, reached: str
) -> None:
    handshake = Handshake(client_context("library", NOON))

    def script() -> Iterator[bytes]:
        yield make(handshake.hello)

    with pytest.raises(error) as caught:
        play(handshake.dialogue(5.0), script())
    assert (caught.value.code, handshake.facts().reached) == (code, reached)


async def test_a_server_that_wants_its_cookie_back_gets_it() -> None:
    """The exchange of RFC 6347 section 4.2.1, with OpenSSL's own server side of it."""
    async with datagram_server(Cookies()) as port, flow(port) as to:
        facts = await Dtls().run(to)

    assert facts.reached == "finished"
    assert facts.flights >= 4


class Cookies(asyncio.DatagramProtocol):
    """A server that believes an address only once it has said a cookie."""

    def __init__(self) -> None:
        from OpenSSL import SSL

        made = _server_context(LEAF)
        made.set_options(SSL.OP_COOKIE_EXCHANGE)
        made.set_cookie_generate_callback(lambda tls: b"cookie")
        made.set_cookie_verify_callback(lambda tls, cookie: cookie == b"cookie")
        self._engine, self._wants, self._believed = Engine(made, server=True), SSL.WantReadError, False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._engine.feed(data)
        if not self._believed:
            try:
                self._engine.tls.DTLSv1_listen()
                self._believed = True
            except self._wants:
                pass
        if self._believed:
            self._engine.shake_hands()
        for datagram in self._engine.outgoing():
            self._transport.sendto(datagram, addr)


@given(st.binary(max_size=40), st.integers(0, 900), st.booleans())
def test_no_change_whatever_of_a_servers_flight_breaks_the_dialogue(
    change: bytes, at: int, replace: bool
) -> None:
    handshake = Handshake(client_context("library", NOON))

    def script() -> Iterator[bytes]:
        good = flight_for(handshake.hello)
        yield good[:at] + change + good[at + (len(change) if replace else 0) :]

    with pytest.raises(StepError):
        play(handshake.dialogue(5.0), script())
    assert handshake.facts().reached in ("nothing", "server_hello")


@given(st.lists(st.binary(max_size=100), max_size=8), st.binary(min_size=3, max_size=3))
def test_no_datagrams_whatever_break_the_dialogue(script: list[bytes], kind: bytes) -> None:
    handshake = Handshake(client_context("library", NOON))
    framed = [
        kind[:1] + b"\xfe" + kind[1:2] + bytes(8) + len(data).to_bytes(2, "big") + data for data in script
    ]
    for lines in (script, framed):
        with pytest.raises(StepError):
            play(handshake.dialogue(2.0), lines)


@given(st.binary(max_size=3000))
def test_no_bytes_whatever_break_the_reading_of_records(data: bytes) -> None:
    assert data.startswith(b"".join(records(data)))
    assert len(handshake_types(b"\x16\xfe\xfd" + bytes(8) + data)) <= 1 + len(data) // 13


@given(st.lists(st.integers(1, 1100), max_size=12))
def test_a_flight_becomes_datagrams_that_fit_the_path_and_no_record_is_cut(sizes: list[int]) -> None:
    flight = [b"\x16\xfe\xfd" + bytes(8) + size.to_bytes(2, "big") + bytes(size) for size in sizes]
    packed = datagrams(b"".join(flight))

    assert [record for datagram in packed for record in records(datagram)] == flight
    assert all(len(datagram) <= 1200 for datagram in packed)


@pytest.mark.parametrize(
    "wrong",
    [{"fingerprints": ["F9:CA"]}, {"fingerprints": ["AB" * 32]}, {"identity": "required"}],
)
def test_a_fingerprint_is_hexadecimal_and_needed_where_identity_is(wrong: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"step": "dtls", **wrong}, Dtls)


def test_each_handshake_has_a_certificate_of_its_own() -> None:
    shown = set()
    for _ in range(3):
        own = Engine(client_context("library", NOON), server=False).tls.get_certificate()
        assert own is not None
        shown.add(own.digest("sha256"))

    assert len(shown) == 3
    assert Engine(context(), server=False).tls.get_certificate() is None
