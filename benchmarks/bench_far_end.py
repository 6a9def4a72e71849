"""A far end on one core: paced voice flows beside a bare asyncio UDP echo, and WebRTC calls. Loopback, no root.

300 flows of 50 packets a second, 160 to 200 bytes, for ten seconds: all echoed, and the 99th percentile of the whole
round trip under 5 ms. The same packets to an echo that is nothing but an asyncio datagram protocol are the peer.
100 calls of 50 packets a second over real ICE and DTLS-SRTP: the same limits. Then all of these at once: all echoed;
round trips are printed and not judged, because the core that both kinds of callers share is the one that is full.
Servers have one core, callers the other. Round trips end where the kernel received the answer (flows) or where the
caller's event loop saw it (calls).
"""

import argparse
import asyncio
import contextlib
import multiprocessing
import os
import random
import select
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from probe.far_end.protocol import CALLS, FLOWS, KEY_HEADER, SESSION, WHIP
from probe.media.stamp import SIZE, Sealer, Stamp
from probe.media.template import Memory, Template

HERE, SERVER, CLIENT = "127.0.0.1", 0, 1
RATE, SIZES, LIMIT = 50, (160, 200), 5.0  # packets a second, bytes, milliseconds
SHAPE = "80 6f {count16} {clock32:960} {same:ssrc:4} {stamp} {fill}"
PLACE = 12  # where that has its stamp
_NAP = 0.0003  # seconds between looks at what is due and what has come
_SO_TIMESTAMPNS = 35
_TICK = os.sysconf("SC_CLK_TCK")
Trips = tuple[int, list[float]]  # packets sent, and round trips in milliseconds of those that came back
CONFIG = f"""
listen = ["{HERE}:0"]
media = ["{HERE}"]
udp = [0]
[limits]
flows = 1000
calls = 1000
per_session = 1000
seconds = 600
octets = 10000000000
"""


class Server:
    """A process on a core of its own; what it has used."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.pid = process.pid

    def cpu(self) -> float:
        """Seconds, so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICK

    def memory(self) -> float:
        """Megabytes resident."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1000


class Usage:
    """What a server uses while a block lasts."""

    def __init__(self, server: Server) -> None:
        self._server, self.core, self.memory = server, 0.0, 0.0

    def __enter__(self) -> "Usage":
        self._cpu, self._began = self._server.cpu(), time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self.core = (self._server.cpu() - self._cpu) / (time.monotonic() - self._began)
        self.memory = self._server.memory()


def _print(what: str, found: Trips, usage: Usage, *, judged: bool = True) -> bool:
    sent, trips = found[0], sorted(found[1])
    p50, p99 = (trips[int(share * (len(trips) - 1))] if trips else 0.0 for share in (0.5, 0.99))
    print(
        f"{what}: {len(trips)} of {sent} packets came back; round trip p50 {p50:.2f} ms, p99 {p99:.2f} ms"
        f" ({p99 / LIMIT:.2f} of the limit of {LIMIT:g} ms); server {100 * usage.core:.0f} % of its core,"
        f" {usage.memory:.0f} MB"
    )
    return len(trips) == sent and (p99 < LIMIT or not judged)


@contextlib.contextmanager
def process(*command: str) -> Iterator[tuple[Server, Iterator[str]]]:
    """One on the server's core, and what it says."""
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, preexec_fn=lambda: os.sched_setaffinity(0, {SERVER})
    ) as running:
        try:
            assert running.stderr is not None
            yield Server(running), iter(running.stderr)
        finally:
            running.terminate()


@contextlib.contextmanager
def far_end() -> Iterator[tuple[Server, httpx.Client, int]]:
    """A far end, a session at it, and its UDP port."""
    with TemporaryDirectory() as folder:
        (Path(folder) / "far-end.toml").write_text(CONFIG)
        with process(sys.executable, "-m", "probe", "far-end", f"{folder}/far-end.toml") as (server, said):
            url = next(line for line in said if line.startswith("HTTP is")).split()[-1].rstrip(".")
            with httpx.Client(base_url=f"http://{url}", timeout=30) as client:
                welcome = client.post(SESSION, json={}).json()
                client.headers["authorization"] = f"Bearer {welcome['token']}"
                yield server, client, welcome["udp"][0]


# ------------------------------------------------------------------ flows


