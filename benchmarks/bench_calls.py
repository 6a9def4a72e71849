"""What a call costs and how punctually it is sent, in the lab, against the limits it must keep. Needs root and Debian's
irtt and coturn.

- Lateness of a paced sender at 50 packets a second, beside irtt's in the same run: 99th percentile under 2 ms on an
  idle machine.
- Set-up of a call on a clean path of 100 ms, from its beginning to the first media that comes back: direct under 0.6 s,
  through TURN over TLS under 2 s. The session's TCP, TLS and HTTPS, and our own TURN check before, are not in it.
- CPU of a call of thirty seconds in a fresh process, less what its imports cost: under 3 s.
- Bytes of the voice stage as IP packets: under 0.5 MB each way.
"""

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.fidelity_tools import IRTT, irtt, irtt_lateness, step
from benchmarks.fidelity_truth import truths
from benchmarks.priority import ahead, load, machine
from tests.lab.network import Conditions, Network, network
from tests.lab.topology import FAR_END, FAR_HOST

NEEDED = ("irtt", "turnserver", "nft", "nginx", "unbound")
SECONDS = 30
LATENESS, CPU, MEGABYTES = 2.0, 3.0, 0.5  # milliseconds, seconds, each way
SET_UP = {"direct": 0.6, "turn-udp": 2.0, "turn-tcp": 2.0, "turn-tls": 2.0}
ROUNDS = 3
STAGES = ("gathered", "answered", "ice", "dtls", "first_media")


def pacing() -> bool:
    """Ours and irtt's, at the same time."""
    theirs: dict[str, Any] = {}
    with network("cbc", Conditions(delay_ms=10, far_end=True, truth=True)) as lab:
        lab.topology.own(lab.topology.net, [IRTT])
        beside = threading.Thread(target=lambda: theirs.update(irtt(lab, SECONDS)))
        beside.start()
        facts = step(lab, FAR_END[0], step="media", shape="random", profiles=["voice"])
        beside.join()
        truth = truths(lab.passed(), {"media": facts["stages"][0]["up"]["sent"]})["media"]
    ours = facts["pacing"]
    p50, p99, most = (1000 * ours[name] for name in ("late_median", "late_p99", "late_max"))
    print(
        f"lateness at 50 packets/s: ours p50 {p50:.2f}, p99 {p99:.2f}, most {most:.2f} ms,"
        f" {ours.get('missed', 0)} left out ({p99 / LATENESS:.2f} of the limit of {LATENESS:g} ms); load {load():.1f}"
    )
    p50, p99, most = irtt_lateness(theirs["round_trips"])
    stats = theirs["stats"]
    error, call = (
        {k: stats[name][k] / 1e6 for k in ("mean", "max")} for name in ("timer_error", "send_call")
    )
    print(
        f"lateness at 50 packets/s: irtt p50 {p50:.2f}, p99 {p99:.2f}, most {most:.2f} ms,"
        f" {round(SECONDS * 50) - stats['packets_sent']} left out; by its own account timer error mean"
        f" {error['mean']:.2f}, most {error['max']:.2f}, send call mean {call['mean']:.2f}, most {call['max']:.2f} ms"
    )
    up, down = (sum(one.size for one in way) / 1e6 for way in (truth.up, truth.down))
    print(f"voice stage, paced flow: {up:.3f} MB up, {down:.3f} MB down ({up / MEGABYTES:.2f} of the limit)")
    return 1000 * float(ours["late_p99"]) < LATENESS and max(up, down) < MEGABYTES


def set_up() -> bool:
    """Of every path: the median of some calls of a second each, stage by stage."""
    good = True
    with network("cbc", Conditions(delay_ms=50, far_end=True)) as lab:
        for path, limit in SET_UP.items():
            calls = [
                step(lab, FAR_END[0], step="call", path=path, profiles=["voice"], at_most=1.0)
                for _ in range(ROUNDS)
            ]
            at = {stage: median(call[stage] for call in calls) for stage in STAGES}
            took = at["first_media"]
            stages = ", ".join(f"{name.replace('_', ' ')} {seconds:.3f}" for name, seconds in at.items())
            print(f"set-up at 100 ms, {path}: {stages} s ({took / limit:.2f} of the limit of {limit:g} s)")
            good = good and took < limit
    return good


def call_cost() -> bool:
    """CPU and bytes of one call of thirty seconds."""
    settings = {"step": {"step": "call", "profiles": ["voice"]}, "ip": FAR_END[0], "host": FAR_HOST}
    with network("cbc", Conditions(delay_ms=10, far_end=True, truth=True)) as lab:
        imports = median(cpu(lab, settings | {"imports": True}) for _ in range(ROUNDS))
        before = len(lab.passed())
        whole = cpu(lab, settings)
        passed = lab.passed()[before:]
    up, down = (sum(one.size for one in passed if one.up is way) / 1e6 for way in (True, False))
    print(
        f"CPU of a call of {SECONDS} s: {whole - imports:.2f} s and {imports:.2f} s of imports"
        f" ({(whole - imports) / CPU:.2f} of the limit of {CPU:g} s); load {load():.1f}"
    )
    print(
        f"voice stage, call with its signalling: {up:.3f} MB up, {down:.3f} MB down"
        f" ({max(up, down) / MEGABYTES:.2f} of the limit of {MEGABYTES:g} MB)"
    )
    return whole - imports < CPU and max(up, down) < MEGABYTES


def cpu(lab: Network, settings: dict[str, Any]) -> float:
    """Seconds that one step, or only its imports, cost in a process of its own."""
    file, said = lab.folder / "cost.json", lab.folder / "cost.said"
    file.write_text(json.dumps(settings))
    command = ["ip", "netns", "exec", lab.topology.client, sys.executable]
    command += [str(Path(__file__).parent / "one_step.py"), str(file)]
    environment = os.environ | {"SSL_CERT_FILE": str(lab.folder / "root.pem")}
    with said.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    found = said.read_text()
    if process.returncode or (found and json.loads(found)["failure"]):
        raise RuntimeError(f"{settings}: {found[-500:]}")
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if os.geteuid() != 0 or missing:
        print(f"needs root and Debian's irtt and coturn ({', '.join(missing) or 'not root'}): skipped")
        return
    print(f"{machine()}; load {load():.1f}")
    with ahead():
        good = [pacing(), set_up(), call_cost()]
    raise SystemExit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
