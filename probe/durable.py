"""Files of the home: there whole or not at all, whatever happens to the power, and for nobody else to read.

A file is written beside its place, synced, renamed into place, and the folder is synced: POSIX promises that a
rename is atomic, and only a synced folder is known to remember it.
"""

import contextlib
import os
import secrets
from pathlib import Path

_BEGUN = ".begun"  # the end of the name of a file that is not there yet
_BINARY = getattr(os, "O_BINARY", 0)  # Windows would otherwise translate line ends


def write(path: Path, data: bytes) -> None:
    """Put a file in its place, mode 0600. Raises OSError, and then what stood there before still stands."""
    folder(path.parent)
    try:
        _write(path, data)
    except FileNotFoundError:  # another process tidied the folder just then
        _write(path, data)


def _write(path: Path, data: bytes) -> None:
    begun = path.with_name(f"{path.name}.{secrets.token_hex(4)}{_BEGUN}")
    try:
        descriptor = os.open(begun, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o600)
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(descriptor, left) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(begun, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(begun)
        raise
    sync(path.parent)


def move(path: Path, to: Path) -> None:
    """Move a file to another folder of the same home. Raises OSError."""
    folder(to.parent)
    os.replace(path, to)
    sync(to.parent)
    sync(path.parent)


def remove(path: Path) -> None:
    """Remove a file; one that is not there is no error. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
        sync(path.parent)


def folder(path: Path) -> None:
    """Make sure that a folder is there, for its owner alone if it is new. Raises OSError."""
    if path.is_dir():
        return
    folder(path.parent)
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)
        sync(path.parent)


def tidy(path: Path) -> None:
    """Remove what a lost power or a killed program left half written; only for who holds the folder's lock."""
    for begun in path.glob(f"*{_BEGUN}"):
        remove(begun)


def sync(path: Path) -> None:
    """Put a folder's names, or a file's bytes, on the disk; Windows cannot be asked to, and journals them itself."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
