import os
import stat
from pathlib import Path

import pytest

from probe import durable
from tests.power import cuts, recording, tree


def test_a_file_is_the_old_or_the_new_at_every_byte_of_its_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"the old")
    before = tree(tmp_path)
    with recording(monkeypatch) as recorder:
        durable.write(path, b"the new, and longer")

    seen = {held.get(path) for held in cuts(recorder.done, before)}
    assert seen == {b"the old", b"the new, and longer"}


def test_when_writing_returns_the_file_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with recording(monkeypatch) as recorder:
        durable.write(tmp_path / "deep" / "file", b"new")

    *_, last = cuts(recorder.done, {})
    assert last[tmp_path / "deep" / "file"] == b"new"


def test_a_new_file_and_its_folder_are_for_their_owner_alone(tmp_path: Path) -> None:
    durable.write(tmp_path / "folder" / "file", b"x")

    assert stat.S_IMODE((tmp_path / "folder" / "file").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o700


def test_a_full_disk_leaves_what_stood_there_and_nothing_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import resource

    path = tmp_path / "file"
    durable.write(path, b"the old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            durable.write(path, bytes(2000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"the old"


def test_another_process_that_tidies_just_then_takes_nothing_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace, tidied = os.replace, False

    def tidying(path: Path, to: Path) -> None:
        nonlocal tidied
        if not tidied:
            tidied = True
            durable.tidy(tmp_path)
        replace(path, to)

    monkeypatch.setattr(os, "replace", tidying)
    durable.write(tmp_path / "file", b"whole")

    assert tidied
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_what_was_half_written_is_tidied_away(tmp_path: Path) -> None:
    (tmp_path / f"file.12345678{durable._BEGUN}").write_bytes(b"ha")
    (tmp_path / "file").write_bytes(b"whole")
    durable.tidy(tmp_path)

    assert [p.name for p in tmp_path.iterdir()] == ["file"]
