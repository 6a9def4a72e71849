from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.upload.queue import Outcome, Queue, QueueError, Word, pack, unpacked
from probe.upload.signing import RUN, verifies
from tests.build import NOON
from tests.power import cuts, rebuilt, recording, tree
from tests.upload.runs import run_file


def outcome(run: str, collector: str = "one.example", word: Word = "kept") -> Outcome:
    return Outcome(run=run, sha256="x", collector=collector, word=word, at=NOON)


def test_a_run_waits_as_the_exact_bytes_of_its_file(tmp_path: Path) -> None:
    path, queue = run_file(tmp_path / "results"), Queue(tmp_path)
    run = queue.add(path)

    assert queue.waiting() == [run]
    assert verifies(queue.take(run).by.key, queue.take(run).by.signature, RUN, path.read_bytes())
    assert queue.take(run).exact == path.read_bytes()
    assert queue.take(run).body == queue.take(run).body


def test_a_run_is_queued_once_and_not_again_after_it_was_sent(tmp_path: Path) -> None:
    path, queue = run_file(tmp_path / "results"), Queue(tmp_path)
    run = queue.add(path)
    queue.add(path)
    assert queue.waiting() == [run]

    queue.conclude(outcome(run))
    queue.settle(run, ["one.example"])
    queue.add(path)
    assert queue.waiting() == []


def test_a_run_leaves_when_every_collector_has_spoken_and_not_before(tmp_path: Path) -> None:
    queue = Queue(tmp_path)
    run = queue.add(run_file(tmp_path / "results"))
    both = ["one.example", "two.example:8443"]

    queue.settle(run, both)
    queue.conclude(outcome(run, both[0]))
    queue.settle(run, both)
    assert queue.waiting() == [run]

    queue.conclude(outcome(run, both[1], "kept aside"))
    queue.settle(run, both)
    assert queue.waiting() == []
    assert {one.collector for one in queue.outcomes()} == set(both)


def test_what_one_collector_refused_is_kept_and_can_be_asked_for_again(tmp_path: Path) -> None:
    queue = Queue(tmp_path)
    run = queue.add(run_file(tmp_path / "results"))
    exact = queue.take(run).exact
    queue.conclude(outcome(run, "one.example"))
    queue.conclude(outcome(run, "two.example", "refused"))
    queue.settle(run, ["one.example", "two.example"])
    assert (queue.waiting(), queue.refused()) == ([], [run])

    queue.again(run)
    assert (queue.waiting(), queue.refused()) == ([run], [])
    assert queue.take(run).exact == exact
    assert queue.outcome(run, "one.example") is not None  # that one has it
    assert queue.outcome(run, "two.example") is None


def test_runs_from_before_the_consent_and_unfinished_ones_do_not_go_by_themselves(tmp_path: Path) -> None:
    results, queue = tmp_path / "results", Queue(tmp_path)
    run_file(results, 1)
    run_file(results, 2, finished=False)
    run_file(results, 3)
    (results / "20261123T130000Z_damaged.jsonl").write_bytes(b"{")

    assert queue.add_since(results, NOON + timedelta(minutes=2)) == [f"{3:016x}"]
    assert queue.add_since(results, NOON + timedelta(minutes=2)) == []


def test_the_oldest_goes_first(tmp_path: Path) -> None:
    queue = Queue(tmp_path)
    runs = [queue.add(run_file(tmp_path / "results", number)) for number in (9, 3, 5)]

    assert queue.waiting() == runs


def test_no_byte_at_which_the_power_goes_loses_a_run_or_makes_it_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole way of a run: queued, kept by one collector, refused by the other, set aside, asked for again."""
    home, both = tmp_path / "home", ["one.example", "two.example"]
    path = run_file(home / "results")
    before, exact = tree(home), path.read_bytes()
    with recording(monkeypatch) as recorder:
        queue = Queue(home)
        run = queue.add(path)
        queue.conclude(outcome(run, both[0]))
        queue.conclude(outcome(run, both[1], "refused"))
        queue.settle(run, both)
        queue.again(run)
        queue.conclude(outcome(run, both[1]))
        queue.settle(run, both)
    assert queue.waiting() == []

    moments = 0
    for held in cuts(recorder.done, before, every=7):
        after = Queue(rebuilt(held, home, tmp_path / "after"))
        after.tidy()
        after.add_since(tmp_path / "after" / "results", NOON)
        for waits in after.waiting():
            assert after.take(waits).exact == exact
        words = [after.outcome(run, host) for host in both]
        finished = all(words)
        assert finished or after.waiting() == [run] or after.refused() == [run]
        assert not list((tmp_path / "after").rglob("*.begun"))
        moments += 1
    assert moments > 150


def test_a_file_that_is_no_run_is_not_queued(tmp_path: Path) -> None:
    for number, raw in enumerate((b"", b"\0", b"{}\n", b'{"record":"run"}\n', b"[" * 100_000)):
        path = tmp_path / f"{number}.jsonl"
        path.write_bytes(raw)
        with pytest.raises(QueueError, match=rf"{number}\.jsonl: does not begin with a run"):
            Queue(tmp_path).add(path)
    with pytest.raises(QueueError, match=r"nowhere\.jsonl: cannot be read"):
        Queue(tmp_path).add(tmp_path / "nowhere.jsonl")


def test_an_id_that_leads_to_another_folder_is_refused(tmp_path: Path) -> None:
    path = run_file(tmp_path)
    path.write_bytes(path.read_bytes().replace(f"{1:016x}".encode(), b"../../../../etc/a"))

    with pytest.raises(QueueError, match="id: is not one of ours"):
        Queue(tmp_path).add(path)


@given(st.binary(max_size=200))
def test_a_damaged_entry_is_one_sentence(raw: bytes) -> None:
    with pytest.raises(QueueError, match="is damaged|does not begin with a run"):
        unpacked(raw, Path("entry"))


def test_what_is_packed_twice_is_the_same(tmp_path: Path) -> None:
    path = run_file(tmp_path)

    assert pack(tmp_path, path) == pack(tmp_path, path)
