import asyncio
import errno
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from probe.failure import Closed, Malformed, Rejected
from probe.webrtc import Packet, Peer, Relay, StageFailed
from probe.webrtc.relay import RelayAddress
from tests.loopback import HERE, ROOT, datagram_server, stream_server
from tests.steps.test_turn import coturn, needs_coturn
from tests.webrtc.calls import a_call, two_peers

TRUST = ssl.create_default_context(cadata=ROOT.pem.decode())
USER = "--user=me:secret"


def relay(port: int, transport: str = "udp", **changes: Any) -> Relay:
    scheme, over = ("turns", "tcp") if transport == "tls" else ("turn", transport)
    known: dict[str, Any] = {
        "username": "me", "password": "secret", "server_name": "turn.example", "ssl": TRUST
    }  # fmt: skip
    return Relay(url=f"{scheme}:{HERE}:{port}?transport={over}", **(known | changes))


def nobody(_: Packet) -> None:
    """Who hears nothing."""


@asynccontextmanager
async def a_caller(through: Relay) -> AsyncIterator[Peer]:
    peer = Peer(clock=time.monotonic, on_packet=nobody, relay=through)
    try:
        async with asyncio.timeout(20):
            yield peer
    finally:
        await peer.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("turn:192.0.2.1", RelayAddress("192.0.2.1", 3478, "udp")),
        ("turn:192.0.2.1:1?transport=udp", RelayAddress("192.0.2.1", 1, "udp")),
        ("turn:192.0.2.1?transport=tcp", RelayAddress("192.0.2.1", 3478, "tcp")),
        ("turns:192.0.2.1", RelayAddress("192.0.2.1", 5349, "tls")),
        ("turns:[2001:db8::1]:443?transport=tcp", RelayAddress("2001:db8::1", 443, "tls")),
    ],
)
def test_a_relay_is_named_by_its_uri(url: str, where: RelayAddress) -> None:
    assert Relay(url=url, username="", password="").where() == where


@pytest.mark.parametrize(
    "url",
    [
        "turn:relay.example",
        "stun:192.0.2.1",
        "turns:192.0.2.1?transport=udp",
        "turn:1.2.3",
        "turn:192.0.2.1:65536",
        "192.0.2.1:3478",
    ],
)
def test_what_would_have_to_be_looked_up_or_cannot_be_spoken_is_no_relay(url: str) -> None:
    with pytest.raises(ValueError, match=r"TURN|IPv4|port"):
        Relay(url=url, username="", password="")


def test_a_relay_does_not_tell_its_password() -> None:
    assert "secret" not in repr(relay(3478))


@needs_coturn
@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
async def test_a_call_goes_through_a_real_relay_and_no_other_way(transport: str, tmp_path: Path) -> None:
    async with coturn(tmp_path, USER) as (plain, tls):
        through = relay(tls if transport == "tls" else plain, transport)
        async with two_peers(relay=through) as call:
            offer = await call.caller.offer()
            assert [line.split()[7] for line in offer.splitlines() if line.startswith("a=candidate:")] == [
                "relay"
            ]
            await call.caller.accept(await call.callee.answer(offer, setup="passive"))
            await call.connect()
            for i in range(100):
                call.caller.send("audio", bytes(60 + i), timestamp=i)
            await call.hears(100)

            assert sorted(len(packet.payload) for packet in call.heard) == list(range(60, 160))
            assert call.caller.candidates == ("relay", "host")
            assert call.callee.candidates == ("host", "relay")


@needs_coturn
async def test_a_relay_that_refuses_says_its_code(tmp_path: Path) -> None:
    async with coturn(tmp_path, USER) as (plain, _), a_caller(relay(plain, password="wrong")) as caller:
        with pytest.raises(Rejected) as caught:
            await caller.offer()

    assert caught.value.code == "401"


@needs_coturn
async def test_a_relay_whose_name_does_not_check_out_is_not_used(tmp_path: Path) -> None:
    async with (
        coturn(tmp_path, USER) as (_, tls),
        a_caller(relay(tls, "tls", server_name="x.example")) as caller,
    ):
        with pytest.raises(ssl.SSLCertVerificationError):
            await caller.offer()