class Flow:
    """One paced flow with its packets made beforehand; answers are read afterwards."""

    def __init__(self, port: int, count: int, key: bytes) -> None:
        self.up, self.down = Sealer(key, "up"), Sealer(key, "down")
        self._memory, self._template, self._count = Memory(), Template(SHAPE), count
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self.socket.connect((HERE, port))
        self.packets: list[bytes] = []
        self.sent: list[float] = []
        self.back: list[tuple[bytes, float]] = []

    def open(self) -> None:
        """One packet and its answer, which has the word."""
        self.socket.settimeout(5)
        self.socket.send(self._packet(0, 0))
        word = self._stamp(self.socket.recv(2048)).word
        self.socket.setblocking(False)
        self.packets = [self._packet(number, word) for number in range(1, self._count + 1)]

    def _packet(self, number: int, word: int) -> bytes:
        mark = self.up.seal(Stamp(0, number, word, 0))
        return self._template.render(self._memory, mark, random.randint(*SIZES))

    def _stamp(self, data: bytes) -> Stamp:
        mark = data[PLACE : PLACE + SIZE]
        stamp = self.down.open(mark) or self.up.open(mark)  # the bare echo sends our own back
        assert stamp is not None
        return stamp

    def trips(self) -> list[float]:
        """Round trips in milliseconds, of what came back."""
        return [(at - self.sent[self._stamp(data).number - 1]) * 1000 for data, at in self.back]


def play(flows: list[Flow], seconds: float) -> None:
    """Send everything when it is due, and take in what comes back, with the kernel's time of its arrival."""
    poll, by_socket = select.epoll(), {flow.socket.fileno(): flow for flow in flows}
    for number in by_socket:
        poll.register(number, select.EPOLLIN)
    gap = 1 / RATE / len(flows)
    order = [(index, flow) for index in range(round(seconds * RATE)) for flow in flows]
    began, turn = time.time() + 0.1, 0
    while turn < len(order):
        due = min(len(order), int((time.time() - began) / gap))
        for index, flow in order[turn : max(turn, due)]:
            flow.sent.append(time.time())
            flow.socket.send(flow.packets[index])
        turn = max(turn, due)
        _take(poll, by_socket, 0.0)
        time.sleep(_NAP)
    until = time.time() + 0.5
    while time.time() < until:
        _take(poll, by_socket, 0.05)


def _take(poll: select.epoll, by_socket: dict[int, Flow], wait: float) -> None:
    for number, _ in poll.poll(wait):
        flow = by_socket[number]
        data, ancillary, _, _ = flow.socket.recvmsg(2048, 64)
        seconds, nanoseconds = struct.unpack_from("=qq", ancillary[0][2])
        flow.back.append((data, seconds + nanoseconds / 1e9))


def flows_at(
    url: str, token: str, port: int, count: int, seconds: float, ready: Callable[[], object]
) -> Trips:
    """Announce flows and play them; how many packets were sent, and round trips. `ready` waits for the others."""
    flows = []
    with httpx.Client(base_url=url, headers={"authorization": f"Bearer {token}"}, timeout=30) as client:
        for _ in range(count):
            key = os.urandom(16)
            packets = [{"stamp_at": PLACE, "down": SHAPE, "least": 24}]
            asked = {"transport": "udp", "port": port, "key": key.hex(), "packets": packets}
            assert client.post(FLOWS, json=asked).status_code == 201
            flows.append(Flow(port, round(seconds * RATE), key))
            flows[-1].open()
        return _played(flows, seconds, ready)


def _played(flows: list[Flow], seconds: float, ready: Callable[[], object]) -> Trips:
    ready()
    play(flows, seconds)
    for flow in flows:
        flow.socket.close()
    return sum(len(flow.sent) for flow in flows), [trip for flow in flows for trip in flow.trips()]


def against_bare_echo(count: int, seconds: float) -> None:
    with process(sys.executable, __file__, "--echo") as (server, said):
        port = int(next(said))
        flows = [Flow(port, round(seconds * RATE), os.urandom(16)) for _ in range(count)]
        for flow in flows:
            flow.open()
        with Usage(server) as usage:
            trips = _played(flows, seconds, int)
        _print(f"{count} flows, bare asyncio echo", trips, usage)


async def bare_echo() -> None:
    """The peer: nothing but asyncio's datagram protocol."""

    class Echo(asyncio.DatagramProtocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: Any) -> None:
            self.transport.sendto(data, addr)

    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Echo, local_addr=(HERE, 0))
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    print(transport.get_extra_info("sockname")[1], file=sys.stderr, flush=True)
    await asyncio.sleep(600)


