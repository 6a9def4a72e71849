"""The services of docs/examples, as systemd reads them."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = sorted((Path(__file__).parent.parent / "docs" / "examples").glob("*.service"))
MOST_EXPOSED = 2.0  # of 10, what `systemd-analyze security` calls OK; it said 1.4 and 1.6
needs_systemd = pytest.mark.skipif(  # in CI what is missing is a failure
    not os.environ.get("CI") and shutil.which("systemd-analyze") is None, reason="needs Debian's systemd"
)


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, timeout=60)


@needs_systemd
@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)
def test_systemd_finds_nothing_wrong_with_a_service(unit: Path, tmp_path: Path) -> None:
    there = tmp_path / unit.name
    there.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", unit.read_text(), flags=re.MULTILINE))
    done = analyze("verify", "--man=no", str(there))

    complaints = [line for line in (done.stdout + done.stderr).splitlines() if unit.stem in line]
    assert (done.returncode, complaints) == (0, [])


@needs_systemd
@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)
def test_a_service_is_allowed_little(unit: Path) -> None:
    done = analyze(
        "security", "--offline=yes", "--no-pager", f"--threshold={MOST_EXPOSED * 10:.0f}", str(unit)
    )

    assert re.search(r"Overall exposure level for callreach-[a-z-]+\.service: [01]\.", done.stdout), (
        done.stderr
    )
    assert done.returncode == 0


def test_there_are_three_services() -> None:
    assert [unit.stem for unit in UNITS] == ["callreach-collector", "callreach-far-end", "callreach-rows"]
