"""`probe services`: list the catalogue, and check it by reading it."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from probe.cli import Configs, Home, Json, app, fail

if TYPE_CHECKING:
    from pathlib import Path

    from probe.catalogue import Catalogue, Service, Target


@app.command(
    short_help="List what can be measured; check the catalogue.",
    epilog="Examples:  probe services  |  probe services telegram  |  probe services --configs DIR --json"
    "  |  probe services --copy",
)
def services(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[SERVICE]...", help="Show these in full.")
    ] = None,
    copy: Annotated[
        bool,
        typer.Option(
            "--copy",
            help="Put catalogue and settings into your home, to change them; they are used from then on.",
        ),
    ] = False,
    json: Json = False,
    configs: Configs = None,
    home: Home = None,
) -> None:
    """List what can be measured, and check the catalogue. Exit code 2 and one sentence if it is wrong."""
    from probe import home as homes
    from probe.configs import load
    from probe.toml_file import ConfigError

    try:
        where = homes.home(home)
        catalogue = load(homes.configs(where, configs))
        if copy:
            _copy(homes.configs(where, configs), where / "configs")
            return
        chosen = catalogue.select(tuple(names or ()))
    except ConfigError as error:
        raise fail(str(error)) from None
    if json:
        import msgspec

        objects = [
            {"service": s.service, "title": s.title, "targets": list(map(_row, s.targets))} for s in chosen
        ]
        sys.stdout.buffer.write(
            msgspec.json.encode({"catalogue": catalogue.digest, "services": objects}) + b"\n"
        )
    elif names:
        _in_full(chosen)
    else:
        _list(catalogue, chosen)


def _copy(source: "Path", target: "Path") -> None:
    """Raises typer.Exit where there is something already, or it cannot be written."""
    import shutil

    try:
        shutil.copytree(source, target)
    except FileExistsError:
        raise fail(f"{target}: is there already; nothing was changed") from None
    except OSError as error:
        raise fail(f"{target}: cannot be written ({error})", 1) from None
    sys.stdout.write(f"{target}\n")


def _row(target: "Target") -> dict[str, Any]:
    return {
        "target": target.name,
        "purpose": target.purpose,
        "group": target.group or target.name,
        "tier": target.tier,
        "host": target.host,
        "addresses": list(target.addresses),
        "port": target.port,
        "steps": [type(step).__name__.lower() for step in target.steps],
        "evidence": {"host": target.evidence.host, "reply": target.evidence.reply},
        "note": target.note,
    }


def _list(catalogue: "Catalogue", chosen: "tuple[Service, ...]") -> None:
    from rich.table import Table

    from probe.cli.terminal import console

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("service", "title", "messages", "calls", "web", "extra", "checked"):
        table.add_column(title, justify="left" if title in ("service", "title") else "right")
    for service in chosen:
        core = [t for t in service.targets if t.tier == "core"]
        counts = [str(sum(t.purpose == p for t in core)) for p in ("messaging", "calls", "web")]
        table.add_row(
            service.service,
            service.title,
            *counts,
            str(len(service.targets) - len(core)),
            str(service.checked),
        )
    out = console()
    out.print(table)
    total = sum(len(service.targets) for service in chosen)
    out.print(
        f"{len(chosen)} services, {total} targets, {len(catalogue.controls)} controls,"
        f" {len(catalogue.settings.resolvers)} resolvers: no mistakes found (digest {catalogue.digest})"
    )


def _in_full(chosen: "tuple[Service, ...]") -> None:
    from rich.text import Text

    from probe.cli.terminal import console

    out = console()
    for service in chosen:
        out.print(Text(f"{service.title} ({service.service}), checked {service.checked}", style="bold"))
        out.print(f"  source: {service.source}")
        for target in service.targets:
            row = _row(target)
            where = _where(target) + (f":{target.port}" if target.port else "")
            out.print(
                f"  {target.name}: {target.purpose}, group {row['group']}, {target.tier};"
                f" {' > '.join(row['steps'])} at {where};"
                f" host known by {target.evidence.host}, answer by {target.evidence.reply}"
            )
            if target.note:
                out.print(Text(f"    {target.note}", style="dim"))


def _where(target: "Target") -> str:
    source = target.hosts_from or target.addresses_from
    listed = f"what {source} lists" if source else f"the {target.at}"
    return target.host or ", ".join(target.addresses) or listed
