"""A collector as a process, which can be killed."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.loopback import HERE


@dataclass
class Process:
    """One that serves."""

    process: subprocess.Popen[str]
    port: int

    @property
    def url(self) -> str:
        return f"http://{HERE}:{self.port}"

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait(10)


@contextlib.contextmanager
def process(
    folder: Path, name: str = "one", more: str = "", storage: Path | None = None, top: str = ""
) -> Iterator[Process]:
    """One on a folder's storage, stopped with the block if it still runs."""
    file = folder / f"{name}.toml"
    file.write_text(
        f'listen = ["{HERE}:0"]\nstorage = "{storage or folder / "storage"}"\nname = "{name}"\nfree = 0\n{top}\n{more}'
    )
    command = (sys.executable, "-m", "probe", "collect", str(file))
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as started:
        try:
            assert started.stderr is not None
            served = next(said for said in started.stderr if said.startswith("HTTP is served at "))
            yield Process(started, int(served.rstrip(".\n").rpartition(":")[2]))
        finally:
            started.terminate()
            started.wait(30)
