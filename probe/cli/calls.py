"""Test calls: whom they go to, what they cost, and whether the user agreed, once for each far end."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from probe.cli import fail

if TYPE_CHECKING:
    from collections.abc import Sequence

    from probe.catalogue import Catalogue, Service, Target
    from probe.placing import Cost
    from probe.plan import Options

_AGREED = "far-ends-agreed.txt"
_ASKING = """\
This places test calls to {host}: {what}.
To whoever watches this network they look like calls to that machine. Its operator sees your address while they last.
They take about {minutes} and {megabytes} each way. You are asked once for each far end."""


def agreed(
    catalogue: "Catalogue",
    chosen: "tuple[Service, ...]",
    options: "Options",
    home: Path,
    url: str | None,
    *,
    yes: bool,
) -> "Options":
    """The options with the far end, if there is one and the user agrees. Raises ConfigError, or typer.Exit."""
    from probe import placing
    from probe.plan import jobs
    from probe.toml_file import ConfigError

    given = catalogue.settings.far_end
    url = given.url if url is None else url
    if not url:
        _tell_of_loops(catalogue, chosen, options)
        return options
    try:
        options = replace(options, far_end=placing.far_end(url, given.trust))
    except ValueError as error:
        raise ConfigError("--far-end", _shown(url), str(error)) from None
    assert options.far_end is not None
    targets = [job.target for job in jobs(catalogue, chosen, options)]
    cost = placing.cost(targets, catalogue)
    if not cost.octets or yes or _was_agreed(home, options.far_end.host):
        return options
    text = _ASKING.format(host=options.far_end.host, what=_what(targets), **_said(cost))
    if not sys.stdin.isatty():
        raise fail(f'{text}\nNobody is there to agree: say --yes, or --far-end "" to measure without calls.')
    sys.stderr.write(f"{text}\n")
    if not typer.confirm("Place them?", err=True):
        return replace(options, far_end=None)
    _remember(home, options.far_end.host)
    return options


def _what(targets: "Sequence[Target]") -> str:
    from probe.steps import Call

    calls = any(isinstance(step, Call) for target in targets for step in target.steps)
    flows = "flows that look like calls of the services you chose"
    return f"one WebRTC call, and {flows}" if calls else flows


def _said(cost: "Cost") -> dict[str, str]:
    minutes = f"{cost.seconds / 60:.0f} minutes" if cost.seconds > 90 else f"{cost.seconds:.0f} seconds"
    return {"minutes": minutes, "megabytes": f"{cost.octets / 1e6:.1f} MB"}


def _tell_of_loops(catalogue: "Catalogue", chosen: "tuple[Service, ...]", options: "Options") -> None:
    """A TURN server in the settings is the user's own word; what it costs is said all the same."""
    from probe import placing
    from probe.plan import jobs

    loops = [job.target for job in jobs(catalogue, chosen, options) if job.target.at == "turn"]
    cost = placing.cost(loops, catalogue)
    if cost.octets:
        said = _said(cost)
        sys.stderr.write(
            f"probe: calls to yourself go through {loops[0].host}, about {said['minutes']} and"
            f" {said['megabytes']} each way.\n"
        )


def _shown(url: str) -> str:
    """The URL without the key, and without a password that should not be in it."""
    head = url.partition("#")[0]
    scheme, mark, rest = head.partition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}"


def _was_agreed(home: Path, host: str) -> bool:
    try:
        return host in (home / _AGREED).read_text().split()
    except OSError:
        return False


def _remember(home: Path, host: str) -> None:
    try:
        home.mkdir(parents=True, exist_ok=True)
        with (home / _AGREED).open("a") as file:
            file.write(f"{host}\n")
    except OSError as error:
        sys.stderr.write(
            f"probe: {home / _AGREED}: cannot be written ({error.strerror}); you will be asked again\n"
        )
