"""Flows on a TCP stream: datagrams in pieces, connections that are refused, hung up on or never made."""

import asyncio
import socket
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.failure import Kind
from probe.far_end.wire import _split
from probe.steps import MediaFacts
from tests.far_end.between import closed_port
from tests.far_end.house import far_end
from tests.far_end.trial import facts_of, failure_of, https, media, quick, tried
from tests.loopback import HERE, stream_server


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)


async def test_a_stream_that_is_refused_or_hung_up_on_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("probe.steps.media._GAPS", (0.1, 0.1, 0.1))

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)

    async with far_end() as visitor, stream_server(hang_up) as rude:
        ports = visitor.far_end.house.flows.ports
        closed = closed_port()
        for outside in (closed, rude):
            ports["tcp", outside] = ports["tcp", visitor.far_end.tcp[0]]
        steps = [media(port=one, transport="tcp") for one in (closed, rude)]
        refused, hung_up = await asyncio.gather(*(tried(one, https(visitor)) for one in steps))

    assert failure_of(refused).kind is Kind.REFUSED
    assert failure_of(hung_up).code == "opening"
    assert sum(facts_of(hung_up, MediaFacts).refusals.values()) >= 1


async def test_a_stream_that_does_not_connect_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("probe.far_end.wire._CONNECT", 0.3)
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind((HERE, 0))
        full.listen(0)  # Linux lets one connection wait, and then no SYN is answered
        for one in (first, second):
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        port = full.getsockname()[1]
        async with far_end() as visitor:
            ports = visitor.far_end.house.flows.ports
            ports["tcp", port] = ports["tcp", visitor.far_end.tcp[0]]
            seen = await tried(media(port=port, transport="tcp"), https(visitor))

    assert failure_of(seen).kind is Kind.TIMEOUT
    assert seen.seconds < 5


@given(st.lists(st.binary(max_size=300), max_size=20), st.lists(st.integers(1, 400), max_size=40))
def test_datagrams_come_whole_out_of_a_stream_however_it_is_cut(sent: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(len(one).to_bytes(2, "big") + one for one in sent)
    heard, rest, begin = list[bytes](), b"", 0
    for end in [*accumulate(cuts), len(stream)]:
        found, rest = _split(rest + stream[begin : max(begin, end)])
        heard, begin = heard + found, max(begin, end)

    assert (heard, rest) == (sent, b"")


@given(st.binary(max_size=2000))
def test_what_is_left_of_any_stream_is_less_than_one_datagram(stream: bytes) -> None:
    found, rest = _split(stream)

    assert len(b"".join(found)) + 2 * len(found) + len(rest) == len(stream)
    assert len(rest) < 2 or int.from_bytes(rest[:2], "big") > len(rest) - 2
