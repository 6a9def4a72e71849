"""Calls between two peers on loopback for the tests."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from probe.webrtc import Hello, Packet, Peer, Relay

HERE = ("127.0.0.1",)


@dataclass
class Call:
    """Both ends, and what came back to the caller."""

    caller: Peer
    callee: Peer
    heard: list[Packet] = field(default_factory=list)

    async def signal(self, setup: Literal["active", "passive"] | None = None) -> None:
        """Exchange offer and answer."""
        await self.caller.accept(await self.callee.answer(await self.caller.offer(), setup=setup))

    async def connect(self) -> None:
        """ICE and DTLS at both ends."""
        await asyncio.gather(self.caller.ice(), self.callee.ice())
        await asyncio.gather(self.caller.dtls(), self.callee.dtls())

    async def hears(self, count: int) -> None:
        """Wait until so many packets came back."""
        async with asyncio.timeout(10):
            while len(self.heard) < count:
                await asyncio.sleep(0.005)


@asynccontextmanager
async def two_peers(
    *, relay: Relay | None = None, hello: Hello = "library", local: tuple[str, ...] = HERE
) -> AsyncIterator[Call]:
    """A caller, and a callee that reflects; nothing of either is left afterwards."""
    threads = set(threading.enumerate())
    heard: list[Packet] = []
    caller = Peer(clock=time.monotonic, on_packet=heard.append, local=local, relay=relay, hello=hello)
    callee = Peer(clock=time.monotonic, on_packet=lambda packet: reflect(packet), local=local)

    def reflect(packet: Packet) -> None:
        callee.reflect(packet)

    try:
        async with asyncio.timeout(30):
            yield Call(caller, callee, heard)
    finally:
        await caller.close()
        await callee.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert not [one for one in set(threading.enumerate()) - threads if not one.daemon]


@asynccontextmanager
async def a_call(setup: Literal["active", "passive"] | None = None, **kinds: Any) -> AsyncIterator[Call]:
    """A call that is up."""
    async with two_peers(**kinds) as call:
        await call.signal(setup)
        await call.connect()
        yield call
