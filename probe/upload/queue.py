"""Runs that wait to be sent: an on-disk queue that moves by renaming, so that no moment of it can be lost.

    queue/waiting/RUN.signed         the exact bytes of a result file, signed and compressed once
    queue/outcomes/RUN.HOST.json     what became of it at one collector: its receipt, or why it was refused
    queue/refused/RUN.signed         what a collector refused for good; kept until you erase it

A run leaves `waiting` when every collector has said its last word on it, and never otherwise. An outcome is on the
disk before the run moves. A run is signed when it joins and not when it is sent: however often and whenever that is,
and whatever became of its key, it is the same run of the same sender to a collector.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from probe import durable, store
from probe.model import Run
from probe.record import Record, line
from probe.upload.keys import KeyFileError, key, network
from probe.upload.signing import RUN

_ID = re.compile(r"[0-9a-f]{8,64}")
_SUFFIX = ".signed"
_LEVEL = 12  # 22 kB of JSON in a few milliseconds; sent over poor links
_MOST = 64 << 20  # bytes of one run; beyond is no run of ours

Word: TypeAlias = Literal["kept", "kept aside", "refused", "deleted"]


class QueueError(Exception):
    """A run cannot be queued, or what is queued cannot be read; the sentence says which and why."""


class Outcome(Record):
    """A collector's last word on a run. `receipt` is as it came, for the volunteer to show."""

    run: str
    sha256: str
    collector: str
    word: Word
    at: datetime
    key: str = ""  # the public key that signed it: who can ask for its deletion
    network: str = ""  # the name of that key
    reason: str = ""
    verified: bool = False  # the receipt was signed by the key pinned for this collector
    receipt: str = ""


class Signed(Record):
    """The first line of an entry; what follows it is the compressed run."""

    network: str  # the name of the key
    key: str  # the public key
    signature: str


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """A run that waits."""

    run: Run
    by: "Signed"
    body: bytes  # compressed, as it is sent
    exact: bytes  # as it stands in the result file, as it is signed


class Queue:
    """The queue of a home. Anybody may add to it; whoever takes from it holds its lock (`probe.lock`)."""

    def __init__(self, home: Path) -> None:
        self.home, self.folder = home, home / "queue"
        self.lock = self.folder / "lock"
        self._waiting, self._refused = self.folder / "waiting", self.folder / "refused"
        self._outcomes = self.folder / "outcomes"

    def tidy(self) -> None:
        """Remove what was half written when the power went."""
        for folder in (self._waiting, self._outcomes, self._refused, self.home / "keys"):
            durable.tidy(folder)

    def add(self, path: Path, *, again: bool = False) -> str:
        """Queue a result file, unless it is queued or (but for `again`) was sent; returns its run's id.

        Raises QueueError, and KeyFileError.
        """
        run = header(path).id
        if run not in (self.waiting() if again else self._known()):
            one = pack(self.home, path)
            try:
                durable.write(self._waiting / f"{run}{_SUFFIX}", line(one.by) + one.body)
            except OSError as error:
                raise QueueError(f"{path}: cannot be queued ({error.strerror})") from None
        return run

    def _known(self) -> set[str]:
        """The ids of runs that wait, were refused, or have an outcome."""
        folders = (self._waiting, self._refused, self._outcomes)
        return {entry.name.partition(".")[0] for folder in folders for entry in folder.glob("*")}

    def add_since(self, results: Path, since: datetime) -> list[str]:
        """Queue every finished run begun since then that is not known; returns the ids of those that are new.

        It makes the queue whole again after a power loss between a run's end and its queueing.
        """
        added, known = [], self._known()
        for path in reversed(store.runs(results)):
            try:
                run = header(path)
                if run.started >= since and run.id not in known and is_finished(path):
                    added.append(self.add(path))
            except (QueueError, KeyFileError):
                continue  # a damaged file is shown by `probe show`; it is never sent by itself
        return added

    def waiting(self) -> list[str]:
        """The ids of runs that wait, oldest first."""
        entries = [(entry.stat().st_mtime, entry.name) for entry in self._waiting.glob(f"*{_SUFFIX}")]
        return [name.removesuffix(_SUFFIX) for _, name in sorted(entries)]

    def refused(self) -> list[str]:
        """The ids of runs that a collector refused for good."""
        return sorted(entry.name.removesuffix(_SUFFIX) for entry in self._refused.glob(f"*{_SUFFIX}"))

    def take(self, run: str) -> Waiting:
        """A waiting run, read. Raises QueueError if the disk lost it."""
        entry = self._waiting / f"{run}{_SUFFIX}"
        try:
            return unpacked(entry.read_bytes(), entry)
        except OSError as error:
            raise QueueError(f"{entry}: cannot be read ({error.strerror})") from None

    def conclude(self, outcome: Outcome) -> None:
        """Keep a collector's last word, before anything else happens. Raises OSError."""
        durable.write(self._outcomes / f"{outcome.run}.{_file_name(outcome.collector)}.json", line(outcome))

    def outcome(self, run: str, collector: str) -> Outcome | None:
        """A collector's last word on a run; None where it has not spoken or the file is damaged."""
        try:
            raw = (self._outcomes / f"{run}.{_file_name(collector)}.json").read_bytes()
            return msgspec.json.decode(raw, type=Outcome)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return None

    def outcomes(self) -> Iterator[Outcome]:
        """All last words, in the order of runs' ids."""
        for file in sorted(self._outcomes.glob("*.json")):
            run, _, host = file.name.removesuffix(".json").partition(".")
            if (outcome := self.outcome(run, host)) is not None:
                yield outcome

    def settle(self, run: str, collectors: Collection[str]) -> None:
        """Let a run go if every collector has spoken: away, or to `refused`. Raises OSError."""
        words = [outcome.word for c in collectors if (outcome := self.outcome(run, c)) is not None]
        if len(words) < len(collectors) or not words:
            return
        entry = self._waiting / f"{run}{_SUFFIX}"
        if "refused" in words:
            durable.move(entry, self._refused / entry.name)
        else:
            durable.remove(entry)

    def again(self, run: str) -> None:
        """Let a refused run wait once more: the volunteer asked for it by name. Raises OSError."""
        entry = self._refused / f"{run}{_SUFFIX}"
        if entry.exists():
            for outcome in list(self.outcomes()):
                if outcome.run == run and outcome.word == "refused":
                    durable.remove(self._outcomes / f"{run}.{_file_name(outcome.collector)}.json")
            durable.move(entry, self._waiting / entry.name)

    def size(self) -> int:
        """Bytes of what waits and what was refused."""
        return sum(e.stat().st_size for f in (self._waiting, self._refused) for e in f.glob(f"*{_SUFFIX}"))

    def erase(self) -> int:
        """Remove everything, outcomes too; returns how many files that were. Raises OSError."""
        entries = [e for f in (self._waiting, self._refused, self._outcomes) for e in f.glob("*")]
        for entry in entries:
            durable.remove(entry)
        return len(entries)


