"""SIGKILL at random moments of an uploader that speaks to a collector that is not ours."""

import random
import signal
import subprocess
import sys
from pathlib import Path

from probe import consent
from probe.cli.uploading import Upload
from probe.upload.queue import Queue
from tests.build import NOON
from tests.upload.foreign import collecting
from tests.upload.runs import run_file

CONFIGS = Path(__file__).parent.parent.parent / "configs"
KILLS, RUNS = 50, 3
# Forks an uploader for each line it reads and kills it after so many seconds (it is reaped only then, so that no
# other process can have its number); fifty interpreters need not start.
NURSERY = """
import os, signal, sys, time, httpx, stamina, zstandard, certifi
from pathlib import Path
from tests.upload.test_kills import upload_once
for line in sys.stdin:
    child = os.fork()
    if not child:
        upload_once(Path(sys.argv[1]), sys.argv[2])
        os._exit(0)
    time.sleep(float(line))
    os.kill(child, signal.SIGKILL)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def upload_once(home: Path, url: str) -> None:
    """What `probe upload` does."""
    upload = Upload.prepare(home, CONFIGS, home / "results", to=[url], key="", proxy="")
    upload.deliver((), everything=False, quiet=True)


def test_no_run_is_lost_and_none_is_doubled_over_fifty_kills(tmp_path: Path) -> None:
    chance, kills, number = random.Random(20261125), 0, 0
    with collecting() as collector:
        consent.keep(tmp_path, consent.with_collector(consent.Consent(), collector.host, NOON))
        nursery = subprocess.Popen(
            [sys.executable, "-c", NURSERY, str(tmp_path), collector.url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        assert nursery.stdin is not None
        assert nursery.stdout is not None
        longest = (
            0.5  # seconds; halved when an uploader was through before, so that any machine is met in the act
        )
        while kills < KILLS:
            for _ in range(RUNS):  # measuring goes on meanwhile
                number += 1
                run_file(tmp_path / "results", number)
            nursery.stdin.write(f"{chance.uniform(0.0, longest)}\n")
            killed = int(nursery.stdout.readline()) == -signal.SIGKILL
            kills += killed
            longest = min(longest * 1.1, 1.0) if killed else longest / 2
        nursery.stdin.close()
        nursery.wait()
        nursery.stdout.close()
        before = len(collector.runs)
        upload_once(tmp_path, collector.url)
        files = {path.read_bytes() for path in (tmp_path / "results").iterdir()}

    queue = Queue(tmp_path)
    assert before > 0
    assert set(collector.runs.values()) == files
    assert len(collector.runs) == len(files) == number
    assert queue.waiting() == []
    assert len(list(queue.outcomes())) == number
    assert not list(tmp_path.rglob("*.begun"))
