"""The probe's side of a far end, against far ends that are none, lie, dawdle or hang up: HTTPS only."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.failure import Kind, StepError, Unsupported, classify
from probe.far_end.client import FarEnd, _read
from probe.far_end.protocol import MAX_LOG, VERSION, Heard, Made, NewFlow, Packets, Welcome
from probe.record import holds_address
from probe.step import Flow
from probe.steps import Tcp, Tls
from probe.steps.signalling import ALPN, greet
from tests.far_end.between import Asked, Line, Real, Said, between
from tests.far_end.guest import Guest
from tests.far_end.house import far_end
from tests.loopback import HERE, ROOT, Handler, context, flow, stream_server

T = TypeVar("T")
WELCOME: dict[str, object] = {
    "version": VERSION, "software": "x", "token": "abc", "seconds": 60.0, "udp": [7], "tcp": [], "webrtc": True,
}  # fmt: skip


@asynccontextmanager
async def session(port: int) -> AsyncIterator[FarEnd]:
    """A session at a far end on loopback, as steps begin it."""
    async with opened(port) as to:
        yield await greet(to, "test")


@asynccontextmanager
async def opened(port: int) -> AsyncIterator[Flow]:
    async with flow(port, host=HERE) as to:
        await Tcp().run(to)
        await Tls(alpn=ALPN, trust="test").run(to)
        yield to


def http(status: int, body: bytes, *more: str) -> bytes:
    head = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status} X", f"content-length: {len(body)}", *more))
    return head.encode() + b"\r\n" + body


def welcome(**changes: object) -> bytes:
    return http(201, json.dumps(WELCOME | changes).encode())


def says(raw: bytes, *, again: bytes = b"", wait: float = 0.0) -> Handler:
    """Answers whatever is asked so, then goes on with `again` for ever; hangs up if there is nothing of that."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(raw)
        while again:
            writer.write(again)
            await writer.drain()
            await asyncio.sleep(wait)
        await writer.drain()

    return answer


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    await asyncio.sleep(30)


NO_FAR_ENDS: dict[str, tuple[Handler, Kind, str]] = {
    "nothing at all": (silent, Kind.TIMEOUT, ""),
    "hangs up": (says(b""), Kind.CLOSED, ""),
    "no HTTP": (says(b"220 mail.example ESMTP\r\n\r\n"), Kind.MALFORMED, ""),
    "a body without end": (says(b"HTTP/1.1 201 X\r\n\r\n", again=bytes(65536)), Kind.MALFORMED, "endless"),
    "a head without end": (says(b"HTTP/1.1 201 X\r\nx: ", again=b"y" * 65536), Kind.MALFORMED, ""),
    "more to come for ever": (says(b"", again=b"HTTP/1.1 103 X\r\n\r\n" * 100), Kind.TIMEOUT, ""),
    "a byte now and then": (says(b"HTTP/1.1 201 X\r\nx: ", again=b"y", wait=0.05), Kind.TIMEOUT, ""),
    "a body that is cut": (says(welcome()[:-5]), Kind.CLOSED, ""),
    "HTML": (says(http(500, b"<html>oops</html>")), Kind.MALFORMED, "500"),
    "elsewhere": (says(http(302, b"", "location: https://x.example/")), Kind.MALFORMED, "302"),
    "another success": (says(http(200, welcome())), Kind.MALFORMED, "200"),
    "no JSON": (says(http(201, b"welcome!")), Kind.MALFORMED, "json"),
    "no UTF-8": (says(http(201, b'{"version": "\xff"}')), Kind.MALFORMED, "json"),
    "depths": (says(http(201, b"[" * 60_000)), Kind.MALFORMED, "json"),
    "other fields": (says(http(201, b'{"version": 1}')), Kind.MALFORMED, "json"),
    "a version to come": (says(welcome(version=2)), Kind.UNSUPPORTED, "version"),
    "a token of a megabyte": (says(welcome(token="t" * 1_000_000)), Kind.MALFORMED, "endless"),
    "a token of some size": (says(welcome(token="t" * 10_000)), Kind.MALFORMED, "welcome"),
    "a token of two lines": (says(welcome(token="t\r\nx: y")), Kind.MALFORMED, "welcome"),
    "a token in Greek": (says(welcome(token="\u03c4")), Kind.MALFORMED, "welcome"),
    "no token": (says(welcome(token="")), Kind.MALFORMED, "welcome"),
    **{
        f"a relay with {key} {value!r:.10}": (
            says(welcome(turn={"host": "r.example", "username": "", "password": "", key: value})),
            Kind.MALFORMED,
            "welcome",
        )
        for key, value in (
            ("udp", 70_000), ("tcp", -1), ("host", ""), ("host", "a\0b"), ("host", "x" * 300), ("host", "-r /etc"),
            ("username", "u" * 600), ("password", "\u03c4" * 300),
        )
    },
    "no, in a sentence": (says(http(401, b'{"reason": "who are you?"}')), Kind.REJECTED, "401"),
    "no, and who asks": (says(http(429, b'{"reason": "not you, 192.0.2.7"}')), Kind.REJECTED, "429"),
}  # fmt: skip


