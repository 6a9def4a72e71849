"""How each platform is told to call us every hour: files to write, commands to run, and how to see that it worked."""

import os
import shlex
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from probe.language import N_
from probe.schedule.timer import Timer

if TYPE_CHECKING:
    from xml.etree import ElementTree

NAME = "callreach"
_LABEL = "org.callreach.probe"
_TASKS = "http://schemas.microsoft.com/windows/2004/02/mit/task"
_MARK = f"# {NAME}"  # ends our line in a crontab


@dataclass(frozen=True)
class Command:
    """A command; `feeds` is its standard input."""

    words: tuple[str, ...]
    feeds: bytes | None = None


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What installing a timer does, and undoing it. `shows` prints the timer if and only if it is installed."""

    files: dict[Path, bytes]
    install: tuple[Command, ...]
    remove: tuple[Command, ...]
    shows: Command
    proof: str  # what `shows` prints then
    notes: tuple[str, ...] = ()


def call(timer: Timer) -> list[str]:
    """What the platform calls."""
    return [timer.python, "-m", "probe", "schedule", "tick", "--home", timer.home]


def systemd(timer: Timer, home: Path, crontab: bytes) -> Recipe:
    """A user service and its timer (systemd.timer(5)); it catches up on hours that were missed."""
    folder = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config") / "systemd" / "user"
    service = f"""[Unit]
Description=callreach: measure if it is due, then send what waits

[Service]
Type=oneshot
ExecStart={" ".join(_systemd_quoted(word) for word in call(timer))}
Nice=10
TimeoutStartSec=45min
"""
    hourly = f"""[Unit]
Description=callreach: look every hour whether a measurement is due

[Timer]
OnCalendar=*-*-* *:{timer.minute:02}:00
RandomizedDelaySec=20min
Persistent=true

[Install]
WantedBy=timers.target
"""
    unit = f"{NAME}.timer"
    return Recipe(
        files={folder / f"{NAME}.service": service.encode(), folder / unit: hourly.encode()},
        install=(
            _command("systemctl --user daemon-reload"),
            _command(f"systemctl --user enable --now {unit}"),
        ),
        remove=(_command(f"systemctl --user disable --now {unit}"),),
        shows=_command(f"systemctl --user is-active {unit}"),
        proof="active",
        notes=(N_("It runs while you are logged in; `loginctl enable-linger` lets it run always."),),
    )


def cron(timer: Timer, home: Path, crontab: bytes) -> Recipe:
    """One marked line of the user's crontab; other lines are left as they are."""
    others = b"".join(
        line for line in crontab.splitlines(keepends=True) if not line.rstrip().endswith(_MARK.encode())
    )
    if others and not others.endswith(b"\n"):
        others += b"\n"
    # A percent sign is a line end to cron (crontab(5)).
    words = " ".join(shlex.quote(word) for word in call(timer)).replace("%", r"\%")
    line = f"{timer.minute} * * * * {words} >/dev/null 2>&1 {_MARK}"
    return Recipe(
        files={},
        install=(Command(("crontab", "-"), others + line.encode() + b"\n"),),
        remove=(Command(("crontab", "-"), others) if others else Command(("crontab", "-r")),),
        shows=_command("crontab -l"),
        proof=line,
    )


def launchd(timer: Timer, home: Path, crontab: bytes) -> Recipe:
    """A launch agent (launchd.plist(5)); hours that the machine slept through are made up for once."""
    import plistlib

    path = home / "Library" / "LaunchAgents" / f"{_LABEL}.plist"
    agent = {
        "Label": _LABEL,
        "ProgramArguments": call(timer),
        "StartCalendarInterval": {"Minute": timer.minute},
        "ProcessType": "Background",
        "LowPriorityIO": True,
    }
    user = f"gui/{os.getuid() if hasattr(os, 'getuid') else 0}"
    return Recipe(
        files={path: plistlib.dumps(agent)},
        install=(Command(("launchctl", "bootstrap", user, str(path))),),
        remove=(_command(f"launchctl bootout {user}/{_LABEL}"),),
        shows=_command(f"launchctl print {user}/{_LABEL}"),
        proof=_LABEL,
        notes=(N_("Not tried on a Mac yet; the file follows launchd.plist(5)."),),
    )


