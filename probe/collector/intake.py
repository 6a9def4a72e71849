"""Between many requests and one archive: who comes while a batch is being written goes into the next."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from probe.collector.archive import Answer, Archive, StorageError, Wish, tidy
from probe.collector.figures import Figures
from probe.collector.index import Known
from probe.collector.protocol import Refused
from probe.collector.settings import CollectorSettings

T = TypeVar("T")
_BATCH, _BATCH_BYTES = 512, 16 << 20
_PATIENCE = 20.0  # seconds that a request waits for the disk
_AGAIN = 30.0  # seconds after which a disk may be better
_TURN = 5.0  # seconds between two looks at what is to be sealed


class Intake:
    """Owns the archive and the one thread that may touch it."""

    def __init__(self, archive: Archive, thread: ThreadPoolExecutor, waiting: int, figures: Figures) -> None:
        self._archive, self._thread, self._most, self._figures = archive, thread, waiting, figures
        self._queue: list[tuple[Wish, asyncio.Future[Answer]]] = []
        self._come = asyncio.Event()
        self.octets = 0  # in memory: bodies that are coming in, and lines that are not written

    def hold(self, octets: int) -> None:
        """Count bytes that are in memory now; give them back with a negative number. Raises Refused."""
        if octets > 0 and self.octets + octets > self._most:
            raise Refused(503, "busy", "too much comes in at once", retry=2)
        self.octets += octets

    async def grant(self, wish: Wish) -> Answer:
        """Bring a wish before the archive. Raises Refused (503)."""
        self.hold(len(wish.line))
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._queue.append((wish, future))
        self._come.set()
        return await _in_time(future)

    async def find(self, run: str) -> Known | None:
        """A run that is kept or was. Raises Refused (503)."""
        return await _in_time(self._in_thread(self._archive.find, run))

    async def check(self) -> None:
        """Whether a run could be kept now. Raises Refused (503)."""
        await _in_time(self._in_thread(self._archive.check))

    async def doomed(self) -> set[str]:
        """Segments with runs that are deleted and not yet erased. Raises Refused (503)."""
        return await _in_time(self._in_thread(self._archive.doomed))

    async def write(self) -> None:
        """Write batch after batch, until cancelled."""
        while True:
            await self._come.wait()
            batch = self._next()
            wishes = [wish for wish, _ in batch]
            began = time.monotonic()
            try:
                answers = await self._in_thread(self._archive.commit, wishes)
            except Exception as error:  # noqa: BLE001 - each of those who wait is told
                self._figures.failed.inc()
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
            else:
                self._figures.committed(len(batch), time.monotonic() - began)
                for (_, future), answer in zip(batch, answers, strict=True):
                    if not future.done():
                        future.set_result(answer)
            finally:
                self.hold(-sum(len(wish.line) for wish in wishes))

    def _next(self) -> list[tuple[Wish, "asyncio.Future[Answer]"]]:
        octets = count = 0
        for wish, _ in self._queue[:_BATCH]:
            octets += len(wish.line)
            count += 1
            if octets > _BATCH_BYTES:
                break
        batch, self._queue = self._queue[:count], self._queue[count:]
        if not self._queue:
            self._come.clear()
        return batch

    async def tend(self, settings: CollectorSettings, say: Callable[[str], None]) -> None:
        """Seal, compress and erase what is due, until cancelled. What cannot be done now is tried again."""
        said = ""
        while True:
            await asyncio.sleep(_TURN)
            try:
                doomed = await self._in_thread(self._archive.turn)
                gone = await asyncio.to_thread(tidy, Path(settings.storage), doomed)
                await self._in_thread(self._archive.erased, gone)
                now = ""
            except StorageError as error:
                now = f"The storage cannot be used: {error}."
            if now != said:
                say(now or "The storage can be used again.")
            said = now

    def _in_thread(self, work: Callable[..., T], *arguments: Any) -> "asyncio.Future[T]":
        return asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)


async def _in_time(work: "asyncio.Future[T]") -> T:
    """What the archive says. A wish that is given up on may be granted later: then it is known when it comes again."""
    try:
        async with asyncio.timeout(_PATIENCE):
            return await work
    except TimeoutError:
        raise Refused(503, "storage", "the disk does not answer", retry=_AGAIN) from None
    except StorageError as error:
        raise Refused(503, "storage", f"nothing can be kept now: {error}", retry=_AGAIN) from None
