"""Segments: what is compressed reads back, from any place on, and a compression that was cut off is begun anew."""

import os
from pathlib import Path

import pytest

from probe.collector import segments
from probe.collector.segments import Segment, lines, opened, pack, seal
from tests.collector.shelf import keep

LINES = [keep(f"{number:08x}", "x" * number * 100).line for number in range(200)]


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    for name in ("open", "sealed"):
        (tmp_path / name).mkdir()
    segment = Segment(tmp_path, "one", 0.0)
    for line in LINES:
        segment.append(line)
    segment.close()
    return tmp_path


def read(storage: Path, begin: int) -> list[bytes]:
    with opened(storage, "one") as file:
        return list(lines(file, begin))


def test_a_segment_reads_the_same_wherever_it_is(storage: Path) -> None:
    begin = sum(map(len, LINES[:70]))
    assert read(storage, begin) == LINES[70:]
    seal(storage, "one")
    assert read(storage, begin) == LINES[70:]
    pack(storage, "one", ())

    assert read(storage, begin) == LINES[70:]
    assert read(storage, sum(map(len, LINES))) == []
    assert [file.name for file in (storage / "sealed").iterdir()] == ["one.jsonl.zst"]


def test_a_compression_that_was_cut_off_is_begun_anew(storage: Path) -> None:
    seal(storage, "one")
    (storage / "sealed" / "one.jsonl.zst.begun").write_bytes(b"half of it")
    assert segments.unpacked(storage) == ["one"]
    pack(storage, "one", ())

    assert read(storage, 0) == LINES
    assert [file.name for file in (storage / "sealed").iterdir()] == ["one.jsonl.zst"]


def test_the_original_stays_if_what_was_compressed_does_not_read_back(
    storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seal(storage, "one")
    real = os.fsync

    def corrupts(descriptor: int) -> None:
        """A disk that takes a file and keeps another."""
        where = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        real(descriptor)
        if where.name.endswith(".begun"):
            where.write_bytes(where.read_bytes()[:100])

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", corrupts)
        with pytest.raises(OSError, match="does not read back"):
            pack(storage, "one", ())

    assert read(storage, 0) == LINES
    assert segments.unpacked(storage) == ["one"]


def test_erasing_changes_no_place(storage: Path) -> None:
    seal(storage, "one")
    pack(storage, "one", {"00000005"})
    segments.erase(storage, "one", {"00000007"})
    begin = sum(map(len, LINES[:8]))

    assert read(storage, begin) == LINES[8:]
    assert [raw.rstrip() for raw in read(storage, 0)[5:8:2]] == [
        b'{"erased":"00000005"}',
        b'{"erased":"00000007"}',
    ]
