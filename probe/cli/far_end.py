"""`probe far-end`: what call tests of others talk to."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from probe.cli import app, fail
from probe.cli.serving import until_told


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
    from probe.far_end.server import serve

    try:
        settings = load(config)
        until_told(lambda say, stop: serve(settings, say, stop))
    except ConfigError as error:
        raise fail(str(error)) from None
