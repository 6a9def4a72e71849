"""Keeps each run once, on the disk, however many collectors write to the same storage.

Whoever commits holds the storage's lock (flock, which the kernel frees when its holder dies), and first reads on in
the segments of the others: what it then decides is true for all of them. A commit is a batch, so that a lock, an
fdatasync and an index's transaction are shared by everybody who waits.
"""

import contextlib
import fcntl
import os
import secrets
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeAlias

import zstandard

from probe.collector import segments
from probe.collector.index import DELETED, KEPT, Index, Known, Place
from probe.collector.lines import Entry, entry

_LOCK, _TIDY, _INDEX = "lock", "tidy.lock", "index"
_TRIAL = 1 << 20  # bytes that must be free for a storage to be well
_AT_ONCE = 5000  # entries between two transactions when much is read
_RACY = 2.0  # seconds in which a folder may change once more without its time telling
_NOTHING = Place(0, False)
BROKEN = (OSError, sqlite3.Error, zstandard.ZstdError)

Word: TypeAlias = Literal["new", "same", "taken", "deleted", "unknown", "other key"]


class StorageError(Exception):
    """Nothing can be kept now; the sentence says why."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """To keep a run, or to delete one (then there is no `sha256`); `line` is what is written if it is granted."""

    run: str
    key: str
    received: str
    line: bytes
    sha256: str = ""

    @property
    def entry(self) -> Entry:
        """What an index wants of the line."""
        if not self.sha256:
            return Entry(deleted=self.run, received=self.received, key=self.key)
        return Entry(run=self.run, sha256=self.sha256, received=self.received, key=self.key)


@dataclass(frozen=True)
class Answer:
    """What became of a wish; `known` is the run as it is kept."""

    word: Word
    known: Known | None = None


class Archive:
    """One collector's hold on a storage. Not for more than one thread at a time."""

    def __init__(
        self, storage: Path, name: str, *, segment_bytes: int, segment_seconds: float, free: int,
        wall: Callable[[], float],
    ) -> None:  # fmt: skip
        """Make the folders that are missing, and read on where the index ends. Raises StorageError."""
        self._storage, self._wall = storage, wall
        self._most, self._oldest, self._free = segment_bytes, segment_seconds, free
        self._segment: segments.Segment | None = None
        self._sealed: list[str] = []
        self._changed, self._listed, self._sure_from = 0, 0.0, 0.0  # of the folder of sealed ones
        try:
            for folder in (segments.OPEN, segments.SEALED, _INDEX):
                (storage / folder).mkdir(parents=True, exist_ok=True)
            os.close(os.open(storage / _LOCK, os.O_RDWR | os.O_CREAT, 0o640))
            segments.sync_folder(storage)
            self._index = _index(storage, name)
            self._places = self._index.places()
            for old in self._newly_sealed():  # much, if the index is new; the others go on meanwhile
                self._read(old, self._places.get(old, _NOTHING), whole=True)
            with self._locked():
                self._adopt()
                self._read_on()
        except BROKEN as error:
            raise StorageError(f"{storage}: {_why(error)}") from None

    def commit(self, wishes: Sequence[Wish]) -> list[Answer]:
        """Grant what can be granted, on the disk when this returns. Raises StorageError: then acknowledge nothing."""
        try:
            with self._locked():
                self._check_room()
                self._read_on()
                return self._grant(wishes)
        except BROKEN as error:
            raise StorageError(_why(error)) from None

    def find(self, run: str) -> Known | None:
        """A run, whichever collector has it. Raises StorageError."""
        try:
            known = self._index.find(run)
            if known is None:
                with self._locked():
                    self._read_on()
                known = self._index.find(run)
        except BROKEN as error:
            raise StorageError(_why(error)) from None
        return known

    def check(self) -> None:
        """Whether something could be kept now. Raises StorageError."""
        try:
            self._check_room()
            with tempfile.TemporaryFile(dir=self._storage / segments.OPEN) as trial:
                os.posix_fallocate(trial.fileno(), 0, _TRIAL)
        except BROKEN as error:
            raise StorageError(_why(error)) from None

    def turn(self) -> dict[str, set[str]]:
        """Seal what is due, and what the dead left; returns runs to be erased by segment. Raises StorageError."""
        try:
            with self._locked():
                if self._segment is not None and self._is_due(self._segment):
                    name = self._segment.name
                    self._let_go()
                    segments.seal(self._storage, name)
                self._adopt()
                self._read_on()
            return self._index.doomed()
        except BROKEN as error:
            raise StorageError(_why(error)) from None

    def doomed(self) -> set[str]:
        """Segments with runs that are deleted and not yet erased. Raises StorageError."""
        try:
            with self._locked():
                self._read_on()
            return set(self._index.doomed())
        except BROKEN as error:
            raise StorageError(_why(error)) from None

    def erased(self, runs: Sequence[str]) -> None:
        """Note that these are off the disk. Raises StorageError."""
        try:
            self._index.erased(runs)
        except BROKEN as error:
            raise StorageError(_why(error)) from None

    def close(self) -> None:
        """Let go; what is being written is sealed by whoever comes next."""
        self._let_go()
        self._index.close()

    def _grant(self, wishes: Sequence[Wish]) -> list[Answer]:
        answers: list[Answer] = []
        granted: list[Wish] = []
        fresh: dict[str, Known] = {}
        for wish in wishes:
            known = fresh.get(wish.run) or self._index.find(wish.run)
            word = _word(wish, known)
            if word == "new" or word == "deleted" and not wish.sha256 and known and known.state == KEPT:
                granted.append(wish)
                known = fresh[wish.run] = _after(wish, known)
            answers.append(Answer(word, known))
        if granted:
            self._append(granted)
        return answers

    def _append(self, granted: list[Wish]) -> None:
        if self._segment is None:
            now = self._wall()
            name = f"{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%S%f}Z-{secrets.token_hex(4)}"
            self._segment = segments.Segment(self._storage, name, now)
        segment = self._segment
        try:
            segment.append(b"".join([wish.line for wish in granted]))
        except OSError:
            self._let_go()  # after a failed sync nobody knows what a second one would mean
            raise
        # Should this fail, the place stays behind, and the next commit reads these lines before it decides anything.
        self._note(segment.name, [wish.entry for wish in granted], Place(segment.size, False))
        if segment.size >= self._most:
            self._let_go()
            segments.seal(self._storage, segment.name)

    def _read_on(self) -> None:
        for name in segments.being_written(self._storage):
            place = self._places.get(name, _NOTHING)
            if self._segment is None or name != self._segment.name or place.read != self._segment.size:
                self._read(name, place, whole=False)
        for name in self._newly_sealed():
            self._read(name, self._places.get(name, _NOTHING), whole=True)

    def _newly_sealed(self) -> list[str]:
        """Sealed segments that are not read to their end. The folder is listed only if it may have changed."""
        folder = os.open(self._storage / segments.SEALED, os.O_RDONLY)  # opened, so that NFS asks its server
        try:
            changed = os.fstat(folder).st_mtime_ns
        finally:
            os.close(folder)
        now = time.monotonic()
        if changed != self._changed:
            self._changed, self._sure_from = changed, now + _RACY
        if self._listed < self._sure_from:
            self._sealed, self._listed = segments.sealed(self._storage), now
        self._sealed = [name for name in self._sealed if not self._places.get(name, _NOTHING).whole]
        return self._sealed

    def _read(self, name: str, place: Place, *, whole: bool) -> None:
        entries: list[Entry] = []
        read = place.read
        with segments.opened(self._storage, name) as file:
            if not whole:
                if file.seek(0, os.SEEK_END) == read:
                    return
                os.fdatasync(
                    file.fileno()
                )  # its writer may have died before it did; we are about to vouch for it
                file.seek(0)
            for raw in segments.lines(file, read):
                read += len(raw)
                if (found := entry(raw)) is not None:
                    entries.append(found)
                if len(entries) >= _AT_ONCE:
                    self._note(name, entries, Place(read, False))
                    entries = []
        if entries or whole:
            self._note(name, entries, Place(read, whole))

    def _note(self, name: str, entries: list[Entry], place: Place) -> None:
        self._index.add(name, entries, place)
        self._places[name] = place

    def _adopt(self) -> None:
        for name in segments.being_written(self._storage):
            if self._segment is None or name != self._segment.name:
                segments.adopt(self._storage, name)

    def _is_due(self, segment: segments.Segment) -> bool:
        return segment.size > 0 and self._wall() - segment.begun >= self._oldest

    def _let_go(self) -> None:
        if self._segment is not None:
            self._segment.close()
            self._segment = None

    def _check_room(self) -> None:
        room = os.statvfs(self._storage)
        if room.f_bavail * room.f_frsize < self._free:
            raise OSError(0, "the disk is nearly full")

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        # Opened anew, and never created: where the disk is not mounted there must be no second storage.
        lock = os.open(self._storage / _LOCK, os.O_RDWR)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def _index(storage: Path, name: str) -> Index:
    try:
        return Index(storage / _INDEX / f"{name}.sqlite")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
            raise OSError(0, f"another collector has the name {name!r}; give this one its own") from None
        raise


