"""The commands. Each parses, makes one call, and prints; nothing is imported before it is needed."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from probe.language import said

app = typer.Typer(
    name="probe",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Measure whether messages and calls of messengers get through on this network, and where they fail.",
    epilog="Examples:  probe run  |  probe run telegram signal --json  |  probe show  |  probe demo",
)

Configs = Annotated[
    Path | None, typer.Option("--configs", metavar="DIR", help="Catalogue and settings to use.")
]
Results = Annotated[Path | None, typer.Option("--results", metavar="DIR", help="Where runs are kept.")]
Home = Annotated[Path | None, typer.Option("--home", metavar="DIR", help="Folder of configs and results.")]
EngineUrl = Annotated[
    str | None,
    typer.Option(
        "--engine",
        metavar="URL",
        help="Who does the work: sc://host:port (Spark, docs/cluster.md) or chdb://; else DuckDB.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout and nothing else there.")]


def _version(asked: bool) -> None:
    if asked:
        from probe import __version__

        sys.stdout.write(f"callreach {__version__}\n")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """The command `probe`. Known errors are one sentence on stderr."""
    from probe.cli import (  # noqa: F401 - they register themselves
        collect,
        compare,
        consent,
        demo,
        doctor,
        far_end,
        ooni,
        run,
        schedule,
        services,
        show,
        upload,
    )

    try:
        app()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except BrokenPipeError:
        sys.stderr.close()
        raise SystemExit(0) from None


def fail(sentence: str, code: int = 2) -> "typer.Exit":
    """Say one sentence on stderr, in the reader's language if it is translated; the caller raises what this returns."""
    sys.stderr.write(f"probe: {said(sentence)}\n")
    return typer.Exit(code)
