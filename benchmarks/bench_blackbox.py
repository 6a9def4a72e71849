"""The same DNS, TCP, TLS and HTTP probes by prometheus-blackbox-exporter, from the same namespace. Needs root.

Prints, for each, CPU time per probe and what the probe adds to the network's own time. The peer is compiled
and does less (no evidence, no judgement); the ratio says what our way costs.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

from tests.lab.network import Conditions, Network, network

COUNT = 60
DELAY = 10.0  # ms each way
TRIPS = {"dns": 1, "tcp": 1, "tls": 2, "http": 3}
HOST = "www.large.example"
MODULES = """
modules:
  dns: {{prober: dns, timeout: 5s, dns: {{query_name: {host}, query_type: A, preferred_ip_protocol: ip4}}}}
  tcp: {{prober: tcp, timeout: 5s, tcp: {{preferred_ip_protocol: ip4}}}}
  tls:
    prober: tcp
    timeout: 5s
    tcp: {{preferred_ip_protocol: ip4, tls: true, tls_config: {{ca_file: {root}, server_name: {host}}}}}
  http:
    prober: http
    timeout: 5s
    http:
      preferred_ip_protocol: ip4
      no_follow_redirects: true
      headers: {{Host: {host}}}
      tls_config: {{ca_file: {root}, server_name: {host}}}
"""
FETCH = """
import sys, urllib.request
for line in sys.stdin.read().split():
    body = urllib.request.urlopen(line, timeout=10).read().decode()
    found = dict(row.rsplit(" ", 1) for row in body.splitlines() if row and row[0] != "#")
    print(found["probe_success"], found["probe_duration_seconds"])
"""


def ours(lab: Network, settings: dict[str, Any]) -> dict[str, Any]:
    file = lab.folder / "ours.json"
    file.write_text(json.dumps(settings))
    script = Path(__file__).parent / "ours.py"
    environment = os.environ | {"SSL_CERT_FILE": str(lab.folder / "root.pem"), "PYTHONPATH": "."}
    command = ["ip", "netns", "exec", lab.topology.client, sys.executable, str(script), str(file)]
    done = subprocess.run(command, capture_output=True, check=True, env=environment)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def theirs(lab: Network, settings: dict[str, Any]) -> dict[str, Any]:
    config = lab.folder / "blackbox.yml"
    config.write_text(MODULES.format(host=HOST, root=lab.folder / "root.pem"))
    inside = ["ip", "netns", "exec", lab.topology.client]
    exporter = subprocess.Popen(
        [*inside, "prometheus-blackbox-exporter", f"--config.file={config}", "--web.listen-address=127.0.0.1:9115"],
        stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        time.sleep(1.0)
        seconds: dict[str, list[float]] = {}
        _fetch(inside, settings, "http", 3)
        began = _cpu(exporter.pid)
        for kind in TRIPS:
            seconds[kind] = _fetch(inside, settings, kind, COUNT)
        return {"cpu": (_cpu(exporter.pid) - began) / (COUNT * len(TRIPS)), "seconds": seconds}
    finally:
        exporter.kill()
        exporter.wait()


def _fetch(inside: list[str], settings: dict[str, Any], kind: str, count: int) -> list[float]:
    ip, port = settings[kind]
    target = f"https://{ip}:{port}/" if kind == "http" else f"{ip}:{port}"
    url = f"http://127.0.0.1:9115/probe?module={kind}&target={target}\n"
    done = subprocess.run(
        [*inside, sys.executable, "-c", FETCH], input=url * count, text=True, capture_output=True, check=True
    )
    rows = [line.split() for line in done.stdout.splitlines()]
    if any(success != "1" for success, _ in rows):
        raise RuntimeError(f"the exporter's {kind} probe fails")
    return [float(seconds) for _, seconds in rows]


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    if os.geteuid() != 0 or shutil.which("prometheus-blackbox-exporter") is None:
        print("needs root and Debian's prometheus-blackbox-exporter: skipped")
        return
    with network("crx", Conditions(delay_ms=DELAY)) as lab:
        web = next(ip for ip in lab.world.zone[HOST] if ":" not in ip)
        settings = {"host": HOST, "count": COUNT, "dns": ("8.8.8.8", 53)} | dict.fromkeys(
            ("tcp", "tls", "http"), (web, 443)
        )
        mine, peer = ours(lab, settings), theirs(lab, settings)
    print(
        f"CPU per probe: ours {1000 * mine['cpu']:.2f} ms, blackbox exporter {1000 * peer['cpu']:.2f} ms,"
        f" ratio {mine['cpu'] / peer['cpu']:.2f}"
    )
    for kind, trips in TRIPS.items():
        added = [1000 * median(one["seconds"][kind]) - trips * 2 * DELAY for one in (mine, peer)]
        print(
            f"{kind}: added to {trips} round trip(s) of {2 * DELAY:.0f} ms: ours {added[0]:.1f} ms,"
            f" blackbox exporter {added[1]:.1f} ms, ratio of the whole"
            f" {median(mine['seconds'][kind]) / median(peer['seconds'][kind]):.2f}"
        )


if __name__ == "__main__":
    main()
