"""An archive for tests, and wishes for it."""

import hashlib
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from probe.collector.archive import Archive, Wish, tidy
from probe.collector.lines import Deleted, Kept, written


class Clock:
    """Stands until it is moved."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def archive(storage: Path, name: str = "one", **more: Any) -> Archive:
    """With segments of any size, on any disk."""
    given: dict[str, Any] = {
        "segment_bytes": 1 << 30,
        "segment_seconds": 900.0,
        "free": 0,
        "wall": Clock(),
    } | more
    return Archive(storage, name, **given)


def keep(run: str, text: str = "", key: str = "mine") -> Wish:
    """To keep a run."""
    text = text or f"text of {run}"
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    kept = Kept(run=run, sha256=sha256, received="now", key=key, signature="s", sent="then", document=text)
    return Wish(run=run, key=key, received="now", line=written(kept), sha256=sha256)


def drop(run: str, key: str = "mine") -> Wish:
    """To delete one."""
    said = Deleted(deleted=run, received="later", key=key, signature="s", sent="then")
    return Wish(run=run, key=key, received="later", line=written(said))


def sealed(storage: Path, *wishes: Wish, name: str = "shelf", wall: Callable[[], float] = time.time) -> None:
    """Grant these, each in a segment of its own, and compress and erase what is due as a collector does."""
    with closing(archive(storage, name, segment_bytes=1, wall=wall)) as shelf:
        for wish in wishes:
            assert shelf.commit([wish])[0].word in ("new", "deleted")
        shelf.erased(tidy(storage, shelf.turn()))
