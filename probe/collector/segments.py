"""Segments: files of lines, one of which each collector is writing; when large or old enough they are sealed.

open/NAME.jsonl        being written, by whoever holds its lock (flock); without a holder, whoever finds it seals it
sealed/NAME.jsonl      complete, about to be compressed
sealed/NAME.jsonl.zst  complete
"""

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import BinaryIO, cast

import zstandard

from probe.collector.lines import erased

OPEN, SEALED = "open", "sealed"
RAW, PACKED = ".jsonl", ".jsonl.zst"
_BEGUN = ".begun"
_LEVEL = 6  # five times smaller, 100 MB/s
_CHUNK = 1 << 20


class Segment:
    """One that is being written. After an error it must be let go."""

    def __init__(self, storage: Path, name: str, now: float) -> None:
        """Create it, on the disk before anything is in it. Raises OSError."""
        self.name, self.begun, self.size = name, now, 0
        self._storage = storage
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(storage / OPEN / f"{name}{RAW}", flags, 0o640)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            sync_folder(storage / OPEN)
        except BaseException:
            os.close(self._descriptor)
            raise

    def append(self, data: bytes) -> None:
        """Write and sync. Raises OSError, and then nothing of it was kept as far as can be brought about."""
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(self._descriptor, left) :]
            os.fdatasync(self._descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self.size)
            raise
        self.size += len(data)

    def close(self) -> None:
        """Let go: it stays where it is until somebody seals it."""
        os.close(self._descriptor)


def sync_folder(folder: Path) -> None:
    """Make sure that a folder's entries are on the disk. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def being_written(storage: Path) -> list[str]:
    """Segments in `open`. Raises OSError."""
    return sorted(n.removesuffix(RAW) for n in os.listdir(storage / OPEN) if n.endswith(RAW))


def sealed(storage: Path) -> list[str]:
    """Segments that are complete, compressed or not. Raises OSError."""
    found = {
        n.removesuffix(end) for n in os.listdir(storage / SEALED) for end in (RAW, PACKED) if n.endswith(end)
    }
    return sorted(found)


@contextlib.contextmanager
def opened(storage: Path, name: str) -> Iterator[BinaryIO]:
    """A segment, wherever it is by now, uncompressed. Raises OSError, zstandard.ZstdError when read."""
    with contextlib.ExitStack() as stack:
        for place in (storage / OPEN / f"{name}{RAW}", storage / SEALED / f"{name}{RAW}"):
            with contextlib.suppress(FileNotFoundError):
                file: BinaryIO = stack.enter_context(place.open("rb"))
                break
        else:
            packed = stack.enter_context((storage / SEALED / f"{name}{PACKED}").open("rb"))
            reader = zstandard.ZstdDecompressor().stream_reader(packed)
            file = stack.enter_context(cast("BinaryIO", reader))
        yield file


def lines(file: BinaryIO, begin: int) -> Iterator[bytes]:
    """Whole lines from a place on; what is after the last newline is not there yet."""
    if begin:
        file.seek(begin)
    held = b""
    while chunk := file.read(_CHUNK):
        *whole, held = (held + chunk).split(b"\n")
        for raw in whole:
            yield raw + b"\n"


def adopt(storage: Path, name: str) -> bool:
    """Seal one whose writer is gone, without what it wrote last and not whole; False if the writer lives.

    Whoever calls this holds the storage's lock, so that nobody is just about to create or to lock it. Raises OSError.
    """
    place = storage / OPEN / f"{name}{RAW}"
    with place.open("r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        size = _whole_size(file)
        file.truncate(size)
        os.fsync(file.fileno())
    if size:
        seal(storage, name)
    else:
        place.unlink()
    return True


def _whole_size(file: BinaryIO) -> int:
    """Bytes up to the last newline."""
    end = file.seek(0, os.SEEK_END)
    while end:
        begin = max(0, end - _CHUNK)
        file.seek(begin)
        last = file.read(end - begin).rfind(b"\n")
        if last >= 0:
            return begin + last + 1
        end = begin
    return 0


def seal(storage: Path, name: str) -> None:
    """Move a complete one to where it is compressed. Raises OSError."""
    os.rename(storage / OPEN / f"{name}{RAW}", storage / SEALED / f"{name}{RAW}")
    sync_folder(storage / SEALED)
    sync_folder(storage / OPEN)


def packed(storage: Path) -> list[str]:
    """Sealed ones that are compressed. Raises OSError."""
    return sorted(n.removesuffix(PACKED) for n in os.listdir(storage / SEALED) if n.endswith(PACKED))


def unpacked(storage: Path) -> list[str]:
    """Sealed ones that are not compressed yet. Raises OSError."""
    return sorted(n.removesuffix(RAW) for n in os.listdir(storage / SEALED) if n.endswith(RAW))


def pack(storage: Path, name: str, doomed: Collection[str]) -> None:
    """Compress a sealed one, without these runs, and read it back before the original goes. Raises OSError."""
    raw, packed = storage / SEALED / f"{name}{RAW}", storage / SEALED / f"{name}{PACKED}"
    _rewrite(storage, name, packed, doomed)
    with contextlib.suppress(FileNotFoundError):
        raw.unlink()
    sync_folder(storage / SEALED)


def erase(storage: Path, name: str, doomed: Collection[str]) -> None:
    """Take the documents of these runs out of a compressed one. Raises OSError."""
    _rewrite(storage, name, storage / SEALED / f"{name}{PACKED}", doomed)


def _rewrite(storage: Path, name: str, packed: Path, doomed: Collection[str]) -> None:
    begun = packed.with_name(packed.name + _BEGUN)
    before = hashlib.sha256()
    with opened(storage, name) as source, begun.open("wb") as target:
        with zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).stream_writer(
            target, closefd=False
        ) as writer:
            for raw in lines(source, 0):
                kept = erased(raw, doomed) if doomed else raw
                before.update(kept)
                writer.write(kept)
        target.flush()
        os.fsync(target.fileno())
    after = hashlib.sha256()
    with begun.open("rb") as file:
        reader = zstandard.ZstdDecompressor().stream_reader(file)
        while chunk := reader.read(_CHUNK):
            after.update(chunk)
    if before.digest() != after.digest():
        begun.unlink()
        raise OSError(f"{packed.name} does not read back as it was written")
    os.replace(begun, packed)
    sync_folder(packed.parent)
