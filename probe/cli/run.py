"""`probe run`: measure, judge, keep, and print one table."""

import sys
from contextlib import ExitStack, contextmanager, suppress
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from probe.cli import Configs, Home, Json, Results, app, fail
from probe.language import N_, _

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from probe.catalogue import Catalogue, Service
    from probe.plan import Options
    from probe.rounds import Progress
    from probe.session import Finished

_WARNINGS = {
    "extended": N_(
        "extended tests say blocked services' names to unrelated servers. Whoever watches this network may notice."
        " Stop now with Ctrl-C if that is not what you want."
    ),
    "all": N_(
        "all tests include experimental targets and deliberate triggers: blocked services' names are said to"
        " unrelated servers. Whoever watches this network may notice. Stop now with Ctrl-C if that is not what you"
        " want."
    ),
}


class Tests(StrEnum):
    """How far tests may go."""

    DEFAULT = "default"
    EXTENDED = "extended"
    ALL = "all"


class Tier(StrEnum):
    """Which targets are measured."""

    CORE = "core"
    EXTRA = "extra"
    EXPERIMENTAL = "experimental"


class NetworkKind(StrEnum):
    """What the volunteer knows of the network."""

    MOBILE = "mobile"
    FIXED = "fixed"
    WIFI = "wifi"
    OTHER = "other"
    UNKNOWN = "unknown"


