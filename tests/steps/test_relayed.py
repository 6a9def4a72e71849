"""Calls through a real coturn on loopback, and each way in which a relay does not help, told apart."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal, get_args

import msgspec
import pytest

from probe.demo.certificates import Authority
from probe.failure import Kind, StepError
from probe.far_end.settings import TurnServer
from probe.far_end.turn_server import credentials
from probe.model import Observation
from probe.step import TurnAccess
from probe.steps import Call, CallFacts
from probe.steps.call import _DEADLINES
from probe.steps.relayed import through
from probe.webrtc import Peer, Relay
from tests.far_end.between import Asked, Real, Said, between, closed_port
from tests.far_end.house import Visitor, far_end
from tests.far_end.trial import facts_of, failure_of, quick, tried
from tests.loopback import HERE, ROOT, datagram_server, flow, stream_server
from tests.steps.test_turn import coturn, needs_coturn
from tests.webrtc.test_relay import Silence

HOST, SECRET = "turn.example", "between us two"
Over = Literal["turn-udp", "turn-tcp", "turn-tls"]
OVER: tuple[Over, ...] = get_args(Over)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)
    monkeypatch.setattr("probe.steps.stun._GAPS", (0.2,))


def call(path: Over, **more: object) -> Call:
    return Call(path=path, profiles=("few",), **({"trust": "test"} | more))  # type: ignore[arg-type]


def server(udp: int = 0, tcp: int = 0, tls: int = 0, secret: str = SECRET) -> TurnServer:
    return TurnServer(host=HOST, secret=secret, udp=udp, tcp=tcp, tls=tls)


@asynccontextmanager
async def beside(folder: Path, turn: TurnServer | None) -> AsyncIterator[tuple[Visitor, int]]:
    """A far end under the same name as its relay; and its port."""
    certificate, key = ROOT.issue(HOST, HERE).write(folder, "far-end")
    async with far_end(certificate=str(certificate), key=str(key), turn=turn) as visitor:
        yield visitor, visitor.far_end.listening[0][1]


async def placed(folder: Path, turn: TurnServer | None, *steps: Call) -> list[Observation]:
    async with beside(folder, turn) as (_, port):
        return await asyncio.gather(*(tried(step, port, host=HOST) for step in steps))


@asynccontextmanager
async def relay(folder: Path, *options: str) -> AsyncIterator[tuple[int, int]]:
    async with coturn(folder, "--use-auth-secret", f"--static-auth-secret={SECRET}", *options) as ports:
        yield ports


@needs_coturn
async def test_a_call_goes_through_a_real_relay_over_each_transport(tmp_path: Path) -> None:
    async with relay(tmp_path) as (plain, tls):
        seen = await placed(tmp_path, server(plain, plain, tls), *map(call, OVER))

    for one, over in zip(seen, OVER, strict=True):
        assert one.failure is None, one.failure
        facts = facts_of(one, CallFacts)
        assert (facts.path, facts.candidates) == (over, ("relay", "host"))
        assert facts.stages[0].up is not None
        assert (facts.stages[0].up.lost, facts.stages[0].down.lost) == (0, 0)


@needs_coturn
async def test_wrong_and_expired_credentials_are_told_apart_and_from_silence(tmp_path: Path) -> None:
    """coturn says 401 to both; that time-limited credentials have expired is in their own user name."""
    async with relay(tmp_path) as (plain, tls), datagram_server(Silence()) as silent:
        wrong = await placed(tmp_path, server(plain, plain, tls, secret="somebody else's"), *map(call, OVER))
        nobody = await placed(tmp_path, server(silent), call("turn-udp"))

        async def of_long_ago(asked: Asked, real: Real) -> Said:
            said: Said = await real()
            if asked.what == "POST session":
                stale = credentials(server(plain, plain, tls), "guest", time.time() - 60)
                said.body = msgspec.json.encode(msgspec.json.decode(said.body) | {"turn": stale})
            return said

        async with (
            beside(tmp_path, server(plain)) as (visitor, _),
            between(visitor, of_long_ago, HOST) as port,
        ):
            expired = await asyncio.gather(*(tried(call(one), port, host=HOST) for one in OVER))

    said = [
        [(failure_of(one).kind, failure_of(one).code) for one in some] for some in (wrong, expired, nobody)
    ]
    assert said == [
        [(Kind.REJECTED, "turn-401")] * 3,
        [(Kind.REJECTED, "turn-expired")] * 3,
        [(Kind.SILENT, "turn")],
    ]


@needs_coturn
async def test_a_relay_that_may_not_reach_the_far_end_is_told_from_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(_DEADLINES, "ice", 1.0)
    async with relay(tmp_path, f"--denied-peer-ip={HERE}") as (plain, _):
        (seen,) = await placed(tmp_path, server(plain), call("turn-udp"))

    assert (failure_of(seen).kind, failure_of(seen).code) == (Kind.REJECTED, "ice-denied")


@needs_coturn
async def test_a_relay_without_room_refuses_with_its_code(tmp_path: Path) -> None:
    async with relay(tmp_path, "--total-quota=1") as (plain, _):
        guest = credentials(server(plain), "guest", time.time() + 60)
        holder = Peer(
            clock=time.monotonic,
            on_packet=lambda packet: None,
            relay=Relay(url=f"turn:{HERE}:{plain}", username=guest.username, password=guest.password),
        )
        try:
            await holder.offer()
            (seen,) = await placed(tmp_path, server(plain), call("turn-udp"))
        finally:
            await holder.close()

    assert (failure_of(seen).kind, failure_of(seen).code) == (Kind.REJECTED, "turn-486")


@needs_coturn
async def test_a_relay_whose_certificate_is_not_believed_is_not_told_the_credentials(tmp_path: Path) -> None:
    other = Authority("Somebody").issue(HOST)
    certificate, key = other.write(tmp_path, "impostor")
    async with relay(tmp_path, f"--cert={certificate}", f"--pkey={key}") as (_, tls):
        (seen,) = await placed(tmp_path, server(tls=tls), call("turn-tls"))

    assert failure_of(seen).kind is Kind.UNTRUSTED
    assert failure_of(seen).code.startswith("turn-")


async def test_where_there_is_no_relay_it_is_nobodys_fault(tmp_path: Path) -> None:
    none = await placed(tmp_path, None, *map(call, OVER))
    plain_only = await placed(tmp_path, server(udp=9), call("turn-tls"))

    for one in (*none, *plain_only):
        assert (failure_of(one).kind, failure_of(one).code) == (Kind.UNSUPPORTED, "turn")


async def test_a_relay_on_a_stream_that_is_refused_hung_up_on_or_silent_is_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("probe.steps.relayed._STEP", 0.5)

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(20)

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-what is this?\r\n")
        await reader.read()

    seen = await placed(tmp_path, server(tcp=closed_port()), call("turn-tcp"))
    for peer in (hang_up, say_nothing, babble):
        async with stream_server(peer) as port:
            seen += await placed(tmp_path, server(tcp=port), call("turn-tcp"))

    assert [failure_of(one).kind for one in seen] == [Kind.REFUSED, Kind.CLOSED, Kind.SILENT, Kind.MALFORMED]
    assert [failure_of(one).code for one in seen[1:]] == ["turn"] * 3


@pytest.mark.parametrize("host", ["::1", "x" * 64 + ".example", "a..b"])
async def test_a_relay_that_has_no_address_of_our_family_is_nobodys_fault(host: str) -> None:
    access = TurnAccess(host=host, username="me", password="x", udp=3478)
    async with flow(443, host="far.example") as to:
        with pytest.raises(StepError) as caught:
            await through(to, "turn-udp", access, "test")

    assert (caught.value.kind, caught.value.code) == (Kind.UNSUPPORTED, "turn")
