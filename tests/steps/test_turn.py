import asyncio
import contextlib
import os
import shutil
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.demo.stand_ins import Datagrams, relay_reply
from probe.dialogue import Dialogue
from probe.failure import Rejected, StepError, Unexpected
from probe.step import Flow
from probe.steps import Stun, Tcp, Tls, Turn, TurnFacts
from probe.steps.stun import Exchange, over_udp
from probe.steps.turn import _Session, first_request
from probe.stun_message import Attribute, Message, Method, decode, error, integrity_holds, long_term_key
from tests.lab.responder import microsoft_reply
from tests.loopback import HERE, ROOT, datagram_server, flow
from tests.play import play


def test_a_stranger_asks_with_28_bytes_and_microsofts_clients_with_68() -> None:
    assert len(first_request("rfc8656").encode()) == 28
    assert len(first_request("microsoft").encode()) == 68


async def test_a_refusal_with_its_realm_is_proof_of_life() -> None:
    async with datagram_server(Datagrams(relay_reply("relay.example"))) as port, flow(port) as to:
        facts = await Turn(realm="relay.example").run(to)

    assert (facts.code, facts.realm, facts.allocated) == (401, "relay.example", False)


async def test_another_realm_is_somebody_elses_server() -> None:
    async with datagram_server(Datagrams(relay_reply("other.example"))) as port, flow(port) as to:
        with pytest.raises(Unexpected) as caught:
            await Turn(realm="relay.example").run(to)

    assert isinstance(caught.value.partial, TurnFacts)


async def test_microsofts_dialect_swaps_realm_and_nonce_and_does_not_pad() -> None:
    async with datagram_server(Datagrams(microsoft_reply)) as port, flow(port) as to:
        facts = await Turn(dialect="microsoft").run(to)

    assert (facts.code, facts.realm) == (401, "rtcmedia")


def _ask(request: Message, *, key: bytes | None = None, padded: bool = True) -> Dialogue[Exchange]:
    return over_udp(request, 2, key=key, padded=padded)


@given(st.lists(st.one_of(st.none(), st.binary(max_size=160)), max_size=20))
def test_no_datagram_whatever_breaks_an_authenticated_session(script: list[bytes | None]) -> None:
    refused = Message(Method.ALLOCATE, "error", b"x" * 12, ((Attribute.REALM, b"r"), (Attribute.NONCE, b"n")))
    facts = TurnFacts(rtt=0.1, transmissions=1, code=401)
    try:
        play(_Session("me", "secret", refused).loop(_ask, facts, stream=False), [*script, *[None] * 60])
    except StepError:
        return


def test_a_stale_nonce_is_replaced_once() -> None:
    refused = Message(
        Method.ALLOCATE, "error", b"x" * 12, ((Attribute.REALM, b"r"), (Attribute.NONCE, b"old"))
    )
    facts = TurnFacts(rtt=0.1, transmissions=1, code=401)
    dialogue = _Session("me", "secret", refused).loop(_ask, facts, stream=False)
    key = long_term_key("me", "r", "secret")
    first = next(dialogue)
    stale = decode(first.data)  # type: ignore[union-attr]
    assert integrity_holds(first.data, key)  # type: ignore[union-attr]
    assert stale.get(Attribute.NONCE) == b"old"
    dialogue.send(0.0)
    refusal = Message(
        Method.ALLOCATE, "error", stale.transaction,
        ((Attribute.ERROR_CODE, error(438, "Stale")), (Attribute.NONCE, b"new")),
    ).encode()  # fmt: skip
    from probe.dialogue import Heard, Send

    act = dialogue.send(Heard(refusal, 0.1))
    while not isinstance(act, Send):
        act = dialogue.send(None)
    assert decode(act.data).get(Attribute.NONCE) == b"new"
    dialogue.close()


needs_coturn = pytest.mark.skipif(
    shutil.which("turnserver") is None and not os.environ.get("CI"), reason="coturn is not installed"
)


@asynccontextmanager
async def coturn(folder: Path, *options: str) -> AsyncIterator[tuple[int, int]]:
    """A real coturn on loopback; yields its plain and its TLS port."""
    ports = []
    for _ in range(2):
        with socket.socket() as sock:
            sock.bind((HERE, 0))
            ports.append(sock.getsockname()[1])
    certificate, key = ROOT.issue("turn.example").write(folder, "turn")
    command = [
        "turnserver", "-n", "--no-cli", "--lt-cred-mech", "--realm=turn.example", f"--listening-ip={HERE}",
        f"--relay-ip={HERE}", f"--listening-port={ports[0]}", f"--tls-listening-port={ports[1]}",
        f"--cert={certificate}", f"--pkey={key}", "--allow-loopback-peers", "--no-dtls",
        f"--pidfile={folder}/turn.pid", "--log-file=stdout", "--simple-log", *options,
    ]  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        await _listening(ports)
        yield ports[0], ports[1]
    finally:
        process.send_signal(signal.SIGKILL)
        await process.wait()


async def _listening(ports: list[int]) -> None:
    for port in ports:
        for _ in range(100):
            try:
                _, writer = await asyncio.open_connection(HERE, port)
                writer.close()
                break
            except OSError:
                await asyncio.sleep(0.05)
    for _ in range(100):  # the UDP socket is opened last
        async with flow(ports[0]) as to:
            with contextlib.suppress(OSError, StepError):
                await Stun(transmissions=1).run(to)
                return
        await asyncio.sleep(0.05)


async def _over(transport: str, to: Flow) -> None:
    if transport != "udp":
        await Tcp().run(to)
    if transport == "tls":
        await Tls(alpn=(), trust="test").run(to)


@needs_coturn
@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
async def test_a_real_coturn_refuses_a_stranger_and_relays_for_a_friend(
    transport: str, tmp_path: Path
) -> None:
    async with coturn(tmp_path, "--user=me:secret") as (plain, tls):
        port = tls if transport == "tls" else plain
        async with flow(port, host="turn.example") as to:
            await _over(transport, to)
            stranger = await Turn(realm="turn.example").run(to)
        async with flow(port, host="turn.example") as to:
            await _over(transport, to)
            friend = await Turn(realm="turn.example", username="me", password="secret").run(to)
        async with flow(port, host="turn.example") as to:
            await _over(transport, to)
            with pytest.raises(Rejected) as caught:
                await Turn(username="me", password="wrong").run(to)

    assert (stranger.code, stranger.realm, stranger.allocated) == (401, "turn.example", False)
    assert (friend.allocated, friend.looped, friend.lifetime) == (True, 3, 600)
    assert friend.loop_rtt is not None
    assert caught.value.code == "401"


@needs_coturn
async def test_a_real_coturn_takes_time_limited_credentials(tmp_path: Path) -> None:
    async with coturn(tmp_path, "--use-auth-secret", "--static-auth-secret=shared") as (plain, _):
        async with flow(plain, host="turn.example") as to:
            facts = await Turn(secret="shared").run(to)
        async with flow(plain, host="turn.example") as to:
            with pytest.raises(Rejected):
                await Turn(secret="other").run(to)

    assert (facts.allocated, facts.looped) == (True, 3)
