"""`probe doctor`: what this machine can measure, and what is missing."""

import sys

import typer

from probe.cli import Configs, Home, Json, Results, app, fail

_MARKS = {"ok": "ok", "missing": "--", "wrong": "!!"}


@app.command(
    short_help="What this machine can measure, what is missing, and what mends it.",
    epilog="Examples:  probe doctor  |  probe doctor --json  |  probe doctor --home DIR",
)
def doctor(json: Json = False, configs: Configs = None, results: Results = None, home: Home = None) -> None:
    """Look at this machine and say what it can measure, what is missing, and the command that mends it.

    Nothing is sent. Exit code: 0 a run can begin; 1 something has to be mended first.
    """
    from probe import home as homes
    from probe.doctor import examine
    from probe.toml_file import ConfigError

    try:
        where = homes.home(home)
    except ConfigError as error:
        raise fail(str(error)) from None
    findings = examine(where, homes.configs(where, configs), homes.results(where, results))
    if json:
        import msgspec

        sys.stdout.buffer.write(msgspec.json.encode(findings) + b"\n")
    else:
        for one in findings:
            sys.stdout.write(f"{_MARKS[one.state]}  {one.name:10} {one.says}\n")
            if one.fix:
                sys.stdout.write(f"    {'':10} > {one.fix}\n")
    raise typer.Exit(1 if any(one.state == "wrong" for one in findings) else 0)
