"""Sealed segments for readers: what there is, and its bytes by their digest.

A segment is named by what it holds, so that a reader fetches only what it does not have, and so that a part of one
is never continued by a part of another: what is erased from a segment gives it another digest.
"""

import asyncio
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from probe.collector import segments
from probe.collector.intake import Intake
from probe.collector.protocol import Refused, Sealed

_PATIENCE = 20.0  # seconds that a list may take; proxies wait for a minute
_CHUNK = 1 << 20


class _State(NamedTuple):
    """By which it is seen that a file is not another one by now."""

    inode: int
    octets: int
    changed: int


class Export:
    """What readers ask of a storage."""

    def __init__(self, storage: Path, intake: Intake) -> None:
        self._storage, self._intake = storage, intake
        self._known: dict[str, tuple[_State, str]] = {}  # digests by name
        self._looking: asyncio.Task[tuple[Sealed, ...]] | None = None

    async def list(self) -> tuple[Sealed, ...]:
        """Every compressed segment. Raises Refused (503), also while runs that are deleted still stand in one."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(asyncio.to_thread(self._look))
        try:
            async with asyncio.timeout(_PATIENCE):
                found = await asyncio.shield(self._looking)
        except TimeoutError:
            raise Refused(
                503, "busy", "segments are being looked through for the first time", retry=5
            ) from None
        except OSError as error:
            raise Refused(503, "storage", f"nothing can be read now: {error.strerror}", retry=30) from None
        await self._wait_for_erasing({one.name for one in found})
        return found

    async def open(self, sha256: str) -> tuple[BinaryIO, int]:
        """A segment by its digest, and its size. Raises Refused (404, 503)."""
        found = self._find(sha256)
        if found is None:
            await self.list()  # whose list the reader has may be another collector's
            found = self._find(sha256)
        if found is None:
            raise Refused(404, "unknown", "there is no segment of this digest, or no longer")
        name, file = found
        try:
            await self._wait_for_erasing({name})
        except BaseException:
            file.close()
            raise
        return file, os.fstat(file.fileno()).st_size

    def _find(self, sha256: str) -> tuple[str, BinaryIO] | None:
        for name, (state, known) in self._known.items():
            if known == sha256:
                try:
                    file = self._path(name).open("rb")
                except FileNotFoundError:
                    continue
                if _state(file) == state:
                    return name, file
                file.close()
        return None

    def _look(self) -> tuple[Sealed, ...]:
        """Raises OSError."""
        found: dict[str, tuple[_State, str]] = {}
        for name in segments.packed(self._storage):
            try:
                with self._path(name).open("rb") as file:
                    state = _state(file)
                    before = self._known.get(name)
                    if before is None or before[0] != state:
                        before = state, hashlib.file_digest(file, "sha256").hexdigest()
            except FileNotFoundError:  # moved away
                continue
            self._known[name] = found[name] = before
        self._known = found
        return tuple(
            Sealed(name=name, octets=state.octets, sha256=sha256) for name, (state, sha256) in found.items()
        )

    async def _wait_for_erasing(self, names: set[str]) -> None:
        if names & await self._intake.doomed():
            raise Refused(503, "busy", "a run that was deleted is being erased", retry=5)

    def _path(self, name: str) -> Path:
        return self._storage / segments.SEALED / f"{name}{segments.PACKED}"


def _state(file: BinaryIO) -> _State:
    status = os.fstat(file.fileno())
    return _State(status.st_ino, status.st_size, status.st_mtime_ns)


def pieces(file: BinaryIO, begin: int) -> Iterator[bytes]:
    """A file from a place on, and closed at its end."""
    with file:
        file.seek(begin)
        while piece := file.read(_CHUNK):
            yield piece
