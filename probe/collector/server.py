"""A collector with its sockets: from a setting to something that keeps runs, and back to nothing."""

import asyncio
import contextlib
import resource
import socket
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from probe import http_server
from probe.collector import receipts
from probe.collector.app import Desk, make_app
from probe.collector.archive import Archive
from probe.collector.export import Export
from probe.collector.figures import Figures
from probe.collector.http_protocol import PatientLlhttp
from probe.collector.intake import Intake
from probe.collector.rate import Rates
from probe.collector.readers import Readers
from probe.collector.settings import CollectorSettings
from probe.far_end.settings import endpoint
from probe.far_end.tcp import tcp_socket
from probe.http_server import NothingBound, trouble

_IDLE = 30  # seconds for which a connection may wait for its next request
_BACKLOG = 2048
_FILES_BESIDE = 64  # descriptors that are no connections


@dataclass(frozen=True)
class Running:
    """Where a collector is reached, and the public half of the key that signs its receipts."""

    listening: tuple[tuple[str, int], ...]
    key: str

    @property
    def url(self) -> str:
        """Of the first address."""
        address, port = self.listening[0]
        return f"http://{f'[{address}]' if ':' in address else address}:{port}"


@asynccontextmanager
async def running(settings: CollectorSettings, say: Callable[[str], None]) -> AsyncIterator[Running]:
    """A collector for as long as the block lasts. `say` is told in sentences what is wrong.

    Raises archive.StorageError, ConfigError for a key that cannot be used, and NothingBound.
    """
    async with contextlib.AsyncExitStack() as stack:
        thread = stack.enter_context(ThreadPoolExecutor(1, "archive"))
        archive = await asyncio.get_running_loop().run_in_executor(thread, _archive, settings)
        stack.callback(lambda: thread.submit(archive.close).result())
        signing = receipts.load(Path(settings.key))
        figures = Figures()
        intake = Intake(archive, thread, settings.limits.waiting, figures)
        desk = Desk(
            limits=settings.limits,
            intake=intake,
            receipts=signing,
            rates=Rates(settings.limits.hourly, time.monotonic),
            readers=Readers(settings.readers),
            export=Export(Path(settings.storage), intake),
            figures=figures,
            utc=lambda: datetime.now(UTC),
        )
        stack.enter_context(http_server.quiet(lambda error: say(trouble(error, "collector"))))
        for work in (intake.write(), intake.tend(settings, say)):
            stack.push_async_callback(_cancelled, asyncio.create_task(work))
        sockets = _bound(settings, stack, say)
        app = make_app(desk, lambda error: say(trouble(error, "collector")))
        await stack.enter_async_context(
            http_server.serving(
                app, sockets, connections=settings.limits.connections, idle=_IDLE, protocol=PatientLlhttp
            )
        )
        listening = tuple((str(name[0]), int(name[1])) for name in (s.getsockname() for s in sockets))
        yield Running(listening=listening, key=signing.public)


def _archive(settings: CollectorSettings) -> Archive:
    return Archive(
        Path(settings.storage),
        settings.name,
        segment_bytes=settings.segments.octets,
        segment_seconds=settings.segments.seconds,
        free=settings.free,
        wall=time.time,
    )


def _bound(
    settings: CollectorSettings, stack: contextlib.AsyncExitStack, say: Callable[[str], None]
) -> list[socket.socket]:
    sockets = []
    for text in settings.listen:
        address, port = endpoint(text)
        try:
            sock = tcp_socket(address, port)
        except OSError as error:
            say(f"Port {port} of {address} cannot be used: {error.strerror or error}.")
            continue
        stack.callback(sock.close)
        sock.listen(_BACKLOG)
        sockets.append(sock)
    if not sockets:
        raise NothingBound
    return sockets


async def _cancelled(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def serve(settings: CollectorSettings, say: Callable[[str], None], until: asyncio.Event) -> None:
    """Run until told to stop, and say at the start what it is. Raises as `running` does."""
    _raise_file_limit(settings.limits.connections, say)
    async with running(settings, say) as collector:
        where = ", ".join(f"{'[' + a + ']' if ':' in a else a}:{p}" for a, p in collector.listening)
        say(f"HTTP is served at {where}.")
        say(f"Runs are kept in {settings.storage}.")
        say(f"Receipts are signed by the key {collector.key}.")
        if settings.readers:
            say(f"Sealed segments are handed out to readers: {len(settings.readers)}.")
        await until.wait()
        say("Stopping.")


def _raise_file_limit(connections: int, say: Callable[[str], None]) -> None:
    """Ask for as many descriptors as there may be connections, as far as the system allows."""
    needed = connections + _FILES_BESIDE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < needed:
        with contextlib.suppress(OSError, ValueError):  # a sandbox may forbid it
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(needed, hard), hard))
            soft = min(needed, hard)
    if soft < needed:
        say(f"limits.connections needs {needed} open files, the system allows {soft}: some will be refused.")
