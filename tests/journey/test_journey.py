"""A volunteer's day, once: that all of it works, that the transcript is true, and that nobody is told who it was."""

import json
import os
import shutil

import msgspec
import pytest

from probe.upload.queue import Queue
from probe.upload.signing import RECEIPT, verifies
from tests.collector.kept import kept
from tests.journey import traces
from tests.journey.day import DATA, Day, evening, lived, morning, night
from tests.journey.machine import FULL_NAME, HOME, HOST, MACHINE_ID, USER
from tests.journey.transcript import FILE, outline, plain
from tests.journey.wire import captured, streams
from tests.lab.packets import Packet
from tests.lab.topology import CLIENT4, CLIENT6, COLLECTOR_HOST, HOME4

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]
_NEEDED = ("ip", "nft", "nginx", "unbound", "turnserver", "cron", "crontab", "faketime", "unshare", "nsenter")
# The platform must be told what to call, and our own file says it again: on the volunteer's machine alone.
_NAMES_A_PATH = (f"home/{DATA}/timer/timer.json", f"spool/{USER}")


def test_a_volunteers_day() -> None:
    missing = [name for name in _NEEDED if shutil.which(name) is None] + ["root"] * (os.geteuid() != 0)
    if missing and os.environ.get("CI"):
        pytest.fail(f"the lab needs {', '.join(missing)}")
    if missing:
        pytest.skip(f"the lab needs {', '.join(missing)}")
    with lived(f"crj{os.getpid() % 100000}") as day:
        topology = day.lab.topology
        with captured(topology.client, "eth0") as wire, captured(topology.net, "lo") as inside:
            morning(day)
            evening(day)
        receipts_are_right_and_the_runs_are_kept_whole(day)
        nothing_is_found(day, wire, streams(inside, day.coordinator.port))
        night(day)
        what_was_taken_back_is_gone(day)
    the_transcript_is_true(day)


def receipts_are_right_and_the_runs_are_kept_whole(day: Day) -> None:
    """Two runs, one by hand and one by cron; each is kept once, and its receipt is the collector's."""
    results = {path.read_text() for path in (day.home / "results").glob("*.jsonl")}
    there = kept(day.coordinator.storage)
    outcomes = list(Queue(day.home).outcomes())

    assert len(results) == len(outcomes) == 2
    assert {text for texts in there.values() for text in texts} == results
    for outcome in outcomes:
        told = json.loads(outcome.receipt)
        signature = told.pop("signature")
        assert (outcome.word, outcome.verified, told["collector"]) == ("kept", True, day.coordinator.key)
        assert verifies(day.coordinator.key, signature, RECEIPT, msgspec.json.encode(told, order="sorted"))
        assert json.loads(outcome.receipt) == json.loads(
            day.coordinator.asks(f"/v1/runs/{outcome.run}/receipt")
        )


def nothing_is_found(day: Day, wire: list[Packet], bodies: list[bytes]) -> None:
    """Not at the volunteer's, not at the collector's, not in what it got, not on the wire."""
    addresses = [
        one for ip in (CLIENT4, CLIENT6, HOME4, *day.machine.link_local) for one in traces.of_address(ip)
    ]
    who = traces.of_words("name", HOST, USER, FULL_NAME, HOME)
    machine = traces.of_octets("MAC", day.machine.mac) + traces.of_octets(
        "machine-id", bytes.fromhex(MACHINE_ID)
    )
    everything = [*addresses, *who, *machine]

    written = day.machine.written()
    there = {name: octets for name, octets in written.items() if name not in _NAMES_A_PATH}
    assert traces.found(everything, there) == []
    assert traces.found([*addresses, *machine], written) == []
    shown = {moment.command: moment.said.text.encode() for part in day.sections for moment in part.moments}
    assert traces.found([*addresses, *machine], shown) == []

    at_the_collector = day.coordinator.written() | day.coordinator.rows(day.home / "results")
    at_the_collector |= {path: day.coordinator.asks(path) for path in ("/metrics", "/healthz")}
    at_the_collector |= {f"connection {number}": octets for number, octets in enumerate(bodies)}
    assert traces.found(everything, at_the_collector) == []
    assert traces.found_on_wire(everything, wire) == []
    # And what is there is found by the same search.
    first, second = day.known_runs
    run = traces.of_words("run", first)
    assert traces.found(run, {"bodies": b"".join(bodies)}) != []
    assert any("jsonl" in place for place in traces.found(run, there))
    assert any("rows" in place for place in traces.found(traces.of_words("run", second), at_the_collector))
    assert traces.found_on_wire(traces.of_words("host", COLLECTOR_HOST), wire) != []
    assert any(
        traces.reason(packet, trace)
        for packet in wire
        for trace in addresses
        if trace.octets in packet.payload
    )


def what_was_taken_back_is_gone(day: Day) -> None:
    """At the volunteer's everything but the settings; at the collector the run that was named."""
    left = {name for name, octets in day.machine.written().items() if octets}

    assert {name.split("/")[4] for name in left if name.startswith(f"home/{DATA}/")} == {"configs"}
    assert sorted(kept(day.coordinator.storage)) == day.known_runs[1:]
    assert b"callreach" not in day.machine.written().get(f"spool/{USER}", b"")


def the_transcript_is_true(day: Day) -> None:
    """Its headings and its commands are those of this day; the rest is as it was when it was written."""
    assert outline(FILE.read_text()) == [
        line
        for part in day.sections
        for line in (f"## {part.title}", *(f"$ {plain(day, moment.command)}" for moment in part.moments))
    ]