@needs_coturn
async def test_a_relay_that_may_not_reach_the_callee_is_told_from_silence(tmp_path: Path) -> None:
    deny = f"--denied-peer-ip={HERE}"
    async with coturn(tmp_path, USER, deny) as (plain, _), two_peers(relay=relay(plain)) as call:
        await call.signal()
        checking = asyncio.ensure_future(call.caller.ice())
        while call.caller.denied is None:
            await asyncio.sleep(0.01)
        checking.cancel()

        assert call.caller.denied == 403


@needs_coturn
async def test_a_relay_that_dies_in_mid_call_ends_it(tmp_path: Path) -> None:
    async with coturn(tmp_path, USER) as (plain, _), a_call(relay=relay(plain, "tcp")) as call:
        # As if somebody had reset the connection to the relay.
        call.caller._agent._client.transport.abort()  # type: ignore[union-attr]
        with pytest.raises(StageFailed) as caught:
            await _send_on(call.caller)

    assert (caught.value.stage, caught.value.reason) == ("media", "lost")


async def _send_on(peer: Peer) -> None:
    while True:
        peer.send("audio", b"", timestamp=0)
        await asyncio.sleep(0.01)


class Forwarder(asyncio.DatagramProtocol):
    """Stands before a relay, until it is cut."""

    def __init__(self, port: int) -> None:
        self.cut, self._port, self._client = False, port, (HERE, 0)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if addr[1] != self._port:
            self._client = addr
        if not self.cut:
            self._transport.sendto(data, self._client if addr[1] == self._port else (HERE, self._port))


@needs_coturn
async def test_close_does_not_wait_long_for_a_relay_that_has_gone_silent(tmp_path: Path) -> None:
    async with coturn(tmp_path, USER) as (plain, _):
        path = Forwarder(plain)
        async with datagram_server(path) as port, a_call(relay=relay(port)) as call:
            path.cut = True
            async with asyncio.timeout(
                10
            ):  # it asks once more for a second; the library would ask for a minute
                await call.caller.close()


class Silence(asyncio.DatagramProtocol):
    """Hears everything, answers nothing."""


async def test_a_silent_relay_can_be_given_up_at_any_time() -> None:
    async with datagram_server(Silence()) as port, a_caller(relay(port)) as caller:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await caller.offer()


async def test_a_relay_where_nobody_listens_is_refused_at_once() -> None:
    async with datagram_server(Silence()) as port:
        pass
    for transport in ("udp", "tcp"):
        async with a_caller(relay(port, transport)) as caller:
            with pytest.raises(OSError, match="refused|Connect call failed") as caught:
                await caller.offer()
            assert caught.value.errno == errno.ECONNREFUSED


async def test_a_relay_that_hangs_up_is_not_waited_for() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(20)

    async with stream_server(hang_up) as port, a_caller(relay(port, "tcp")) as caller:
        with pytest.raises((Closed, ConnectionResetError)):
            await caller.offer()


@pytest.mark.parametrize(
    ("kind", "attributes"),
    [
        ("0103", ""),  # a success without anything in it
        ("0113", ""),  # an error without a code
        ("0103", "000d0001ff000000"),  # a lifetime of one byte
        ("0113", "000900040000"),  # an error code that is cut off
        ("4001", "00"),  # data of a channel that is not bound
        ("ffff", "ff"),
    ],
)
async def test_a_relays_nonsense_is_malformed_or_not_heard_and_never_raises_in_the_loop(
    kind: str, attributes: str
) -> None:
    loop, raised = asyncio.get_running_loop(), []
    loop.set_exception_handler(lambda _, context: raised.append(context))
    body = bytes.fromhex(attributes)

    class Nonsense(Forwarder):
        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            head = bytes.fromhex(kind) + len(body).to_bytes(2, "big")
            self._transport.sendto(head + data[4:20] + body, addr)

    async with datagram_server(Nonsense(0)) as port, a_caller(relay(port)) as caller:
        with pytest.raises((Malformed, Rejected, TimeoutError)):
            async with asyncio.timeout(0.2):
                await caller.offer()

    assert raised == []
