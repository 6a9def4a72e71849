"""What is broken, foreign or hostile, as a user of `probe compare` and `import` meets it."""

import csv
import gzip
import io
import json
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from probe.record import line
from tests.analysis.runs import answering, run, silent, text, write
from tests.cli.test_compare import probe

HOSTILE = "Beta \x1b[2J\u202egnp.exe\n=cmd()"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two runs of one evening on two networks."""
    good = run(answering(), asn=64500, as_name="Alpha", country="AA")
    bad = run(silent(), asn=64501, as_name="Beta", country="BB")
    write(tmp_path / "runs", good, bad)
    return tmp_path / "runs"


@pytest.mark.parametrize("how", [["--by", "label"], ["--csv"]])
def test_what_a_stranger_wrote_is_not_obeyed_by_terminals_or_spreadsheets(
    how: list[str], tmp_path: Path
) -> None:
    where: dict[str, Any] = {"as_name": HOSTILE, "label": "=HYPERLINK(1)\u200f", "country": "\x1b]"}
    odd = run(answering("\x1b[31msignal\u202e"), asn=64500, **where)
    write(tmp_path / "runs", odd, run(silent(), **where))
    (tmp_path / "runs" / "odd.jsonl").write_text('{"record": "\\u001b[31mred\\u202e"}\n')
    (tmp_path / "runs" / "ooni.jsonl").write_text(other_test("\x1b[31m\u202e"))
    code, out, err = probe("compare", tmp_path / "runs", *how)
    imported = probe("import", tmp_path / "runs", "--to", tmp_path / "rows")

    assert (code, imported[0]) == (0, 0)
    assert "2 left out" in imported[1]
    assert not set(out + err + imported[1] + imported[2]) & set("\x1b\u202e\u200f\r\x07")
    if "--csv" in how:
        fields = [field for row in csv.reader(io.StringIO(out)) for field in row]
        assert "'=HYPERLINK(1)?" in fields
        assert not any(field.startswith(("=", "+", "@")) for field in fields)


def other_test(name: str) -> str:
    return json.dumps({"test_name": name, "test_keys": {}, "measurement_start_time": "2026-11-23 12:00:00"})


def test_a_folder_of_nothing_but_hostile_names_is_one_sentence_without_them(tmp_path: Path) -> None:
    (tmp_path / "ooni.jsonl").write_text(other_test("\x1b[31m\n\u202e"))
    code, out, err = probe("compare", tmp_path)

    assert (code, out, err.count("\n")) == (2, "", 1)
    assert not set(err) & set("\x1b\u202e")


def test_parquet_with_states_that_no_verdict_has_is_named_and_the_rest_is_compared(
    folder: Path, tmp_path: Path
) -> None:
    good, bad = sorted(folder.glob("*.jsonl"))
    for name, path in (("good", good), ("forged", bad)):
        assert probe("import", path, "--to", tmp_path / "rows" / name)[0] == 0
    (forged,) = (tmp_path / "rows" / "forged" / "verdict").rglob("*.parquet")
    table = pq.read_table(forged, partitioning=None)
    at = table.schema.get_field_index("state")
    states = pa.array(["surely"] * table.num_rows, pa.string())
    pq.write_table(table.set_column(at, table.schema.field(at), states), forged)
    code, out, err = probe("compare", tmp_path / "rows", "--json")
    told = json.loads(out)

    assert (code, err) == (0, "")
    assert [one["reason"] for one in told["left_out"]["named"]] == ["holds a state that no verdict has"]
    assert len(told["columns"]) == 1


GIGABYTE = 1 << 30
MOST = 400_000  # kB resident: a third more than two small files need


def a_line_of_a_gigabyte(path: Path) -> None:
    """Plain without taking room on the disk, or a bomb of a few kilobytes to a megabyte."""
    if path.suffix == ".jsonl":
        with path.open("wb") as file:
            file.truncate(GIGABYTE)
        return
    zst = path.suffix == ".zst"
    packer = zstandard.ZstdCompressor().compressobj() if zst else zlib.compressobj(1, wbits=31)
    with path.open("wb") as file:
        for _ in range(GIGABYTE >> 20):
            file.write(packer.compress(b"a" * (1 << 20)))
        file.write(packer.flush())


@pytest.mark.parametrize("command", ["compare", "import"])
def test_lines_of_a_gigabyte_are_named_and_skipped_in_bounded_memory(
    command: str, folder: Path, tmp_path: Path
) -> None:
    for ending in ("jsonl", "jsonl.zst", "jsonl.gz") if command == "compare" else ("jsonl.zst",):
        a_line_of_a_gigabyte(folder / f"long.{ending}")
    more = [] if command == "compare" else ["--to", str(tmp_path / "rows")]
    code, said, kilobytes = most_kilobytes(tmp_path / "most", command, str(folder), *more)

    assert code == 0
    for path in folder.glob("long.*"):
        assert f"{path.name}:line1:islongerthan4MiB" in said
    assert kilobytes < MOST


# What wait4 tells of a program counts what forked it, which here is pytest; the kernel's own mark begins with it.
MEASURED = """
import re, sys
from probe.cli import main
try:
    sys.argv[0] = "probe"
    main()
finally:
    mark = re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]
    open({path!r}, "w").write(mark)
"""


def most_kilobytes(kept: Path, *arguments: str) -> tuple[int, str, int]:
    """Exit code, what was said (without blanks), and the most memory that the command was ever resident with, in kB."""
    code = MEASURED.format(path=str(kept))
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    return done.returncode, "".join((done.stdout + done.stderr).split()), int(kept.read_text())


def test_everything_that_is_broken_is_named_and_the_rest_is_compared_and_imported(
    folder: Path, tmp_path: Path
) -> None:
    """In one folder: a cut file, foreign JSON, a newer format, cut Parquet, and another test of OONI's."""
    assert probe("import", folder, "--to", tmp_path / "rows")[0] == 0
    whole = next((tmp_path / "rows" / "verdict").rglob("*.parquet")).read_bytes()
    (folder / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    (folder / "cut.jsonl.gz").write_bytes(gzip.compress(text(run(answering(), label="cut")))[:-30])
    (folder / "foreign.json").write_text('{"hello": [1, 2]}')
    (folder / "newer.jsonl").write_bytes(line(msgspec.structs.replace(run(answering()).run, format=9)))
    (folder / "web.jsonl").write_text(other_test("web_connectivity"))
    reasons = {
        "cut.parquet": "is not readable Parquet",
        "cut.jsonl.gz": "cannot be read on (damaged",
        "foreign.json": "is JSON, but neither a run of ours nor a measurement of OONI's",
        "newer.jsonl": "format 9 is newer than this program reads (1)",
        "web.jsonl": "OONI's test web_connectivity is not about messengers",
    }
    told = json.loads(probe("compare", folder, "--json")[1])
    named = {Path(one["path"]).name: one["reason"] for one in told["left_out"]["named"]}
    shown = "".join(probe("compare", folder)[1].split())
    imported = probe("import", folder, "--to", tmp_path / "kept")

    assert (named.keys(), told["left_out"]["count"]) == (reasons.keys(), len(reasons))
    assert {entry["key"] for entry in told["matrix"]} >= {"AS64500", "AS64501"}
    assert imported[0] == 0
    for name, reason in reasons.items():
        assert named[name].startswith(reason)
        assert "".join(reason.split()) in shown
        assert reason in imported[2] or name == "cut.parquet"  # rows are no documents: import looks for those
