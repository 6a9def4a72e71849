"""Which runs there are, and how far each segment was read to know that: SQLite, rebuilt from the segments if lost.

An index belongs to one collector. What it says and how far it has read are committed together, and only after the
lines are on the disk: after a power cut it is behind the segments at worst, and reads on.
"""

import contextlib
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from probe.collector.lines import Entry

_SCHEMA = """
CREATE TABLE IF NOT EXISTS run (
  id TEXT PRIMARY KEY, sha256 TEXT, key TEXT, received TEXT, segment TEXT, state INTEGER
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS segment (name TEXT PRIMARY KEY, read INTEGER, whole INTEGER) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS doomed ON run (segment) WHERE state = 1;
"""
_SETTINGS = (
    "PRAGMA locking_mode = EXCLUSIVE",  # no shared memory file, which network storage does not have
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    "PRAGMA cache_size = -16384",  # kB
    "PRAGMA temp_store = MEMORY",
)
KEPT, DELETED, ERASED = range(3)


class Known(NamedTuple):
    """A run that there is, or was."""

    run: str
    sha256: str
    key: str
    received: str
    segment: str
    state: int  # KEPT, DELETED (its bytes are still on the disk) or ERASED


class Place(NamedTuple):
    """How far a segment was read; nothing more comes to one that is `whole`."""

    read: int
    whole: bool


class Index:
    """Not for more than one thread at a time. Every method may raise sqlite3.Error."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._db = self._opened()

    def _opened(self) -> sqlite3.Connection:
        try:
            return _open(self._file)
        except sqlite3.OperationalError:
            raise  # a full or absent disk; nothing is wrong with the file
        except sqlite3.DatabaseError:
            for end in ("", "-wal", "-shm"):
                with contextlib.suppress(FileNotFoundError):
                    self._file.with_name(self._file.name + end).unlink()
            return _open(self._file)

    def find(self, run: str) -> Known | None:
        """What is known of a run."""
        row = self._db.execute(
            "SELECT id, sha256, key, received, segment, state FROM run WHERE id = ?", (run,)
        ).fetchone()
        return None if row is None else Known._make(row)

    def places(self) -> dict[str, Place]:
        """Every segment that was read from."""
        return {
            name: Place(read, bool(whole))
            for name, read, whole in self._db.execute("SELECT name, read, whole FROM segment")
        }

    def add(self, segment: str, entries: Iterable[Entry], place: Place) -> None:
        """Note what stands in the next part of a segment, all of it or nothing."""
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            for entry in entries:
                self._note(segment, entry)
            self._db.execute("INSERT OR REPLACE INTO segment VALUES (?, ?, ?)", (segment, *place))

    def _note(self, segment: str, entry: Entry) -> None:
        if entry.run:
            # The first is the run; a second is possible only where storage has no locks, and is a copy.
            self._db.execute(
                "INSERT INTO run VALUES (?, ?, ?, ?, ?, 0) ON CONFLICT (id) DO UPDATE SET"
                " sha256 = excluded.sha256, key = excluded.key, received = excluded.received,"
                " segment = excluded.segment WHERE run.sha256 = '' AND run.segment = ''",
                (entry.run, entry.sha256, entry.key, entry.received, segment),
            )
        elif entry.deleted:
            # Its segment may be read later than this one.
            self._db.execute(
                "INSERT INTO run VALUES (?, '', ?, '', '', 1) ON CONFLICT (id) DO UPDATE SET"
                " state = max(state, 1), key = iif(key = '', excluded.key, key)",
                (entry.deleted, entry.key),
            )
        elif entry.erased:
            self._db.execute(
                "INSERT INTO run VALUES (?, '', '', '', ?, 2) ON CONFLICT (id) DO UPDATE SET state = 2",
                (entry.erased, segment),
            )

    def doomed(self) -> dict[str, set[str]]:
        """Runs that are deleted and not yet erased, by segment."""
        found: dict[str, set[str]] = {}
        for run, segment in self._db.execute("SELECT id, segment FROM run WHERE state = 1 AND segment != ''"):
            found.setdefault(segment, set()).add(run)
        return found

    def erased(self, runs: Iterable[str]) -> None:
        """These are gone from the disk."""
        with self._db:
            self._db.executemany("UPDATE run SET state = 2 WHERE id = ?", [(run,) for run in runs])

    def count(self) -> int:
        """Runs that there are."""
        return int(self._db.execute("SELECT count(*) FROM run WHERE state = 0").fetchone()[0])

    def close(self) -> None:
        """Let go of it."""
        self._db.close()


def _open(file: Path) -> sqlite3.Connection:
    db = sqlite3.connect(file, isolation_level=None, check_same_thread=False, timeout=0)
    try:
        for setting in _SETTINGS:
            db.execute(setting)
        db.executescript(_SCHEMA)
        db.execute("SELECT count(*) FROM segment").fetchone()
    except BaseException:
        db.close()
        raise
    return db
