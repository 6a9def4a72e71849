"""The coordinators' machine: the documented nginx file before a real collector, with a certificate of their own."""

import shlex
import subprocess
import sys
import time
from pathlib import Path

from probe.demo.certificates import Authority
from tests.journey.machine import Said, typed
from tests.lab.network import Network
from tests.lab.servers import Servers
from tests.lab.topology import COLLECTOR, COLLECTOR_HOST

PORT = 8480
STORAGE = "/var/lib/callreach-collector"  # where the documented unit keeps it, and what the transcript says
_FILE = Path(__file__).parents[2] / "docs" / "examples" / "nginx-collector.conf"
_PATIENCE = 60.0


class Coordinator:
    """Runs where the lab's internet is."""

    def __init__(self, lab: Network) -> None:
        self.folder = lab.folder / "coordinator"
        self.folder.mkdir()
        self.port = PORT
        self.storage, self._inside = self.folder / "storage", ["ip", "netns", "exec", lab.topology.net]
        authority = Authority("The Coordinators' Own Root")
        self.root = authority.pem
        certificate, key = authority.issue(COLLECTOR_HOST).write(self.folder, "leaf")
        settings = self.folder / "collector.toml"
        settings.write_text(f'listen = ["127.0.0.1:{PORT}"]\nstorage = "{self.storage}"\nfree = 0\n')
        log = self.folder / "collector.log"
        with log.open("wb") as file:
            command = [*self._inside, sys.executable, "-m", "probe", "collect", str(settings)]
            self._collector = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
        text = _until(log, "HTTP is served at")
        self.key = text.partition("Receipts are signed by the key ")[2].split()[0].rstrip(".")
        Servers(lab.topology, self.folder).nginx(
            lab.topology.net, "nginx", _nginx(self.folder, certificate, key)
        )

    def stop(self) -> None:
        """End the collector."""
        self._collector.terminate()
        self._collector.wait(20)

    def asks(self, path: str) -> bytes:
        """What the collector itself answers on the machine."""
        script = f"import sys, httpx; print(httpx.get('http://127.0.0.1:{PORT}{path}', trust_env=False).text)"
        return subprocess.run(
            [*self._inside, sys.executable, "-c", script], capture_output=True, check=True, timeout=30
        ).stdout

    def type(self, command: str) -> Said:
        """A command of the coordinators, who keep runs at `STORAGE`."""
        words = shlex.split(command.replace(STORAGE, str(self.storage)))
        return typed([*self._inside, sys.executable, "-m", *words])

    def rows(self, runs: Path) -> dict[str, bytes]:
        """What Parquet files made from these runs hold, as text."""
        import pyarrow.parquet

        folder = self.folder / "rows"
        said = self.type(f"probe import {runs} --to {folder}")
        assert said.code == 0, said
        tables = {str(path): pyarrow.parquet.read_table(path) for path in folder.rglob("*.parquet")}
        return {path: repr(table.to_pylist()).encode() for path, table in tables.items()}

    def written(self) -> dict[str, bytes]:
        """Every file that there is, but for what we made it of."""
        ours = ("leaf.crt", "leaf.key", "collector.toml", "nginx.conf")
        return {
            str(path.relative_to(self.folder)): path.read_bytes()
            for path in self.folder.rglob("*")
            if path.is_file() and path.name not in ours
        }


def _nginx(folder: Path, certificate: Path, key: Path) -> str:
    """The documented file; only what a machine has otherwise is replaced in it."""
    text = _FILE.read_text()
    live = "/etc/letsencrypt/live/collector.example"
    replaced = {
        "listen 443 ssl;": f"listen {COLLECTOR[0]}:443 ssl;",
        "listen [::]:443 ssl;": f"listen [{COLLECTOR[1]}]:443 ssl;",
        f"{live}/fullchain.pem": str(certificate),
        f"{live}/privkey.pem": str(key),
        "server_name collector.example;": f"server_name {COLLECTOR_HOST};",
    }
    for was, now in replaced.items():
        assert text.count(was) == 1, was
        text = text.replace(was, now)
    return (
        f"user root; pid {folder}/nginx.pid; error_log /dev/null crit;\nevents {{}}\n"
        f"http {{ client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;"
        f" uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n{text}\n}}\n"
    )


def _until(log: Path, sentence: str) -> str:
    until = time.monotonic() + _PATIENCE
    while sentence not in (text := log.read_text()):
        if time.monotonic() > until:
            raise TimeoutError(text)
        time.sleep(0.05)
    return text
