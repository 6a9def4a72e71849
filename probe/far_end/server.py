"""A far end with its sockets: from a setting to something that answers, and back to nothing."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from probe import http_server
from probe.far_end import turn_server
from probe.far_end.app import make_app
from probe.far_end.house import House
from probe.far_end.opening import Sockets, bind, own_addresses, tls_context
from probe.far_end.settings import FarEndSettings
from probe.far_end.tcp import TcpEcho
from probe.far_end.udp import UdpEcho
from probe.http_server import trouble

_SWEEP = 1.0  # seconds
_IDLE = 75  # seconds for which a connection may wait for its next request: probes come back after a flow
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

    Raises ConfigError for a certificate that cannot be used, and NothingBound.
    """
    settings = msgspec.structs.replace(settings, media=settings.media or own_addresses())
    context = tls_context(settings, datetime.now(UTC), say)
    house = House.build(settings, time.monotonic, time.time)
    sockets = bind(settings, say)
    with http_server.quiet(lambda error: say(trouble(error, "far end"))):
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(sockets.close)
            await _echo(house, sockets, stack)
            stack.push_async_callback(house.calls.close)
            app = make_app(house, lambda error: say(trouble(error, "far end")))
            await stack.enter_async_context(
                http_server.serving(app, sockets.https, context, connections=_CONNECTIONS, idle=_IDLE)
            )
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


async def _cancelled(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _sweep(house: House) -> None:
    while True:
        await asyncio.sleep(_SWEEP)
        house.sweep()


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
