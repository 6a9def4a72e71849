"""For which small machines PyPI has a wheel of each locked package that is not pure Python: docs/small-machines.md.

Asks through pip, one package and platform at a time, about the versions of requirements.lock; downloads none of them.
"""

import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

LOCK = Path(__file__).parent.parent / "requirements.lock"
GLIBC = range(17, 37)  # of Debian 12 and Raspberry Pi OS 12: 2.36
MUSL = (1, 2)
PLATFORMS = {
    "aarch64": [f"manylinux_2_{minor}_aarch64" for minor in GLIBC] + ["manylinux2014_aarch64"],
    "armv7l": [f"manylinux_2_{minor}_armv7l" for minor in GLIBC] + ["manylinux2014_armv7l"],
    "aarch64 musl": [f"musllinux_1_{minor}_aarch64" for minor in MUSL],
    "x86_64": [f"manylinux_2_{minor}_x86_64" for minor in GLIBC] + ["manylinux2014_x86_64"],
}


def locked() -> list[Requirement]:
    """What the lock installs on this Python and Linux."""
    lines = re.findall(r"^[a-z0-9][^\\\n]*", LOCK.read_text(), re.MULTILINE)
    needs = [Requirement(line) for line in lines]
    return [need for need in needs if need.marker is None or need.marker.evaluate()]


def is_pure(need: Requirement) -> bool:
    try:
        about = distribution(need.name).read_text("WHEEL") or ""
    except PackageNotFoundError:
        return False
    return "Root-Is-Purelib: true" in about and "-none-any" in about


def has_wheel(need: Requirement, platforms: list[str]) -> bool:
    words = ["install", "--dry-run", "--quiet", "--no-deps", "--ignore-installed", "--only-binary", ":all:"]
    words += ["--target", "unused", "--python-version", "3.11", "--implementation", "cp"]
    words += [f"--platform={platform}" for platform in platforms]
    command = [sys.executable, "-m", "pip", *words, f"{need.name}{need.specifier}"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode and "No matching distribution" not in done.stderr:
        raise SystemExit(done.stderr)  # not an answer
    return done.returncode == 0


def main() -> None:
    needs = locked()
    native = [need for need in needs if not is_pure(need)]
    print(f"{len(needs)} packages, {len(needs) - len(native)} of them pure Python\n")
    print(f"| CPython 3.11 | {' | '.join(PLATFORMS)} |\n|{'---|' * (len(PLATFORMS) + 1)}")
    for need in native:
        found = ["yes" if has_wheel(need, tags) else "no" for tags in PLATFORMS.values()]
        print(f"| {need.name} {str(need.specifier).removeprefix('==')} | {' | '.join(found)} |", flush=True)


if __name__ == "__main__":
    main()
