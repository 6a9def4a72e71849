"""`probe export` and `probe import`: exchange with OONI, and rows that are made once."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from probe.cli import EngineUrl, Home, Json, Results, app, fail
from probe.cli.sources import Proxy, Sources, TokenFiles, local


@app.command(
    name="export",
    short_help="Write runs as OONI measurements.",
    epilog="Examples:  probe export --ooni > run.jsonl  |  probe export --ooni results/*.jsonl --to ooni.jsonl",
)
def export(
    runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN...]", help="Files, ids or parts of them; the newest without."),
    ] = None,
    ooni: Annotated[
        bool, typer.Option("--ooni", help="As OONI measurements, one JSON object a line.")
    ] = False,
    to: Annotated[Path | None, typer.Option(metavar="FILE", help="Write there and not to stdout.")] = None,
    results: Results = None,
    home: Home = None,
) -> None:
    """Write what was measured of Telegram, WhatsApp, Signal and Messenger, and of STUN servers, as OONI does.

    Everything we know of the same targets travels in an annotation, so that `probe import` and `probe compare` give
    the same verdicts again. Your label is left out. Nothing is sent anywhere.
    """
    import msgspec

    from probe import home as homes
    from probe.analysis.ooni_export import measurements
    from probe.store import StoreError, find, read
    from probe.toml_file import ConfigError

    if not ooni:
        raise fail("export: say in which format; there is one: --ooni")
    lines = []
    try:
        folder = homes.results(homes.home(home), results)
        for path in [find(folder, name) for name in runs] if runs else [find(folder, None)]:
            stored = read(path)
            for problem in stored.problems:
                sys.stderr.write(f"probe: {problem}\n")
            lines += [msgspec.json.encode(one) + b"\n" for one in measurements(stored.document)]
            where = stored.document.run.vantage
            if not where.asn or not where.country:
                sys.stderr.write(
                    f"probe: {stored.path}: network or country unknown; OONI discards such measurements\n"
                )
        if to is not None:
            to.write_bytes(b"".join(lines))
    except (ConfigError, StoreError) as error:
        raise fail(str(error)) from None
    except OSError as error:
        raise fail(f"{to}: cannot be written ({error.strerror})") from None
    if to is None:
        sys.stdout.buffer.write(b"".join(lines))


@app.command(
    name="import",
    short_help="Turn many files into rows once, OONI's too.",
    epilog="Examples:  probe import ooni.jsonl.gz results/ --to rows/  |  probe compare rows/",
)
def import_(
    sources: Sources,
    to: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of Parquet rows; what is in it of other files stays.")
    ],
    token_file: TokenFiles = None,
    proxy: Proxy = "",
    engine: EngineUrl = None,
    json: Json = False,
) -> None:
    """Read runs and OONI measurements, and keep them as Parquet rows that `probe compare` reads in seconds.

    A run that is in the folder already is not added again. Of a collector's storage only days that changed are read
    again, and withdrawn runs leave the rows. What cannot be read is named and left out.
    """
    from probe.cli.extra import missing_analysis

    if (missing := missing_analysis("import")) is not None:
        raise missing
    import msgspec

    from probe.analysis.engine import Unanswered, engine_at
    from probe.analysis.sources import SourceError

    paths = local(sources, token_file, proxy)
    try:
        with engine_at(engine) as there:
            added = there.add(paths, to)
    except SourceError as error:
        raise fail(str(error)) from None
    except Unanswered as error:
        raise fail(str(error), error.code) from None
    for one in added.left_out.named:
        sys.stderr.write(f"probe: left out: {one}\n")
    if json:
        counts = {"added": added.runs, "twice": added.twice, "left_out": added.left_out.count}
        sys.stdout.buffer.write(msgspec.json.encode(counts) + b"\n")
        return
    sys.stdout.write(
        f"{added.runs} added to {to}, {added.twice} were there already, {added.left_out.count} left out\n"
    )
