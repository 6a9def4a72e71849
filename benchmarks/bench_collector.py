"""The collector against its limits: durable runs a second, delay at a fixed rate, crashes, power cuts, memory.

Client and collector share the machine's two cores. Limits: 1500 signed runs of 20 kB a second acknowledged on the
disk; 99 of 100 within 250 ms at 1000 a second; no acknowledged run lost over 50 kills of the collector, 50 of an
uploader and 50 power cuts; memory flat over an hour's runs.
"""

import argparse
import asyncio
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import zstandard

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.priority import ahead, load, machine
from probe import consent
from tests.build import NOON
from tests.collector.kept import kept
from tests.collector.sender import Sender, new_id, result
from tests.upload.runs import run_file
from tests.upload.test_kills import NURSERY, upload_once

HERE = "127.0.0.1"
SIZE = 20_000  # bytes of a run
FLOOR, CEILING = 1500, 0.250  # runs a second; seconds
WARM = 100_000  # runs after which the index's cache of 16 MB is full
# An hour of 40,000 volunteers who measure every six hours is 6,700 runs; this is a day and a half of that. What grows
# in a process grows with runs, keys, segments or connections, not with time, so they are sent as fast as they go.
HOUR = 240_000


@dataclass(frozen=True)
class Ready:
    """A request that only has to be sent."""

    run: str
    raw: bytes


def prepare(count: int, senders: int = 50) -> list[Ready]:
    """Signed runs by several keys, as bytes on the wire."""
    made, keys = [], [Sender() for _ in range(senders)]
    template = result("0" * 16, size=SIZE)
    for number in range(count):
        run, sender = new_id(), keys[number % senders]
        exact = template.replace(b"0" * 16, run.encode(), 1)
        body = zstandard.ZstdCompressor().compress(exact)
        head = "".join(f"{name}: {value}\r\n" for name, value in sender.headers(run, exact).items())
        head = f"POST /v1/runs HTTP/1.1\r\nHost: x\r\n{head}Content-Length: {len(body)}\r\n\r\n"
        made.append(Ready(run, head.encode() + body))
    return made


# ------------------------------------------------------------------ the client


