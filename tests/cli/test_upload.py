"""`probe upload` as a user meets it: another process, a collector that is not ours, and a hand on the switch."""

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from probe import consent
from probe.upload.queue import Queue
from tests.build import NOON
from tests.upload.foreign import Collector, collecting
from tests.upload.runs import run_file
from tests.upload.socks import socks

ROOT = Path(__file__).parent.parent.parent
SETTINGS = (ROOT / "configs" / "probe.toml").read_text()


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as running:
        yield running


def command(home: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "probe", "upload", *arguments, "--home", str(home)]


def upload(home: Path, *arguments: str, **environment: str) -> tuple[int, str, str]:
    done = subprocess.run(
        command(home, *arguments),
        capture_output=True,
        text=True,
        env={"COLUMNS": "80", **environment},
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


def settled(home: Path, collector: Collector, *, agreed: bool = True, runs: int = 1) -> Path:
    """A home whose settings name the collector, with runs, and with consent if `agreed`."""
    (home / "configs").mkdir(parents=True, exist_ok=True)
    named = f'\n[[collectors]]\nurl = "{collector.url}"\nkey = "{collector.pinned}"\n'
    (home / "configs" / "probe.toml").write_text(SETTINGS + named)
    for number in range(1, runs + 1):
        run_file(home / "results", number)
    if agreed:
        consent.keep(home, consent.with_collector(consent.Consent(), collector.host, NOON))
    return home


def test_runs_go_to_the_collector_that_was_agreed_to_and_receipts_stay(
    tmp_path: Path, collector: Collector
) -> None:
    home = settled(tmp_path, collector, runs=2)

    assert upload(home)[:2] == (0, "2 kept by collectors, 0 waiting\n")
    assert len(collector.runs) == 2
    code, out, _ = upload(home, "--list", "--json")
    told = json.loads(out)
    assert (code, told["waiting"]) == (0, [])
    assert all(one["verified"] and one["word"] == "kept" for one in told["outcomes"])
    assert upload(home)[:2] == (0, "0 kept by collectors, 0 waiting\n")


def test_the_proxy_of_the_environment_is_used(tmp_path: Path, collector: Collector) -> None:
    run_file(tmp_path / "results")
    with socks(collector.port) as (port, asked):
        proxy = f"socks5://127.0.0.1:{port}"
        code, _, err = upload(tmp_path, "--to", "http://collect.onion", "--agree", "--all", ALL_PROXY=proxy)

    assert (code, len(collector.runs)) == (0, 1), err
    assert asked == [b"collect.onion"]


@pytest.mark.parametrize("arguments", [(), ("--json",), ("--all",)])
def test_without_a_word_nothing_is_sent(
    tmp_path: Path, collector: Collector, arguments: tuple[str, ...]
) -> None:
    code, out, err = upload(settled(tmp_path, collector, agreed=False), *arguments)

    assert (code, out) == (2, "")
    assert "Nobody is there to agree: say --agree" in err
    assert collector.requests == []


def test_without_a_collector_it_says_how_to_name_one(tmp_path: Path) -> None:
    code, _, err = upload(tmp_path)

    assert code == 2
    assert "[[collectors]] in configs/probe.toml, or --to URL, names one" in err


@pytest.mark.parametrize("url", ["ftp://x", "http://collect.example", "collect.example", "https://a:b@c"])
def test_a_url_that_would_not_do_is_refused_in_one_sentence(tmp_path: Path, url: str) -> None:
    code, out, err = upload(tmp_path, "--to", url, "--agree")

    assert (code, out) == (2, "")
    assert err.count("\n") == 1


def test_a_dry_run_prints_what_is_then_sent_to_the_byte(tmp_path: Path, collector: Collector) -> None:
    home = settled(tmp_path, collector, agreed=False)
    code, out, _ = upload(home, "--dry-run", "--all", "--json")
    shown = json.loads(out)
    assert (code, collector.requests) == (0, [])
    assert Queue(home).waiting() == []

    assert upload(home, "--all", "--agree")[0] == 0
    ((headers, body),) = collector.requests
    assert base64.b64decode(shown["body"]) == body
    assert shown["url"] == f"{collector.url}/v1/runs"
    sent = {name.decode().lower(): value.decode() for name, value in headers}
    said = {name.lower(): value for name, value in shown["headers"]}
    assert abs(int(sent.pop("callreach-sent")[-3:-1]) - int(said.pop("callreach-sent")[-3:-1])) < 60
    assert sent == said


def test_a_dry_run_shows_people_the_whole_document(tmp_path: Path, collector: Collector) -> None:
    home = settled(tmp_path, collector)
    (path,) = (home / "results").iterdir()
    code, out, _ = upload(home, "--dry-run", path.name)

    assert code == 0
    assert path.read_text() in out
    assert "Callreach-Signature: " in out
    assert collector.requests == []


def test_runs_from_before_the_consent_go_only_when_they_are_named(
    tmp_path: Path, collector: Collector
) -> None:
    home = settled(tmp_path, collector, runs=2)
    kept = msgspec.structs.replace(consent.read(home), uploads_since=NOON.replace(hour=13))
    consent.keep(home, kept)

    assert upload(home)[1] == "0 kept by collectors, 0 waiting\n"
    assert upload(home, f"{1:016x}")[1] == "1 kept by collectors, 0 waiting\n"
    assert list(collector.runs) == [f"{1:016x}"]


def test_a_run_that_was_sent_goes_to_another_collector_when_it_is_named(
    tmp_path: Path, collector: Collector
) -> None:
    home = settled(tmp_path, collector)
    upload(home)
    with collecting() as other:
        code, out, _ = upload(home, f"{1:016x}", "--to", other.url, "--agree")
        assert (code, out) == (0, "1 kept by collectors, 0 waiting\n")
        assert other.runs == collector.runs
    assert set(collector.posts.values()) == {1}


def test_a_damaged_file_among_many_is_said_and_the_others_go(tmp_path: Path, collector: Collector) -> None:
    home = settled(tmp_path, collector, runs=2)
    (home / "results" / "damaged.jsonl").write_bytes(b"{")
    code, out, err = upload(home, "--all")

    assert (code, out) == (0, "2 kept by collectors, 0 waiting\n")
    assert "damaged.jsonl: does not begin with a run" in err


def test_what_was_sent_can_be_taken_back_while_its_key_is_there(tmp_path: Path, collector: Collector) -> None:
    home = settled(tmp_path, collector, runs=2)
    upload(home)
    one, other = collector.runs

    assert upload(home, "--delete", one)[1] == f"{one}  {collector.host}: deleted\n"
    assert list(collector.runs) == [other]
    assert f"{one}  deleted by {collector.host}" in upload(home, "--list")[1]
    assert upload(home)[1] == "0 kept by collectors, 0 waiting\n"  # it is not sent again
    for key in (home / "keys").iterdir():
        key.unlink()
    assert "its key was forgotten" in upload(home, "--delete", other)[1]


def test_what_became_of_runs_is_listed_without_a_collector_in_the_settings(tmp_path: Path) -> None:
    run_file(tmp_path / "results")
    run = Queue(tmp_path).add(next((tmp_path / "results").glob("*.jsonl")))

    assert upload(tmp_path, "--list") == (0, f"{run}  waits\n", "")
    assert upload(tmp_path)[0] == 2
