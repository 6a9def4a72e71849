"""HTTP/1.1 for those who serve others: uvicorn without its signals, its logs (they name peers) and its patience."""

import asyncio
import contextlib
import socket
import ssl
import traceback
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

_SLOW = 20.0  # seconds in which a request's head must come
_LOOKS = 15  # times so long may an answer take that nobody reads


class NothingBound(Exception):
    """No address of `listen` could be bound."""


def application(routes: Sequence[BaseRoute], handlers: Mapping[Any, Any]) -> Starlette:
    """Routes as they are written; `handlers` answer exceptions, by class or status."""
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.router.redirect_slashes = False
    return app


class Outside:
    """Around an application: headers of every answer, and what should not happen, which `trouble` is told of."""

    def __init__(
        self, app: ASGIApp, headers: Sequence[tuple[bytes, bytes]], trouble: Callable[[Exception], None]
    ) -> None:
        self._app, self._headers, self._trouble = app, headers, trouble

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *self._headers]
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception as error:  # noqa: BLE001 - whatever it is, one peer's trouble is not the others'
            self._trouble(error)


@asynccontextmanager
async def serving(
    app: ASGIApp,
    sockets: Sequence[socket.socket],
    context: ssl.SSLContext | None = None,
    *,
    connections: int,
    idle: int,
    protocol: type[asyncio.Protocol] | None = None,
) -> AsyncIterator[None]:
    """Serve on listening sockets while the block lasts; `idle` seconds may a connection wait for its next request.

    `protocol` is HTTP/1.1 as uvicorn has it, with Patience; h11 if none is given.
    """
    config = uvicorn.Config(
        app,
        http=protocol or PatientH11,
        ws="none",
        lifespan="off",
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
        log_level="critical",  # below that it names peers
        timeout_keep_alive=idle,
        timeout_graceful_shutdown=1,
        limit_concurrency=connections,
    )
    config.load()
    config.ssl = context
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=list(sockets)))
    try:
        while not server.started:
            if task.done():
                task.result()
            await asyncio.sleep(0.005)
        yield
    finally:
        server.should_exit = True
        await task


class _Server(uvicorn.Server):
    """Leaves signals to whoever runs it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None of ours."""
        yield


class Patience:
    """Over one of uvicorn's protocols: a request that does not begin, or does not go on, is not awaited forever."""

    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    cycle: Any
    timeout_keep_alive_task: asyncio.TimerHandle | None

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Somebody came."""
        super().connection_made(transport)  # type: ignore[misc]
        self._looks = 0  # at the request that is being served
        self._watch = self.loop.call_later(_SLOW, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """They left."""
        self._watch.cancel()
        super().connection_lost(exc)  # type: ignore[misc]

    def _look(self) -> None:
        """Every so often: is a request being served, or its successor awaited by the keep-alive timer?"""
        busy = self.cycle is not None and not self.cycle.response_complete
        self._looks = self._looks + 1 if busy else 0
        if self._looks > _LOOKS or not busy and self.timeout_keep_alive_task is None:
            self.transport.abort()
            return
        self._watch = self.loop.call_later(_SLOW, self._look)


class PatientH11(Patience, H11Protocol):  # type: ignore[misc]
    """HTTP/1.1 in Python alone."""


@contextlib.contextmanager
def quiet(tell: Callable[[Exception], None]) -> Iterator[None]:
    """The event loop's own complaints hold addresses: only the exception is passed on, and none of a connection."""
    loop = asyncio.get_running_loop()

    def complain(loop: asyncio.AbstractEventLoop, about: dict[str, Any]) -> None:
        error = about.get("exception")
        if isinstance(error, Exception) and not isinstance(error, OSError):
            tell(error)

    before = loop.get_exception_handler()
    loop.set_exception_handler(complain)
    try:
        yield
    finally:
        loop.set_exception_handler(before)


def trouble(error: BaseException, whose: str) -> str:
    """What went wrong and where, without the exception's own words: these may hold anything."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" in {Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
    return f"A mistake of the {whose}'s own: {type(error).__name__}{where}."
