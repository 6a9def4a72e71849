import subprocess
import sys
from pathlib import Path

import pytest

from probe.lock import Busy, held, is_held

HOLDER = """
import sys, pathlib
from probe.lock import held
with held(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_told_at_once(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    holder.stdout.readline()

    assert is_held(lock)
    with pytest.raises(Busy), held(lock):
        pass

    holder.kill()  # it frees nothing itself; the system does
    holder.communicate()
    assert not is_held(lock)
    with held(lock):
        assert is_held(lock)


def test_a_lock_that_nobody_made_is_not_held(tmp_path: Path) -> None:
    assert not is_held(tmp_path / "lock")
    assert list(tmp_path.iterdir()) == []
