"""Power cuts: record what a program does to a disk, and rebuild what a disk may hold at every moment of it.

What was written and not synced may be there, be torn at any byte, or be lost. A rename or removal may be lost until its
folder is synced. Recorded at the border to the operating system (`os` as `probe.durable` uses it); what is recorded
is also done.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from probe import durable


class Recorder:
    """Stands in front of `os`, does what is asked, and keeps a list of it."""

    def __init__(self) -> None:
        self.done: list[tuple[Any, ...]] = []
        self._open: dict[int, Path] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, path: Path, flags: int, mode: int = 0o777) -> int:
        descriptor = os.open(path, flags, mode)
        self._open[descriptor] = Path(path)
        if flags & os.O_CREAT:
            self.done.append(("create", Path(path)))
        return descriptor

    def write(self, descriptor: int, data: bytes) -> int:
        written = os.write(descriptor, data)
        self.done.append(("write", self._open[descriptor], bytes(data[:written])))
        return written

    def fsync(self, descriptor: int) -> None:
        os.fsync(descriptor)
        self.done.append(("sync", self._open[descriptor]))

    def close(self, descriptor: int) -> None:
        os.close(descriptor)
        del self._open[descriptor]

    def replace(self, path: Path, to: Path) -> None:
        os.replace(path, to)
        self.done.append(("rename", Path(path), Path(to)))

    def unlink(self, path: Path) -> None:
        os.unlink(path)
        self.done.append(("remove", Path(path)))

    def mkdir(self, path: Path, mode: int) -> None:
        os.mkdir(path, mode)
        self.done.append(("mkdir", Path(path)))


@contextmanager
def recording(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    recorder = Recorder()
    with monkeypatch.context() as patch:
        patch.setattr(durable, "os", recorder)
        yield recorder


Tree = dict[Path, bytes]


def cuts(done: list[tuple[Any, ...]], start: Tree, *, every: int = 1) -> Iterator[Tree]:
    """What files the disk may hold after each operation: all of it arrived, or all that was not synced is lost.

    Writes are torn at one byte of `every`.
    """
    for end in range(len(done) + 1):
        yield _held(done[:end], start, keep_unsynced=True)
        yield _held(done[:end], start, keep_unsynced=False)
        if end < len(done) and done[end][0] == "write":
            _, path, data = done[end]
            for byte in range(1, len(data), every):
                torn = [*done[:end], ("write", path, data[:byte])]
                yield _held(torn, start, keep_unsynced=True)


def _held(  # noqa: C901 - one case for each operation
    done: list[tuple[Any, ...]], start: Tree, *, keep_unsynced: bool
) -> Tree:
    """Contents count when their file was synced, names when their folder was."""
    now, disk = dict(start), dict(start)
    contents: dict[Path, bytes] = {}  # synced contents by the name of now
    for operation in done:
        match operation:
            case ("create", path):
                now[path] = b""
            case ("write", path, data):
                now[path] = now.get(path, b"") + data
            case ("rename", path, to):
                now[to] = now.pop(path)
                contents[to] = contents.pop(path, b"")
            case ("remove", path):
                now.pop(path, None)
            case ("sync", path) if path in now:
                contents[path] = now[path]
            case ("sync", folder):
                for path in {*now, *disk}:
                    if path.parent == folder:
                        if path in now:
                            disk[path] = contents.get(path, start.get(path, b""))
                        else:
                            disk.pop(path, None)
    return now if keep_unsynced else disk


def rebuilt(tree: Tree, home: Path, into: Path) -> Path:
    """A home with these files, instead of `home`."""
    if into.exists():
        for path in [p for p in into.rglob("*") if p.is_file()]:
            path.unlink()
    into.mkdir(exist_ok=True)
    for path, data in tree.items():
        place = into / path.relative_to(home)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    return into


def tree(home: Path) -> Tree:
    """The files of a home as they are."""
    return {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
