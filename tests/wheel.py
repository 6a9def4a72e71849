"""The wheel, in an empty environment with what it declares and nothing else."""

import os
import subprocess
import sys
import sysconfig
import venv
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).parent.parent


def built(folder: Path) -> tuple[Path, Path]:
    """The source archive and the wheel, the wheel made from the archive's own files."""
    hatchling = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run([*hatchling, "-t", "sdist"], cwd=REPOSITORY, check=True, capture_output=True)
    (archive,) = folder.glob("*.tar.gz")
    unpacked = folder / "unpacked"
    unpacked.mkdir()
    subprocess.run(["tar", "-xzf", str(archive), "--strip-components=1", "-C", str(unpacked)], check=True)
    subprocess.run([*hatchling, "-t", "wheel"], cwd=unpacked, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return archive, wheel


def declared(extra: str = "") -> set[str]:
    """Names of what an install fetches: what the project declares, and what that declares in turn."""
    found: set[tuple[str, str]] = set()
    waiting = [("callreach", extra), ("callreach", "")]
    while waiting:
        name, asked = waiting.pop()
        if (name, asked) in found:
            continue
        found.add((name, asked))
        for text in distribution(name).requires or []:
            need = Requirement(text)
            if need.marker is None or need.marker.evaluate({"extra": asked}):
                waiting += [(canonicalize_name(need.name), each) for each in ("", *need.extras)]
    return {name for name, _ in found} - {"callreach"}


def installed(wheel: Path, folder: Path, extra: str = "") -> Path:
    """A new environment, its `bin`: the wheel by pip, and links to what it declares, of which this one has a copy."""
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(python),
        "install",
        "--quiet",
        "--no-index",
        "--no-deps",
    ]
    subprocess.run([*pip, str(wheel)], check=True, capture_output=True)
    base = {"base": str(folder), "platbase": str(folder)}
    site = Path(sysconfig.get_path("purelib", "venv", base))
    for name in declared(extra):
        for top in {path.parts[0] for path in distribution(name).files or []} - {"..", "__pycache__"}:
            (site / top).symlink_to(Path(str(distribution(name).locate_file(top))))
    return folder / "bin"


def run(bin: Path, *words: str, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program of the environment as a user would who never saw the repository."""
    kept = {"PATH": f"{bin}:{os.defpath}", "HOME": str(home), "COLUMNS": "100"} | environment
    return subprocess.run(
        [str(bin / words[0]), *words[1:]],
        cwd=home, env=kept, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL,
    )  # fmt: skip