def header(path: Path) -> Run:
    """The first record of a result file. Raises QueueError."""
    try:
        with path.open("rb") as file:
            first = file.readline(1 << 20)
    except OSError as error:
        raise QueueError(f"{path}: cannot be read ({error.strerror})") from None
    return _run(first, path)


def is_finished(path: Path) -> bool:
    """Whether the last line of a result file is its end record, whole. Raises QueueError."""
    last = _whole(path).rstrip(b"\n").rpartition(b"\n")[2]
    try:
        told = msgspec.json.decode(last, type=dict)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return told.get("record") == "end"


def unpacked(raw: bytes, where: Path) -> Waiting:
    """An entry, opened. Raises QueueError."""
    import zstandard

    first, _, body = raw.partition(b"\n")
    try:
        by = msgspec.json.decode(first, type=Signed)
        exact = zstandard.ZstdDecompressor().decompress(body, max_output_size=_MOST)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, zstandard.ZstdError):
        raise QueueError(f"{where}: is damaged; its run is not sent") from None
    return Waiting(run=_run(exact.partition(b"\n")[0], where), by=by, body=body, exact=exact)


def pack(home: Path, path: Path) -> Waiting:
    """A result file as it would wait, without queueing it. Raises QueueError, and KeyFileError."""
    exact = _whole(path)
    run = _run(exact.partition(b"\n")[0], path)
    signing = key(home, network(run))
    by = Signed(network=signing.network, key=signing.public, signature=signing.sign(RUN, exact))
    return Waiting(run=run, by=by, body=_compressed(exact), exact=exact)


def _whole(path: Path) -> bytes:
    try:
        if path.stat().st_size > _MOST:
            raise QueueError(f"{path}: is larger than any run ({_MOST >> 20} MB)")
        return path.read_bytes()
    except OSError as error:
        raise QueueError(f"{path}: cannot be read ({error.strerror})") from None


def _compressed(exact: bytes) -> bytes:
    import zstandard

    return zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compress(exact)


def _run(first: bytes, where: Path) -> Run:
    try:
        run = msgspec.json.decode(first, type=Run)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise QueueError(f"{where}: does not begin with a run") from None
    if not _ID.fullmatch(run.id):
        raise QueueError(f"{where}: id: is not one of ours")
    return run


def _file_name(collector: str) -> str:
    """A host as part of a file's name; Windows has no colons there."""
    return re.sub(r"[^a-z0-9.\-]", "_", collector.lower())
