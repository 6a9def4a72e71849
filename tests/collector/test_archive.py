"""Each run once, on the disk, whoever writes beside us and whenever the power goes."""

import errno
import os
import random
import shutil
import threading
from itertools import count
from pathlib import Path

import pytest

from probe.collector.archive import Archive, StorageError, tidy
from tests.collector.kept import kept, lines
from tests.collector.power import Disk, cuts
from tests.collector.shelf import Clock, archive, drop, keep


def words(*answers: object) -> list[str]:
    return [str(getattr(answer, "word", "")) for answer in answers]


def test_a_run_is_new_then_the_same_and_other_bytes_or_another_key_are_not(tmp_path: Path) -> None:
    shelf = archive(tmp_path)
    first = shelf.commit([keep("aa")])
    again = shelf.commit([keep("aa"), keep("aa", "other text"), keep("aa", key="theirs")])

    assert words(*first, *again) == ["new", "same", "taken", "taken"]
    assert kept(tmp_path) == {"aa": ["text of aa"]}


def test_two_of_one_id_in_one_batch_are_decided_in_their_order(tmp_path: Path) -> None:
    answers = archive(tmp_path).commit([keep("aa"), keep("aa"), keep("aa", "other")])

    assert words(*answers) == ["new", "same", "taken"]
    assert kept(tmp_path) == {"aa": ["text of aa"]}


def test_what_one_collector_kept_the_other_knows_at_once(tmp_path: Path) -> None:
    one, two = archive(tmp_path, "one"), archive(tmp_path, "two")

    assert words(*one.commit([keep("aa")]), *two.commit([keep("aa"), keep("aa", "other")])) == [
        "new",
        "same",
        "taken",
    ]
    assert words(*two.commit([keep("bb")]), *one.commit([keep("bb")])) == ["new", "same"]
    found = one.find("bb"), two.find("aa"), one.find("cc")
    assert [known and known.received for known in found] == ["now", "now", None]


