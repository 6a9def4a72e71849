"""The driver: one dialogue, any link."""

import asyncio

import pytest

from probe.dialogue import Dialogue, Heard, converse, listen, read, send
from probe.failure import Closed


class ScriptedLink:
    """A link that gives what it was told to give and remembers what it was sent."""

    def __init__(self, *pieces: bytes, is_stream: bool = True, ttl: int | None = None) -> None:
        self.is_stream, self.ttl = is_stream, ttl
        self.pieces, self.sent = list(pieces), list[bytes]()

    async def send(self, data: bytes) -> None:
        self.sent.append(data)

    async def receive(self) -> tuple[bytes, int | None]:
        if not self.pieces:
            if self.is_stream:
                return b"", None
            await asyncio.sleep(60)
        return self.pieces.pop(0), self.ttl

    def unread(self, data: bytes) -> None:
        if data:
            self.pieces.insert(0, data)

    def now(self) -> float:
        return asyncio.get_running_loop().time()


def greeting() -> Dialogue[bytes]:
    yield from send(b"hello")
    size = yield from read(1)
    return (yield from read(size[0]))


def hearing(seconds: float) -> Dialogue[Heard | None]:
    return (yield from listen(seconds))


async def test_reads_are_exact_whatever_the_pieces() -> None:
    link = ScriptedLink(b"\x03a", b"b", b"cdef")

    assert await converse(link, greeting()) == b"abc"
    assert link.sent == [b"hello"]


async def test_what_was_not_read_is_left_for_the_next_reader() -> None:
    link = ScriptedLink(b"\x01abc")
    await converse(link, greeting())

    assert await link.receive() == (b"bc", None)


async def test_a_stream_that_ends_early_is_closed() -> None:
    with pytest.raises(Closed):
        await converse(ScriptedLink(b"\x05ab"), greeting())


async def test_silence_is_heard_as_none() -> None:
    assert await converse(ScriptedLink(is_stream=False), hearing(0.01)) is None


async def test_an_empty_datagram_is_heard_and_not_an_end() -> None:
    heard = await converse(ScriptedLink(b"", is_stream=False, ttl=57), hearing(1))

    assert heard is not None
    assert (heard.data, heard.ttl) == (b"", 57)


async def test_a_dialogue_may_not_ask_for_unbounded_memory() -> None:
    with pytest.raises(ValueError, match="at most"):
        await converse(ScriptedLink(b"x"), read(1 << 30))


async def test_what_came_in_time_is_heard_by_a_machine_that_was_busy() -> None:
    """The loop stands still for longer than the wait; the datagram was there all along."""
    import time

    from probe.demo.stand_ins import Address, Datagrams
    from tests.loopback import datagram_server, flow

    def answer(data: bytes, sender: Address) -> bytes:
        asyncio.get_running_loop().call_later(0.01, time.sleep, 0.4)
        return b"in time"

    async with datagram_server(Datagrams(answer)) as port, flow(port) as to:
        link = await to.udp()
        await link.send(b"?")
        asyncio.get_running_loop().call_soon(time.sleep, 0.3)
        heard = await converse(link, hearing(0.2))

    assert heard is not None
    assert heard.data == b"in time"
