"""A far end with its sockets: from a setting to something that answers, and back to nothing."""

import asyncio
import contextlib
import ssl
import time
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from probe.far_end import turn_server
from probe.far_end.app import make_app
from probe.far_end.house import House
from probe.far_end.opening import Sockets, bind, own_addresses, tls_context
from probe.far_end.settings import FarEndSettings
from probe.far_end.tcp import TcpEcho
from probe.far_end.udp import UdpEcho

_SWEEP = 1.0  # seconds
_IDLE = 75  # seconds for which a connection may wait for its next request: probes come back after a flow
_SLOW = 20.0  # seconds in which a request's head must come
_LOOKS = 15  # times so long may an answer take that nobody reads
_CONNECTIONS = 1000


@dataclass(frozen=True)
class Running:
    """Where a far end is reached: its HTTPS addresses, and the ports at which flows are echoed."""

    listening: tuple[tuple[str, int], ...]
    tls: bool
    udp: tuple[int, ...]
    tcp: tuple[int, ...]
    house: House

    @property
    def url(self) -> str:
        """Of the first address."""
        address, port = self.listening[0]
        host = f"[{address}]" if ":" in address else address
        return f"{'https' if self.tls else 'http'}://{host}:{port}"


def _nothing(sentence: str) -> None:
    pass


@asynccontextmanager
async def running(settings: FarEndSettings, say: Callable[[str], None] = _nothing) -> AsyncIterator[Running]:
    """A far end for as long as the block lasts. `say` is told in sentences what could not be had.

    Raises ConfigError for a certificate that cannot be used, and opening.NothingBound.
    """
    settings = msgspec.structs.replace(settings, media=settings.media or own_addresses())
    context = tls_context(settings, datetime.now(UTC), say)
    house = House.build(settings, time.monotonic, time.time)
    sockets = bind(settings, say)
    with _quiet(say):
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(sockets.close)
            await _echo(house, sockets, stack)
            stack.push_async_callback(house.calls.close)
            await _serve(house, sockets, context, stack, say)
            stack.push_async_callback(_cancelled, asyncio.create_task(_sweep(house)))
            listening = tuple(
                (str(name[0]), int(name[1])) for name in (s.getsockname() for s in sockets.https)
            )
            yield Running(
                listening=listening,
                tls=context is not None,
                udp=house.flows.listening("udp"),
                tcp=house.flows.listening("tcp"),
                house=house,
            )


async def _echo(house: House, sockets: Sockets, stack: contextlib.AsyncExitStack) -> None:
    for number, sock in sockets.udp:
        stack.callback(UdpEcho(sock, house.flows.listen("udp", number), time.monotonic).close)
    strangers: set[TcpEcho] = set()
    for number, sock in sockets.tcp:
        port = house.flows.listen("tcp", number)
        server = await asyncio.get_running_loop().create_server(
            lambda port=port: TcpEcho(port, time.monotonic, strangers),  # type: ignore[misc]
            sock=sock,
        )
        stack.callback(server.close)


async def _serve(
    house: House,
    sockets: Sockets,
    context: ssl.SSLContext | None,
    stack: contextlib.AsyncExitStack,
    say: Callable[[str], None],
) -> None:
    config = uvicorn.Config(
        make_app(house, lambda error: say(_place(error))),
        http=_Patient,
        ws="none",
        lifespan="off",
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
        log_level="critical",  # below that it names peers
        timeout_keep_alive=_IDLE,
        timeout_graceful_shutdown=1,
        limit_concurrency=_CONNECTIONS,
    )
    config.load()
    config.ssl = context
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=sockets.https))
    stack.push_async_callback(_stopped, server, task)
    while not server.started:
        if task.done():
            task.result()
        await asyncio.sleep(0.005)


async def _stopped(server: uvicorn.Server, task: "asyncio.Task[None]") -> None:
    server.should_exit = True
    await task


async def _cancelled(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _sweep(house: House) -> None:
    while True:
        await asyncio.sleep(_SWEEP)
        house.sweep()


class _Server(uvicorn.Server):
    """Leaves signals to whoever runs it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None of ours."""
        yield


class _Patient(H11Protocol):
    """HTTP/1.1 that does not wait forever for a request to begin or to go on."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody came."""
        super().connection_made(transport)
        self._looks = 0  # at the request that is being served
        self._watch = self.loop.call_later(_SLOW, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """They left."""
        self._watch.cancel()
        super().connection_lost(exc)

    def _look(self) -> None:
        """Every so often: is a request being served, or its successor awaited by the keep-alive timer?"""
        busy = self.cycle is not None and not self.cycle.response_complete
        self._looks = self._looks + 1 if busy else 0
        if self._looks > _LOOKS or not busy and self.timeout_keep_alive_task is None:
            self.transport.abort()
            return
        self._watch = self.loop.call_later(_SLOW, self._look)


@contextlib.contextmanager
def _quiet(say: Callable[[str], None]) -> Iterator[None]:
    """The event loop's own complaints hold addresses: only what is wrong, and where, is passed on."""
    loop = asyncio.get_running_loop()

    def complain(loop: asyncio.AbstractEventLoop, about: dict[str, Any]) -> None:
        error = about.get("exception")
        if isinstance(error, Exception) and not isinstance(error, OSError):
            say(_place(error))

    before = loop.get_exception_handler()
    loop.set_exception_handler(complain)
    try:
        yield
    finally:
        loop.set_exception_handler(before)


def _place(error: BaseException) -> str:
    """What went wrong and where, without the exception's own words: these may hold anything."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" in {Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
    return f"A mistake of the far end's own: {type(error).__name__}{where}."


async def serve(settings: FarEndSettings, say: Callable[[str], None], until: asyncio.Event) -> None:
    """Run until told to stop, and say at the start what can be reached. Raises as `running` does."""
    from probe.far_end.opening import raise_file_limit, say_addresses, say_cores

    settings = msgspec.structs.replace(settings, media=settings.media or own_addresses())
    raise_file_limit(settings, say)
    async with running(settings, say) as far_end:
        where = ", ".join(f"{'[' + a + ']' if ':' in a else a}:{p}" for a, p in far_end.listening)
        say(f"{'HTTPS' if far_end.tls else 'HTTP'} is served at {where}.")
        say_addresses(settings, say)
        for name, ports in (("UDP", far_end.udp), ("TCP", far_end.tcp)):
            say(f"Flows over {name} are echoed at {', '.join(map(str, ports)) or 'no port'}.")
        most = settings.limits
        say(f"At most {most.flows} flows and {most.calls} calls at once, {most.seconds:g} s each.")
        say("An access key is needed." if settings.keys else "Anybody may come: there are no access keys.")
        await _say_turn(settings, say)
        say_cores(say)
        await until.wait()
        say("Stopping.")


async def _say_turn(settings: FarEndSettings, say: Callable[[str], None]) -> None:
    server = settings.turn
    if server is None:
        say("There is no TURN server beside: calls are direct.")
        return
    wrong = await turn_server.check(server, time.time())
    say(f"The TURN server {wrong or 'answers, and takes our credentials'}.")
