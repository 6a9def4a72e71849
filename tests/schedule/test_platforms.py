"""The files as each platform's own reader takes them, or as its documentation has them."""

import os
import plistlib
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from probe.schedule.platforms import cron, launchd, systemd, usual, windows
from probe.schedule.timer import Timer

# A home with everything that quoting can get wrong.
AWKWARD = """/srv/my probe's "100%" $HOME \\ données"""
PLAIN = Timer(backend="cron", every=21600.0, minute=7, python="/usr/bin/python3", home="/srv/probe")
HARD = Timer(backend="cron", every=21600.0, minute=7, python="/usr/bin/python3", home=AWKWARD)
TASKS = "{http://schemas.microsoft.com/windows/2004/02/mit/task}"
# What [MS-TSCH] 2.5 allows in the parts that we use, and the text of each; a version of 1.2 has no newer settings.
TRUTH, DURATION, PARENT = "true|false", r"P(\d+D)?(T(\d+H)?(\d+M)?(\d+S)?)?", ""
SCHEMA = {
    "RegistrationInfo": {"Description": ".+"},
    "CalendarTrigger": {
        "Enabled": TRUTH,
        "StartBoundary": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d",
        "Repetition": PARENT,
        "ScheduleByDay": PARENT,
    },
    "Repetition": {"Interval": DURATION, "Duration": DURATION, "StopAtDurationEnd": TRUTH},
    "ScheduleByDay": {"DaysInterval": "[1-9][0-9]{0,2}"},
    "Principal": {"LogonType": "InteractiveToken", "RunLevel": "LeastPrivilege|HighestAvailable"},
    "Settings": {
        "MultipleInstancesPolicy": "Parallel|Queue|IgnoreNew|StopExisting",
        "DisallowStartIfOnBatteries": TRUTH,
        "StopIfGoingOnBatteries": TRUTH,
        "StartWhenAvailable": TRUTH,
        "RunOnlyIfNetworkAvailable": TRUTH,
        "ExecutionTimeLimit": DURATION,
        "Priority": "[0-9]|10",
    },
    "Exec": {"Command": ".+", "Arguments": ".+"},
}
MINE = b"# mine\n5 4 * * * backup # of callreach things\n"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
@pytest.mark.parametrize("timer", [PLAIN, HARD])
def test_systemd_itself_finds_nothing_wrong_with_the_units(tmp_path: Path, timer: Timer) -> None:
    recipe = systemd(timer, tmp_path, b"")
    for path, content in recipe.files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    runtime = tmp_path / "runtime"
    runtime.mkdir(mode=0o700)
    done = subprocess.run(
        ["systemd-analyze", "--user", "verify", "--man=no", *map(str, recipe.files)],
        capture_output=True, text=True, env=os.environ | {"XDG_RUNTIME_DIR": str(runtime), "HOME": str(tmp_path)},
    )  # fmt: skip

    complaints = [line for line in (done.stdout + done.stderr).splitlines() if "callreach" in line]
    assert (done.returncode, complaints) == (0, []), done.stderr
    (calendar,) = [
        line.partition("=")[2]
        for content in recipe.files.values()
        for line in content.decode().splitlines()
        if line.startswith("OnCalendar")
    ]
    told = subprocess.run(["systemd-analyze", "calendar", calendar], capture_output=True, text=True)
    assert "Normalized form: *-*-* *:07:00" in told.stdout


def test_systemd_quotes_what_it_would_otherwise_expand() -> None:
    service, hourly = systemd(HARD, Path("/nowhere"), b"").files.values()
    (line,) = [line for line in service.decode().splitlines() if line.startswith("ExecStart=")]

    assert line.endswith('"--home" "/srv/my probe\'s \\"100%%\\" $$HOME \\\\ données"')
    assert b"Persistent=true" in hourly
    assert b"RandomizedDelaySec=" in hourly


