"""A far end with real sockets on loopback: HTTPS, UDP, TCP, its end, and what it never says."""

import asyncio
import contextlib
import logging
import socket
import ssl
import time
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from probe.far_end.opening import own_addresses, tls_context
from probe.far_end.protocol import FLOWS, PING, SESSION
from probe.far_end.server import running, serve
from probe.far_end.settings import FarEndSettings, Limits, TurnServer
from probe.http_server import NothingBound
from probe.net import SystemNet
from probe.record import holds_address
from probe.toml_file import ConfigError
from tests.far_end.guest import Guest, numbers, times
from tests.far_end.house import far_end
from tests.loopback import HERE, ROOT

PLAIN = FarEndSettings(listen=(f"{HERE}:0",), media=(HERE,), udp=(0,), tcp=(0,))


def udp(port: int, address: str = HERE) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.connect((address, port))
    return sock


async def asked(sock: socket.socket, data: bytes, wait: float = 5.0) -> bytes | None:
    """The answer to a datagram, None if there is none within the time."""
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, data)
    try:
        async with asyncio.timeout(wait):
            return await loop.sock_recv(sock, 2048)
    except TimeoutError:
        return None


async def hung_up(reader: asyncio.StreamReader) -> None:
    """The far end ends the connection, and has said nothing."""
    async with asyncio.timeout(5):
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""


async def test_a_flow_over_udp_from_its_request_to_its_log() -> None:
    async with far_end() as visitor:
        (port,) = (await visitor.greet()).udp
        guest = Guest(port)
        made = await visitor.flow(guest)
        with udp(port) as sock, udp(port) as stranger:
            for number in range(40):
                answer = await asked(sock, guest.packet(180))
                assert answer is not None
                assert guest.read(answer).number == number
            assert await asked(stranger, bytes(200), 0.05) is None
        heard = await visitor.heard(f"{FLOWS}/{made.id}", "DELETE")

    assert numbers(heard) == list(range(40))
    assert times(heard) == sorted(times(heard))
    assert (heard.mute, heard.proved, heard.ended) == ((), True, "closed")
    assert heard.octets_in == heard.octets_out == 40 * 180


async def test_what_arrived_while_we_were_busy_is_dated_when_the_kernel_had_it() -> None:
    async with far_end() as visitor:
        (port,) = (await visitor.greet()).udp
        guest = Guest(port)
        made = await visitor.flow(guest)
        with udp(port) as sock:
            answer = await asked(sock, guest.packet())
            assert answer is not None
            guest.read(answer)
            for _ in range(3):
                sock.send(guest.packet())
                time.sleep(0.05)  # the far end's loop cannot run meanwhile
            await asyncio.sleep(0.1)
            held = [guest.read(sock.recv(2048)).micros for _ in range(3)]
        at = times(await visitor.heard(f"{FLOWS}/{made.id}"))

    assert at[2] - at[1] > 40_000
    assert at[3] - at[2] > 40_000
    assert held[2] - held[0] < (at[3] - at[1]) / 2


async def test_a_flow_over_tcp_in_pieces_and_all_at_once() -> None:
    async with far_end() as visitor:
        (port,) = (await visitor.greet()).tcp
        guest = Guest(port, "tcp")
        made = await visitor.flow(guest)
        reader, writer = await asyncio.open_connection(HERE, port)
        packets = [guest.packet(100 + n) for n in range(10)]
        stream = b"".join(len(packet).to_bytes(2, "big") + packet for packet in packets)
        for piece in (stream[:1], stream[1:5], stream[5:130], stream[130:]):
            writer.write(piece)
            await asyncio.sleep(0.01)
        for number in range(10):
            answer = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
            assert (guest.read(answer).number, len(answer)) == (number, 100 + number)
        writer.close()
        await asyncio.sleep(0.05)
        heard = await visitor.heard(f"{FLOWS}/{made.id}")

    assert (numbers(heard), heard.ended) == (list(range(10)), "closed")


