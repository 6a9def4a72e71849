"""Credentials for the TURN server beside, and whether it takes them."""

import asyncio
import shutil
import signal
import socket
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.demo.stand_ins import Datagrams, relay_reply
from probe.far_end.settings import TurnServer
from probe.far_end.turn_server import _ask, check, credentials
from probe.stun_message import Attribute, Message, Method, decode, error, integrity_holds, long_term_key
from tests.loopback import HERE, datagram_server
from tests.play import play

SERVER = TurnServer(host="relay.example", secret="north")  # noqa: S106


def test_credentials_are_what_coturn_computes() -> None:
    """The password is base64(HMAC-SHA1(secret, username)): computed with openssl."""
    granted = credentials(SERVER, "guest", 1_800_000_000.9)

    assert granted.username == "1800000000:guest"
    assert granted.password == "hg/mLaLCvtMrOdFwURH8fWOk2Zw="


def test_a_server_that_takes_them_is_asked_to_let_go_again() -> None:
    granted = credentials(SERVER, "guest", 1_800_000_000)
    dialogue = _ask(granted)
    sent = []
    data = next(dialogue)
    answers = [
        ("success", ()),
        ("error", ((Attribute.ERROR_CODE, error(401, "")), (Attribute.REALM, b"r"), (Attribute.NONCE, b"n"))),
        ("success", ()),
        ("success", ()),
    ]
    result = ""
    try:
        for class_, attributes in answers:
            request = decode(data.data)  # type: ignore[union-attr]
            sent.append((request, data.data))  # type: ignore[union-attr]
            dialogue.send(0.0)
            answer = Message(request.method, class_, request.transaction, attributes)  # type: ignore[arg-type]
            data = dialogue.send(_heard(answer.encode()))
    except StopIteration as end:
        result = end.value

    key = long_term_key(granted.username, "r", granted.password)
    assert result == ""
    assert [request.method for request, _ in sent] == [
        Method.BINDING, Method.ALLOCATE, Method.ALLOCATE, Method.REFRESH,
    ]  # fmt: skip
    assert [integrity_holds(raw, key) for _, raw in sent] == [False, False, True, True]


def _heard(data: bytes) -> object:
    from probe.dialogue import Heard

    return Heard(data, 0.0)


@given(st.lists(st.one_of(st.none(), st.binary(max_size=120)), max_size=20))
def test_whatever_answers_is_described_in_words(script: list[bytes | None]) -> None:
    _, sentence = play(_ask(credentials(SERVER, "guest", 0)), [*script, *[None] * 20])

    assert sentence == "does not answer a Binding request"


async def test_a_server_with_another_secret_refuses() -> None:
    async with datagram_server(Datagrams(relay_reply("r"))) as port:
        wrong = await check(TurnServer(host=HERE, secret="x", udp=port), time.time())  # noqa: S106

    assert wrong == "refuses our credentials with 401: is its static-auth-secret this file's?"


async def test_nobody_there_is_said_to_be_so() -> None:
    assert "cannot be asked" in await check(TurnServer(host=HERE, secret="x", udp=9), time.time())  # noqa: S106
    assert "cannot be asked" in await check(TurnServer(host="", secret="x", udp=9), time.time())  # noqa: S106
    assert "not offered over UDP" in await check(TurnServer(host=HERE, secret="x", udp=0), time.time())  # noqa: S106


@pytest.mark.skipif(shutil.which("turnserver") is None, reason="needs coturn")
async def test_coturn_takes_them(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind((HERE, 0))
        port = free.getsockname()[1]
    config = tmp_path / "turnserver.conf"
    config.write_text(
        f"listening-ip={HERE}\nrelay-ip={HERE}\nlistening-port={port}\nmin-port=50000\nmax-port=50020\n"
        f"realm=test\nuse-auth-secret\nstatic-auth-secret=north\nno-tls\nno-dtls\nno-cli\nno-tcp\n"
        f"allow-loopback-peers\nuserdb={tmp_path}/db\npidfile={tmp_path}/pid\nlog-file=stdout\n"
    )
    process = await asyncio.create_subprocess_exec(
        "turnserver", "-c", str(config), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        found = []
        for secret in ("north", "south"):
            server = TurnServer(host=HERE, secret=secret, udp=port)
            for _ in range(20):
                wrong = await check(server, time.time())
                if "cannot be asked" not in wrong:
                    break
                await asyncio.sleep(0.2)
            found.append(wrong)
    finally:
        process.send_signal(signal.SIGTERM)
        await process.wait()

    assert found == ["", "refuses our credentials with 401: is its static-auth-secret this file's?"]
