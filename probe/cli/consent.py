"""`probe consent`: what was agreed to, and taking it back."""

import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from probe.cli import Configs, Home, Json, Results, app, fail
from probe.cli.answers import confirmed
from probe.language import _, _n

if TYPE_CHECKING:
    from pathlib import Path

    from probe.cli.agreeing import Asking

consent_app = typer.Typer(
    name="consent",
    invoke_without_command=True,
    rich_markup_mode=None,
    short_help="What a run sends, what you agreed to, and taking it back.",
    epilog="Examples:  probe consent  |  probe consent --agree --tests default --country XX --upload  |"
    "  probe consent show --json  |  probe consent withdraw --erase",
)
app.add_typer(consent_app)


class Level(StrEnum):
    """How far tests may go."""

    DEFAULT = "default"
    EXTENDED = "extended"
    ALL = "all"


@consent_app.callback()
def consent(
    context: typer.Context,
    tests: Annotated[
        Level, typer.Option(help="How far tests may go: default, extended, all.")
    ] = Level.DEFAULT,
    country: Annotated[
        str, typer.Option(metavar="XX", help="Where you measure; what is known of it is shown.")
    ] = "",
    agree: Annotated[bool, typer.Option("--agree", help="Agree without being asked.")] = False,
    upload: Annotated[
        bool, typer.Option("--upload", help="With --agree: results may go to the collectors of the settings.")
    ] = False,
    calls: Annotated[
        bool, typer.Option("--calls", help="With --agree: test calls may go to the far end of the settings.")
    ] = False,
    configs: Configs = None,
    home: Home = None,
) -> None:
    """Read what a run sends, to whom it looks like what, and what is never kept; then agree, or do not."""
    if context.invoked_subcommand is not None:
        return
    from probe import home as homes
    from probe.cli.agreeing import Asking, ask
    from probe.cli.consent_words import agreed
    from probe.configs import load
    from probe.toml_file import ConfigError

    try:
        where = homes.home(home)
        folder = homes.configs(where, configs)
        if country and not (len(country) == 2 and country.isascii() and country.isalpha()):
            raise ConfigError("--country", country, "is not a two-letter country code")
        asking = Asking(
            home=where,
            configs=folder,
            catalogue=load(folder),
            tests=tests.value,
            country=country.upper(),
        )
        if agree:
            _agree(asking, upload=upload, calls=calls)
        else:
            ask(asking)
    except ConfigError as error:
        raise fail(str(error)) from None
    sys.stderr.write(agreed(where / "consent.json") + "\n")


def _agree(asking: "Asking", *, upload: bool, calls: bool) -> None:
    from probe import placing
    from probe.cli.agreeing import explain, record, show_note
    from probe.toml_file import ConfigError

    explain(asking)
    show_note(asking, asking.country)
    far_end = asking.catalogue.settings.far_end.url
    if upload and not asking.collectors:
        raise ConfigError("--upload", "", "there is no collector in the settings")
    if calls and not far_end:
        raise ConfigError("--calls", "", "there is no far end in the settings")
    far_ends = (placing.far_end(far_end, "system").host,) if calls else ()
    record(asking, country=asking.country, collectors=asking.collectors if upload else (), far_ends=far_ends)


@consent_app.command(epilog="Examples:  probe consent show  |  probe consent show --json")
def show(json: Json = False, home: Home = None) -> None:
    """Say what was agreed to, and which keys there are."""
    import msgspec

    from probe import consent as consents
    from probe import home as homes
    from probe.toml_file import ConfigError
    from probe.upload import keys

    try:
        where = homes.home(home)
        kept = consents.read(where)
    except ConfigError as error:
        raise fail(str(error)) from None
    if json:
        told = msgspec.to_builtins(kept) | {"tests": kept.tests, "keys": keys.networks(where)}
        sys.stdout.buffer.write(msgspec.json.encode(told) + b"\n")
        return
    from rich.cells import cell_len, set_cell_size

    given = ", " + _("given {date}").format(date=f"{kept.given:%Y-%m-%d}") if kept.given else ""
    lines = (
        (_("tests"), f"{kept.tests}{given}"),
        (_("test calls to"), ", ".join(kept.far_ends) or _("nobody")),
        (_("results to"), ", ".join(kept.collectors) or _("nobody")),
        (_("country"), kept.country or _("not said")),
        (_("keys for"), _networks(keys.networks(where))),
    )
    width = max(14, *(cell_len(name) for name, _value in lines))
    for name, value in lines:
        sys.stdout.write(f"{set_cell_size(name, width)} {value}\n")


