"""What a proof of identity costs: round trips beyond TCP, and CPU per handshake. Limit: 20 ms of CPU.

A stand-in in a process of its own answers. Round trips are the step's seconds behind 100 ms of delay each way, over the
delay of one; CPU is this process's over many handshakes without delay, in which the number to factor is trivial; what
factoring real ones costs is printed beside. The peer is the same bytes in the same turns echoed by a bare TCP server.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from statistics import median
from typing import NamedTuple

from benchmarks import noise_proof
from probe.demo.telegram_stand_in import TelegramStandIn
from probe.mtproto.pq import factor
from probe.net import SystemNet
from probe.step import Flow, Supplies
from probe.steps import Mtproto, Tcp

ROUNDS, DELAYED = 100, 5
DELAY = 0.1  # seconds each way
LIMIT = 20.0  # ms
HERE = "127.0.0.1"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Cost(NamedTuple):
    """Seconds, CPU in ms, and bytes both ways."""

    seconds: float
    cpu: float
    sent: int
    received: int


async def delayed(port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry bytes to a port of this machine and back, each after the delay."""
    to_reader, to_writer = await asyncio.open_connection(HERE, port)

    async def carry(one: asyncio.StreamReader, other: asyncio.StreamWriter) -> None:
        while data := await one.read(65536):
            asyncio.get_running_loop().call_later(DELAY, other.write, data)
        other.close()

    await asyncio.gather(carry(reader, to_writer), carry(to_reader, writer), return_exceptions=True)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each size in four bytes, and as many more as it says, with as many bytes as the next four say."""
    try:
        while head := await reader.readexactly(8):
            await reader.readexactly(int.from_bytes(head[:4], "little"))
            writer.write(bytes(int.from_bytes(head[4:], "little")))
            await writer.drain()
    except asyncio.IncompleteReadError:
        writer.close()


def serve(ready: Connection) -> None:
    """The other process: a stand-in, the same behind a delay, and the echo; sends their ports and the key."""

    async def forever() -> None:
        server = TelegramStandIn(primes=(1009, 1013))
        ports = [await port_of(server.serve)]
        ports.append(await port_of(lambda r, w: delayed(ports[0], r, w)))
        ports.append(await port_of(echo))
        ready.send((ports, server.pem))
        await asyncio.Event().wait()

    async def port_of(answer: Serve) -> int:
        opened = await asyncio.start_server(answer, HERE, 0)
        asyncio.get_running_loop().create_task(opened.serve_forever())
        return int(opened.sockets[0].getsockname()[1])

    asyncio.run(forever())


async def mtproto(port: int, pem: str, transport: str) -> Cost:
    """One handshake."""
    flow = Flow(net=SystemNet(), host="", ip=HERE, port=port, supplies=Supplies(anchors={"telegram": pem}))
    try:
        await Tcp().run(flow)
        wall, cpu = time.perf_counter(), time.process_time()
        facts = await Mtproto(dc=2, transport=transport).run(flow)  # type: ignore[arg-type]
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        assert facts.identity == "proved"
        link = flow.sockets[0]
        return Cost(wall, 1000 * cpu, link.sent, link.received)
    finally:
        flow.close()


async def bare(port: int, cost: Cost) -> float:
    """CPU in ms of the same bytes in two turns."""
    flow = Flow(net=SystemNet(), host="", ip=HERE, port=port)
    try:
        await Tcp().run(flow)
        link, cpu = flow.stream(), time.process_time()
        up, down = cost.sent // 2, cost.received // 2
        for _ in range(2):
            await link.send(up.to_bytes(4, "little") + down.to_bytes(4, "little") + bytes(up))
            heard = 0
            while heard < down:
                heard += len((await link.receive())[0])
        return 1000 * (time.process_time() - cpu)
    finally:
        flow.close()


async def compared(name: str, ports: list[int], pem: str, transport: str) -> bool:
    """Measure, print a line; whether it is within the limit."""
    direct, slow, echoing = ports
    await mtproto(direct, pem, transport)  # imports
    costs = [await mtproto(direct, pem, transport) for _ in range(ROUNDS)]
    seconds = min([(await mtproto(slow, pem, transport)).seconds for _ in range(DELAYED)])  # load only adds
    peer = median([await bare(echoing, costs[0]) for _ in range(ROUNDS)])
    cpu = median(cost.cpu for cost in costs)
    print(
        f"{name:<22}{seconds / (2 * DELAY):>12.2f}{cpu:>9.2f} ms{cpu / LIMIT:>12.2f}{peer:>12.2f} ms"
        f"{cpu / peer:>10.0f}{costs[0].sent:>8}{costs[0].received:>8}"
    )
    return cpu <= LIMIT


async def table(ports: list[int], pem: str) -> bool:
    """All protocols."""
    print(
        f"{'proof':<22}{'round trips':>12}{'CPU':>12}{'of 20 ms':>12}{'bare bytes':>15}{'ratio':>10}"
        f"{'up':>8}{'down':>8}"
    )
    within = [
        await compared(f"mtproto {transport}", ports, pem, transport)
        for transport in ("obfuscated2", "intermediate", "http")
    ]
    print(f"mtproto's factoring beside that: {factoring():.0f} ms of CPU (median)")
    return all(within)


def noise() -> bool:
    """The line of WhatsApp's handshake, whose time is counted in round trips alone."""
    cost = noise_proof.measure()
    print(f"{'noise':<22}{cost.round_trips:>12.2f}{cost.cpu:>9.2f} ms{cost.cpu / LIMIT:>12.2f}")
    return cost.cpu <= noise_proof.CPU and cost.round_trips <= noise_proof.ROUND_TRIPS


def factoring() -> float:
    """CPU in ms for one number of the size that servers give."""
    server, spent = TelegramStandIn(), []
    for _ in range(20):
        p, q = server.primes()
        began = time.process_time()
        factor(p * q)
        spent.append(1000 * (time.process_time() - began))
    return median(spent)


def main() -> None:
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    try:
        ports, pem = ours.recv()
        within = asyncio.run(table(ports, pem)) and noise()
    finally:
        server.terminate()
    raise SystemExit(0 if within else 1)


if __name__ == "__main__":
    main()
