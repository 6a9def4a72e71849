import dataclasses
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response

from probe.catalogue import Collector as Named
from probe.net import SystemNet
from probe.upload import client as clients
from probe.upload.client import client
from probe.upload.connection import Answer, NotNow, Unreachable, is_safe
from probe.upload.keys import key
from probe.upload.queue import Outcome, Waiting, pack
from tests.upload.foreign import Collector, collecting, portal
from tests.upload.runs import run_file
from tests.upload.socks import socks


@pytest.fixture(scope="module")
def running() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture
def collector(running: Collector, monkeypatch: pytest.MonkeyPatch) -> Collector:
    monkeypatch.setattr(clients, "_ATTEMPTS", 2)
    monkeypatch.setattr(clients, "_FIRST_WAIT", 0.01)
    monkeypatch.setattr(clients, "_JITTER", 0.01)
    running.runs.clear()
    running.posts.clear()
    running.answer = lambda run, times: None
    running.lose_answers = False
    return running


def sent(collector: Collector, folder: Path, *, pinned: str = "", number: int = 1) -> Outcome:
    named = Named(url=collector.url, key=pinned)
    with client(named, SystemNet().utc) as opened:
        return opened.send(pack(folder, run_file(folder / "results", number)))


def test_a_run_arrives_byte_for_byte_and_its_receipt_is_kept(collector: Collector, tmp_path: Path) -> None:
    outcome = sent(collector, tmp_path, pinned=collector.pinned)

    assert collector.runs[outcome.run] == next((tmp_path / "results").iterdir()).read_bytes()
    assert (outcome.word, outcome.verified, outcome.reason) == ("kept", True, "")
    assert msgspec.json.decode(outcome.receipt) == collector.receipt(outcome.run)


def test_a_run_that_is_sent_again_is_the_same_run(collector: Collector, tmp_path: Path) -> None:
    assert sent(collector, tmp_path).word == "kept"
    (tmp_path / "results").rename(tmp_path / "before")
    assert sent(collector, tmp_path).word == "kept"
    assert len(collector.runs) == 1


@pytest.mark.parametrize("wish", [{"Retry-After": "0"}, {}])
def test_a_collector_that_is_busy_is_asked_again_whether_it_says_when_or_not(
    collector: Collector, tmp_path: Path, wish: dict[str, str]
) -> None:
    collector.answer = lambda run, times: JSONResponse({"error": "busy"}, 503, wish) if times == 1 else None

    assert sent(collector, tmp_path).word == "kept"
    assert list(collector.posts.values()) == [2]


def test_a_collector_that_wants_an_hour_is_left_alone(collector: Collector, tmp_path: Path) -> None:
    collector.answer = lambda run, times: JSONResponse({"error": "busy"}, 503, {"Retry-After": "3600"})

    with pytest.raises(NotNow, match="busy") as caught:
        sent(collector, tmp_path)
    assert caught.value.again == 3600
    assert list(collector.posts.values()) == [1]


@pytest.mark.parametrize("status", [400, 401, 403, 409, 413, 422])
def test_a_refusal_with_a_reason_is_a_last_word(collector: Collector, tmp_path: Path, status: int) -> None:
    collector.answer = lambda run, times: JSONResponse({"error": "no", "reason": "not like this"}, status)
    outcome = sent(collector, tmp_path)

    assert (outcome.word, outcome.reason) == ("refused", "no: not like this")
    assert list(collector.posts.values()) == [1]


def test_a_run_of_a_newer_format_may_be_kept_aside(collector: Collector, tmp_path: Path) -> None:
    collector.answer = lambda run, times: None if times == 1 else JSONResponse(collector.receipt(run), 202)
    sent(collector, tmp_path)
    (tmp_path / "results").rename(tmp_path / "before")

    assert sent(collector, tmp_path, pinned=collector.pinned).word == "kept aside"


@pytest.mark.parametrize(
    "answer",
    [
        portal("", 1),
        RedirectResponse("https://login.example/"),
        PlainTextResponse("no such page", 404),
        PlainTextResponse("forbidden by policy", 403),
        JSONResponse({"run": "another", "sha256": "x"}, 201),
        JSONResponse(["run"], 200),
        Response(status_code=204),
        Response(b"x" * 1_000_000, 200),
        Response(b'{"a":' * 5000, 200),
    ],
)
def test_what_is_no_collectors_answer_is_no_last_word(
    collector: Collector, tmp_path: Path, answer: Response
) -> None:
    collector.answer = lambda run, times: answer

    with pytest.raises(NotNow):
        sent(collector, tmp_path)


