"""Far ends whose answers to media are lies: honest HTTPS, and stamps that are not what they should be."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec

from probe.far_end.protocol import KEY_HEADER, NewFlow
from probe.media.stamp import SIZE, Sealer, Stamp
from probe.webrtc import Packet, Peer
from tests.far_end.between import Asked, Path, Real, Said, between, listen_as
from tests.far_end.house import far_end
from tests.loopback import HERE, datagram_server

# What is said instead of a true answer with this stamp: sealed stamps, or any bytes.
Lie = Callable[[Stamp, Sealer], list[bytes]]
Log = Callable[[Said], Said]
_STAMP = 1  # offset of the stamp in packets of the shape "random"


def honest(log: Said) -> Said:
    """The log as it is."""
    return log


class _Liar(Path):
    """Stands before a far end's UDP port, and knows the key of the flow."""

    key = b""
    lie: Lie

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if addr[1] != self._to:
            super().datagram_received(data, addr)
            return
        sealer, end = Sealer(self.key, "down"), _STAMP + SIZE
        stamp = sealer.open(data[_STAMP:end])
        for mark in self.lie(stamp, sealer) if stamp is not None else ():
            self._transport.sendto(data[:_STAMP] + mark + data[end:], self._client)


@asynccontextmanager
async def lying_to_flows(lie: Lie, log: Log = honest) -> AsyncIterator[tuple[int, int]]:
    """To flows of the shape "random". Yields the ports of HTTPS and UDP."""
    async with far_end() as visitor:
        liar = _Liar(visitor.far_end.udp[0])
        liar.lie = lie

        async def spy(asked: Asked, real: Real) -> Said:
            if asked.what == "POST flows":
                liar.key = bytes.fromhex(msgspec.json.decode(asked.body, type=NewFlow).key)
            said: Said = await real()
            return log(said) if asked.what == "DELETE flows" else said

        async with between(visitor, spy) as https, datagram_server(liar) as udp:
            listen_as(visitor, udp)
            yield https, udp


@asynccontextmanager
async def lying_to_calls(lie: Lie) -> AsyncIterator[int]:
    """A call is answered by somebody else than the far end, whose log is empty. Yields the port of HTTPS."""
    peers: list[Peer] = []
    connecting: list[asyncio.Task[None]] = []

    async def answer(asked: Asked, real: Real) -> Said:
        if asked.what != "POST whip":
            said: Said = await real()
            return Said.json(404, reason="there is no such call") if asked.what == "DELETE calls" else said
        key = bytes.fromhex(asked.headers[KEY_HEADER])
        up, down = Sealer(key, "up"), Sealer(key, "down")

        def hear(packet: Packet) -> None:
            stamp = up.open(packet.payload[:SIZE])
            for mark in lie(stamp, down) if stamp is not None else ():
                peers[-1].send(packet.media, mark + packet.payload[SIZE:], timestamp=packet.timestamp)

        peers.append(Peer(clock=time.monotonic, on_packet=hear, local=(HERE,)))
        body = await peers[-1].answer(asked.body.decode(), setup="passive")
        connecting.append(asyncio.create_task(_connect(peers[-1])))
        return Said(201, body.encode(), location="/v1/calls/x")

    async with far_end() as visitor, between(visitor, answer) as https:
        try:
            yield https
        finally:
            await asyncio.gather(*connecting, return_exceptions=True)
            for peer in peers:
                await peer.close()


async def _connect(peer: Peer) -> None:
    await peer.ice()
    await peer.dtls()
