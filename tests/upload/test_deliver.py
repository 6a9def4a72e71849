from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path

import pytest
from starlette.responses import JSONResponse

from probe.catalogue import Collector as Named
from probe.net import SystemNet
from probe.upload import client as clients
from probe.upload.client import Client, client
from probe.upload.deliver import Delivery, deliver
from probe.upload.keys import forget
from probe.upload.queue import Queue
from tests.upload.foreign import Collector, collecting
from tests.upload.runs import run_file


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Collector]]:
    monkeypatch.setattr(clients, "_ATTEMPTS", 2)
    monkeypatch.setattr(clients, "_FIRST_WAIT", 0.01)
    monkeypatch.setattr(clients, "_JITTER", 0.01)
    with ExitStack() as stack:
        yield [stack.enter_context(collecting()), stack.enter_context(collecting())]


def opener(collector: Collector) -> tuple[str, Callable[[], AbstractContextManager[Client]]]:
    return collector.host, partial(client, Named(url=collector.url), SystemNet().utc)


def delivered(home: Path, *collectors: Collector, allowed: bool = True) -> Delivery:
    return deliver(home, [opener(one) for one in collectors], allowed=lambda host: allowed)


def queued(home: Path, count: int) -> list[str]:
    return [Queue(home).add(run_file(home / "results", number)) for number in range(1, count + 1)]


def test_every_run_reaches_every_collector_once(tmp_path: Path, two: list[Collector]) -> None:
    runs = queued(tmp_path, 3)
    done = delivered(tmp_path, *two)

    assert (done.said("kept"), done.waiting, done.problems) == (6, 0, [])
    assert [list(one.runs) for one in two] == [runs, runs]
    assert delivered(tmp_path, *two).outcomes == []


def test_a_collector_that_is_away_gets_them_later_and_the_other_not_twice(
    tmp_path: Path, two: list[Collector]
) -> None:
    runs = queued(tmp_path, 2)
    two[1].answer = lambda run, times: JSONResponse({"error": "storage"}, 503, {"Retry-After": "3600"})
    done = delivered(tmp_path, *two)
    assert (done.said("kept"), done.waiting) == (2, 2)
    assert len(done.problems) == 1
    assert sum(two[1].posts.values()) == 1  # the second run was not tried in vain

    two[1].answer = lambda run, times: None
    assert delivered(tmp_path, *two).waiting == 0
    assert list(two[1].runs) == runs
    assert set(two[0].posts.values()) == {1}


def test_a_run_that_one_collector_got_by_the_way_still_waits_for_the_usual_one(
    tmp_path: Path, two: list[Collector]
) -> None:
    queued(tmp_path, 1)
    deliver(tmp_path, [opener(two[0])], allowed=lambda host: True, others=[two[1].host])
    assert len(Queue(tmp_path).waiting()) == 1

    assert delivered(tmp_path, two[1]).waiting == 0
    assert len(two[0].runs) == len(two[1].runs) == 1


def test_an_answer_that_was_lost_makes_no_second_run(tmp_path: Path, two: list[Collector]) -> None:
    runs = queued(tmp_path, 1)
    two[0].lose_answers = True
    assert delivered(tmp_path, two[0]).waiting == 1
    forget(tmp_path)  # even then: a run is signed once
    two[0].lose_answers = False
    done = delivered(tmp_path, two[0])

    assert (done.said("kept"), done.said("refused"), done.waiting) == (1, 0, 0)
    assert list(two[0].runs) == runs


def test_one_refused_run_does_not_hold_up_the_others(tmp_path: Path, two: list[Collector]) -> None:
    runs = queued(tmp_path, 3)
    two[0].answer = lambda run, times: JSONResponse({"error": "run"}, 422) if run == runs[1] else None
    done = delivered(tmp_path, two[0])

    assert (done.said("kept"), done.said("refused"), done.waiting) == (2, 1, 0)
    assert Queue(tmp_path).refused() == [runs[1]]


def test_a_damaged_entry_is_said_and_left_where_it_is(tmp_path: Path, two: list[Collector]) -> None:
    runs = queued(tmp_path, 2)
    (tmp_path / "queue" / "waiting" / f"{runs[0]}.signed").write_bytes(b"torn")
    done = delivered(tmp_path, two[0])

    assert (done.said("kept"), done.waiting) == (1, 1)
    assert "is damaged; its run is not sent" in done.problems[0]


def test_a_consent_that_is_withdrawn_counts_before_the_next_run(tmp_path: Path, two: list[Collector]) -> None:
    queued(tmp_path, 3)
    host, opened = opener(two[0])
    done = deliver(tmp_path, [(host, opened)], allowed=lambda host: len(two[0].runs) < 2)

    assert (len(two[0].runs), done.waiting) == (2, 1)
    assert "you withdrew your consent" in done.problems[0]