def test_many_collectors_that_get_the_same_runs_at_once_keep_each_once(tmp_path: Path) -> None:
    runs = [f"{number:08x}" for number in range(300)]
    news: list[str] = []

    def work(name: str) -> None:
        shelf = archive(tmp_path, name, segment_bytes=3000)
        mine = random.Random(name).sample(runs, len(runs))
        for begin in range(0, len(mine), 7):
            batch = mine[begin : begin + 7]
            answers = shelf.commit([keep(run, f"{run} by {name}") for run in batch])
            news.extend(run for run, answer in zip(batch, answers, strict=True) if answer.word == "new")
            if begin % 5 == 0:
                shelf.erased(tidy(tmp_path, shelf.turn()))

    threads = [threading.Thread(target=work, args=(name,)) for name in ("a", "b", "c", "d")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(news) == runs
    assert {run: len(texts) for run, texts in kept(tmp_path).items()} == dict.fromkeys(runs, 1)


def test_it_knows_after_a_restart_with_and_without_its_index(tmp_path: Path) -> None:
    first = archive(tmp_path, segment_bytes=200)
    first.commit([keep("aa")])
    first.commit([keep("bb"), drop("aa")])
    first.close()
    shelf = archive(tmp_path)
    known = words(*shelf.commit([keep("aa"), keep("bb")]))
    shelf.close()
    for file in (tmp_path / "index").iterdir():
        file.unlink()

    assert known == ["deleted", "same"]
    assert words(*archive(tmp_path).commit([keep("aa"), keep("bb"), keep("bb", "x")])) == [
        "deleted",
        "same",
        "taken",
    ]


def test_an_index_that_is_damaged_is_made_anew(tmp_path: Path) -> None:
    shelf = archive(tmp_path)
    shelf.commit([keep("aa")])
    shelf.close()
    (tmp_path / "index" / "one.sqlite").write_bytes(b"not a database at all" * 300)

    assert words(*archive(tmp_path).commit([keep("aa")])) == ["same"]


def test_two_collectors_of_one_name_are_told(tmp_path: Path) -> None:
    first = archive(tmp_path)
    first.commit([keep("aa")])

    with pytest.raises(StorageError, match="another collector has the name 'one'"):
        archive(tmp_path)


def test_a_torn_line_is_cut_and_what_is_whole_is_kept(tmp_path: Path) -> None:
    first = archive(tmp_path)
    first.commit([keep("aa"), keep("bb")])
    first.close()
    (segment,) = (tmp_path / "open").glob("*.jsonl")
    raw = segment.read_bytes()
    for cut in range(len(raw.splitlines(keepends=True)[0]), len(raw), 37):
        again = tmp_path / f"cut-{cut}"
        for name in ("open", "sealed"):
            (again / name).mkdir(parents=True)
        (again / "open" / segment.name).write_bytes(raw[:cut])
        shelf = archive(again)

        assert words(*shelf.commit([keep("aa"), keep("bb")])) == ["same", "new"]
        assert kept(again) == {"aa": ["text of aa"], "bb": ["text of bb"]}
        shelf.close()


def test_what_a_dead_collector_left_is_sealed_by_the_living(tmp_path: Path) -> None:
    one, two = archive(tmp_path, "one"), archive(tmp_path, "two")
    one.commit([keep("aa")])
    two.turn()
    assert len(list((tmp_path / "open").iterdir())) == 1
    one.close()
    tidy(tmp_path, two.turn())

    assert not list((tmp_path / "open").iterdir())
    assert [file.suffix for file in (tmp_path / "sealed").iterdir()] == [".zst"]
    assert words(*two.commit([keep("aa")])) == ["same"]


def test_segments_are_sealed_by_size_and_by_age(tmp_path: Path) -> None:
    clock = Clock()
    shelf = archive(tmp_path, segment_bytes=300, wall=clock)
    for run in ("aa", "bb", "cc"):
        shelf.commit([keep(run)])
    assert len(list((tmp_path / "sealed").iterdir())) == 1
    clock.now += 899
    shelf.turn()
    assert len(list((tmp_path / "sealed").iterdir())) == 1
    clock.now += 1
    shelf.turn()

    assert len(list((tmp_path / "sealed").iterdir())) == 2
    assert sorted(kept(tmp_path)) == ["aa", "bb", "cc"]


def test_a_deleted_run_stays_away_and_its_bytes_leave_the_disk(tmp_path: Path) -> None:
    clock = Clock()
    shelf, other = archive(tmp_path, wall=clock), archive(tmp_path, "two", wall=clock)
    shelf.commit([keep("aa", "a secret"), keep("bb", "no secret at all")])
    answers = other.commit([drop("aa", "theirs"), drop("cc"), drop("aa"), drop("aa"), keep("aa", "a secret")])
    clock.now += 1000
    for each in (shelf, other, shelf, other):
        each.erased(tidy(tmp_path, each.turn()))

    assert words(*answers) == ["other key", "unknown", "deleted", "deleted", "deleted"]
    assert kept(tmp_path) == {"bb": ["no secret at all"]}
    assert "a secret" not in str(list(lines(tmp_path)))
    assert {"erased": "aa"} in list(lines(tmp_path))
    assert shelf.turn() == other.turn() == {}
    assert words(*archive(tmp_path, "three").commit([keep("aa"), drop("aa"), keep("bb", "no secret at all")])) == [
        "deleted", "deleted", "same",
    ]  # fmt: skip


def test_a_run_that_was_compressed_before_it_is_deleted_is_erased_too(tmp_path: Path) -> None:
    clock = Clock()
    shelf = archive(tmp_path, wall=clock)
    shelf.commit([keep("aa", "a secret"), keep("bb")])
    clock.now += 1000
    tidy(tmp_path, shelf.turn())
    shelf.commit([drop("aa")])
    shelf.erased(tidy(tmp_path, shelf.turn()))

    assert "a secret" not in str(list(lines(tmp_path)))
    assert shelf.turn() == {}


@pytest.mark.parametrize("failing", ["write", "fdatasync", "open"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO, errno.ESTALE])
def test_a_disk_that_fails_grants_nothing_and_is_used_again_when_it_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str, number: int
) -> None:
    shelf = archive(tmp_path)
    shelf.commit([keep("aa")])
    real = getattr(os, failing)

    def fails(target: object, *arguments: object) -> object:
        where = os.readlink(f"/proc/self/fd/{target}") if isinstance(target, int) else str(target)
        if where.startswith(str(tmp_path / "open")) or failing == "open" and where.startswith(str(tmp_path)):
            raise OSError(number, os.strerror(number))
        return real(target, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(os, failing, fails)
        for _ in range(3):
            with pytest.raises(StorageError, match=os.strerror(number)):
                shelf.commit([keep("bb")])
    answers = shelf.commit([keep("aa"), keep("bb")])

    assert words(*answers) == ["same", "new"]
    assert kept(tmp_path) == {"aa": ["text of aa"], "bb": ["text of bb"]}


def test_half_a_write_before_the_disk_is_full_leaves_no_half_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf, real, times = archive(tmp_path), os.write, count()

    def half(descriptor: int, data: bytes) -> int:
        if next(times):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, bytes(data)[:50])

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", half)
        with pytest.raises(StorageError):
            shelf.commit([keep("aa")])
    other = archive(tmp_path, "two")

    assert words(*other.commit([keep("aa")]), *shelf.commit([keep("aa")])) == ["new", "same"]
    assert kept(tmp_path) == {"aa": ["text of aa"]}


