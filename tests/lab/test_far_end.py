"""The lab's far end by hand: a session, a paced flow, and a TURN allocation, over both families."""

import asyncio
import http.client
import os
import secrets
import shutil
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest

from probe.far_end.protocol import FLOWS, SESSION, Ask, Heard, Made, NewFlow, Packets, Welcome
from probe.media.stamp import SIZE, Sealer, Stamp
from probe.media.template import Memory, Template
from probe.net import SystemNet
from probe.step import Flow, Supplies
from probe.steps import Tcp, Tls, Turn, TurnFacts
from tests.lab.network import Conditions, Network, network
from tests.lab.packets import UDP
from tests.lab.topology import FAR_END, FAR_HOST, FAR_TURN, enter

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]
_NEEDED = ("ip", "nft", "nginx", "unbound", "turnserver")
_PACKETS = 10
_RTP = Template("80 6f {count16} {clock32:960} {same:ssrc:4} {stamp} {fill}")
T = TypeVar("T")


@pytest.fixture(scope="module")
def lab() -> Iterator[Network]:
    missing = [name for name in _NEEDED if shutil.which(name) is None] + ["root"] * (os.geteuid() != 0)
    if missing and os.environ.get("CI"):
        pytest.fail(f"the lab needs {', '.join(missing)}")
    if missing:
        pytest.skip(f"the lab needs {', '.join(missing)}")
    with network(f"crf{os.getpid() % 100000}", Conditions(far_end=True, truth=True)) as made:
        yield made


def at_the_client(lab: Network, work: Callable[[], T]) -> T:
    """Do something where the client is: a thread can be in another namespace than the rest of us."""
    with ThreadPoolExecutor(1, initializer=enter, initargs=(lab.topology.client,)) as pool:
        return pool.submit(work).result()


def ask(
    ip: str, root: Path, method: str, path: str, content: bytes = b"", token: str = ""
) -> tuple[int, bytes]:
    """One request over a connection of its own."""
    context = ssl.create_default_context(cafile=root)
    with (
        socket.create_connection((ip, 443), timeout=10) as bare,
        context.wrap_socket(bare, server_hostname=FAR_HOST) as tls,
    ):
        head = [f"{method} {path} HTTP/1.1", f"host: {FAR_HOST}", "content-type: application/json"]
        head += [f"content-length: {len(content)}", "connection: close"]
        head += [f"authorization: Bearer {token}"] if token else []
        tls.sendall("\r\n".join([*head, "", ""]).encode() + content)
        answer = http.client.HTTPResponse(tls)
        answer.begin()
        return answer.status, answer.read()


def greet(ip: str, root: Path) -> Welcome:
    status, body = ask(ip, root, "POST", SESSION, msgspec.json.encode(Ask()))
    assert status == 201, body
    return msgspec.json.decode(body, type=Welcome)


def pace(ip: str, port: int, key: bytes) -> list[int]:
    """Ten packets of RTP's looks, 20 ms apart; the numbers whose answers came, in order."""
    up, down, memory, word, heard = Sealer(key, "up"), Sealer(key, "down"), Memory(), 0, []
    with socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(2.0)
        sock.connect((ip, port))
        for number in range(_PACKETS):
            stamp = Stamp(kind=0, number=number, word=word, micros=number * 20_000)
            sock.send(_RTP.render(memory, up.seal(stamp), 160))
            answer = sock.recv(2000)
            assert _RTP.stamp_at is not None
            opened = down.open(answer[_RTP.stamp_at : _RTP.stamp_at + SIZE])
            assert opened is not None
            assert len(answer) == 160
            word = opened.word
            heard.append(opened.number)
            time.sleep(0.02)
    return heard


def one_flow(ip: str, root: Path, port: int) -> tuple[list[int], Heard]:
    """A session, a flow, ten packets, the log."""
    token = greet(ip, root).token
    key = secrets.token_bytes(16)
    packets = (Packets(stamp_at=_RTP.stamp_at, down=_RTP.text, least=_RTP.minimum),)
    asked = NewFlow(transport="udp", port=port, key=key.hex(), packets=packets)
    status, body = ask(ip, root, "POST", FLOWS, msgspec.json.encode(asked), token)
    assert status == 201, body
    made = msgspec.json.decode(body, type=Made)
    numbers = pace(ip, port, key)
    status, body = ask(ip, root, "GET", f"{FLOWS}/{made.id}", token=token)
    assert status == 200, body
    return numbers, msgspec.json.decode(body, type=Heard)


def test_a_session_says_what_there_is(lab: Network) -> None:
    root = lab.folder / "root.pem"
    welcome, other = at_the_client(lab, lambda: [greet(ip, root) for ip in FAR_END])

    assert welcome.udp == other.udp
    assert set(welcome.udp) >= {443, 598, 1400, 3478, 3480, 19305, 40003, 41000, 50004}
    assert welcome.tcp == (8443, 41000)
    assert welcome.webrtc
    assert welcome.turn is not None
    assert (welcome.turn.udp, welcome.turn.tcp, welcome.turn.tls) == (3478, 3478, 5349)


def test_a_paced_flow_is_echoed_and_the_log_and_the_box_know_it(lab: Network) -> None:
    for ip in FAR_END:
        for port in (3478, 50004):
            _is_echoed(lab, ip, port)


def _is_echoed(lab: Network, ip: str, port: int) -> None:
    before = len(lab.passed())

    numbers, heard = at_the_client(lab, lambda: one_flow(ip, lab.folder / "root.pem", port))

    assert numbers == list(range(_PACKETS))
    assert list(accumulate(heard.numbers)) == numbers
    assert heard.proved
    passed = [one for one in lab.passed()[before:] if one.protocol == UDP]
    assert sum(one.up for one in passed) == _PACKETS
    assert len(passed) == 2 * _PACKETS
    assert len({one.flow for one in passed}) == 1
    assert all(one.left is not None and one.left - one.came >= 0.008 for one in passed)


def test_the_credentials_of_a_session_buy_an_allocation(lab: Network) -> None:
    for ip in FAR_TURN:
        for over in ("udp", "tcp", "tls"):
            _is_granted(lab, ip, over)


def _is_granted(lab: Network, ip: str, over: str) -> None:
    root = lab.folder / "root.pem"

    async def allocate() -> TurnFacts:
        turn = greet(FAR_END[0], root).turn
        assert turn is not None
        supplies = Supplies(anchors={"lab": root.read_text()})
        flow = Flow(net=SystemNet(), host=turn.host, ip=ip, port=getattr(turn, over), supplies=supplies)
        try:
            if over != "udp":
                await Tcp().run(flow)
            if over == "tls":
                await Tls(trust="lab", alpn=()).run(flow)
            return await Turn(realm="lab.example", username=turn.username, password=turn.password).run(flow)
        finally:
            flow.close()

    facts = at_the_client(lab, lambda: asyncio.run(allocate()))

    assert facts.code == 401
    assert facts.allocated
    assert facts.looped == 3
