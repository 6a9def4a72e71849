"""`probe doctor`: what this machine can measure, and what is missing."""

import sys

import typer

from probe.cli import Configs, Home, Json, Results, app, fail
from probe.language import N_, _, said

_MARKS = {"ok": "ok", "missing": "--", "wrong": "!!"}
_NAMES = {
    "home": N_("home"), "results": N_("results"), "catalogue": N_("catalogue"), "clock": N_("clock"),
    "consent": N_("consent"), "queue": N_("queue"), "uploads": N_("uploads"), "calls": N_("calls"),
    "timer": N_("timer"), "power": N_("power"),
}  # fmt: skip


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
        from rich.cells import set_cell_size

        for one in findings:
            name = set_cell_size(_(_NAMES.get(one.name, one.name)), 11)
            sys.stdout.write(f"{_MARKS[one.state]}  {name} {said(one.says)}\n")
            if one.fix:
                sys.stdout.write(f"    {'':11} > {said(one.fix)}\n")
    raise typer.Exit(1 if any(one.state == "wrong" for one in findings) else 0)
