"""The index: what is known of runs, in whatever order segments are read."""

from itertools import permutations
from pathlib import Path

from probe.collector.index import DELETED, ERASED, KEPT, Index, Known, Place
from probe.collector.lines import Entry

RUN = Entry(run="aa", sha256="x", key="k", received="r")
GONE = Entry(deleted="aa", key="k", received="later")


def test_runs_and_places_are_there_after_a_restart(tmp_path: Path) -> None:
    index = Index(tmp_path / "i")
    index.add("one", [RUN], Place(10, False))
    index.close()
    index = Index(tmp_path / "i")

    assert index.find("aa") == Known("aa", "x", "k", "r", "one", KEPT)
    assert index.find("bb") is None
    assert index.places() == {"one": Place(10, False)}


def test_a_deletion_counts_whichever_segment_is_read_first(tmp_path: Path) -> None:
    for number, order in enumerate(permutations([("one", RUN), ("two", GONE)])):
        index = Index(tmp_path / str(number))
        for segment, entry in order:
            index.add(segment, [entry], Place(1, True))

        assert index.find("aa") == Known("aa", "x", "k", "r", "one", DELETED)
        assert index.doomed() == {"one": {"aa"}}
        index.erased(["aa"])
        assert index.doomed() == {}


def test_an_erased_line_says_that_there_was_a_run_and_its_deletion_whose(tmp_path: Path) -> None:
    for number, order in enumerate(permutations([("one", Entry(erased="aa")), ("two", GONE)])):
        index = Index(tmp_path / str(number))
        for segment, entry in order:
            index.add(segment, [entry], Place(1, True))
        found = index.find("aa")

        assert found is not None
        assert (found.key, found.state) == ("k", ERASED)
        assert index.doomed() == {}


def test_the_first_line_of_a_run_is_the_run(tmp_path: Path) -> None:
    index = Index(tmp_path / "i")
    index.add("one", [RUN, Entry(run="aa", sha256="other", key="k", received="s")], Place(1, True))

    assert index.find("aa") == Known("aa", "x", "k", "r", "one", KEPT)
