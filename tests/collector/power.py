"""A power cut: what was not synced is gone, as the worst disk would have it.

What is on the disk changes only when something is synced: then a file's content, or a folder's entries, as they are at
that moment. So there is a cut to be tried before each sync, with everything that was promised until then.
"""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest


class Disk:
    """What would be left of a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._content: dict[int, bytes] = {}
        self._entries: dict[Path, dict[str, int]] = {}
        self._held: list[
            int
        ] = []  # files that are synced stay open, or their numbers would be given to others
        self.syncs = 0

    def synced(self, descriptor: int) -> None:
        """A file or folder was."""
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            with os.scandir(path) as found:
                self._entries[path] = {one.name: one.inode() for one in found}
        else:
            if status.st_ino not in self._content:
                self._held.append(os.dup(descriptor))
            self._content[status.st_ino] = Path(f"/proc/self/fd/{descriptor}").read_bytes()

    def close(self) -> None:
        """Let go of everything."""
        for descriptor in self._held:
            os.close(descriptor)

    def left(self, where: Path) -> None:
        """Write what would be left to another folder; folders themselves always are."""
        for each in (self._folder, *(path for path in self._folder.rglob("*") if path.is_dir())):
            (where / each.relative_to(self._folder)).mkdir(parents=True, exist_ok=True)
        for folder, entries in self._entries.items():
            for name, inode in entries.items():
                target = where / folder.relative_to(self._folder) / name
                if not target.is_dir():
                    target.write_bytes(self._content.get(inode, b""))


@contextmanager
def cuts(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    before_each: Callable[[Disk], None],
    *,
    ignored: bool = False,
) -> Iterator[Disk]:
    """Call `before_each` before anything is synced. `ignored`: a disk that says it synced data, and has not."""
    disk = Disk(folder.resolve())
    real = {"fsync": os.fsync, "fdatasync": os.fdatasync}
    at_it = False

    def instead(name: str) -> Callable[[int], None]:
        def sync(descriptor: int) -> None:
            nonlocal at_it
            where = os.readlink(f"/proc/self/fd/{descriptor}")
            if at_it or not where.startswith(str(disk._folder)):
                real[name](descriptor)
                return
            at_it = True
            try:
                before_each(disk)
                disk.syncs += 1
                if not (ignored and name == "fdatasync"):
                    disk.synced(descriptor)
            finally:
                at_it = False

        return sync

    with closing(disk), monkeypatch.context() as patched:
        for name in real:
            patched.setattr(os, name, instead(name))
        yield disk