class Line:
    """One keep-alive connection, and no more of HTTP than this benchmark needs."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def send(self, request: Ready) -> int:
        """The status of the answer."""
        self._writer.write(request.raw)
        head = await self._reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        await self._reader.readexactly(size)
        return int(head[9:12])

    def close(self) -> None:
        self._writer.close()


@contextlib.asynccontextmanager
async def lines(port: int, count: int) -> AsyncIterator[list[Line]]:
    opened = [Line(*await asyncio.open_connection(HERE, port)) for _ in range(count)]
    try:
        yield opened
    finally:
        for one in opened:
            one.close()


@dataclass
class Seen:
    """What a client saw: who was acknowledged, how long each took, other statuses."""

    acknowledged: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    others: list[int] = field(default_factory=list)
    took: float = 0.0

    def note(self, request: Ready, status: int, seconds: float) -> None:
        if status in (200, 201):
            self.acknowledged.append(request.run)
            self.seconds.append(seconds)
        else:
            self.others.append(status)


async def flat_out(port: int, requests: Sequence[Ready], connections: int, seen: Seen | None = None) -> Seen:
    """As fast as it goes, each connection one at a time; a collector that dies ends it."""
    seen, left = seen or Seen(), iter(requests)

    async def work(one: Line) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            for request in left:
                began = time.monotonic()
                seen.note(request, await one.send(request), time.monotonic() - began)

    async with lines(port, connections) as opened:
        began = time.monotonic()
        await asyncio.gather(*map(work, opened))
        seen.took = time.monotonic() - began
    return seen


async def at_rate(port: int, requests: Sequence[Ready], rate: float, connections: int) -> Seen:
    """At fixed times, whatever the answers do; a delay counts from when a request was due."""
    seen, free = Seen(), asyncio.Queue[Line]()

    async def work(request: Ready, due: float) -> None:
        one = await free.get()
        seen.note(request, await one.send(request), time.monotonic() - due)
        free.put_nowait(one)

    async with lines(port, connections) as opened, asyncio.TaskGroup() as group:
        for one in opened:
            free.put_nowait(one)
        began = time.monotonic()
        for number, request in enumerate(requests):
            due = began + number / rate
            if due > time.monotonic():
                await asyncio.sleep(due - time.monotonic())
            group.create_task(work(request, due))
    seen.took = time.monotonic() - began
    return seen


# ------------------------------------------------------------------ the collector


@contextlib.contextmanager
def collector(storage: Path, name: str = "one", more: str = "") -> Iterator[tuple[int, int]]:
    """A collector as a process; its id and its port."""
    file = storage.parent / f"{name}.toml"
    file.write_text(
        f'listen = ["{HERE}:0"]\nstorage = "{storage}"\nname = "{name}"\nfree = 0\n'
        f"[limits]\nhourly = 1_000_000_000\n{more}"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "probe", "collect", str(file)], stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        served = next(line for line in process.stderr if line.startswith("HTTP is served at "))
        yield process.pid, int(served.rstrip(".\n").rpartition(":")[2])
    finally:
        process.terminate()
        process.wait(30)
        assert process.stderr is not None
        process.stderr.close()


def usage(pid: int) -> tuple[float, float]:
    """Seconds of processor, and MB of memory."""
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    rss = next(
        each for each in Path(f"/proc/{pid}/status").read_text().splitlines() if each.startswith("VmRSS")
    )
    return (int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK"), int(rss.split()[1]) / 1024


def quantile(seconds: list[float], share: float) -> float:
    return sorted(seconds)[min(len(seconds) - 1, int(len(seconds) * share))] if seconds else float("nan")


# ------------------------------------------------------------------ what is measured


def throughput(folder: Path, count: int, connections: int) -> bool:
    requests = prepare(count)
    with collector(folder / "storage") as (pid, port):
        before, _ = usage(pid)
        seen = asyncio.run(flat_out(port, requests, connections))
        after, memory = usage(pid)
    rate = len(seen.acknowledged) / seen.took
    print(
        f"flat out, {connections} connections: {rate:.0f} runs/s on the disk, {rate / FLOOR:.2f} of {FLOOR}/s;"
        f" p50 {quantile(seen.seconds, 0.5) * 1e3:.0f} ms, p99 {quantile(seen.seconds, 0.99) * 1e3:.0f} ms;"
        f" {(after - before) / max(1, count) * 1e3:.2f} ms of processor each, {memory:.0f} MB"
    )
    return rate >= FLOOR and not seen.others


def delay(folder: Path, rate: float, seconds: float) -> bool:
    requests = prepare(int(rate * seconds))
    with collector(folder / "storage") as (_, port):
        seen = asyncio.run(at_rate(port, requests, rate, 200))
    slow = quantile(seen.seconds, 0.99)
    print(
        f"at {rate:.0f}/s for {seconds:.0f} s: p50 {quantile(seen.seconds, 0.5) * 1e3:.1f} ms, p99"
        f" {slow * 1e3:.1f} ms, {slow / CEILING:.2f} of {CEILING * 1e3:.0f} ms; {len(seen.others)} not acknowledged"
    )
    return slow < CEILING and not seen.others


def crashes(folder: Path, rounds: int, *, power: bool) -> bool:
    """SIGKILL under load at random moments; with `power`, what was not synced is gone as well."""
    dice, acknowledged = random.Random(), set[str]()
    lost = doubled = 0
    with image(folder) if power else contextlib.nullcontext(folder) as where:
        storage = where / "storage"
        for _ in range(rounds):
            with collector(storage, more="[segments]\noctets = 4_000_000\n") as (pid, port):
                seen = Seen()
                some = prepare(1500)  # more than are sent before the kill
                working = threading.Thread(target=lambda: asyncio.run(flat_out(port, some, 16, seen)))  # noqa: B023
                working.start()
                until = time.monotonic() + 30
                while not seen.acknowledged and time.monotonic() < until:
                    time.sleep(0.01)
                time.sleep(dice.uniform(0.05, 0.8))
                if power:
                    os.kill(pid, signal.SIGSTOP)
                    promised = acknowledged | set(seen.acknowledged)
                    left = after_power_cut(folder)
                    lost += len(promised - left.keys())
                    doubled += sum(len(texts) > 1 for texts in left.values())
                os.kill(pid, signal.SIGKILL)
                working.join()
                acknowledged |= set(seen.acknowledged)
        with collector(storage):
            found = kept(storage)
    lost += len(acknowledged - found.keys())
    doubled += sum(len(texts) > 1 for texts in found.values())
    what = "power cuts (a copy of the running file system, mounted)" if power else "kill -9"
    print(f"{rounds} {what}: {len(acknowledged)} acknowledged, {lost} lost, {doubled} kept twice (limit 0)")
    return not lost and not doubled and bool(acknowledged)


def uploader_kills(folder: Path, kills: int) -> bool:
    """SIGKILL of `probe upload` at random moments, while runs go on being made; then once to the end."""
    dice, killed, number, longest, home = random.Random(), 0, 0, 0.5, folder / "home"
    with collector(folder / "storage") as (_, port):
        url = f"http://{HERE}:{port}"
        consent.keep(home, consent.with_collector(consent.Consent(), f"{HERE}:{port}", NOON))
        with subprocess.Popen(
            [sys.executable, "-c", NURSERY, str(home), url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            bufsize=1,
        ) as nursery:  # fmt: skip
            assert nursery.stdin is not None
            assert nursery.stdout is not None
            while killed < kills:
                for _ in range(3):
                    number += 1
                    run_file(home / "results", number)
                nursery.stdin.write(f"{dice.uniform(0.0, longest)}\n")
                in_the_act = int(nursery.stdout.readline()) == -signal.SIGKILL
                killed += in_the_act
                longest = min(longest * 1.1, 1.0) if in_the_act else longest / 2
            nursery.stdin.close()
        before = len(kept(folder / "storage"))
        upload_once(home, url)
        found = kept(folder / "storage")
    files = {path.read_text() for path in (home / "results").iterdir()}
    lost = len(files - {text for texts in found.values() for text in texts})
    doubled = sum(len(texts) > 1 for texts in found.values())
    print(
        f"{killed} kill -9 of an uploader: {number} runs made, {before} sent by those that were killed, {lost} lost,"
        f" {doubled} kept twice (limit 0)"
    )
    return not lost and not doubled and len(found) == number


@contextlib.contextmanager
def image(folder: Path) -> Iterator[Path]:
    """A small ext4 of its own, which writes nothing of itself for minutes. Needs root."""
    file, where = folder / "image", folder / "mounted"
    where.mkdir()
    with file.open("wb") as made:
        made.truncate(3 << 30)
    subprocess.run(["mkfs.ext4", "-q", "-F", str(file)], check=True)
    subprocess.run(["mount", "-o", "loop,commit=300", str(file), str(where)], check=True)
    try:
        yield where
    finally:
        subprocess.run(["umount", str(where)], check=True)


def after_power_cut(folder: Path) -> dict[str, list[str]]:
    """What a collector finds on a copy of the image, whose journal is replayed when it is mounted."""
    copy, there = folder / "copy", folder / "there"
    there.mkdir(exist_ok=True)
    subprocess.run(["cp", "--sparse=always", str(folder / "image"), str(copy)], check=True)
    subprocess.run(["mount", "-o", "loop", str(copy), str(there)], check=True)
    try:
        with collector(there / "storage", "after"):
            return kept(there / "storage")
    finally:
        subprocess.run(["umount", str(there)], check=True)
        copy.unlink()


def soak(folder: Path, runs: int) -> bool:
    """As fast as it goes; memory when the index's cache is full, in the middle, and at the end."""
    began, count, storage = time.monotonic(), 0, folder / "storage"
    marks, memory = [0, min(WARM, runs // 3), runs * 2 // 3, runs], list[float]()
    with collector(storage, more="[segments]\noctets = 20_000_000\n") as (pid, port):
        while True:
            while len(memory) < len(marks) and count >= marks[len(memory)]:
                memory.append(usage(pid)[1])
            if len(memory) == len(marks):
                break
            count += len(asyncio.run(flat_out(port, prepare(2000), 32)).acknowledged)
    start, warm, middle, end = memory
    index = sum(file.stat().st_size for file in (storage / "index").iterdir())
    print(
        f"soak, {count} runs in {time.monotonic() - began:.0f} s: {start:.0f} MB at the start, {warm:.0f} after"
        f" {marks[1]}, {middle:.0f} after {marks[2]}, {end:.0f} MB at the end, {end / warm:.2f} of what it was once"
        f" warm (limit 1.10); the index on the disk takes {index / count:.0f} bytes for each run"
    )
    return end < warm * 1.1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=20.0, help="at 1000 a second")
    parser.add_argument("--rate", type=float, default=1000.0)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--cuts", type=int, default=50)
    parser.add_argument("--uploader-kills", type=int, default=50)
    parser.add_argument("--soak", type=int, default=HOUR, help="runs")
    parser.add_argument("--only", choices=("throughput", "delay", "kills", "uploader-kills", "cuts", "soak"))
    parser.add_argument(
        "--folder", type=Path, help="on the disk that is measured; default: the temporary one"
    )
    given = parser.parse_args()
    print(f"{machine()}; load {load():.1f}")
    works = {
        "throughput": lambda folder: throughput(folder, given.runs, 32),
        "delay": lambda folder: delay(folder, given.rate, given.seconds),
        "kills": lambda folder: crashes(folder, given.kills, power=False),
        "uploader-kills": lambda folder: uploader_kills(folder, given.uploader_kills),
        "cuts": lambda folder: crashes(folder, given.cuts, power=True),
        "soak": lambda folder: soak(folder, given.soak),
    }
    if os.geteuid() != 0 or not shutil.which("mkfs.ext4"):
        print("power cuts: skipped, they need root and mkfs.ext4")
        del works["cuts"]
    good = []
    with ahead():
        for work in [works[given.only]] if given.only else works.values():
            with tempfile.TemporaryDirectory(dir=given.folder) as folder:
                good.append(work(Path(folder)))
    raise SystemExit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