@pytest.mark.parametrize(
    "opening",
    [b"\0\0", b"\xff\xff", b"\x00\x20" + bytes(32), b"GET / HTTP/1.1\r\n\r\n", b"\x05\x79" + bytes(1401)],
)
async def test_a_stranger_on_tcp_is_hung_up_on_without_a_word(opening: bytes) -> None:
    async with far_end() as visitor:
        (port,) = (await visitor.greet()).tcp
        await visitor.flow(Guest(port, "tcp"))
        reader, writer = await asyncio.open_connection(HERE, port)
        writer.write(opening)
        await hung_up(reader)
        writer.close()


async def test_a_connection_that_says_nothing_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("probe.far_end.tcp._PATIENCE", 0.05)
    monkeypatch.setattr("probe.http_server._SLOW", 0.05)
    async with far_end() as visitor:
        (port,) = (await visitor.greet()).tcp
        trusted = ssl.create_default_context(cadata=ROOT.pem.decode())
        silent = await asyncio.open_connection(HERE, port)
        slow = await asyncio.open_connection(HERE, visitor.far_end.listening[0][1], ssl=trusted)
        slow[1].write(b"GET /v1/ping HTTP/1.1\r\nx-slow")
        for reader, writer in (silent, slow):
            await hung_up(reader)
            writer.close()


async def test_strangers_on_tcp_do_not_take_all_the_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("probe.far_end.tcp._STRANGERS", 2)
    async with far_end() as visitor:
        (port,) = (await visitor.greet()).tcp
        streams = [await asyncio.open_connection(HERE, port) for _ in range(3)]
        await hung_up(streams[2][0])
        for _, writer in streams:
            writer.close()


async def test_ipv6_is_served_where_it_is_and_its_urls_have_brackets() -> None:
    settings = FarEndSettings(listen=("[::1]:0",), media=("::1",), udp=(0,))
    async with running(settings) as up, httpx.AsyncClient(base_url=up.url) as client:
        token = (await client.post(SESSION, json={})).json()["token"]
        guest = Guest(up.udp[0])
        headers = {"authorization": f"Bearer {token}"}
        body = {"transport": "udp", "port": up.udp[0], "key": guest.asked.key}
        packets = [{"stamp_at": 0, "down": "{stamp} {fill}"}]
        assert (
            await client.post(FLOWS, json=body | {"packets": packets}, headers=headers)
        ).status_code == 201
        with udp(up.udp[0], "::1") as sock:
            assert await asked(sock, guest.packet()) is not None

    assert up.url.startswith("http://[::1]:")


async def test_a_port_that_is_taken_is_said_and_the_others_work() -> None:
    said: list[str] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((HERE, 0))
        port = taken.getsockname()[1]
        async with far_end(said, udp=(port, 0)) as visitor:
            assert len((await visitor.greet()).udp) == 1

    assert f"UDP port {port} of {HERE} cannot be used: Address already in use." in said


async def test_where_nothing_can_be_listened_on_there_is_no_far_end() -> None:
    with socket.socket() as taken:
        taken.bind((HERE, 0))
        taken.listen()
        busy = FarEndSettings(listen=(f"{HERE}:{taken.getsockname()[1]}",), media=(HERE,))
        with pytest.raises(NothingBound):
            async with running(busy):
                pass


async def test_it_is_over_within_two_seconds_whatever_is_under_way() -> None:
    async with far_end() as visitor:
        welcome = await visitor.greet()
        guest = Guest(welcome.tcp[0], "tcp")
        await visitor.flow(guest)
        reader, writer = await asyncio.open_connection(HERE, welcome.tcp[0])
        packet = guest.packet()
        writer.write(len(packet).to_bytes(2, "big") + packet)
        await reader.readexactly(2 + len(packet))
        began = time.monotonic()
    assert time.monotonic() - began < 2.5
    for port in (visitor.far_end.listening[0][1], welcome.tcp[0]):
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(HERE, port)
    writer.close()


