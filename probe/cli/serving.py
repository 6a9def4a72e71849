"""What the commands of operators share: they serve until they are told to stop."""

import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeAlias

from probe.cli import fail

if TYPE_CHECKING:
    import asyncio

Say: TypeAlias = Callable[[str], None]


def until_told(serve: "Callable[[Say, asyncio.Event], Awaitable[None]]") -> None:
    """Serve until SIGTERM or Ctrl-C. Raises typer.Exit where there is nothing to listen on."""
    import asyncio
    import signal

    from probe.http_server import NothingBound

    async def serving() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        for sent in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(sent, stop.set)
        await serve(say, stop)

    try:
        asyncio.run(serving())
    except NothingBound:
        raise fail("no address of `listen` could be used", code=1) from None


def say(sentence: str) -> None:
    """On stderr, at once."""
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()
