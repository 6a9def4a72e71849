"""`probe collect`: what runs are sent to."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from probe.cli import app, fail
from probe.cli.serving import say, until_told

if TYPE_CHECKING:
    from probe.collector.settings import CollectorSettings


@app.command(
    short_help="Take in the runs that others upload (for coordinators).",
    epilog="Examples:  probe collect --example > collector.toml  |  probe collect collector.toml"
    "  |  probe collect --token > reader.token",
)
def collect(
    config: Annotated[Path | None, typer.Argument(metavar="FILE", help="The collector.toml to use.")] = None,
    example: Annotated[
        bool,
        typer.Option("--example", help="Print a collector.toml with everything explained, and nothing else."),
    ] = False,
    token: Annotated[
        bool,
        typer.Option(
            "--token", help="Print a new read token on stdout, and its digest for `readers` on stderr."
        ),
    ] = False,
) -> None:
    """Check, keep and acknowledge runs until stopped; each is kept once, and on the disk before it is acknowledged.

    Addresses of senders are never kept. Who has a read token compares what was collected: probe compare
    https://COLLECTOR. How to run one: docs/run-a-collector.md.
    """
    from probe.collector.settings import example as text
    from probe.collector.settings import load
    from probe.toml_file import ConfigError

    if example:
        sys.stdout.write(text())
        return
    if token:
        from probe.collector.readers import new_token

        made, digest = new_token()
        sys.stdout.write(f"{made}\n")
        say(f'readers = ["{digest}"]  # for collector.toml; what is on stdout is for the reader')
        return
    if config is None:
        raise fail("collect needs a file; an example: probe collect --example > collector.toml")
    try:
        _serve(load(config))
    except ConfigError as error:
        raise fail(str(error)) from None


def _serve(settings: "CollectorSettings") -> None:
    try:
        from probe.collector.archive import StorageError
        from probe.collector.server import serve
    except ModuleNotFoundError as error:
        raise fail(
            f"{error.name} is missing; a collector is installed with: pip install '.[collector]'"
        ) from None
    try:
        until_told(lambda say, stop: serve(settings, say, stop))
    except StorageError as error:
        raise fail(str(error), code=1) from None
