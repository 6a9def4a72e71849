"""What is in a file, however it was made."""

import gzip
from pathlib import Path

import msgspec
import zstandard

from probe.analysis.documents import Envelope, Found, documents
from probe.analysis.lines import MAX_LINE, LeftOut
from probe.analysis.rows import sender, vantage
from probe.model import Document
from tests.analysis.runs import answering, run, silent, text


def found(path: Path) -> tuple[list[str], list[str]]:
    """The runs of a file, and why other lines were left out."""
    everything = list(documents(path))
    runs = [one.run.run.id for one in everything if isinstance(one, Found) and isinstance(one.run, Document)]
    return runs, [f"{one.line}: {one.reason}" for one in everything if isinstance(one, LeftOut)]


def test_a_result_file_is_one_document(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    doc = run(answering(), label="car")
    path.write_bytes(text(doc))
    (only,) = documents(path)

    assert isinstance(only, Found)
    assert only.run == doc
    assert only.vantage == vantage("car", str(tmp_path))


def test_several_runs_in_one_file_are_several_documents(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    path.write_bytes(text(run(answering(), run="a")) + text(run(silent(), run="b")))

    assert found(path) == (["a", "b"], [])


def test_compressed_files_are_read_and_zstd_may_come_in_frames(tmp_path: Path) -> None:
    one, other = text(run(answering(), run="a")), text(run(answering(), run="b"))
    (tmp_path / "s.jsonl.zst").write_bytes(zstandard.compress(one) + zstandard.compress(other))
    (tmp_path / "s.jsonl.gz").write_bytes(gzip.compress(one))

    assert found(tmp_path / "s.jsonl.zst") == (["a", "b"], [])
    assert found(tmp_path / "s.jsonl.gz") == (["a"], [])


def test_a_truncated_segment_gives_what_is_whole_and_is_named(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl.gz"
    path.write_bytes(gzip.compress(text(run(answering(), run="a")) * 3)[:-20])
    runs, reasons = found(path)

    assert runs.count("a") in (2, 3)
    assert "damaged" in reasons[-1]


def test_a_collectors_line_may_be_a_document_or_an_envelope_that_names_its_key(tmp_path: Path) -> None:
    path = tmp_path / "segment.jsonl"
    a, b = run(answering(), run="a"), run(silent(), run="b")
    sent = Envelope(key="k1", document=text(b).decode())
    path.write_bytes(msgspec.json.encode(a) + b"\n" + msgspec.json.encode(sent) + b"\n")
    first, second = documents(path)

    assert isinstance(first, Found)
    assert isinstance(second, Found)
    assert (first.run, second.run) == (a, b)
    assert (first.vantage, second.vantage) == (vantage("", str(tmp_path)), sender("k1"))


def test_what_is_not_ours_is_named_line_by_line_and_the_rest_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mixed.jsonl"
    foreign = [
        b'{"hello": 1}',
        b"[1, 2]",
        b"not json",
        b"\xff\xfe",
        b'{"record": "surprise"}',
        b'{"record": "run", "x": ' + b"[" * 100_000,
    ]
    path.write_bytes(b"\n".join(foreign) + b"\n" + text(run(answering(), run="a")))
    runs, reasons = found(path)

    assert runs == ["a"]
    assert reasons == [
        "1: is JSON, but neither a run of ours nor a measurement of OONI's",
        "2: record: expected `object`, got `array`",
        "3: is not JSON",
        "4: is not JSON",
        "5: record: invalid value 'surprise'",
        "6: is nested too deeply",
    ]


def test_a_newer_format_is_named_and_a_run_after_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "new.jsonl"
    newer = run(answering())
    newer = msgspec.structs.replace(newer, run=msgspec.structs.replace(newer.run, format=9))
    path.write_bytes(text(newer) + msgspec.json.encode(newer) + b"\n" + text(run(answering(), run="a")))
    runs, reasons = found(path)

    assert runs == ["a"]
    assert [reason.partition(": ")[2] for reason in reasons] == [
        "format 9 is newer than this program reads (1)"
    ] * 2


def test_a_line_that_is_too_long_is_skipped_and_what_follows_is_read(tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    with path.open("wb") as file:
        for _ in range(40):
            file.write(b"x" * (1 << 20))
        file.write(b"\n" + text(run(answering(), run="a")))

    assert found(path) == (["a"], [f"1: is longer than {MAX_LINE >> 20} MiB"])


def test_lines_before_any_run_are_named_once(tmp_path: Path) -> None:
    path = tmp_path / "headless.jsonl"
    path.write_bytes(b"".join(text(run(answering())).splitlines(keepends=True)[1:]))

    assert found(path) == ([], ["1: there is no run before this line"])
