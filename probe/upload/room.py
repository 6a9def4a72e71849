"""Whether there is room to measure more. Where there is not, measuring stops; what waits is never deleted for it."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from probe.language import N_

if TYPE_CHECKING:
    from probe.catalogue import Queue as Limits


def shortage(home: Path, limits: "Limits") -> str:
    """Why nothing more should be measured now, in one sentence that says what to do; empty if there is room."""
    waiting = home / "queue"
    size = sum(e.stat().st_size for f in ("waiting", "refused") for e in (waiting / f).glob("*.signed"))
    if size > limits.bytes:
        return N_(
            "{folder}: {megabytes} MB wait to be sent, more than queue.bytes allows; nothing more is measured until"
            " `probe upload` has sent them, and nothing of it is deleted"
        ).format(folder=waiting, megabytes=f"{size / 1e6:.0f}")
    place = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(place).free
    if free < limits.free:
        return N_(
            "{folder}: {megabytes} MB of the disk are free, less than queue.free asks for; nothing is measured until"
            " there is room, and nothing that waits to be sent is deleted"
        ).format(folder=home, megabytes=f"{free / 1e6:.0f}")
    return ""
