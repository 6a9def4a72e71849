"""Room on a machine that others use too, for this process and all that it starts."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

_AHEAD = -15
_GROUP = Path("/proc/self/autogroup")  # sched(7): under autogrouping, niceness counts within a session only


@contextlib.contextmanager
def ahead() -> Iterator[None]:
    """Before other work for as long as the block lasts, where that is allowed."""
    before = os.getpriority(os.PRIO_PROCESS, 0)
    try:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, _AHEAD)
            _GROUP.write_text(str(_AHEAD))
        yield
    finally:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, before)
            _GROUP.write_text("0")


def load() -> float:
    """Of the last minute, ours included."""
    return os.getloadavg()[0]


def machine() -> str:
    """What kind of machine this is, in a few words."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(os.sched_getaffinity(0))} processors of {models[0] if models else 'unknown kind'}"