@pytest.mark.parametrize(("peer", "kind", "code"), NO_FAR_ENDS.values(), ids=NO_FAR_ENDS)
async def test_what_is_no_far_end_is_a_classified_failure_in_time(
    peer: Handler, kind: Kind, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("probe.far_end.client._ANSWER", 0.5)
    async with stream_server(peer, TLS) as port, opened(port) as to:
        began = time.monotonic()
        with pytest.raises((StepError, OSError)) as caught:
            await greet(to, "test")
    failure = classify(caught.value)

    assert (failure.kind, failure.code) == (kind, code)
    assert time.monotonic() - began < 5
    assert not holds_address(failure.detail)


TLS = context(ROOT.issue(HERE))


async def test_a_flow_is_announced_and_its_log_is_had_once_more_if_its_connection_was_lost() -> None:
    async with far_end() as visitor:
        line = Line(visitor.far_end.listening[0][1])
        async with stream_server(line.serve) as port, session(port) as far:
            made = await far.new_flow(Guest(far.welcome.udp[0]).asked)
            line.cut()
            heard = await far.flow_log(made)

    assert (heard.numbers, heard.ended, line.taken) == ((), "closed", 2)


async def test_a_connection_that_is_lost_for_good_is_an_error_and_no_more() -> None:
    async with far_end() as visitor:
        line = Line(visitor.far_end.listening[0][1])
        async with stream_server(line.serve) as port, session(port) as far:
            made = await far.new_flow(Guest(far.welcome.udp[0]).asked)
            line.cut(for_good=True)
            with pytest.raises((StepError, OSError)) as caught:
                await far.flow_log(made)

    assert classify(caught.value).kind in (Kind.RESET, Kind.CLOSED)


async def changed(what: str, said: Said, ask: "Callable[[FarEnd], object]") -> StepError:
    """How a question fails that is answered so."""

    async def change(asked: Asked, real: Real) -> Said:
        answer: Said = said if asked.what == what else await real()
        return answer

    async with far_end() as visitor, between(visitor, change) as port, session(port) as far:
        with pytest.raises(StepError) as caught:
            await ask(far)  # type: ignore[misc]
    return caught.value


NO_LOGS: dict[str, tuple[Said, Kind, str]] = {
    "too long": (Said(200, b'{"at": [' + b"1," * (MAX_LOG // 2) + b"1]}"), Kind.MALFORMED, "endless"),
    "ten megabytes": (Said(200, bytes(10_000_000)), Kind.MALFORMED, "endless"),
    "no JSON": (Said(200, b"a log"), Kind.MALFORMED, "json"),
    "another end": (Said.json(200, ended="because"), Kind.MALFORMED, "json"),
    "numbers that are none": (Said.json(200, numbers=[1.5]), Kind.MALFORMED, "json"),
    "longer than any flow": (Said.json(200, numbers=[0], at=[10**13]), Kind.MALFORMED, "log"),
    "longer than any number": (Said(200, b'{"at": [1' + b"0" * 400 + b"]}"), Kind.MALFORMED, ""),
    "fewer than none": (Said.json(200, packets_in=-1), Kind.MALFORMED, "log"),
    "no such flow": (Said.json(404, reason="there is no such flow"), Kind.REJECTED, "404"),
    "HTML": (Said(502, b"<html>"), Kind.MALFORMED, "502"),
}  # fmt: skip


@pytest.mark.parametrize(("said", "kind", "code"), NO_LOGS.values(), ids=NO_LOGS)
async def test_what_is_no_log_is_a_classified_failure(said: Said, kind: Kind, code: str) -> None:
    error = await changed("DELETE flows", said, lambda far: far.flow_log(Made(id="x", seconds=1.0)))

    assert error.kind is kind
    assert error.code == code or not code


@pytest.mark.parametrize("name", ["", "..", "a b", "a/b", "\t", "\u03c4", "x" * 100_000])
async def test_a_flow_whose_name_no_path_can_have_is_malformed(name: str) -> None:
    said = Said.json(201, id=name, seconds=30.0)
    asked = NewFlow(transport="udp", port=1, key="0" * 32, packets=(Packets(stamp_at=0, down="{stamp}"),))

    async def ask(far: FarEnd) -> None:
        await far.new_flow(msgspec.structs.replace(asked, port=far.welcome.udp[0]))

    error = await changed("POST flows", said, ask)

    assert (error.kind, error.code) == (Kind.MALFORMED, "id")


async def test_a_port_that_is_not_listened_on_is_not_asked_for() -> None:
    async with far_end() as visitor, session(visitor.far_end.listening[0][1]) as far:
        with pytest.raises(Unsupported) as caught:
            await far.new_flow(Guest(9, "tcp").asked)

    assert caught.value.code == "tcp-9"


async def test_heartbeats_are_counted_until_one_fails_and_a_late_one_spoils_no_other_question(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("probe.far_end.client._HEARTBEAT", 0.05)
    monkeypatch.setattr("probe.far_end.client._ALIVE", 0.5)
    hold = asyncio.Event()

    async def dawdle(asked: Asked, real: Real) -> Said:
        if asked.what == "GET ping" and hold.is_set():
            await asyncio.Event().wait()
        said: Said = await real()
        return said

    async with far_end() as visitor, between(visitor, dawdle) as port, session(port) as far:
        made = await far.new_flow(Guest(far.welcome.udp[0]).asked)
        async with far.beating():
            while far.heartbeat().answered < 3:
                await asyncio.sleep(0.01)
            hold.set()
            while far.heartbeat().failure is None:
                await asyncio.sleep(0.01)
        heard = await far.flow_log(made)
    heartbeat = far.heartbeat()

    assert heard.ended == "closed"
    assert heartbeat.asked == heartbeat.answered + 1
    assert heartbeat.failure is not None
    assert heartbeat.failure.kind is Kind.TIMEOUT


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.lists(st.integers(), max_size=5),
)
FIELDS = st.sampled_from(
    [*Welcome.__struct_fields__, *Made.__struct_fields__, *Heard.__struct_fields__, "reason"]
)
BODIES = st.one_of(
    st.binary(max_size=200),
    st.dictionaries(FIELDS, VALUES, max_size=9).map(lambda one: json.dumps(one).encode()),
)


@given(st.sampled_from([Welcome, Made, Heard]), st.sampled_from([200, 201, 302, 404, 500]), BODIES)
def test_no_answer_whatever_is_our_mistake(
    shape: type[Welcome | Made | Heard], status: int, body: bytes
) -> None:
    failure = None
    try:
        read = _read(status, body, 201, shape)
    except StepError as error:
        failure = classify(error)
    else:
        assert isinstance(read, shape)

    assert failure is None or failure.kind in (Kind.MALFORMED, Kind.REJECTED)
    assert failure is None or not holds_address(failure.detail)