def windows(timer: Timer, home: Path, crontab: bytes) -> Recipe:
    """A task of the Task Scheduler ([MS-TSCH] 2.5); it starts late rather than never, and one at a time."""
    from xml.etree import ElementTree

    path = Path(timer.home) / "timer" / f"{NAME}.xml"
    command, *arguments = call(timer)
    task: dict[str, object] = {
        "RegistrationInfo": {"Description": "callreach: measure if it is due, then send what waits"},
        # No RandomDelay: it is refused beside a repetition. The program waits at random itself.
        "Triggers": {
            "CalendarTrigger": {  # a sequence, [MS-TSCH] 2.5.3.1 and 2.5.3.9
                "Enabled": "true",
                "StartBoundary": f"2026-01-01T00:{timer.minute:02}:00",
                "Repetition": {"Interval": "PT1H", "Duration": "P1D", "StopAtDurationEnd": "false"},
                "ScheduleByDay": {"DaysInterval": "1"},
            }
        },
        "Principals": {"Principal": {"LogonType": "InteractiveToken", "RunLevel": "LeastPrivilege"}},
        "Settings": {
            "MultipleInstancesPolicy": "IgnoreNew",
            "DisallowStartIfOnBatteries": str(not timer.on_battery).lower(),
            "StopIfGoingOnBatteries": "false",
            "StartWhenAvailable": "true",
            "RunOnlyIfNetworkAvailable": "false",
            "ExecutionTimeLimit": "PT45M",
            "Priority": "8",
        },
        "Actions": {"Exec": {"Command": command, "Arguments": _windows_quoted(arguments)}},
    }
    root = ElementTree.Element("Task", {"version": "1.2", "xmlns": _TASKS})
    _grow(root, task)
    return Recipe(
        files={path: ElementTree.tostring(root, encoding="utf-16", xml_declaration=True)},
        install=(Command(("schtasks", "/Create", "/TN", NAME, "/XML", str(path), "/F")),),
        remove=(_command(f"schtasks /Delete /TN {NAME} /F"),),
        shows=_command(f"schtasks /Query /TN {NAME} /XML"),
        proof="schedule tick",
        notes=(N_("Not tried on Windows yet; the file follows [MS-TSCH]. It runs while you are logged in."),),
    )


Backend = Callable[[Timer, Path, bytes], Recipe]
BACKENDS: dict[str, Backend] = {"systemd": systemd, "cron": cron, "launchd": launchd, "windows": windows}
DELAYS_ITSELF = ("systemd",)  # which platforms add a random delay of their own


def usual() -> str | None:
    """The backend of this machine; None where there is none that we know."""
    if sys.platform == "darwin":
        return "launchd"
    if sys.platform == "win32":
        return "windows"
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if shutil.which("systemctl") and runtime and (Path(runtime) / "systemd" / "private").exists():
        return "systemd"
    return "cron" if shutil.which("crontab") else None


def _command(text: str) -> Command:
    return Command(tuple(text.split()))


def _systemd_quoted(word: str) -> str:
    """One word of ExecStart= (systemd.service(5), "Command lines"; systemd.unit(5), "Specifiers")."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'


def _windows_quoted(words: list[str]) -> str:
    import subprocess

    return subprocess.list2cmdline(words)


def _grow(parent: "ElementTree.Element", children: object) -> None:
    from xml.etree import ElementTree

    if isinstance(children, dict):
        for name, below in children.items():
            _grow(ElementTree.SubElement(parent, name), below)
    else:
        parent.text = str(children)
