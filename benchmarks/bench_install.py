"""What a volunteer fetches and keeps: the wheel against 1 MB, the core install against one with the analysis."""

import tempfile
from importlib.metadata import distribution
from pathlib import Path

from tests.wheel import built, declared

MOST = 1_000_000  # bytes of the wheel


def octets(names: set[str]) -> int:
    """Bytes on the disk of what these packages installed here, compiled files left out."""
    files = [Path(str(path.locate())) for name in names for path in distribution(name).files or []]
    return sum(path.stat().st_size for path in files if path.suffix != ".pyc" and path.is_file())


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        wheel = built(Path(folder))[1].stat().st_size
    core, analysis = declared(), declared("analysis")
    small, large = octets(core), octets(analysis)
    print(f"wheel: {wheel / 1000:.0f} kB, {wheel / MOST:.2f} of the limit of 1 MB")
    print(
        f"core install: {len(core)} packages, {small / 1e6:.0f} MB; with the analysis {len(analysis)},"
        f" {large / 1e6:.0f} MB: ratio {small / large:.2f}"
    )
    for name in sorted(core, key=lambda one: octets({one}), reverse=True)[:4]:
        print(f"  {name} {octets({name}) / 1e6:.0f} MB")
    raise SystemExit(0 if wheel <= MOST else 1)


if __name__ == "__main__":
    main()
