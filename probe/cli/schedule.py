"""`probe schedule`: measure regularly, by the platform's own timer."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from probe.cli import Home, Json, app, fail
from probe.cli.answers import confirmed
from probe.language import N_, _, said

if TYPE_CHECKING:
    from probe.schedule.platforms import Recipe
    from probe.schedule.timer import Timer

schedule_app = typer.Typer(
    name="schedule",
    no_args_is_help=True,
    rich_markup_mode=None,
    short_help="Measure regularly, by this machine's own timer.",
    help="Measure regularly, by this machine's own timer: systemd, cron, launchd or Windows' Task Scheduler.",
    epilog="Examples:  probe schedule install --every 6h  |  probe schedule install --dry-run --backend cron  |"
    "  probe schedule status --json  |  probe schedule remove",
)
app.add_typer(schedule_app)
# How the log calls what a call did, and how a run ended.
_LOGGED = (
    N_("measured"), N_("skipped"), N_("failed"), N_("sent"), N_("complete"), N_("interrupted"),
)  # fmt: skip
_UNITS = {"m": 60.0, "h": 3600.0, "d": 86400.0}


class BackendName(StrEnum):
    """Which timer."""

    AUTO = "auto"
    SYSTEMD = "systemd"
    CRON = "cron"
    LAUNCHD = "launchd"
    WINDOWS = "windows"


@schedule_app.command(
    short_help="Show what would be installed, ask, install, and verify.",
    epilog="Examples:  probe schedule install  |  probe schedule install --every 12h --day-bytes 5000000 --yes  |"
    "  probe schedule install --dry-run --backend windows  |  probe schedule install -- telegram whatsapp",
)
def install(
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[-- RUN OPTIONS]", help="What `probe run` gets.")
    ] = None,
    every: Annotated[str, typer.Option(metavar="TIME", help="How often: 90m, 6h, 1d; at least 1h.")] = "6h",
    backend: Annotated[BackendName, typer.Option(help="Which timer.")] = BackendName.AUTO,
    day_bytes: Annotated[
        int, typer.Option(metavar="N", min=200_000, help="Measure and send at most so many bytes a day.")
    ] = 20_000_000,
    month_bytes: Annotated[
        int, typer.Option(metavar="N", min=200_000, help="And at most so many a month.")
    ] = 300_000_000,
    on_battery: Annotated[bool, typer.Option("--on-battery", help="Measure on battery too.")] = False,
    metered: Annotated[bool, typer.Option("--metered", help="Measure on metered networks too.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be installed.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Install without being asked.")] = False,
    json: Json = False,
    home: Home = None,
) -> None:
    """Install a timer that measures regularly and then sends what waits; what is installed is shown before.

    The platform calls every hour; whether a run is due is decided then, at times of its own that no other volunteer
    shares. Consent comes first (`probe consent`).
    """
    import random

    from probe import home as homes
    from probe.cli.run import check
    from probe.schedule.install import ScheduleError, recipe
    from probe.schedule.install import install as put
    from probe.schedule.platforms import usual
    from probe.schedule.timer import Timer, read
    from probe.toml_file import ConfigError

    try:
        where = homes.home(home).resolve()
        check(arguments or (), where)
        name = usual() if backend is BackendName.AUTO else backend.value
        if name is None:
            raise ConfigError(
                "--backend", "", "there is neither a systemd of yours nor cron here; install cron"
            )
        timer = Timer(
            backend=name,
            every=_seconds(every),
            minute=before.minute if (before := read(where)) else random.randrange(60),
            python=sys.executable,
            home=str(where),
            arguments=tuple(arguments or ()),
            day_bytes=day_bytes,
            month_bytes=month_bytes,
            on_battery=on_battery,
            metered=metered,
        )
        made = recipe(timer, Path.home())
        _show(made, json=json)
        if dry_run:
            return
        _require_consent(where)
        if not yes and not (sys.stdin.isatty() and confirmed(_("Install this?"))):
            raise fail(_("nothing was installed; --yes installs without asking"))
        put(timer, made, Path.home())
    except (ConfigError, ScheduleError) as error:
        raise fail(str(error)) from None
    except OSError as error:
        raise fail(f"{error.filename}: {error.strerror}", 1) from None
    text = _("Installed and verified: {timer} calls every hour, a run is due every {every}.")
    sys.stderr.write(text.format(timer=name, every=every) + "\n")
    for note in made.notes:
        sys.stderr.write(f"{said(note)}\n")


@schedule_app.command(epilog="Examples:  probe schedule status  |  probe schedule status --json")
def status(json: Json = False, home: Home = None) -> None:
    """Say whether a timer is installed, what it did and skipped and why, and what is due. Exit code 1: none is."""
    from probe import home as homes
    from probe.schedule import timer as timers
    from probe.schedule.install import ScheduleError, is_installed, recipe
    from probe.schedule.tick import log
    from probe.toml_file import ConfigError

    try:
        where = homes.home(home)
        timer = timers.read(where)
        installed = timer is not None and is_installed(recipe(timer, Path.home()))
    except (ConfigError, ScheduleError) as error:
        raise fail(str(error)) from None
    _print_status(
        {"installed": installed, "timer": timer, "state": timers.state(where), "log": log(where)}, json=json
    )
    raise typer.Exit(0 if installed else 1)


@schedule_app.command(epilog="Examples:  probe schedule remove  |  probe schedule remove --json")
def remove(json: Json = False, home: Home = None) -> None:
    """Take the timer out again, and verify that it is gone."""
    from probe import home as homes
    from probe.schedule.install import ScheduleError
    from probe.schedule.install import remove as take
    from probe.toml_file import ConfigError

    try:
        gone = take(homes.home(home), Path.home())
    except (ConfigError, ScheduleError) as error:
        raise fail(str(error)) from None
    except OSError as error:
        raise fail(f"{error.filename}: {error.strerror}", 1) from None
    if json:
        sys.stdout.write(f'{{"removed": {str(bool(gone)).lower()}}}\n')
    else:
        text = _("Removed: {timer}").format(timer=gone[0]) if gone else _("There was no timer.")
        sys.stdout.write(f"{text}\n")


@schedule_app.command(
    short_help="What the timer calls: measure if it is due, then send what waits.",
    epilog="Examples:  probe schedule tick --home DIR  |  probe schedule tick --now --json",
)
def tick(
    now: Annotated[bool, typer.Option("--now", help="Without the random delay.")] = False,
    json: Json = False,
    home: Home = None,
) -> None:
    """Measure if it is due and nothing speaks against it, then send what waits. Timers call this every hour."""
    from probe import home as homes
    from probe.net import SystemNet
    from probe.schedule.tick import tick as do
    from probe.toml_file import ConfigError

    try:
        told = do(homes.home(home), SystemNet().utc, delay=not now)
    except ConfigError as error:
        raise fail(str(error)) from None
    if json:
        import msgspec

        sys.stdout.buffer.write(msgspec.json.encode(told) + b"\n")
    else:
        sys.stdout.write(f"{said(told.what)}{f': {said(told.reason)}' if told.reason else ''}\n")
    raise typer.Exit(1 if told.what == "failed" else 0)


def _seconds(text: str) -> float:
    from probe.toml_file import ConfigError

    number, unit = text[:-1], text[-1:]
    if not number.isdecimal() or unit not in _UNITS or not 3600 <= int(number) * _UNITS[unit] <= 30 * 86400:
        raise ConfigError("--every", text, "is not a time such as 90m, 6h or 1d, from 1h to 30d")
    return int(number) * _UNITS[unit]


def _require_consent(home: Path) -> None:
    from probe import consent

    if consent.read(home).tests == "none":
        raise fail(_("nobody agreed to measuring yet; `probe consent` explains and asks"))


def _show(made: "Recipe", *, json: bool) -> None:
    files = {str(path): _readable(content) for path, content in made.files.items()}
    commands = [(list(one.words), (one.feeds or b"").decode(errors="replace")) for one in made.install]
    if json:
        import msgspec

        sys.stdout.buffer.write(msgspec.json.encode({"files": files, "commands": commands}) + b"\n")
        sys.stdout.flush()
        return
    for path, text in files.items():
        sys.stdout.write(f"--- {path}\n{text.rstrip()}\n")
    for words, feeds in commands:
        sys.stdout.write(f"--- command: {' '.join(words)}\n{feeds}")
    sys.stdout.flush()


def _readable(content: bytes) -> str:
    return content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8")


def _print_status(told: dict[str, Any], *, json: bool) -> None:
    if json:
        import msgspec

        sys.stdout.buffer.write(msgspec.json.encode(told) + b"\n")
        return
    timer: Timer | None = told["timer"]
    if timer is None or not told["installed"]:
        sys.stdout.write(_("No timer is installed; `probe schedule install` does.") + "\n")
    else:
        due, text = told["state"].due, _("Installed with {timer}, every {hours} h; due now")
        if due:
            text = _("Installed with {timer}, every {hours} h; next due after {due} UTC")
        said_due = f"{due:%Y-%m-%d %H:%M}" if due else ""
        sys.stdout.write(
            text.format(timer=timer.backend, hours=f"{timer.every / 3600:g}", due=said_due) + "\n"
        )
    for entry in told["log"]:
        what, reason = said(str(entry.get("what"))), said(entry.get("reason") or "")
        sys.stdout.write(f"{entry.get('at')}  {what}  {reason}\n")
