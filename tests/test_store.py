from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from probe.failure import Kind
from probe.model import AnyLine, Document, End
from probe.store import StoreError, Writer, find, prepare, read, schema
from probe.verdict import judge
from tests.build import chain, document, looked_up, measured, saw, works

END = End(ended="complete", seconds=1.5, sent=10, received=20)


@pytest.fixture
def made() -> Document:
    broken = measured(chain(saw("tcp"), saw("tls", Kind.RESET, code="ECONNRESET")), target="media")
    return document(
        measured(works("tcp", "tls", "http")), broken, lookups=[looked_up("x", "system", "5.5.5.5")]
    )


def written(folder: Path, made: Document) -> Path:
    writer = Writer(folder, made.run)
    lines: list[AnyLine] = [*made.lookups, *made.measurements, judge(made), END]
    for line in lines:
        writer.append(line)
    writer.close()
    return writer.path


def test_what_is_written_is_read_back(tmp_path: Path, made: Document) -> None:
    stored = read(written(tmp_path, made))

    assert stored.problems == ()
    assert stored.document.measurements == made.measurements
    assert stored.document.judgement == judge(made)
    assert stored.document.end == END


def test_every_line_fits_the_committed_schema(tmp_path: Path, made: Document) -> None:
    committed = msgspec.json.decode((Path(__file__).parent.parent / "results" / "schema.json").read_bytes())
    checker = Draft202012Validator(committed)

    assert committed == msgspec.json.decode(msgspec.json.encode(schema())), "run `make schema`"
    for line in written(tmp_path, made).read_bytes().splitlines():
        checker.validate(msgspec.json.decode(line))


def test_a_file_cut_at_any_byte_is_read_as_far_as_it_goes(tmp_path: Path, made: Document) -> None:
    whole = written(tmp_path, made).read_bytes()
    first = whole.index(b"\n") + 1
    for cut in range(first, len(whole) - 1, 997):
        path = tmp_path / "cut.jsonl"
        path.write_bytes(whole[:cut])
        stored = read(path)
        assert stored.problems
        assert all(problem.startswith(str(path)) for problem in stored.problems)


def test_a_cut_line_is_named_by_its_number(tmp_path: Path, made: Document) -> None:
    path = written(tmp_path, made)
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])

    problems = read(path).problems
    assert f"line {whole.count(bytes([10]))}: is cut off" in problems[0]
    assert "the end is missing" in problems[1]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (b'"family":4', b'"family":5', "invalid"),
        (b'"kind":"reset"', b'"kind":"magic"', "magic"),
        (b'{"record":"measurement"', b'{"record":"mystery"', "mystery"),
        (b'{"record":"measurement"', b'{"record":measurement"', "is not JSON"),
    ],
)  # fmt: skip
def test_an_edited_line_is_one_sentence_and_the_others_are_shown(
    tmp_path: Path, made: Document, old: bytes, new: bytes, says: str
) -> None:
    path = written(tmp_path, made)
    path.write_bytes(path.read_bytes().replace(old, new, 1))
    stored = read(path)

    assert len(stored.problems) == 1
    assert says in stored.problems[0]
    assert len(stored.document.measurements) >= len(made.measurements) - 1


def test_unknown_keys_of_a_later_program_are_tolerated(tmp_path: Path, made: Document) -> None:
    path = written(tmp_path, made)
    path.write_bytes(
        path.read_bytes().replace(b'{"record":"measurement"', b'{"new":1,"record":"measurement"')
    )

    assert read(path).problems == ()


def test_a_later_format_is_refused_with_advice(tmp_path: Path, made: Document) -> None:
    path = written(tmp_path, made)
    path.write_bytes(path.read_bytes().replace(b'"format":1', b'"format":2', 1))
    with pytest.raises(
        StoreError, match="format 2 is newer than this program reads \\(1\\); update callreach"
    ):
        read(path)


@pytest.mark.parametrize("content", [b"", b"hello\n", b"\x00\xff\n", b"[" * 5000 + b"\n", b"null\n", b"{}\n"])
def test_a_foreign_file_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "foreign.jsonl"
    path.write_bytes(content)
    with pytest.raises(StoreError) as caught:
        read(path)

    assert str(caught.value).startswith(str(path))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(st.binary(max_size=40), st.integers(0, 4000))
def test_no_edit_whatever_breaks_the_reader(tmp_path: Path, made: Document, change: bytes, at: int) -> None:
    path = tmp_path / "edited.jsonl"
    whole = _whole(made)
    path.write_bytes(whole[:at] + change + whole[at + len(change) :])
    try:
        read(path)
    except StoreError:
        return


def _whole(made: Document) -> bytes:
    from probe.record import line

    return b"".join(map(line, (made.run, *made.lookups, *made.measurements, END)))


def test_runs_are_found_by_path_by_part_of_their_name_or_the_newest(tmp_path: Path, made: Document) -> None:
    path = written(tmp_path, made)

    assert find(tmp_path, None) == path
    assert find(tmp_path, "00000000") == path
    assert find(tmp_path, str(path)) == path
    with pytest.raises(StoreError, match="no run 'ffff'"):
        find(tmp_path, "ffff")
    with pytest.raises(StoreError, match="no runs here yet"):
        find(tmp_path / "empty", None)


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path, made: Document) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be created"):
        Writer(tmp_path / "file", made.run)
    with pytest.raises(StoreError, match="runs cannot be kept here"):
        prepare(tmp_path / "file")
