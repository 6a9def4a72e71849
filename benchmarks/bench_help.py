"""How much slower `probe --help` starts than a bare typer program. Limit: 1.5 times."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

BARE = """
import typer
app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
@app.command()
def hello(name: str = "you") -> None:
    "Say hello."
@app.command()
def goodbye(name: str = "you") -> None:
    "Say goodbye."
app()
"""
ROUNDS = 15
LIMIT = 1.5


def seconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        bare = Path(folder) / "bare.py"
        bare.write_text(BARE)
        commands = [[sys.executable, "-m", "probe", "--help"], [sys.executable, str(bare), "--help"]]
        times: list[list[float]] = [[], []]
        for _ in range(ROUNDS):  # in turn, so that noise meets both
            for command, into in zip(commands, times, strict=True):
                into.append(seconds(command))
    ours, peer = (median(found) for found in times)
    ratio = ours / peer
    print(f"probe --help {ours:.3f} s, bare typer --help {peer:.3f} s, ratio {ratio:.2f} (limit {LIMIT})")
    raise SystemExit(0 if ratio <= LIMIT else 1)


if __name__ == "__main__":
    main()
