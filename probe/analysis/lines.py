"""The lines of a file, plain or compressed, in bounded memory however the file was made."""

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple, cast

import zstandard

from probe.record import plain

MAX_LINE = 4 << 20  # bytes; no line that we or OONI's collectors keep is longer
LONGEST_REASON = 200  # characters of a reason, which may quote what a stranger wrote
_CHUNK = 1 << 20
_MAX_WINDOW = 1 << 27  # what a zstd frame may ask of our memory


class LeftOut(NamedTuple):
    """Something that was not read: where, and why in one sentence."""

    path: str
    line: int  # 0: the whole file
    reason: str

    def __str__(self) -> str:
        """One line for people, without anything a terminal would obey."""
        where = f"{self.path}: line {self.line}" if self.line else self.path
        return plain(f"{where}: {self.reason}")


class Line(NamedTuple):
    """One line without its end."""

    number: int
    text: bytes


def lines(path: Path) -> Iterator[Line | LeftOut]:
    """Every line of a file, at most MAX_LINE long; a longer one is named, skipped, and what follows is read."""
    number, held, skipping = 1, b"", False
    try:
        with closing(_open(path)) as file:
            while chunk := file.read1(_CHUNK):  # not read: it would keep back what stands before damage
                *ended, held = (held + chunk).split(b"\n")
                for text in ended:
                    if skipping or len(text) > MAX_LINE:
                        yield LeftOut(str(path), number, f"is longer than {MAX_LINE >> 20} MiB")
                    elif text.strip():
                        yield Line(number, text)
                    number, skipping = number + 1, False
                if skipping or len(held) > MAX_LINE:
                    held, skipping = b"", True
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        yield LeftOut(str(path), number, f"cannot be read on ({_said(error)})")
        return
    if skipping:
        yield LeftOut(str(path), number, f"is longer than {MAX_LINE >> 20} MiB")
    elif held.strip():
        yield Line(number, held)


def _open(path: Path) -> io.BufferedReader:
    if path.suffix == ".gz":
        return cast(io.BufferedReader, gzip.open(path, "rb"))
    file = path.open("rb")
    if path.suffix != ".zst":
        return file
    # A segment may be appended to frame by frame.
    engine = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW)
    return cast(io.BufferedReader, engine.stream_reader(file, read_across_frames=True, closefd=True))


def _said(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else f"damaged: {error}"
