"""Lines in bounded memory."""

import subprocess
import sys
from pathlib import Path

import zstandard

from probe.analysis.lines import MAX_LINE, LeftOut, Line, lines


def test_lines_are_numbered_and_empty_ones_skipped(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"one\n\n  \nfour\nfive")

    assert list(lines(path)) == [Line(1, b"one"), Line(4, b"four"), Line(5, b"five")]


def test_the_longest_line_is_read_and_one_byte_more_is_not(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"x" * MAX_LINE + b"\n" + b"y" * (MAX_LINE + 1) + b"\nz")
    first, second, third = lines(path)

    assert first == Line(1, b"x" * MAX_LINE)
    assert isinstance(second, LeftOut)
    assert third == Line(3, b"z")


def test_a_folder_in_place_of_a_file_is_named(tmp_path: Path) -> None:
    (left,) = lines(tmp_path)

    assert str(left) == f"{tmp_path}: line 1: cannot be read on (Is a directory)"


def test_a_line_of_a_gigabyte_that_comes_in_a_few_kilobytes_does_not_fill_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "bomb.jsonl.zst"
    with path.open("wb") as file, zstandard.ZstdCompressor().stream_writer(file) as packer:
        for _ in range(1024):
            packer.write(bytes(1 << 20))
    code = (
        "import sys; from pathlib import Path; from probe.analysis.lines import lines;"
        "print(*lines(Path(sys.argv[1]))); print(Path('/proc/self/status').read_text())"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    said, *status = done.stdout.splitlines()
    most = next(line.split()[1] for line in status if line.startswith("VmHWM"))  # kB

    assert said.endswith("is longer than 4 MiB")
    assert int(most) < 200_000
