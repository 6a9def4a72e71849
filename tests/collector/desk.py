"""A collector for tests: its application alone, or all of it on loopback."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from starlette.types import ASGIApp

from probe.collector.app import Desk, make_app
from probe.collector.export import Export
from probe.collector.figures import Figures
from probe.collector.intake import Intake
from probe.collector.rate import Rates
from probe.collector.readers import Readers
from probe.collector.receipts import Receipts
from probe.collector.server import running
from probe.collector.settings import CollectorSettings, Limits
from tests.collector.shelf import archive
from tests.loopback import HERE


def now() -> datetime:
    return datetime.now(UTC)


@asynccontextmanager
async def application(
    storage: Path,
    *,
    utc: Callable[[], datetime] = now,
    limits: Limits | None = None,
    readers: Sequence[str] = (),
    trouble: Callable[[Exception], None] | None = None,
    **more: Any,
) -> AsyncIterator[ASGIApp]:
    """The application over a real archive; what should not happen, raises, or is told to `trouble`."""

    def raise_it(error: Exception) -> None:
        raise error

    limits = limits or Limits(hourly=10**6)
    figures = Figures()
    with ThreadPoolExecutor(1) as thread:
        shelf = thread.submit(archive, storage, **more).result()
        intake = Intake(shelf, thread, limits.waiting, figures)
        desk = Desk(
            limits=limits, intake=intake, receipts=Receipts(Ed25519PrivateKey.generate()),
            rates=Rates(limits.hourly, time.monotonic), figures=figures, utc=utc,
            readers=Readers(readers), export=Export(storage, intake),
        )  # fmt: skip
        writing = asyncio.create_task(intake.write())
        try:
            yield make_app(desk, trouble or raise_it)
        finally:
            writing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writing
        thread.submit(shelf.close).result()


@asynccontextmanager
async def visitor(storage: Path, client: str = "192.0.2.1", **more: Any) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who talks to the application itself."""
    async with application(storage, **more) as app:
        transport = httpx.ASGITransport(app, client=(client, 1234))
        async with httpx.AsyncClient(transport=transport, base_url="http://collector.example") as http:
            yield http


def settings(storage: Path, **more: Any) -> CollectorSettings:
    """On loopback, at a port that is free."""
    given: dict[str, Any] = {
        "listen": (f"{HERE}:0",), "storage": str(storage), "key": str(storage / "key.pem"), "free": 0,
        "limits": Limits(hourly=10**6),
    } | more  # fmt: skip
    return CollectorSettings(**given)


@asynccontextmanager
async def collector(
    storage: Path, said: list[str] | None = None, **more: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """A real one, and a client of it."""
    told = said if said is not None else []
    async with (
        running(settings(storage, **more), told.append) as up,
        httpx.AsyncClient(base_url=up.url, timeout=30, trust_env=False) as client,
    ):
        yield client
