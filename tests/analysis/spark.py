"""A real Spark cluster on loopback: a master, two workers and Connect, each a process of its own.

Spark itself is unpacked under `.spark/` (see the Makefile); the workers' Python is the one that runs the tests.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
HOME = ROOT / ".spark"
_DEPLOY = "org.apache.spark.deploy"
_CONNECT = "org.apache.spark.sql.connect.service.SparkConnectServer"
_BRIEF = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"  # for a machine of Java's that lives a minute
_PATIENCE = 60.0  # seconds for each process to listen


@dataclass
class Cluster:
    """Where Connect listens, and the processes behind it."""

    folder: Path
    home: Path = HOME
    token: str = field(default_factory=lambda: secrets.token_hex(16))
    master: str = ""
    port: int = 0
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """What `--engine` is given. Connect wants its token, and clients send one over plain TCP to localhost only."""
        return f"sc://localhost:{self.port}/;token={self.token}"

    def start(self, name: str, *command: str) -> None:
        """Start one process of Spark's in a session of its own, its words in a file."""
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "SPARK_HOME": str(self.home),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_CONF_DIR": str(self.folder / "conf"),
            "SPARK_WORKER_DIR": str(self.folder / name),
            "SPARK_LOCAL_DIRS": str(self.folder / name),
            "SPARK_DAEMON_MEMORY": "700m" if name == "connect" else "256m",
            "SPARK_DAEMON_JAVA_OPTS": _BRIEF,
            "PYSPARK_PYTHON": sys.executable,
        }
        with (self.folder / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                [str(self.home / "bin" / command[0]), *command[1:]],
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def worker(self, name: str) -> None:
        """Start a worker with one core."""
        self.start(
            name, "spark-class", f"{_DEPLOY}.worker.Worker", "--host", "127.0.0.1", "--webui-port", str(free_port()),
            "--cores", "1", "--memory", "1g", self.master,
        )  # fmt: skip

    def executor(self, name: str) -> int:
        """The process id of the executor that a worker started."""
        return next(pid for pid, parent, line in _processes()
                    if parent == self.processes[name].pid and "CoarseGrainedExecutorBackend" in line)  # fmt: skip

    def stand_still(self, name: str, still: bool = True) -> None:
        """Stop a worker's executor where it is, or let it go on."""
        os.kill(self.executor(name), signal.SIGSTOP if still else signal.SIGCONT)

    def kill(self, name: str) -> None:
        """Kill a worker and its executor as a power cut would."""
        for pid in (self.executor(name), self.processes[name].pid):
            os.kill(pid, signal.SIGKILL)
        self.processes.pop(name).wait()

    def stop(self) -> None:
        """End every process that was started here, and what they started."""
        for name in ("connect", "one", "two", "three", "master"):
            if name in self.processes:
                _end(self.processes.pop(name))


def free_port() -> int:
    """A port of loopback that nobody has."""
    with closing(socket.socket()) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """The cluster, up and asked for nothing yet."""
    (folder / "conf").mkdir(parents=True)
    made = Cluster(folder)
    port = free_port()
    made.master = f"spark://127.0.0.1:{port}"
    secret = secrets.token_hex(16)
    (folder / "conf" / "spark-defaults.conf").write_text(
        "spark.authenticate true\n"
        f"spark.authenticate.secret {secret}\n"
        f"spark.connect.authenticate.token {made.token}\n"
        "spark.master.rest.enabled false\n"
        "spark.driver.host 127.0.0.1\n"
        "spark.driver.bindAddress 127.0.0.1\n"
        "spark.driver.memory 700m\n"
        "spark.executor.memory 700m\n"
        "spark.executor.cores 1\n"
        "spark.cores.max 2\n"
        "spark.sql.session.timeZone UTC\n"
        "spark.sql.shuffle.partitions 2\n"
        "spark.ui.enabled false\n"
        f"spark.driver.extraJavaOptions {_BRIEF}\n"
        f"spark.executor.extraJavaOptions {_BRIEF}\n"
    )
    try:
        made.start("master", "spark-class", f"{_DEPLOY}.master.Master", "--host", "127.0.0.1",
                   "--port", str(port), "--webui-port", str(free_port()))  # fmt: skip
        _listens(port, made, "master")
        for name in ("one", "two"):
            made.worker(name)
        made.port = free_port()
        made.start("connect", "spark-submit", "--class", _CONNECT, "--master", made.master,
                   "--conf", "spark.connect.grpc.binding.address=127.0.0.1",
                   "--conf", f"spark.connect.grpc.binding.port={made.port}", "spark-internal")  # fmt: skip
        _listens(made.port, made, "connect")
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder / "one", ignore_errors=True)
        shutil.rmtree(folder / "two", ignore_errors=True)


def _listens(port: int, made: Cluster, name: str) -> None:
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until and made.processes[name].poll() is None:
        with closing(socket.socket()) as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise RuntimeError(f"{name} does not listen: {(made.folder / f'{name}.log').read_text()[-2000:]}")


def _processes() -> Iterator[tuple[int, int, str]]:
    """Process id, parent and command line of everything that runs here. Linux."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                stat = (folder / "stat").read_text()
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            yield int(folder.name), int(stat.rpartition(")")[2].split()[1]), line


def _descendants(pid: int) -> set[int]:
    parents = [(child, parent) for child, parent, _ in _processes()]
    found, fresh = set[int](), {pid}
    while fresh:
        fresh = {child for child, parent in parents if parent in fresh} - found
        found |= fresh
    return found


def _end(process: subprocess.Popen[bytes]) -> None:
    children = _descendants(process.pid)
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for child in children:
        try:
            os.kill(child, signal.SIGKILL)
        except ProcessLookupError:
            continue