# ------------------------------------------------------------------ calls


class Caller:
    """One call with our own stamps in its payloads."""

    def __init__(self, index: int) -> None:
        from probe.webrtc import Peer

        self.index, key = index, os.urandom(16)
        self.key, self._up, self._down, self._word = key.hex(), Sealer(key, "up"), Sealer(key, "down"), 0
        self.peer = Peer(clock=time.monotonic, on_packet=self._hear, local=(HERE,))
        self.sent: list[float] = []
        self.trips: list[float] = []

    async def place(self, client: httpx.AsyncClient) -> None:
        """Signalling, ICE, DTLS."""
        headers = {"content-type": "application/sdp", KEY_HEADER: self.key}
        answer = await client.post(f"{WHIP}?setup=passive", content=await self.peer.offer(), headers=headers)
        assert answer.headers["location"].startswith(CALLS)
        await self.peer.accept(answer.text)
        await self.peer.ice()
        await self.peer.dtls()

    def _hear(self, packet: Any) -> None:
        stamp = self._down.open(packet.payload[:SIZE])
        assert stamp is not None
        self._word = stamp.word
        self.trips.append((packet.arrived - self.sent[stamp.number]) * 1000)

    async def talk(self, began: float, seconds: float, count: int) -> None:
        """A packet every 20 ms, at absolute times."""
        for number in range(round(seconds * RATE)):
            due = began + (number + self.index / count) / RATE
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            mark = self._up.seal(Stamp(0, number, self._word, 0))
            self.sent.append(time.monotonic())
            self.peer.send("audio", mark + bytes(68), timestamp=number * 960)


async def calls_at(url: str, token: str, count: int, seconds: float, ready: Callable[[], object]) -> Trips:
    """Place calls and talk; as `flows_at`."""
    callers = [Caller(index) for index in range(count)]
    async with httpx.AsyncClient(
        base_url=url, headers={"authorization": f"Bearer {token}"}, timeout=30
    ) as client:
        for some in range(0, count, 5):
            await asyncio.gather(*(caller.place(client) for caller in callers[some : some + 5]))
        await asyncio.to_thread(ready)
        began = time.monotonic() + 0.1
        await asyncio.gather(*(caller.talk(began, seconds, count) for caller in callers))
        await asyncio.sleep(0.5)
        trips = [trip for caller in callers for trip in caller.trips]
        await asyncio.gather(*(caller.peer.close() for caller in callers))
    return sum(len(caller.sent) for caller in callers), trips


# ------------------------------------------------------------------ both


def measure(flows: int, calls: int, seconds: float) -> bool:
    """So many of each at once, each kind from a process of its own; prints and judges."""
    spawn = multiprocessing.get_context("fork")
    with far_end() as (server, client, port):
        where = str(client.base_url), client.headers["authorization"].split()[1]
        ready, results = spawn.Barrier(1 + bool(flows) + bool(calls)), spawn.Queue()
        works: list[tuple[str, Callable[[], Trips]]] = []
        if flows:
            works.append((f"{flows} flows", lambda: flows_at(*where, port, flows, seconds, ready.wait)))
        if calls:
            works.append(
                (f"{calls} calls", lambda: asyncio.run(calls_at(*where, calls, seconds, ready.wait)))
            )
        workers = [
            spawn.Process(target=lambda name, work: results.put((name, work())), args=one) for one in works
        ]
        for worker in workers:
            worker.start()
        ready.wait()
        with Usage(server) as usage:
            time.sleep(seconds)
        found = [results.get() for _ in workers]
        for worker in workers:
            worker.join()
    beside = " at the same time" if len(works) > 1 else ""
    good = [_print(f"{name}, far end{beside}", trips, usage, judged=not beside) for name, trips in found]
    return all(good)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--echo", action="store_true")
    parser.add_argument("--flows", type=int, default=300)
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=10.0)
    given = parser.parse_args()
    if given.echo:
        asyncio.run(bare_echo())
        return
    if len(os.sched_getaffinity(0)) < 2:
        print("needs two cores, one for the far end and one for its callers: skipped")
        return
    os.sched_setaffinity(0, {CLIENT})
    against_bare_echo(given.flows, given.seconds)
    good = [
        measure(given.flows, 0, given.seconds),
        measure(0, given.calls, given.seconds),
        measure(given.flows, given.calls, given.seconds),
    ]
    raise SystemExit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
