"""`probe show`: a run as ladders, in words."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from probe.cli import Home, Json, Results, app, fail
from probe.language import _, said

if TYPE_CHECKING:
    from probe.store import Stored


@app.command(
    short_help="Explain a run step by step, in words.",
    epilog="Examples:  probe show  |  probe show 20261124T1200 --service telegram  |  probe show results/FILE.jsonl",
)
def show(
    run: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="File, id or part of it; the newest without.")
    ] = None,
    service: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only these services.")] = None,
    controls: Annotated[bool, typer.Option("--controls", help="Also the ladders of the controls.")] = False,
    json: Json = False,
    results: Results = None,
    home: Home = None,
) -> None:
    """Explain a run: per service the verdict, and below it what each step saw.

    Verdicts are thought again with today's rules. A damaged file is shown as far as it can be read.
    """
    from probe import home as homes
    from probe.store import StoreError, find, read
    from probe.toml_file import ConfigError

    try:
        stored = read(find(homes.results(homes.home(home), results), run))
    except (ConfigError, StoreError) as error:
        raise fail(str(error)) from None
    for problem in stored.problems:
        sys.stderr.write(f"probe: {said(problem)}\n")
    _check(stored, service)
    if json:
        _print_json(stored)
    else:
        from probe.cli.ladder import ladders

        ladders(stored, tuple(service or ()), controls=controls)


def _check(stored: "Stored", services: list[str] | None) -> None:
    known = {m.service for m in stored.document.measurements if m.service}
    for name in services or ():
        if name not in known:
            text = _("{path}: {service}: this service was not measured; there are {services}")
            services_known = ", ".join(sorted(known))
            raise fail(text.format(path=stored.path, service=name, services=services_known))


def _print_json(stored: "Stored") -> None:
    import msgspec

    from probe.verdict import judge

    document = msgspec.structs.replace(stored.document, judgement=judge(stored.document))
    whole = {"file": str(stored.path), "problems": stored.problems, "document": document}
    sys.stdout.buffer.write(msgspec.json.encode(whole) + b"\n")
