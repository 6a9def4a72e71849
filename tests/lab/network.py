"""One whole network under test: world, servers, box and filters, as a scenario wants them."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from probe.configs import load
from probe.demo.certificates import Authority
from tests.lab import truth
from tests.lab import world as worlds
from tests.lab.assembly import start
from tests.lab.conditions import Conditions
from tests.lab.server_files import Keys
from tests.lab.servers import Servers
from tests.lab.stand_ins import Secrets
from tests.lab.topology import (
    COLLECTOR,
    COLLECTOR_HOST,
    FAR_END,
    FAR_HOST,
    FAR_TURN,
    FAR_TURN_HOST,
    Topology,
)
from tests.lab.world import World

__all__ = ["LAB_CONFIGS", "Conditions", "Network", "network"]
LAB_CONFIGS = Path(__file__).parent / "configs"
_MOST_SECONDS, _LEAST_SECONDS = 10.0, 0.5  # of a media profile; the least is the catalogue's own limit


class Network:
    """A running lab."""

    def __init__(self, topology: Topology, folder: Path, world: World, conditions: Conditions) -> None:
        self.topology, self.folder, self.world, self.conditions = topology, folder, world, conditions
        self.results = folder / "results"

    def probe(
        self, *arguments: str, configs: Path | None = None, timeout: float = 280
    ) -> subprocess.CompletedProcess[bytes]:
        """Run the probe as a user on the client would."""
        self._begin_midway(arguments)
        environment = os.environ | {
            "SSL_CERT_FILE": str(self.folder / "root.pem"), "COLUMNS": "80", "HOME": str(self.folder),
            **self.conditions.client,
        }  # fmt: skip
        command: list[str] = []
        if self.conditions.faketime:
            command += ["faketime", "-f", self.conditions.faketime]
            environment["FAKETIME_DONT_FAKE_MONOTONIC"] = "1"
        if self.conditions.leap:
            environment |= self._clock()
        command += [sys.executable, "-m", "probe", *arguments]
        if arguments[:1] == ("run",):
            command += ["--configs", str(configs or self.folder / "configs"), "--results", str(self.results)]
            command += ["--agree"]
        with self._busy(arguments) as inside:
            return subprocess.run(
                [*inside, *command], capture_output=True, env=environment, timeout=timeout, check=False
            )

    @contextmanager
    def _busy(self, arguments: tuple[str, ...]) -> Iterator[list[str]]:
        """Busy loops while the probe measures; the words in front of a command that runs where the client is."""
        inside = ["ip", "netns", "exec", self.topology.client]
        if arguments[:1] != ("run",) or not (self.conditions.busy or self.conditions.nice):
            yield inside
            return
        # All on one processor: how little the probe gets does not depend on how many this machine has.
        inside += ["taskset", "-c", str(max(os.sched_getaffinity(0)))]
        loop = [*inside, sys.executable, "-c", "while True: pass"]
        loops = [subprocess.Popen(loop) for _ in range(self.conditions.busy)]
        try:
            yield [*inside, "nice", "-n", str(self.conditions.nice)]
        finally:
            for one in loops:
                one.kill()
                one.wait()

    def passed(self) -> list[truth.Passed]:
        """What became of each packet until now (condition `truth`), when the box has had time to write it."""
        time.sleep(10 * truth.IDLE)
        return truth.read(self.folder / "box.truth")

    def _begin_midway(self, arguments: tuple[str, ...]) -> None:
        """What happens to the client while it measures: a second after the run's file has begun."""
        if arguments[:1] != ("run",):
            return

        def happen() -> None:
            until = time.monotonic() + 60
            while not any(self.results.glob("*.jsonl")) and time.monotonic() < until:
                time.sleep(0.1)
            time.sleep(1.0)
            for command in self.conditions.midway:
                self.topology.run(self.topology.client, "sh", "-c", command)
            if self.conditions.leap:
                (self.folder / "clock").write_text(self.conditions.leap)

        if self.conditions.midway or self.conditions.leap:
            threading.Thread(target=happen, daemon=True).start()

    def _clock(self) -> dict[str, str]:
        """An environment whose clock follows a file (libfaketime)."""
        (self.folder / "clock").write_text("+0")
        library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
        return {
            "LD_PRELOAD": str(library), "FAKETIME_TIMESTAMP_FILE": str(self.folder / "clock"),
            "FAKETIME_CACHE_DURATION": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }  # fmt: skip

    def run(self, *arguments: str) -> dict[str, Any]:
        """`probe run --json`, read."""
        done = self.probe("run", "--json", *arguments)
        if done.returncode not in (0, 1):
            raise RuntimeError(f"exit {done.returncode}: {done.stderr.decode()}")
        found: dict[str, Any] = json.loads(done.stdout)
        return found