def _networks(names: "list[str]") -> str:
    known = [name for name in names if not name.startswith("unknown-")]
    unknown = len(names) - len(known)
    text = _n("{count} run on an unknown network", "{count} runs on unknown networks", unknown)
    return ", ".join([*known, *([text.format(count=unknown)] if unknown else [])]) or _("no network")


@consent_app.command(epilog="Examples:  probe consent withdraw  |  probe consent withdraw --erase --yes")
def withdraw(
    erase: Annotated[
        bool, typer.Option("--erase", help="Also erase results, queue, receipts, keys and the timer's log.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before erasing.")] = False,
    json: Json = False,
    results: Results = None,
    home: Home = None,
) -> None:
    """Take it all back: timers and uploads stop; with --erase what is kept goes too.

    What collectors already have, `probe upload --delete RUN` asks them to delete; do that first, as it needs the keys.
    """
    from probe import consent as consents
    from probe import home as homes
    from probe.cli import consent_words as words
    from probe.toml_file import ConfigError

    erased = 0
    try:
        where = homes.home(home)
        # The consent first: whatever is under way asks for it before each run that it sends.
        consents.forget(where)
        stopped = _stop_timers(where)
        if erase:
            if not yes and not sys.stdin.isatty():
                raise fail(words.nobody_there_to_erase())
            if yes or confirmed(words.question_erase()):
                erased = _erase(where, homes.results(where, results))
    except ConfigError as error:
        raise fail(str(error)) from None
    except OSError as error:
        raise fail(f"{error.filename}: cannot be erased ({error.strerror})", 1) from None
    if json:
        import msgspec

        sys.stdout.buffer.write(msgspec.json.encode({"timers": stopped, "erased": erased}) + b"\n")
        return
    sys.stdout.write(_("Withdrawn: nothing is measured or sent without asking you again.") + "\n")
    if stopped:
        sys.stdout.write(_("Stopped: {timers}").format(timers=", ".join(stopped)) + "\n")
    if erased:
        text = _n("{count} file erased", "{count} files erased", erased)
        sys.stdout.write(text.format(count=erased) + "\n")


@consent_app.command(epilog="Examples:  probe consent forget  |  probe consent forget --network RU-AS64500")
def forget(
    network: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this network's key (`probe consent show`).")
    ] = None,
    json: Json = False,
    home: Home = None,
) -> None:
    """Throw keys away: later runs are signed by new ones, and nobody can tell that both are yours.

    What was sent with the old key can then no longer be deleted at collectors.
    """
    from probe import home as homes
    from probe.toml_file import ConfigError
    from probe.upload import keys

    try:
        gone = keys.forget(homes.home(home), network)
    except ConfigError as error:
        raise fail(str(error)) from None
    except OSError as error:
        raise fail(f"{error.filename}: cannot be erased ({error.strerror})", 1) from None
    if network and not gone:
        raise fail(f"--network: {network}: there is no such key")
    if json:
        import msgspec

        sys.stdout.buffer.write(msgspec.json.encode({"forgotten": gone}) + b"\n")
    else:
        text = (
            _("Forgotten: {keys}").format(keys=", ".join(gone)) if gone else _("There was no key to forget.")
        )
        sys.stdout.write(f"{text}\n")


def _stop_timers(home: "Path") -> list[str]:
    """Take timers out; one that resists is said, and gets nothing to do any more all the same."""
    from pathlib import Path

    from probe.schedule.install import ScheduleError, remove

    try:
        return remove(home, Path.home())
    except ScheduleError as error:
        sys.stderr.write(f"probe: {error}\n")
        return []


def _erase(home: "Path", results: "Path") -> int:
    """Erase runs, queue, receipts, keys and what the timer noted; folders and settings stay. Raises OSError."""
    from probe import durable
    from probe.lock import Busy, held
    from probe.schedule import timer
    from probe.upload import keys
    from probe.upload.queue import Queue

    queue = Queue(home)
    try:
        with held(queue.lock):
            erased = queue.erase() + len(keys.forget(home))
    except Busy:
        raise fail(
            _("consent is withdrawn; an upload is just ending, so say --erase again in a minute"), 1
        ) from None
    for path in (*results.glob("*.jsonl"), *timer.folder(home).glob("*.json*")):
        durable.remove(path)
        erased += 1
    return erased
