"""The day as a document: docs/a-volunteers-day.md."""

import re

from tests.journey.coordinator import STORAGE
from tests.journey.day import ROOT, Day
from tests.journey.machine import HOME
from tests.lab.topology import COLLECTOR_HOST

FILE = ROOT / "docs" / "a-volunteers-day.md"
_HEAD = """# A volunteer's day

What is typed and seen from the wheel to the collector and back, on the test laboratory's network: real \
commands and real output, written by `python -m tests.journey --transcript`, which needs what the lab needs \
(README.md). The names of the collector and of the network are the laboratory's. A test repeats the day, \
and searches every file, every packet and all that the collector has for the volunteer's addresses and \
names.
"""


def document(day: Day) -> str:
    """All of it, in Markdown."""
    lines = [_HEAD]
    for part in day.sections:
        lines += [f"## {part.title}\n", f"{part.words}\n"]
        for moment in part.moments:
            typed_and_seen = [f"$ {plain(day, moment.command)}", plain(day, moment.said.text)]
            lines += ["```", *filter(None, typed_and_seen), "```\n"]
            lines += [f"{plain(day, moment.gloss)}\n"] if moment.gloss else []
    return "\n".join(lines)


def outline(text: str) -> list[str]:
    """Headings and commands of a document; a command goes on as long as its here-document."""
    found: list[str] = []
    ends = ""
    for line in text.splitlines():
        if ends:
            found[-1] += f"\n{line}"
            ends = "" if line == ends else ends
        elif line.startswith(("## ", "$ ")):
            found.append(line)
            ends = "END" if line.startswith("$ ") and "<< END" in line else ""
    return found


def plain(day: Day, text: str) -> str:
    """Without what is of this machine and of this minute."""
    names = {
        str(day.coordinator.storage): STORAGE,
        HOME: "~",
        COLLECTOR_HOST: "collector.example",
        day.coordinator.key: "KEY-OF-THE-COLLECTOR",
    }
    for was, now in names.items():
        text = text.replace(was, now)
    for number, run in enumerate(day.known_runs, 1):
        for known in (run, run[:8]):
            text = text.replace(known, f"{number:x}" * len(known))
    text = re.sub(r"(?m)^SSL_CERT_FILE=.*\n", "", text)  # the laboratory's own line of the crontab
    return re.sub(r"(?m)^\d+( \* \* \* \* )", r"37\1", text)