@app.command(
    short_help="Measure services; keep the result, print a table.",
    epilog="Examples:  probe run  |  probe run telegram signal  |  probe run --only calls --json  |"
    "  probe run whatsapp --far-end https://calls.example.org",
)
def run(
    services: Annotated[
        list[str] | None, typer.Argument(metavar="[SERVICE]...", help="Which; all without.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WORD",
            help="A purpose (messaging, calls, web) or a step: dns, tls, http, stun, turn, mtproto, noise, call ...",
        ),
    ] = None,
    tests: Annotated[
        Tests,
        typer.Option(help="default: what the apps do. extended: also deliberate triggers. all: everything."),
    ] = Tests.DEFAULT,
    tier: Annotated[
        Tier, typer.Option(help="Targets up to this tier: core, extra, experimental.")
    ] = Tier.CORE,
    label: Annotated[
        str, typer.Option(metavar="TEXT", help="What you call this network; it is written down.")
    ] = "",
    country: Annotated[
        str, typer.Option(metavar="XX", help="Country, if you know better than the network.")
    ] = "",
    kind: Annotated[NetworkKind, typer.Option(help="Kind of network.")] = NetworkKind.UNKNOWN,
    budget: Annotated[
        float | None, typer.Option(metavar="SECONDS", min=1, max=3600, help="End after so many seconds.")
    ] = None,
    max_bytes: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1000,
            help="Stop asking after so many bytes, sent and received; lowers the usual limit.",
        ),
    ] = None,
    ipv4: Annotated[bool, typer.Option("-4", help="Only IPv4.")] = False,
    ipv6: Annotated[bool, typer.Option("-6", help="Only IPv6.")] = False,
    far_end: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help='Place test calls to this far end (https://HOST[:PORT][#KEY]); "" for none.'
        ),
    ] = None,
    agree: Annotated[
        bool,
        typer.Option(
            "--agree", "--yes", "-y", help="Agree to these tests, and to the test calls, for this once."
        ),
    ] = False,
    seed: Annotated[int | None, typer.Option(help="Repeat the order of an earlier run.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
    json: Json = False,
    configs: Configs = None,
    results: Results = None,
    home: Home = None,
) -> None:
    """Measure services on this network; keep the result and print a table.

    Exit code: 0 measured, whatever the verdicts; 1 nothing could be measured; 2 wrong usage or configuration;
    130 stopped by you (what was measured is kept).
    """
    import asyncio
    from dataclasses import replace

    from probe import home as homes
    from probe.cli.agreeing import Asking, note_after, required
    from probe.cli.calls import agreed
    from probe.cli.queueing import queue_up, refuse_if_full
    from probe.configs import load
    from probe.store import StoreError
    from probe.toml_file import ConfigError

    try:
        where = homes.home(home)
        folder = homes.configs(where, configs)
        catalogue = load(folder)
        chosen = catalogue.select(tuple(services or ()))
        options = _options(only, tests, tier, label, country, kind, budget, max_bytes, (ipv4, ipv6), seed)
        if not (catalogue.settings.far_end.url if far_end is None else far_end):
            _refuse_nothing(catalogue, chosen, options)  # before anything is asked
        asking = Asking(
            home=where, configs=folder, catalogue=catalogue, tests=options.tests, country=options.country
        )
        required(asking, agree=agree)
        options = replace(options, consent=tests.value)
        options = agreed(asking, chosen, options, far_end, agree=agree)
        _refuse_nothing(catalogue, chosen, options)  # some services are measured with a far end alone
        refuse_if_full(where, catalogue)
        if tests in _WARNINGS:
            sys.stderr.write(f"probe: {_(_WARNINGS[tests])}\n")
        with _alone(where), _progress(quiet=quiet or json) as progress:
            finished = asyncio.run(
                _session(catalogue, chosen, options, homes.results(where, results), progress)
            )
    except (ConfigError, StoreError) as error:
        raise fail(str(error)) from None
    _print(finished, json=json)
    queue_up(where, finished.path, quiet=quiet or json)
    note_after(where, folder, finished.document.run.vantage.country)
    raise typer.Exit(_exit_code(finished))


def check(arguments: "Sequence[str]", home: "Path") -> None:
    """Refuse for a timer what `probe run` would refuse before it asks or sends anything. Raises ConfigError."""
    from typer.exceptions import TyperException
    from typer.main import get_group

    from probe import home as homes
    from probe import placing
    from probe.configs import load
    from probe.toml_file import ConfigError

    said = " ".join(arguments)
    try:
        given = get_group(app).commands["run"].make_context("probe run", list(arguments)).params
    except TyperException as error:
        reason = getattr(error, "format_message", error.__str__)()
        raise ConfigError("probe run", said, f"would refuse this: {reason}") from None
    if given["home"] or given["max_bytes"]:
        raise ConfigError(
            "probe run",
            said,
            "--home and --max-bytes are the timer's to say: schedule install --home, --day-bytes",
        )
    catalogue = load(homes.configs(home, given["configs"]))
    options = _options(
        given["only"], given["tests"], given["tier"], given["label"], given["country"], given["kind"],
        given["budget"], given["max_bytes"], (given["ipv4"], given["ipv6"]), given["seed"],
    )  # fmt: skip
    chosen = catalogue.select(tuple(given["services"] or ()))
    settings, url = catalogue.settings.far_end, given["far_end"]
    try:
        if url:
            placing.far_end(url, settings.trust)
    except ValueError as error:
        raise ConfigError("--far-end", url.partition("#")[0], str(error)) from None
    if not (settings.url if url is None else url):
        _refuse_nothing(catalogue, chosen, options)


@contextmanager
def _alone(home: "Path") -> "Iterator[None]":
    """Keep the timer, if there is one, from measuring beside this run. Two runs of yours are your own business."""
    from probe.lock import Busy, held
    from probe.schedule.timer import folder, running

    with ExitStack() as stack:
        if folder(home).is_dir():
            with suppress(Busy, OSError):
                stack.enter_context(held(running(home)))
        yield


def _refuse_nothing(catalogue: "Catalogue", chosen: "tuple[Service, ...]", options: "Options") -> None:
    from probe.plan import jobs
    from probe.toml_file import ConfigError

    if not any(job.service for job in jobs(catalogue, chosen, options)):
        asked = ", ".join(service.service for service in chosen)
        tiers = ", ".join(options.tiers)
        raise ConfigError(
            "--only", " ".join(options.only), f"there is nothing like it to measure in {asked} ({tiers})"
        )


async def _session(
    catalogue: "Catalogue",
    chosen: "tuple[Service, ...]",
    options: "Options",
    folder: "Path",
    progress: "Callable[[Progress], None] | None",
) -> "Finished":
    from probe.net import SystemNet
    from probe.session import session

    return await session(catalogue, chosen, options, folder, SystemNet(), progress)


def _options(
    only: list[str] | None, tests: Tests, tier: Tier, label: str, country: str, kind: NetworkKind,
    budget: float | None, max_bytes: int | None, families: tuple[bool, bool], seed: int | None,
) -> "Options":  # fmt: skip
    from probe.plan import Options
    from probe.record import peer_text
    from probe.steps import AnyStep
    from probe.toml_file import ConfigError

    words = ["messaging", "calls", "web", *(step.__name__.lower() for step in get_args(AnyStep))]
    for word in only or ():
        if word not in words:
            raise ConfigError(
                "--only", word, f"is neither a purpose nor a step; there are {', '.join(words)}"
            )
    if country and not (len(country) == 2 and country.isascii() and country.isalpha()):
        raise ConfigError("--country", country, "is not a two-letter country code")
    tiers = list(Tier)[: 3 if tests is Tests.ALL else list(Tier).index(tier) + 1]
    ipv4, ipv6 = families
    return Options(
        only=tuple(only or ()),
        tests=tests.value,
        tiers=tuple(t.value for t in tiers),
        families=(4, 6) if ipv4 == ipv6 else (4,) if ipv4 else (6,),
        seconds=budget,
        max_bytes=max_bytes,
        label=peer_text(label),
        country=country.upper(),
        kind=kind.value,
        seed=seed,
    )


def _progress(*, quiet: bool) -> "AbstractContextManager[Callable[[Progress], None] | None]":
    if quiet or not sys.stderr.isatty():
        from contextlib import nullcontext

        return nullcontext(None)
    from probe.cli.progress import live

    return live()


def _print(finished: "Finished", *, json: bool) -> None:
    if json:
        import msgspec

        from probe.cli.report import as_json

        sys.stdout.buffer.write(msgspec.json.encode(as_json(finished)) + b"\n")
        sys.stdout.flush()
    else:
        from probe.cli.report import show_table

        show_table(finished)


def _exit_code(finished: "Finished") -> int:
    end = finished.document.end
    if end is not None and end.ended == "interrupted":
        return 130
    states = {v.state for purposes in finished.judgement.services.values() for v in purposes.values()}
    return 1 if states <= {"not_tested"} else 0