def test_an_index_that_fails_after_the_line_is_written_makes_no_second_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = archive(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(shelf._index, "add", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
        with pytest.raises(StorageError):
            shelf.commit([keep("aa")])

    assert words(*shelf.commit([keep("aa")])) == ["same"]
    assert kept(tmp_path) == {"aa": ["text of aa"]}


def test_a_storage_that_is_gone_is_not_made_anew_in_its_place(tmp_path: Path) -> None:
    storage, away = tmp_path / "storage", tmp_path / "away"
    shelf = archive(storage)
    shelf.commit([keep("aa")])
    storage.rename(away)
    with pytest.raises(StorageError, match="No such file"):
        shelf.commit([keep("bb")])
    with pytest.raises(StorageError):
        shelf.check()
    storage.mkdir()  # the mount point without its disk
    with pytest.raises(StorageError):
        shelf.commit([keep("bb")])
    assert not list(storage.iterdir())
    storage.rmdir()
    away.rename(storage)

    assert words(*shelf.commit([keep("aa"), keep("bb")])) == ["same", "new"]


def test_a_disk_that_is_nearly_full_takes_nothing_more(tmp_path: Path) -> None:
    shelf = archive(tmp_path, free=1 << 60)

    with pytest.raises(StorageError, match="nearly full"):
        shelf.commit([keep("aa")])
    with pytest.raises(StorageError, match="nearly full"):
        shelf.check()


def test_a_check_leaves_nothing_behind(tmp_path: Path) -> None:
    shelf = archive(tmp_path)
    shelf.check()

    assert not list((tmp_path / "open").iterdir())


def storm(storage: Path, promised: dict[str, str], steps: int) -> None:
    """Two collectors that keep, delete, seal, compress and erase; what they answered is noted."""
    clock, dice = Clock(), random.Random(7)
    shelves = [archive(storage, name, wall=clock, segment_bytes=1500) for name in ("one", "two")]
    for step in range(steps):
        shelf = dice.choice(shelves)
        runs = [f"{dice.randrange(40):02x}" for _ in range(3)]
        wishes = [keep(run) if dice.random() < 0.8 else drop(run) for run in runs]
        promised |= {wish.run: "asked away" for wish in wishes if not wish.sha256 and wish.run in promised}
        for wish, answer in zip(wishes, shelf.commit(wishes), strict=True):
            if answer.word in ("new", "same"):
                promised[wish.run] = "kept"
            elif answer.word == "deleted":
                promised[wish.run] = "deleted"
        if step % 4 == 3:
            clock.now += 500
            shelf.erased(tidy(storage, shelf.turn()))


def losses(left: Path, promised: dict[str, str]) -> list[str]:
    """What was promised and is not so on what a power cut left."""
    shelf: Archive = archive(left)
    found = {run: shelf.find(run) for run in promised}
    told = {run: "deleted" if known and known.state else "kept" for run, known in found.items() if known}
    shelf.erased(tidy(left, shelf.turn()))
    there = kept(left)
    shelf.close()
    doubled = {run: texts for run, texts in there.items() if len(texts) > 1}
    assert not doubled, sorted(str(file) for file in left.rglob("*.jsonl*"))
    lost = [run for run, word in promised.items() if word != "asked away" and told.get(run) != word]
    return lost + [run for run, word in promised.items() if word == "kept" and run not in there]


@pytest.mark.parametrize("index", [True, False])
def test_no_power_cut_loses_or_doubles_what_was_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, index: bool
) -> None:
    storage, promised, tried = tmp_path / "storage", dict[str, str](), count()

    def cut(disk: Disk) -> None:
        left = tmp_path / f"cut-{next(tried)}"
        disk.left(left)
        (left / "lock").touch()
        if index:  # everything that an index wrote was lucky: it may know more than it should
            for file in (storage / "index").glob("one.sqlite*"):
                shutil.copy(file, left / "index")
        assert losses(left, promised) == []
        shutil.rmtree(left)

    with cuts(storage, monkeypatch, cut) as disk:
        storm(storage, promised, 32)

    assert disk.syncs > 50
    assert set(promised.values()) == {"kept", "deleted"}


def test_a_disk_that_does_not_sync_would_be_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage, promised, tried, lost = tmp_path / "storage", dict[str, str](), count(), []

    def cut(disk: Disk) -> None:
        left = tmp_path / f"cut-{next(tried)}"
        disk.left(left)
        lost.extend(losses(left, promised))

    with cuts(storage, monkeypatch, cut, ignored=True):
        storm(storage, promised, 12)

    assert lost
