"""What happens on a volunteer's day: every command that is typed, in order, and what is seen."""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.journey.coordinator import STORAGE, Coordinator
from tests.journey.machine import AUTHORITY, Machine, Said
from tests.lab.network import Conditions, Network, network
from tests.lab.topology import COLLECTOR_HOST

ROOT = Path(__file__).parents[2]
DATA = ".local/share/callreach"  # the home that platformdirs names on Linux
_FIRES = 120.0


@dataclass(frozen=True)
class Moment:
    """A command as it is shown, who typed it, and what came."""

    who: str
    command: str
    said: Said
    gloss: str = ""


@dataclass
class Section:
    """A part of the day under a heading."""

    title: str
    words: str
    moments: list[Moment] = field(default_factory=list)


@dataclass
class Day:
    """Two people at their machines."""

    lab: Network
    machine: Machine
    coordinator: Coordinator
    sections: list[Section] = field(default_factory=list)
    known_runs: list[str] = field(default_factory=list)  # also when they are erased

    @property
    def home(self) -> Path:
        """The volunteer's home of the program, as seen from outside."""
        return self.machine.disk / "home" / DATA

    def part(self, title: str, words: str) -> None:
        """Begin one."""
        self.sections.append(Section(title, words))

    def volunteer(
        self, command: str, *answers: tuple[str, str], really: str = "", code: int = 0, language: str = ""
    ) -> str:
        """The volunteer types; `really` is what a network without a package index needs instead."""
        said = self.machine.type(really or command, *answers, language=language or "en_GB.UTF-8")
        assert said.code == code, f"{command}: {said}"
        shown = f"LANG={language} {command}" if language else command
        self.sections[-1].moments.append(Moment("volunteer", shown, said))
        return said.text

    def gloss(self) -> None:
        """What the last command said, in English, as whoever cannot be asked gets it."""
        english = self.machine.type("probe consent < /dev/null").text.rpartition("\n\n")[0]
        last = self.sections[-1].moments.pop()
        quoted = "\n".join(f"> {line}".rstrip() for line in english.splitlines())
        self.sections[-1].moments.append(replace(last, gloss=f"In English:\n\n{quoted}"))

    def coordinate(self, command: str) -> str:
        """The coordinators type."""
        said = self.coordinator.type(command)
        assert said.code == 0, f"{command}: {said}"
        self.sections[-1].moments.append(Moment("coordinator", command, said))
        return said.text

    def runs(self) -> list[str]:
        """Ids of the runs that the volunteer has, oldest first."""
        paths = sorted((self.home / "results").glob("*.jsonl"))
        return [json.loads(path.read_bytes().splitlines()[0])["id"] for path in paths]

    def log(self) -> list[dict[str, Any]]:
        """What the timer wrote down."""
        file = self.home / "timer" / "log.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


@contextlib.contextmanager
def lived(prefix: str) -> Iterator[Day]:
    """A clean network with both of them on it, before anything was typed."""
    with network(prefix, Conditions(collector=True), configs=ROOT / "configs") as lab:
        machine = Machine(lab.topology.client, lab.folder / "machine", lab.folder / "root.pem")
        coordinator = Coordinator(lab)
        try:
            yield Day(lab, machine, coordinator)
        finally:
            coordinator.stop()
            machine.stop()


