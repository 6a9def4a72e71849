"""`probe far-end`: what call tests of others talk to."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from probe.cli import app, fail

if TYPE_CHECKING:
    from probe.far_end.settings import FarEndSettings


@app.command(
    name="far-end",
    short_help="Serve the other end of call tests (for operators).",
    epilog="Examples:  probe far-end --example > far-end.toml  |  probe far-end far-end.toml",
)
def far_end(
    config: Annotated[Path | None, typer.Argument(metavar="FILE", help="The far-end.toml to use.")] = None,
    example: Annotated[
        bool,
        typer.Option("--example", help="Print a far-end.toml with everything explained, and nothing else."),
    ] = False,
) -> None:
    """Answer the call tests of others until stopped: echo of WebRTC calls and of paced flows, and their receive log.

    Keeps counts, never addresses. How to run one on a machine of yours: docs/run-a-far-end.md.
    """
    from probe.far_end.settings import example as text
    from probe.far_end.settings import load
    from probe.toml_file import ConfigError

    if example:
        sys.stdout.write(text())
        return
    if config is None:
        raise fail("far-end needs a file; an example: probe far-end --example > far-end.toml")
    try:
        _serve(load(config))
    except ConfigError as error:
        raise fail(str(error)) from None


def _serve(settings: "FarEndSettings") -> None:
    import asyncio
    import signal

    from probe.far_end.opening import NothingBound
    from probe.far_end.server import serve

    async def until_told() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        for sent in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(sent, stop.set)
        await serve(settings, _say, stop)

    try:
        asyncio.run(until_told())
    except NothingBound:
        raise fail("no address of `listen` could be used", code=1) from None


def _say(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()
