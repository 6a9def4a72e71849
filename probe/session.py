"""One run from start to file: measure, judge, keep. Whatever ends it, the file says how."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from probe import measure
from probe.catalogue import Catalogue, Service
from probe.model import AnyLine, Document, Judgement, Run
from probe.plan import Options
from probe.rounds import Progress
from probe.step import Net
from probe.store import Writer, prepare
from probe.verdict import judge


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A run that was measured, judged and kept."""

    document: Document
    judgement: Judgement
    path: Path


async def session(
    catalogue: Catalogue,
    services: tuple[Service, ...],
    options: Options,
    folder: Path,
    net: Net,
    progress: Callable[[Progress], None] | None = None,
) -> Finished:
    """Run once and keep the result in `folder`. Raises StoreError when it cannot be kept.

    Cancelling the task (Ctrl-C does, and a service manager's SIGTERM) ends the measuring; what was measured
    until then is judged and kept.
    """
    prepare(folder)
    writers: list[Writer] = []

    def keep(line: AnyLine) -> None:
        if isinstance(line, Run):
            writers.append(Writer(folder, line))
        else:
            writers[0].append(line)

    with _terminable():
        document = await measure.run(catalogue, services, options, net, keep, progress)
    judgement = judge(document)
    writer = writers[0]
    writer.append(judgement)
    if document.end is not None:
        writer.append(document.end)
    writer.close()
    return Finished(
        document=msgspec.structs.replace(document, judgement=judgement), judgement=judgement, path=writer.path
    )


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end the run as Ctrl-C does, where the platform lets a loop listen for it."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    try:
        loop.add_signal_handler(signal.SIGTERM, task.cancel if task else lambda: None)
    except (NotImplementedError, RuntimeError, ValueError):
        yield
        return
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
