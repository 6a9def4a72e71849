"""`probe far-end` as a process: what it prints, how it ends."""

import contextlib
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from probe.far_end.settings import example
from tests.loopback import HERE

COMMAND = (sys.executable, "-m", "probe", "far-end")


def told(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60, check=False)


def test_the_example_is_printed_and_nothing_else() -> None:
    done = told("--example")

    assert (done.returncode, done.stdout, done.stderr) == (0, example(), "")


@pytest.mark.parametrize(
    ("text", "code", "sentence"),
    [
        ("listen = [", 2, "is not TOML"),
        ('listen = ["0.0.0.0:443"]', 2, "listen[0]: '0.0.0.0:443' is not loopback; that needs a certificate"),
        (f'listen = ["{HERE}:0"]\ncertificate = "a"\nkey = "b"', 2, "certificate and key: cannot be read"),
        (f'listen = ["{HERE}:TAKEN"]\nmedia = ["{HERE}"]\n', 1, "no address of `listen` could be used"),
        (None, 2, "far-end needs a file"),
    ],
)
def test_what_is_wrong_is_one_sentence(tmp_path: Path, text: str | None, code: int, sentence: str) -> None:
    file = tmp_path / "far-end.toml"
    with socket.socket() as taken:
        taken.bind((HERE, 0))
        taken.listen()
        file.write_text((text or "").replace("TAKEN", str(taken.getsockname()[1])))
        done = told(*([str(file)] if text is not None else []))

    assert done.returncode == code
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1].startswith("probe: ")
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_it_is_told_to_stop(tmp_path: Path, sent: signal.Signals) -> None:
    file = tmp_path / "far-end.toml"
    file.write_text(f'listen = ["{HERE}:0"]\nmedia = ["{HERE}"]\nudp = [0]\n')
    with subprocess.Popen([*COMMAND, str(file)], stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            lines = iter(process.stderr)
            assert any(re.match(r"HTTP is served at 127\.0\.0\.1:\d+\.", line) for line in lines)
            assert any(line.startswith("There is no TURN server") for line in lines)
            began = time.monotonic()
            process.send_signal(sent)
            rest = process.stderr.read()
            code = process.wait(10)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()

    assert code == 0
    assert time.monotonic() - began < 3
    assert rest.endswith("Stopping.\n")
    assert "Traceback" not in rest


def test_the_command_loads_nothing_heavy_before_it_is_used() -> None:
    code = "import sys; from probe.cli import far_end; print(*sys.modules)"
    loaded = set(
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()
    )

    assert not loaded & {"starlette", "uvicorn", "aiortc", "asyncio", "msgspec", "ssl", "cryptography"}
