"""One at a time: a lock on a file, which the system frees when its holder dies, however it dies."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from probe import durable


class Busy(Exception):
    """Another process holds the lock."""


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the lock while inside. Raises Busy at once where another process has it, and OSError."""
    durable.folder(path.parent)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _take(descriptor, path)
        yield
    finally:
        os.close(descriptor)  # which frees it


def is_held(path: Path) -> bool:
    """Whether a process has it now. Raises OSError."""
    if not path.exists():
        return False
    try:
        with held(path):
            return False
    except Busy:
        return True


def _take(descriptor: int, path: Path) -> None:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        raise Busy(str(path)) from None
