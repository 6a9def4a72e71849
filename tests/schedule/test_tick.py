"""What a timer's call does: the real program as its child, on a network of loopback."""

import asyncio
import json
import sys
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from probe import consent
from probe.configs import load
from probe.lock import held
from probe.net import SystemNet
from probe.schedule import conditions
from probe.schedule import timer as timers
from probe.schedule.tick import Told, log, tick
from probe.schedule.timer import State, Timer, folder, running
from probe.upload.queue import Queue
from tests.build import NOON
from tests.cli.test_run import network
from tests.upload.foreign import collecting

utc = SystemNet().utc


def installed(home: Path, **changes: object) -> Timer:
    timer = Timer(
        backend="cron",
        every=21600.0,
        minute=0,
        python=sys.executable,
        home=str(home),
        arguments=("tincan", "-4", "--country", "ZZ"),
    )
    timer = msgspec.structs.replace(timer, **changes)
    timers.keep(home, timer)
    return timer


def called(home: Path, at: datetime | None = None) -> Told:
    return tick(home, utc if at is None else lambda: at, delay=False)


@pytest.fixture
def plugged_in(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Whatever this machine is, it says nothing of battery and metering."""
    monkeypatch.setattr(conditions, "on_battery", lambda: None)
    monkeypatch.setattr(conditions, "metered", lambda: None)
    return monkeypatch


async def test_a_due_run_is_measured_queued_sent_and_counted(
    tmp_path: Path, plugged_in: pytest.MonkeyPatch
) -> None:
    with collecting() as collector:
        async with network(tmp_path) as home:
            settings = home / "configs" / "probe.toml"
            settings.write_text(f'{settings.read_text()}\n[[collectors]]\nurl = "{collector.url}"\n')
            catalogue = load(home / "configs")
            agreed = consent.Consent(tests="default", covers=consent.scope(catalogue, "default"))
            consent.keep(home, consent.with_collector(agreed, collector.host, NOON))
            installed(home)
            told = await asyncio.to_thread(called, home)
            again = await asyncio.to_thread(called, home)
    (path,) = (home / "results").glob("*.jsonl")

    assert (told.what, told.reason) == ("measured", "complete")
    assert list(collector.runs.values()) == [path.read_bytes()]
    assert (again.what, again.reason) == ("nothing", "it is not due")
    lines = log(home)
    assert [line["what"] for line in lines] == ["measured", "sent"]
    assert lines[0]["run"] == told.run
    assert timers.state(home).spent == {f"{utc():%Y-%m-%d}": told.octets + lines[1]["bytes"]}


def test_without_consent_nothing_is_measured_and_the_log_says_so(
    tmp_path: Path, plugged_in: pytest.MonkeyPatch
) -> None:
    installed(tmp_path, arguments=())
    told = called(tmp_path)

    assert (told.what, told.octets) == ("skipped", 0)
    assert "Nobody is there to agree" in told.reason
    assert log(tmp_path)[0]["reason"] == told.reason
    assert not (tmp_path / "results").exists()


def test_battery_metering_and_an_empty_budget_skip_a_run_and_are_told_apart(
    tmp_path: Path, plugged_in: pytest.MonkeyPatch
) -> None:
    installed(tmp_path)
    plugged_in.setattr(conditions, "on_battery", lambda: True)
    assert called(tmp_path).reason == "on battery"
    plugged_in.setattr(conditions, "on_battery", lambda: False)
    plugged_in.setattr(conditions, "metered", lambda: True)
    assert called(tmp_path).reason == "the network is metered"
    plugged_in.setattr(conditions, "metered", lambda: False)
    timers.note(tmp_path, State(spent={"2026-11-23": 19_900_000}))
    assert called(tmp_path, NOON).reason == "the data budget is used up"

    assert [line["what"] for line in log(tmp_path)] == ["skipped"] * 3
    assert timers.state(tmp_path).due is None  # it is tried again in an hour


@pytest.mark.parametrize(("backend", "itself"), [("cron", True), ("systemd", False)])
def test_a_due_run_waits_at_random_where_the_platform_does_not(
    tmp_path: Path, plugged_in: pytest.MonkeyPatch, backend: str, itself: bool
) -> None:
    waits: list[float] = []
    plugged_in.setattr("probe.schedule.tick.time.sleep", waits.append)
    plugged_in.setattr(conditions, "on_battery", lambda: True)
    installed(tmp_path, backend=backend)
    for _ in range(4):
        tick(tmp_path, utc)

    assert len(set(waits)) == (4 if itself else 0)
    assert all(0 <= wait <= 900 for wait in waits)


def test_a_run_without_end_is_stopped_keeps_what_it_has_and_had_low_priority(
    tmp_path: Path, plugged_in: pytest.MonkeyPatch
) -> None:
    """Another program stands for ours, which ends like this when it is told to."""
    endless = tmp_path / "python"
    endless.write_text(
        f"#!/bin/sh\nnice > {tmp_path}/priority\n"
        """trap 'echo "{\\"run\\": \\"0\\", \\"ended\\": \\"interrupted\\"}"; exit 130' TERM\n"""
        "while true; do sleep 0.1; done\n"
    )
    endless.chmod(0o700)
    plugged_in.setattr("probe.schedule.tick._RUN_SECONDS", 1.0)
    plugged_in.setattr("probe.schedule.tick._GRACE", 10.0)
    installed(tmp_path, python=str(endless))
    told = called(tmp_path)

    assert (told.what, told.reason) == ("measured", "interrupted")
    assert int((tmp_path / "priority").read_text()) >= 10


def test_one_at_a_time(tmp_path: Path, plugged_in: pytest.MonkeyPatch) -> None:
    installed(tmp_path)
    with held(folder(tmp_path) / "lock"):
        assert called(tmp_path).reason == "another one is under way"
    with held(running(tmp_path)):
        assert called(tmp_path).reason == "a run is under way"


def test_a_home_without_a_timer_gets_nothing(tmp_path: Path) -> None:
    assert called(tmp_path) == Told(what="nothing", reason="no timer is installed from this home")
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_dies_has_spent_all_that_it_was_allowed(
    tmp_path: Path, plugged_in: pytest.MonkeyPatch
) -> None:
    dying = tmp_path / "python"
    dying.write_text("#!/bin/sh\nkill -9 $$\n")
    dying.chmod(0o700)
    installed(tmp_path, python=str(dying))
    told = called(tmp_path, NOON)

    assert (told.what, told.reason) == ("failed", "ended with -9")
    assert called(tmp_path, NOON + timedelta(hours=8)).reason == "the data budget is used up"


def test_what_waits_is_sent_at_every_call_and_not_on_a_metered_network(
    tmp_path: Path, plugged_in: pytest.MonkeyPatch
) -> None:
    """Another program stands for ours, to see whether it is called."""
    called_with = tmp_path / "called"
    ours = tmp_path / "python"
    ours.write_text(f'#!/bin/sh\necho "$@" >> {called_with}\necho \'{{"bytes": 7}}\'\n')
    ours.chmod(0o700)
    installed(tmp_path, python=str(ours))
    timers.note(tmp_path, State(due=NOON + timedelta(hours=1)))
    waiting = Queue(tmp_path).folder / "waiting"
    waiting.mkdir(parents=True)
    (waiting / "0.signed").write_bytes(b"")

    plugged_in.setattr(conditions, "metered", lambda: True)
    called(tmp_path, NOON)
    assert not called_with.exists()
    plugged_in.setattr(conditions, "metered", lambda: False)
    called(tmp_path, NOON)
    assert called_with.read_text() == f"-m probe upload --json --home {tmp_path}\n"
    assert timers.state(tmp_path).spent == {"2026-11-23": 7}


def test_the_log_does_not_grow_for_ever(tmp_path: Path, plugged_in: pytest.MonkeyPatch) -> None:
    installed(tmp_path)
    plugged_in.setattr(conditions, "on_battery", lambda: True)
    plugged_in.setattr("probe.schedule.tick._LOG_BYTES", 1000)
    for _ in range(60):
        called(tmp_path)
    logs = list(folder(tmp_path).glob("log.jsonl*"))

    assert len(logs) == 4
    assert all(one.stat().st_size <= 1000 for one in logs)
    assert all(json.loads(line) for one in logs for line in one.read_text().splitlines())