@contextmanager
def network(
    prefix: str,
    conditions: Conditions,
    *,
    configs: Path = LAB_CONFIGS,
    seed: int = 0,
    shorten: float | None = None,
) -> Iterator[Network]:
    """Build, hand out, take down again.

    Media profiles last `shorten` of their time; without it, as long as they do, but ten seconds at most.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"{prefix}-"))
    topology = Topology(prefix)
    topology.remove()
    servers = Servers(topology, folder)
    try:
        authority = Authority("Laboratory Root")
        (folder / "root.pem").write_bytes(authority.pem)
        keys_of_services = Secrets(folder / "secrets")
        keys_of_services.make()
        _copy_configs(configs, folder / "configs", authority, keys_of_services)
        _shorten(folder / "configs" / "profiles.toml", shorten)
        world = worlds.of(load(folder / "configs"))
        if conditions.far_end:
            _settle_far_end(world)
        if conditions.collector:
            world.zone[COLLECTOR_HOST] = list(COLLECTOR)
        for name in conditions.gone:
            world.zone.pop(name, None)
        for name in conditions.without_aaaa:
            world.zone[name] = [ip for ip in world.zone[name] if ":" not in ip]
        topology.make()
        keys = Keys(_folder(folder / "keys"), authority, conditions.certificate)
        start(topology, servers, world, conditions, folder, keys, seed)
        yield Network(topology, folder, world, conditions)
    finally:
        servers.stop()
        topology.remove()
        with contextlib.suppress(OSError):
            if not os.environ.get("LAB_KEEP"):
                shutil.rmtree(folder)


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def _copy_configs(source: Path, target: Path, authority: Authority, services: Secrets) -> None:
    """The catalogue as it is, but with the lab's root and the stand-ins' keys as trust anchors."""
    shutil.copytree(source, target)
    (target / "trust").mkdir(exist_ok=True)
    for anchor in (target / "trust").glob("*.pem"):
        if "BEGIN CERTIFICATE" in anchor.read_text():
            anchor.write_bytes(authority.pem)
    for name, pem in services.anchors().items():
        (target / "trust" / f"{name}.pem").write_text(pem)


def _shorten(profiles: Path, factor: float | None) -> None:
    """A lab's calls take seconds, not minutes."""
    if not profiles.is_file():
        return

    def shorter(found: re.Match[str]) -> str:
        seconds = float(found[2])
        lasting = min(seconds, _MOST_SECONDS) if factor is None else seconds * factor
        return f"{found[1]}{max(_LEAST_SECONDS, round(lasting, 2))}"

    profiles.write_text(re.sub(r"(?m)(\bseconds\s*=\s*)([\d.]+)", shorter, profiles.read_text()))


def _settle_far_end(world: World) -> None:
    """Names and addresses of the far end and its TURN server, for the resolvers, rules and behaviours."""
    for host, name, ips in ((FAR_HOST, "far", FAR_END), (FAR_TURN_HOST, "turn", FAR_TURN)):
        world.zone[host] = world.services[name] = list(ips)
