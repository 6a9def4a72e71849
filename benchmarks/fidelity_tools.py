"""Ours and the peers, each run once in the lab, and what they say in the same words."""

import json
import math
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean, median
from typing import Any

from benchmarks.fidelity_truth import SIZES, WATCH, Truth, loss, running, steps
from tests.lab.network import Network
from tests.lab.topology import FAR_END, FAR_HOST, FAR_SECRET, FAR_TURN, enter

HERE = Path(__file__).parent
IRTT, AIORTC, NOBODY = "5.61.80.4", "5.61.80.3", "5.61.80.9"
IRTT_PORT = 2112
SPACING = 20  # milliseconds
_LATE = 5  # seconds that uclient waits before it begins, and again before it ends
_LONGEST = 60.0
_HEADERS, _CHANNEL = 20 + 8, 4  # bytes of IPv4 and UDP, and of TURN's ChannelData

# Loss up and down in percent, jitter up and down and round trip in milliseconds; None where a tool does not say.
Figures = tuple[float, float | None, float, float | None, float]


@dataclass
class Reading:
    """What a tool says. `sent` counts packets.

    `late` is how late the tool itself sent (99th percentile, milliseconds), where it tells.
    """

    sent: int
    figures: Figures
    late: float | None = None


@dataclass
class Tool:
    """How to run one, and what of the truth its figures are to be held against."""

    name: str
    title: str
    run: Callable[[Network, int], Reading]
    like: Callable[[Truth], Figures]


def inside(lab: Network, namespace: str, *command: str, **more: Any) -> "subprocess.Popen[str]":
    """A process in one of the lab's namespaces, whose output is read."""
    environment = os.environ | {"SSL_CERT_FILE": str(lab.folder / "root.pem")}
    return subprocess.Popen(
        ["ip", "netns", "exec", namespace, *command],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, **more,
    )  # fmt: skip


def finished(process: "subprocess.Popen[str]") -> str:
    """Its output. Raises RuntimeError if it fails."""
    out, trouble = process.communicate(timeout=_LONGEST)
    if process.returncode:
        raise RuntimeError(f"{process.args}: {trouble[-500:]}{out[-500:]}")
    return out


# ------------------------------------------------------------------ ours


def step(lab: Network, ip: str, **settings: Any) -> dict[str, Any]:
    """One step of ours at the far end; its facts. Raises RuntimeError if it fails."""
    file = lab.folder / f"{settings['step']}-settings.json"
    file.write_text(json.dumps({"step": settings, "ip": ip, "host": FAR_HOST}))
    found = json.loads(
        finished(inside(lab, lab.topology.client, sys.executable, str(HERE / "one_step.py"), str(file)))
    )
    if found["failure"]:
        raise RuntimeError(f"{settings}: {found['failure']}")
    facts: dict[str, Any] = found["facts"]
    return facts


def _media(lab: Network, seconds: int) -> Reading:
    return _of_facts(step(lab, FAR_END[0], step="media", shape="random", profiles=["voice"], at_most=seconds))


def _call(lab: Network, seconds: int) -> Reading:
    return _of_facts(step(lab, FAR_END[1], step="call", profiles=["voice"], at_most=seconds))


def _of_facts(facts: dict[str, Any]) -> Reading:
    (stage,) = facts["stages"]
    up, down = stage["up"], stage["down"]
    return Reading(
        up["sent"],
        (
            100 * up.get("loss", 0.0),
            100 * down.get("loss", 0.0),
            1000 * up["jitter"],
            1000 * down["jitter"],
            1000 * stage["rtt"]["median"],
        ),
        1000 * facts["pacing"]["late_p99"],
    )


# ------------------------------------------------------------------ peers


def irtt(lab: Network, seconds: int) -> dict[str, Any]:
    """What irtt finds, as it writes it (times in nanoseconds). Raises RuntimeError if it fails."""
    server = inside(lab, lab.topology.net, "irtt", "server", "-b", f"{IRTT}:{IRTT_PORT}")
    file, length = lab.folder / "irtt.json", SIZES["irtt"][0] - _HEADERS
    try:
        time.sleep(0.3)
        command = ["irtt", "client", "-d", f"{seconds}s", "-i", f"{SPACING}ms", "-l", str(length), "-Q"]
        finished(inside(lab, lab.topology.client, *command, "-o", str(file), f"{IRTT}:{IRTT_PORT}"))
    finally:
        server.kill()
        server.communicate()
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def _irtt(lab: Network, seconds: int) -> Reading:
    found = irtt(lab, seconds)
    stats = found["stats"]
    return Reading(
        stats["packets_sent"],
        (
            stats["upstream_loss_percent"],
            down
            if (down := stats["downstream_loss_percent"]) <= 100
            else None,  # it counts below zero and wraps
            stats["ipdv_send"]["mean"] / 1e6,
            stats["ipdv_receive"]["mean"] / 1e6,
            stats["rtt"]["median"] / 1e6,
        ),
        irtt_lateness(found["round_trips"])[1],
    )


