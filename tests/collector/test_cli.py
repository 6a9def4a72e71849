"""`probe collect` as a process: what it prints, how it ends."""

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from probe.collector.settings import example
from tests.collector.process import process
from tests.loopback import HERE

COMMAND = (sys.executable, "-m", "probe", "collect")


def told(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60, check=False)


def test_the_example_is_printed_and_nothing_else() -> None:
    done = told("--example")

    assert (done.returncode, done.stdout, done.stderr) == (0, example(), "")


@pytest.mark.parametrize(
    ("text", "code", "sentence"),
    [
        ("listen = [", 2, "is not TOML"),
        ('listen = ["1.1.1.1:80"]\nstorage = "s"', 2, "listen[0]: '1.1.1.1:80' is public"),
        (f'listen = ["{HERE}:0"]\nstorage = "collector.toml"', 1, "Not a directory"),
        (f'listen = ["{HERE}:0"]\nstorage = "s"\nkey = "collector.toml"', 2, "holds no Ed25519 key"),
        (f'listen = ["{HERE}:TAKEN"]\nstorage = "s"', 1, "no address of `listen` could be used"),
        (None, 2, "collect needs a file"),
    ],
)
def test_what_is_wrong_is_one_sentence(tmp_path: Path, text: str | None, code: int, sentence: str) -> None:
    file = tmp_path / "collector.toml"
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


def test_two_of_one_name_on_one_storage_are_told_apart(tmp_path: Path) -> None:
    with process(tmp_path):
        done = told(str(tmp_path / "one.toml"))

    assert done.returncode == 1
    assert "another collector has the name 'one'" in done.stderr


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_it_is_told_to_stop(tmp_path: Path, sent: signal.Signals) -> None:
    with process(tmp_path) as up:
        assert up.process.stderr is not None
        began = time.monotonic()
        up.process.send_signal(sent)
        rest = up.process.stderr.read()
        code = up.process.wait(20)

    assert code == 0
    assert time.monotonic() - began < 10
    assert "Receipts are signed by the key " in rest
    assert rest.endswith("Stopping.\n")
    assert "Traceback" not in rest


def test_the_command_loads_nothing_heavy_before_it_is_used() -> None:
    code = "import sys; from probe.cli import collect; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert not set(done.stdout.split()) & {
        "starlette",
        "uvicorn",
        "asyncio",
        "msgspec",
        "ssl",
        "cryptography",
        "zstandard",
    }


def test_an_install_without_the_extra_is_told_how_to_get_it(tmp_path: Path) -> None:
    (tmp_path / "collector.toml").write_text(f'listen = ["{HERE}:0"]\nstorage = "s"\n')
    code = (
        "import sys; sys.modules['httptools'] = None; sys.argv = ['probe', 'collect', 'collector.toml'];"
        "from probe.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path
    )

    assert done.returncode == 2
    assert (
        done.stderr
        == "probe: httptools is missing; a collector is installed with: pip install '.[collector]'\n"
    )