def morning(day: Day) -> None:
    """Until the first run is at the collector."""
    day.part(
        "Installing",
        "Python 3.11 and the wheel are all that is needed. (`pipx install` does the same in one command.)",
    )
    wheel = _wheel(day.machine.disk / "home")
    day.volunteer("python3.11 -m venv callreach")
    day.volunteer(
        f"callreach/bin/pip install {wheel.name}",
        really=f"callreach/bin/pip install --quiet --no-index --no-deps --disable-pip-version-check {wheel.name}"
        " && echo /mnt/packages > callreach/lib/python3.11/site-packages/packages.pth",
    )
    day.volunteer('export PATH="$HOME/callreach/bin:$PATH"')
    day.volunteer("probe --version")

    day.part(
        "Naming a collector",
        "Results go nowhere by themselves. The coordinators of this project gave out the address of their collector,"
        " the key that it signs receipts with, and, as their certificate is of their own making, the root that it"
        " rests on: `coordinators.pem`. They are written into the settings.",
    )
    (day.machine.disk / "home" / "coordinators.pem").write_bytes(day.coordinator.root)
    day.volunteer("probe services --copy")
    day.volunteer(
        f'cat >> ~/{DATA}/configs/probe.toml << END\n[[collectors]]\nurl = "https://{COLLECTOR_HOST}"\n'
        f'key = "{day.coordinator.key}"\ntrust = "coordinators"\nEND'
    )
    day.volunteer(f"cp coordinators.pem ~/{DATA}/configs/trust/")
    _trust_the_lab(day)

    day.part(
        "Agreeing",
        "Before anything is sent, the program says what it does and asks. It speaks the language of the system, here"
        " Russian; below is the same in English.",
    )
    day.volunteer(
        "probe consent", ("[RU]: ", ""), ("[y/N]: ", "да"), ("[y/N]: ", "да"), language="ru_RU.UTF-8"
    )
    day.gloss()
    day.volunteer("probe consent show")

    day.part(
        "Measuring", "One run over everything. The file that is named at the end is text; it can be read."
    )
    day.volunteer("probe run")

    day.part(
        "Sending",
        "A run that is over waits in a queue. `probe upload --dry-run` would print every byte of it.",
    )
    day.volunteer("probe upload --list")
    day.volunteer("probe upload")
    day.volunteer("probe upload --list")


def evening(day: Day) -> None:
    """A timer, and what the coordinators see."""
    day.part(
        "Every six hours",
        "The timer is this machine's own, here cron. What would be installed is shown first. It measures two services"
        " only, to keep it short; without names it would be all.",
    )
    # What this user has in the crontab already, and keeps.
    day.machine.type(f"echo 'SSL_CERT_FILE={AUTHORITY}' | crontab -")
    day.volunteer("probe schedule install --backend cron --every 6h -- telegram whatsapp", ("[y/N]: ", "y"))
    day.volunteer("probe schedule status")
    _wait_for_cron(day)
    day.part(
        "After cron has called",
        "Cron calls every hour, at a minute that was drawn; a due run then waits up to a quarter of an hour more. What"
        " it measured it has sent too.",
    )
    day.volunteer("probe schedule status")
    day.volunteer("probe upload --list")

    day.part(
        "At the collector",
        "The coordinators compare what came. Two runs of one household are not enough for a claim, and it says so.",
    )
    day.coordinate(f"probe compare {STORAGE}")
    day.known_runs = day.runs()


def night(day: Day) -> None:
    """Taking it back."""
    day.part(
        "Taking it back",
        "The key that signed a run can ask for its deletion; after that the volunteer withdraws and erases everything.",
    )
    day.volunteer(f"probe upload --delete {day.runs()[0]}")
    day.volunteer("probe consent withdraw --erase", ("[y/N]: ", "y"))
    day.volunteer("probe schedule status", code=1)
    day.volunteer("probe run < /dev/null 2>&1 | tail -1")


def _wheel(folder: Path) -> Path:
    """The wheel of this tree; how good a wheel it is, others test."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(ROOT)], check=True, timeout=120)
    (wheel,) = folder.glob("*.whl")
    return wheel


def _trust_the_lab(day: Day) -> None:
    """The lab's servers prove themselves by the lab's keys, not by those that services really have."""
    for anchor in (day.lab.folder / "configs" / "trust").glob("*.pem"):
        (day.home / "configs" / "trust" / anchor.name).write_bytes(anchor.read_bytes())


def _wait_for_cron(day: Day) -> None:
    """Have cron believe that the drawn minute is near, and a due run wait for nothing."""
    file = day.home / "timer" / "timer.json"
    timer = json.loads(file.read_bytes())
    file.write_text(json.dumps(timer | {"delay": 0.0}))
    minute = timer.get("minute", 0)
    day.machine.start_cron(f"{11 if minute else 10}:{(minute - 1) % 60:02}:57")
    until = time.monotonic() + _FIRES
    while [line["what"] for line in day.log()] != ["measured", "sent"]:
        assert time.monotonic() < until, day.log()
        time.sleep(0.2)
