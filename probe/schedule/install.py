"""Put a timer into its platform and take it out again, and see afterwards whether that is so."""

import subprocess
from pathlib import Path

from probe.schedule import timer as timers
from probe.schedule.platforms import BACKENDS, Command, Recipe
from probe.schedule.timer import Timer

_SECONDS = 30.0


class ScheduleError(Exception):
    """The platform did not do what it was told; the sentence says which command and what it said."""


def recipe(timer: Timer, user_home: Path) -> Recipe:
    """What installing this timer does. Raises ScheduleError if the crontab cannot be read."""
    return BACKENDS[timer.backend](timer, user_home, _crontab() if timer.backend == "cron" else b"")


def install(timer: Timer, made: Recipe, user_home: Path) -> None:
    """Write, run, verify. What was installed before is replaced. Raises ScheduleError and OSError."""
    before = timers.read(Path(timer.home))
    if before is not None and before.backend != timer.backend:
        remove(Path(timer.home), user_home)
    for path, content in made.files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    timers.keep(Path(timer.home), timer)
    if timer.backend == "launchd":  # which refuses to replace
        for command in made.remove:
            _run(command)
    for command in made.install:
        _ran(command)
    if not is_installed(made):
        raise ScheduleError(f"`{' '.join(made.shows.words)}` does not show the timer, so it is not installed")


def remove(home: Path, user_home: Path) -> list[str]:
    """Take the timer out, if there is one; returns what was taken out. Raises ScheduleError and OSError.

    The timer's own file goes first: a platform that calls all the same gets nothing.
    """
    timer = timers.read(home)
    if timer is None:
        return []
    made = recipe(timer, user_home)
    timers.forget(home)
    if is_installed(made):
        for command in made.remove:
            _ran(command)
    for path in made.files:
        path.unlink(missing_ok=True)
    if is_installed(made):
        raise ScheduleError(
            f"`{' '.join(made.shows.words)}` still shows the timer; it measures nothing any more"
        )
    return [timer.backend]


def is_installed(made: Recipe) -> bool:
    """Whether the platform says that it calls us."""
    done = _run(made.shows)
    shown = [line.strip() for line in done.stdout.decode(errors="replace").splitlines()] if done else []
    return (
        done is not None
        and done.returncode == 0
        and any(made.proof in line for line in shown)
        and (made.proof != "active" or shown == ["active"])
    )


def _crontab() -> bytes:
    done = _run(Command(("crontab", "-l")))
    if done is None:
        raise ScheduleError("crontab: there is no such command here; install cron")
    if done.returncode and b"no crontab" not in done.stderr:
        raise ScheduleError(f"`crontab -l` failed: {_said(done)}")
    return done.stdout if done.returncode == 0 else b""


def _ran(command: Command) -> None:
    done = _run(command)
    words = " ".join(command.words)
    if done is None:
        raise ScheduleError(f"`{words}` could not be run")
    if done.returncode:
        raise ScheduleError(f"`{words}` failed: {_said(done)}")


def _said(done: "subprocess.CompletedProcess[bytes]") -> str:
    text = (done.stderr or done.stdout).decode(errors="replace").strip()
    return text.splitlines()[0][:200] if text else f"exit code {done.returncode}"


def _run(command: Command) -> "subprocess.CompletedProcess[bytes] | None":
    try:
        return subprocess.run(  # noqa: S603 - our own words, no shell
            command.words, input=command.feeds, capture_output=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