def tidy(storage: Path, doomed: dict[str, set[str]]) -> list[str]:
    """Compress what is sealed and erase what is deleted, unless another collector is at it; returns what is erased.

    Needs no Archive, so that it can go on beside the commits. Raises StorageError.
    """
    gone: list[str] = []
    try:
        lock = os.open(storage / _TIDY, os.O_RDWR | os.O_CREAT, 0o640)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for name in segments.unpacked(storage):
                segments.pack(storage, name, doomed.get(name, ()))
                gone += doomed.pop(name, ())
            packed = set(segments.sealed(storage))
            for name in doomed.keys() & packed:
                segments.erase(storage, name, doomed[name])
                gone += doomed[name]
        except BlockingIOError:
            return gone
        finally:
            os.close(lock)
    except BROKEN as error:
        raise StorageError(_why(error)) from None
    return gone


def _word(wish: Wish, known: Known | None) -> Word:
    if wish.sha256:
        if known is None:
            return "new"
        if known.state != KEPT:
            return "deleted"
        return "same" if (known.sha256, known.key) == (wish.sha256, wish.key) else "taken"
    if known is None:
        return "unknown"
    return "deleted" if known.key == wish.key else "other key"


def _after(wish: Wish, known: Known | None) -> Known:
    """A run as it is once a wish is granted."""
    if known is not None:
        return known._replace(state=DELETED)
    return Known(wish.run, wish.sha256, wish.key, wish.received, "", KEPT)


def _why(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error)
