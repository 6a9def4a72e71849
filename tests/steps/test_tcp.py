import asyncio

import pytest

from probe.failure import Kind, classify
from probe.steps import Tcp
from tests.loopback import flow, stream_server


async def _wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def test_an_open_port_gives_a_stream_and_the_time_it_took() -> None:
    async with stream_server(_wait) as port, flow(port) as to:
        facts = await Tcp().run(to)

        assert 0 < facts.connect < 5
        assert to.stream().is_stream


async def test_a_closed_port_is_refused_with_its_errno() -> None:
    async with stream_server(_wait) as port:
        pass
    async with flow(port) as to:
        with pytest.raises(ConnectionRefusedError) as caught:
            await Tcp().run(to)

    failure = classify(caught.value)
    assert (failure.kind, failure.code) == (Kind.REFUSED, "ECONNREFUSED")


async def test_the_kernel_tells_how_many_bytes_were_acknowledged() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(10))
        await writer.drain()

    async with stream_server(echo) as port, flow(port) as to:
        await Tcp().run(to)
        await to.stream().send(b"0123456789")
        await to.stream().receive()
        info = to.sockets[0].tcp_info()

    assert info is not None
    assert (info.acked, info.retransmits) == (11, 0)
    assert info.received in (10, 11)  # with or without the peer's FIN