def test_a_receipt_of_another_key_than_the_pinned_is_none(collector: Collector, tmp_path: Path) -> None:
    other = Collector().pinned

    with pytest.raises(Unreachable, match="not of the key that is pinned"):
        sent(collector, tmp_path, pinned=other)
    (tmp_path / "results").rename(tmp_path / "before")
    assert not sent(collector, tmp_path).verified


def test_a_receipt_that_was_altered_is_none(collector: Collector, tmp_path: Path) -> None:
    assert sent(collector, tmp_path).word == "kept"
    (tmp_path / "results").rename(tmp_path / "before")
    collector.answer = lambda run, times: JSONResponse(
        collector.receipt(run) | {"received": "2026-11-26T12:00:00Z"}, 200
    )

    for pinned in (collector.pinned, ""):
        with pytest.raises(Unreachable, match="the signature of its receipt is wrong"):
            sent(collector, tmp_path, pinned=pinned)
        next((tmp_path / "results").iterdir()).unlink()


def test_nobody_there_is_said_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "_ATTEMPTS", 1)

    with pytest.raises(Unreachable, match=r"^127\.0\.0\.1:9: ") as caught:
        sent(dataclasses.replace(Collector(), port=9), tmp_path)
    assert "\n" not in str(caught.value)


def test_what_was_sent_is_deleted_by_proof_of_its_key(collector: Collector, tmp_path: Path) -> None:
    outcome = sent(collector, tmp_path)
    with client(Named(url=collector.url), SystemNet().utc) as opened:
        assert opened.delete(outcome.run, key(tmp_path, "ZZ-AS64500")) == "deleted"
        assert collector.runs == {}
        assert opened.delete(outcome.run, key(tmp_path, "ZZ-AS64500")) == "is not there"


def test_through_a_socks_proxy_the_collectors_name_is_the_proxys_to_look_up(
    collector: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")  # is for the command line to read
    with socks(collector.port) as (port, asked):
        named = Named(url="http://collect.onion", proxy=f"socks5://127.0.0.1:{port}")
        with client(named, SystemNet().utc) as opened:
            outcome = opened.send(pack(tmp_path, run_file(tmp_path / "results")))

    assert outcome.word == "kept"
    assert asked == [b"collect.onion"]


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("https://collect.example/x", True),
        ("http://abc.onion", True),
        ("http://127.0.0.1:8080", True),
        ("http://collect.example", False),
        ("http://127.0.0.1.example", False),
        ("http://onion.example", False),
    ],
)
def test_nothing_goes_in_the_clear_over_the_network(url: str, safe: bool) -> None:
    assert is_safe(url) is safe


@settings(max_examples=300)
@given(
    st.integers(200, 599),
    st.one_of(
        st.binary(max_size=300),
        st.recursive(
            st.none() | st.integers() | st.text(),
            lambda inner: (
                st.lists(inner)
                | st.dictionaries(st.sampled_from(["run", "sha256", "signature", "error", "reason"]), inner)
            ),
            max_leaves=8,
        ).map(msgspec.json.encode),
    ),
    st.text(max_size=12),
)
def test_no_answer_is_an_error_of_ours(
    tmp_path_factory: pytest.TempPathFactory, status: int, raw: bytes, again: str
) -> None:
    """Whatever a collector or a box on the way says is a last word or a reason to wait."""
    waiting = _one(tmp_path_factory.getbasetemp())
    named = Named(url="https://collect.example", key=Collector().pinned)
    one = clients.Client(collector=named, http=None, utc=SystemNet().utc)  # type: ignore[arg-type]
    answer = Answer(status, raw, again)
    said: Outcome | NotNow
    try:
        said = one._outcome(answer, waiting)
    except NotNow as error:
        said = error
    assert isinstance(said, NotNow) or said.word == "refused"
    assert "\n" not in str(said)


@lru_cache(maxsize=1)
def _one(folder: Path) -> Waiting:
    return pack(folder, run_file(folder / "results"))