def irtt_lateness(trips: list[dict[str, Any]]) -> tuple[float, float, float]:
    """By how much irtt's packets left after their times, which begin with the first: median, p99, most (ms).

    It leaves out packets for which it is too late, so a time is the latest of the schedule that is past.
    """
    times = [one["timestamps"]["client"]["send"]["monotonic"] / 1e6 for one in trips]
    late = sorted((at - times[0] + SPACING / 2) % SPACING - SPACING / 2 for at in times)
    return late[len(late) // 2], late[math.ceil(0.99 * len(late)) - 1], late[-1]


def _uclient(lab: Network, seconds: int) -> Reading:
    count = round(
        (seconds - 2 * _LATE) * 1000 / SPACING
    )  # it waits before and after: then it ends as the others
    command = ["turnutils_uclient", "-y", "-c", "-u", "bench", "-W", FAR_SECRET, "-n", str(count)]
    command += [
        "-z",
        str(SPACING),
        "-l",
        str(SIZES["uclient"][0] - _HEADERS - _CHANNEL),
        "-m",
        "1",
        FAR_TURN[0],
    ]
    said = finished(inside(lab, lab.topology.client, *command))
    lost = _number(said, r"Total lost packets (-?\d+)")
    return Reading(
        2 * count,
        (
            100 * lost / (2 * count),
            None,
            _number(said, r"Average jitter ([\d.]+)"),
            None,
            _number(said, r"Average round trip delay ([\d.]+)"),
        ),
    )


def _number(said: str, pattern: str) -> float:
    found = re.findall(pattern, said)
    if not found:
        raise RuntimeError(f"turnutils_uclient does not say {pattern}: {said[-500:]}")
    return float(found[-1])


def _getstats(lab: Network, seconds: int) -> Reading:
    script = str(HERE / "aiortc_call.py")
    echo = inside(lab, lab.topology.net, sys.executable, script, "echo", AIORTC)
    call = inside(lab, lab.topology.client, sys.executable, script, "call", str(seconds))
    try:
        for asks, answers in ((call, echo), (echo, call)):
            assert asks.stdout is not None
            assert answers.stdin is not None
            answers.stdin.write(asks.stdout.readline())
            answers.stdin.flush()
        found = json.loads(finished(call))
    finally:
        echo.kill()
        echo.communicate()
    return Reading(
        found["sent"],
        (
            100 * found["up"][1] / sum(found["up"]),
            100 * found["down"][1] / sum(found["down"]),
            fmean(found["jitter_up"]),
            fmean(found["jitter_down"]),
            fmean(found["rtt"]),
        ),
    )


def _like_ours(truth: Truth) -> Figures:
    return loss(truth.up), loss(truth.down), running(truth.up), running(truth.down), median(truth.trips)


def _like_irtt(truth: Truth) -> Figures:
    return loss(truth.up), loss(truth.down), steps(truth.up), steps(truth.answers), median(truth.trips)


def _like_getstats(truth: Truth) -> Figures:
    return loss(truth.up), loss(truth.down), running(truth.up), running(truth.down), fmean(truth.trips)


def _like_uclient(truth: Truth) -> Figures:
    return truth.both, None, fmean(abs(b - a) for a, b in pairwise(truth.trips)), None, fmean(truth.trips)


TOOLS = (
    Tool("media", "our media step", _media, _like_ours),
    Tool("call", "our call step", _call, _like_ours),
    Tool("irtt", "irtt", _irtt, _like_irtt),
    Tool("getstats", "aiortc getStats", _getstats, _like_getstats),
    Tool("uclient", "turnutils_uclient", _uclient, _like_uclient),
)


# ------------------------------------------------------------------ the watch


class Watch:
    """Sends a packet every few milliseconds past the box while the block lasts, to see how punctual the box is."""

    def __init__(self, lab: Network) -> None:
        self._lab, self._over = lab, threading.Event()
        self._thread = threading.Thread(target=self._send, daemon=True)
        self.sent: list[float] = []

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _send(self) -> None:
        enter(self._lab.topology.client)
        data = bytes(WATCH - _HEADERS)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            while not self._over.wait(0.01):
                self.sent.append(time.monotonic())
                sock.sendto(data, (NOBODY, 9))


def together(lab: Network, seconds: int) -> tuple[dict[str, Reading], dict[str, str], list[float]]:
    """Every tool at the same time: readings, what went wrong instead, and when packets of the watch were sent."""
    found: dict[str, Reading] = {}
    wrong: dict[str, str] = {}

    def work(tool: Tool) -> None:
        try:
            found[tool.name] = tool.run(lab, seconds)
        except (RuntimeError, subprocess.TimeoutExpired, ValueError, KeyError, ArithmeticError) as error:
            wrong[tool.name] = f"{type(error).__name__}: {error}"

    threads = [threading.Thread(target=work, args=(tool,)) for tool in TOOLS]
    with Watch(lab) as watch:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return found, wrong, watch.sent