async def test_it_says_at_the_start_what_can_be_reached() -> None:
    said: list[str] = []
    stop = asyncio.Event()
    settings = FarEndSettings(
        listen=(f"{HERE}:0",), media=(HERE,), udp=(0,), keys=("the key of this far end",),
        turn=TurnServer(host=HERE, secret="between us two", udp=9),  # noqa: S106
        limits=Limits(flows=7),
    )  # fmt: skip
    task = asyncio.create_task(serve(settings, said.append, stop))
    while not any("TURN" in sentence for sentence in said):
        await asyncio.sleep(0.02)
    stop.set()
    await task
    text = "\n".join(said)

    for part in ("Plain HTTP", "HTTP is served at 127.0.0.1:", "No IPv4 address here is public", "There is no IPv6",
                 "Flows over UDP are echoed at", "Flows over TCP are echoed at no port", "At most 7 flows and 60 calls",
                 "An access key is needed", "The TURN server", "Stopping."):  # fmt: skip
        assert part in text


@pytest.mark.parametrize(
    ("days", "sentence"),
    [((-1, 60), "in 59 days"), ((-60, -1), "HAS EXPIRED"), ((5, 60), "IS NOT VALID before")],
)
def test_a_certificate_is_described(tmp_path: Path, days: tuple[int, int], sentence: str) -> None:
    issued = ROOT.issue("far-end.example", HERE, valid=(timedelta(days=days[0]), timedelta(days=days[1])))
    certificate, key = issued.write(tmp_path, "leaf")
    said: list[str] = []
    settings = FarEndSettings(listen=(f"{HERE}:0",), certificate=str(certificate), key=str(key))
    assert tls_context(settings, SystemNet().utc(), said.append) is not None

    assert f"The certificate is for far-end.example, {HERE} and " in said[0]
    assert sentence in said[0]
    assert "self-signed" not in said[0]


def test_a_certificate_that_cannot_be_used_is_a_mistake_of_the_configuration(tmp_path: Path) -> None:
    certificate, _ = ROOT.issue("one.example").write(tmp_path, "one")
    _, key = ROOT.issue("two.example").write(tmp_path, "two")
    rubbish = tmp_path / "rubbish.pem"
    rubbish.write_text("nothing")
    for pair, reason in (
        ((certificate, key), "the key is not this certificate's"),
        ((rubbish, key), "is no PEM"),
        ((tmp_path / "none.pem", key), "cannot be read"),
    ):
        settings = FarEndSettings(listen=(f"{HERE}:0",), certificate=str(pair[0]), key=str(pair[1]))
        with pytest.raises(ConfigError, match=reason):
            tls_context(settings, SystemNet().utc(), print)


def test_own_addresses_lead_to_other_machines() -> None:
    for address in own_addresses():
        assert not address.startswith(("127.", "fe80", "::1", "169.254."))


async def test_no_address_of_a_guest_is_ever_said_logged_or_printed(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Also where guests misbehave: no HTTP, no TLS, broken TLS, junk, half a request, no word at all."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    said: list[str] = []
    ours = len(caplog.records)
    async with far_end(said) as visitor:
        welcome = await visitor.greet()
        guest = Guest(welcome.udp[0])
        await visitor.flow(guest)
        with udp(welcome.udp[0]) as sock:
            await asked(sock, guest.packet())
            await asked(sock, bytes(2000), 0.02)
        (address, port), trusted = (
            visitor.far_end.listening[0],
            ssl.create_default_context(cadata=ROOT.pem.decode()),
        )
        for tls, data in (
            (None, b"GET / HTTP/1.1\r\n\r\n"),
            (None, b"\x16\x03\x01\x00\x05hello"),
            (trusted, b"\0" * 99),
            (trusted, b"POST /v1/session HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{"),
        ):
            _, writer = await asyncio.open_connection(address, port, ssl=tls)
            writer.write(data)
            await asyncio.sleep(0.05)
            writer.transport.abort()
        for body in (b"{", b"x" * 70_000):
            await visitor.client.post(SESSION, content=body)
        assert (await visitor.client.get(PING)).status_code == 204
        await asyncio.sleep(0.05)
    out, err = capfd.readouterr()

    by_us = [
        record.getMessage() for record in caplog.records[ours:] if record.name not in ("httpcore", "httpx")
    ]
    by_us = [
        text
        for text in by_us
        if not text.startswith(("connect_tcp", "start_tls", "receive_", "send_", "close."))
    ]
    for text in (out, err, *said, *by_us):
        assert not holds_address(text.replace("The certificate is for 127.0.0.1", ""))