def test_cron_changes_its_own_line_and_no_other() -> None:
    recipe = cron(PLAIN, Path("/nowhere"), MINE)
    (command,) = recipe.install
    installed = command.feeds
    assert installed is not None

    assert installed.startswith(MINE)
    assert installed.endswith(b"# callreach\n")
    assert cron(PLAIN, Path("/nowhere"), installed).install == recipe.install
    assert cron(PLAIN, Path("/nowhere"), installed).remove[0].feeds == MINE
    assert cron(PLAIN, Path("/nowhere"), b"").remove[0].words == ("crontab", "-r")


def test_cron_gives_the_shell_the_words_that_were_meant() -> None:
    (command,) = cron(HARD, Path("/nowhere"), b"").install
    assert command.feeds is not None
    line = command.feeds.decode().partition(" >/dev/null")[0].split(None, 5)

    assert line[:5] == ["7", "*", "*", "*", "*"]
    assert "%" not in line[5].replace(r"\%", "")
    assert shlex.split(line[5].replace(r"\%", "%")) == [
        "/usr/bin/python3", "-m", "probe", "schedule", "tick", "--home", AWKWARD,
    ]  # fmt: skip


def test_the_launch_agent_is_a_property_list_of_documented_keys() -> None:
    ((path, content),) = launchd(HARD, Path("/Users/x"), b"").files.items()
    agent = plistlib.loads(content)

    assert path == Path("/Users/x/Library/LaunchAgents/org.callreach.probe.plist")
    assert agent["Label"] == path.stem
    assert agent["ProgramArguments"][-2:] == ["--home", AWKWARD]
    assert agent["StartCalendarInterval"] == {"Minute": 7}
    # launchd.plist(5)
    assert set(agent) <= {
        "Label",
        "ProgramArguments",
        "StartCalendarInterval",
        "ProcessType",
        "LowPriorityIO",
    }


def test_the_windows_task_has_the_elements_of_its_schema_in_their_order() -> None:
    ((path, content),) = windows(HARD, Path("/nowhere"), b"").files.items()
    task = ElementTree.fromstring(content)

    assert content[:2] in (b"\xff\xfe", b"\xfe\xff")
    assert path == Path(AWKWARD) / "timer" / "callreach.xml"
    assert [part.tag for part in task] == [
        TASKS + name for name in ("RegistrationInfo", "Triggers", "Principals", "Settings", "Actions")
    ]
    trigger = task.find(f"{TASKS}Triggers/{TASKS}CalendarTrigger")
    assert trigger is not None
    # A sequence: what every trigger has (2.5.3.1), then what a calendar adds (2.5.3.9).
    assert [part.tag.removeprefix(TASKS) for part in trigger] == [
        "Enabled", "StartBoundary", "Repetition", "ScheduleByDay",
    ]  # fmt: skip
    assert schema_complaints(task) == []
    assert task.findtext(f"{TASKS}Settings/{TASKS}MultipleInstancesPolicy") == "IgnoreNew"
    assert task.findtext(f"{TASKS}Settings/{TASKS}DisallowStartIfOnBatteries") == "true"
    assert task.findtext(f"{TASKS}Settings/{TASKS}StartWhenAvailable") == "true"
    arguments = task.findtext(f"{TASKS}Actions/{TASKS}Exec/{TASKS}Arguments")
    assert arguments is not None
    assert arguments.startswith("-m probe schedule tick --home ")


def schema_complaints(task: ElementTree.Element) -> list[str]:
    """Elements that the schema of [MS-TSCH] 2.5 does not have where they stand, or whose text it does not allow."""
    found = []
    for parent, children in SCHEMA.items():
        for part in task.iter(TASKS + parent):
            for child in part:
                pattern = children.get(child.tag.removeprefix(TASKS))
                if pattern is None or not re.fullmatch(pattern, child.text or ""):
                    found.append(f"{parent}/{child.tag.removeprefix(TASKS)}: {child.text!r}")
    return found


def test_a_machine_without_any_timer_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr("sys.platform", "linux")

    assert usual() is None
