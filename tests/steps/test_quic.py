import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.asyncio.server import QuicServer
from aioquic.h3.connection import H3Connection
from aioquic.h3.events import HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.crypto import INITIAL_SALT_VERSION_1, derive_key_iv_hp
from aioquic.quic.events import ProtocolNegotiated, QuicEvent
from aioquic.tls import CipherSuite, cipher_suite_hash, hkdf_expand_label, hkdf_extract
from hypothesis import given, settings
from hypothesis import strategies as st

from probe.demo.stand_ins import Datagrams
from probe.failure import Kind, Malformed, Silent, StepError, Untrusted, classify
from probe.steps import Quic
from probe.steps.quic import Conversation
from tests.lab.packets import quic_initial
from tests.loopback import HERE, ROOT, datagram_server, flow
from tests.play import play


class Http3Server(QuicConnectionProtocol):
    """Answers every HTTP/3 question with 403."""

    _http: H3Connection | None = None

    def quic_event_received(self, event: QuicEvent) -> None:
        if isinstance(event, ProtocolNegotiated):
            self._http = H3Connection(self._quic)
        for asked in self._http.handle_event(event) if self._http else ():
            if isinstance(asked, HeadersReceived) and self._http is not None:
                self._http.send_headers(asked.stream_id, [(b":status", b"403")], end_stream=True)
                self.transmit()


@asynccontextmanager
async def quic_server(folder: Path, name: str) -> AsyncIterator[int]:
    configuration = QuicConfiguration(is_client=False, alpn_protocols=["h3"])
    configuration.load_cert_chain(*ROOT.issue(name).write(folder, "quic"))
    transport, server = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: QuicServer(configuration=configuration, create_protocol=Http3Server), local_addr=(HERE, 0)
    )
    try:
        yield int(transport.get_extra_info("sockname")[1])
    finally:
        server.close()


def test_initial_keys_are_those_of_rfc_9001_appendix_a_1() -> None:
    algorithm = cipher_suite_hash(CipherSuite.AES_128_GCM_SHA256)
    initial = hkdf_extract(algorithm, INITIAL_SALT_VERSION_1, bytes.fromhex("8394c8f03e515708"))
    secret = hkdf_expand_label(algorithm, initial, b"client in", b"", 32)
    key, iv, hp = derive_key_iv_hp(cipher_suite=CipherSuite.AES_128_GCM_SHA256, secret=secret, version=1)

    assert secret.hex() == "c00cf151ca5be075ed0ebfb5c80323c42d6b7db67881289af4008f1f6c357aea"
    assert key.hex() == "1f369613dd76d5467730efcbe3b1a22d"
    assert iv.hex() == "fa044b2f42a3fd3b46fb255c"
    assert hp.hex() == "9f50449e04a0e810283a1e9933adedd2"


def test_our_first_flight_is_one_version_1_initial_of_1200_bytes_or_more_that_names_the_host() -> None:
    act = next(Conversation("chat.example", ("h3",), "", "chat.example").dialogue(5.0))
    data: bytes = act.data  # type: ignore[union-attr]

    assert data[0] & 0xF0 == 0xC0
    assert data[1:5] == b"\0\0\0\x01"
    assert len(data) >= 1200
    assert b"chat.example" in quic_initial(data)


def test_without_a_name_the_hello_names_nobody() -> None:
    act = next(Conversation("", ("h3",), "", "").dialogue(5.0))

    assert b"chat.example" not in quic_initial(act.data)  # type: ignore[union-attr]


def test_silence_is_said_with_the_number_of_datagrams_sent() -> None:
    with pytest.raises(Silent) as caught:
        play(Conversation("chat.example", ("h3",), "", "x").dialogue(3.0), [None] * 60)

    assert int(caught.value.code) >= 3


@settings(max_examples=40)
@given(st.lists(st.binary(max_size=1300), min_size=1, max_size=5))
def test_no_datagram_whatever_breaks_the_handshake(script: list[bytes]) -> None:
    with pytest.raises((StepError, TimeoutError)) as caught:
        play(Conversation("chat.example", ("h3",), "", "x").dialogue(2.0), [*script, *[None] * 60])
    assert classify(caught.value).kind.is_evidence


async def test_a_handshake_gives_session_and_identity(tmp_path: Path) -> None:
    async with quic_server(tmp_path, "chat.example") as port, flow(port) as to:
        facts = await Quic(trust="test").run(to)

    assert (facts.version, facts.alpn, facts.identity) == ("1", "h3", "verified")
    assert facts.handshake > 0


async def test_a_path_is_asked_for_over_http_3(tmp_path: Path) -> None:
    async with quic_server(tmp_path, "chat.example") as port, flow(port) as to:
        facts = await Quic(trust="test", path="/").run(to)

    assert (facts.status, facts.identity) == (403, "verified")


async def test_a_certificate_for_another_name_is_untrusted(tmp_path: Path) -> None:
    async with quic_server(tmp_path, "other.example") as port, flow(port) as to:
        with pytest.raises(Untrusted, match="name_mismatch"):
            await Quic(trust="test").run(to)


async def test_a_peer_that_speaks_something_else_is_a_classified_failure() -> None:
    async with (
        datagram_server(Datagrams(lambda data, _: b"\xc0\0\0\0\0" + b"x" * 40)) as port,
        flow(port) as to,
    ):
        with pytest.raises((StepError, TimeoutError)) as caught:
            await Quic(patience=1.0).run(to)

    assert classify(caught.value).kind in (Kind.MALFORMED, Kind.TIMEOUT, Kind.REJECTED, Kind.CLOSED)
    assert Malformed.kind is Kind.MALFORMED
