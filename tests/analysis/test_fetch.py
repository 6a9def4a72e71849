"""Segments fetched from a real collector on loopback, over connections that are good, cut and tampered with."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from probe.analysis import fetch
from probe.analysis.documents import documents
from probe.analysis.sources import SourceError
from probe.collector.archive import Wish
from probe.collector.readers import new_token
from probe.lock import held
from probe.upload.connection import NotNow
from tests.analysis.runs import answering, run, text
from tests.collector.desk import collector
from tests.collector.shelf import drop, keep, sealed
from tests.loopback import HERE, stream_server

TOKEN, DIGEST = new_token()
RUNS = ("aa" * 8, "bb" * 8, "cc" * 8)


def kept(*runs: str) -> list[Wish]:
    return [keep(one, text=text(run(answering(), run=one, asn=64500)).decode()) for one in runs]


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_FIRST_WAIT", "_JITTER"):
        monkeypatch.setattr(fetch, name, 0.01)


async def fetched(url: str, cache: Path, token: str = TOKEN) -> tuple[list[Path], list[str]]:
    said: list[str] = []
    folder = await asyncio.to_thread(fetch.segments, url, token, cache, said.append)
    return sorted((folder / "sealed").iterdir()), said


@asynccontextmanager
async def serving(storage: Path, port: str = "0") -> AsyncIterator[str]:
    async with collector(storage, readers=(DIGEST,), listen=(f"{HERE}:{port}",)) as client:
        yield str(client.base_url)


def runs(files: list[Path]) -> set[str]:
    return {found.run.run.id for file in files for found in documents(file)}  # type: ignore[union-attr]


@asynccontextmanager
async def between(url: str, change: Callable[[bytes, int], bytes]) -> AsyncIterator[str]:
    """A way to a collector: `change` gets each answer and its number, and what it returns arrives."""
    port, count = int(url.rstrip("/").rpartition(":")[2]), 0

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        asked = (await reader.readuntil(b"\r\n\r\n")).replace(b"keep-alive", b"close")
        towards, back = await asyncio.open_connection(HERE, port)
        back.write(asked)
        answer = await towards.read()
        back.close()
        count += 1
        writer.write(change(answer, count))
        await writer.drain()

    async with stream_server(carry) as mine:
        yield f"http://{HERE}:{mine}"


async def test_the_second_time_only_what_is_new_is_fetched(tmp_path: Path) -> None:
    storage, cache = tmp_path / "storage", tmp_path / "cache"
    sealed(storage, *kept(*RUNS[:2]))
    async with serving(storage) as url:
        first, said = await fetched(url, cache)
        again, nothing = await fetched(url, cache)
        sealed(storage, *kept(RUNS[2]))
        more, new = await fetched(url, cache)

    assert (runs(first), runs(again), runs(more)) == ({*RUNS[:2]}, {*RUNS[:2]}, {*RUNS})
    assert "2 of 2 segments are fetched" in said[0]
    assert nothing == []
    assert "1 of 3 segments are fetched" in new[0]
    assert TOKEN not in "".join((*said, *new, *map(str, cache.rglob("*"))))


async def test_a_run_that_was_withdrawn_meanwhile_leaves_the_readers_disk_too(tmp_path: Path) -> None:
    storage, cache = tmp_path / "storage", tmp_path / "cache"
    sealed(storage, *kept(*RUNS[:2]))
    async with serving(storage) as url:
        await fetched(url, cache)
    sealed(storage, drop(RUNS[0]), name="collector")
    async with serving(storage, url.rpartition(":")[2]) as url:
        files, _ = await fetched(url, cache)

    assert runs(files) == {RUNS[1]}
    assert set(cache.rglob("*.zst*")) == set(files)


async def test_a_download_that_is_cut_goes_on_where_it_was(tmp_path: Path) -> None:
    sealed(tmp_path / "storage", keep(RUNS[0], text=secrets.token_hex(100_000)))
    sizes: list[int] = []

    def cut(answer: bytes, number: int) -> bytes:
        sizes.append(len(answer))
        return answer if number in (1, 4) else answer[: len(answer) - 40_000 // number]

    async with serving(tmp_path / "storage") as url, between(url, cut) as way:
        files, _ = await fetched(way, tmp_path / "cache")

    assert [file.stat().st_size > 100_000 for file in files] == [True]
    assert sizes[1] > 100_000 > 30_000 > sizes[2] > sizes[3]


async def test_what_is_damaged_on_its_way_is_fetched_anew_and_never_kept(tmp_path: Path) -> None:
    sealed(tmp_path / "storage", *kept(RUNS[0]))

    def once(answer: bytes, number: int) -> bytes:
        return answer[:-9] + bytes([answer[-9] ^ 1]) + answer[-8:] if number == 2 else answer

    def always(answer: bytes, number: int) -> bytes:
        return answer[:-9] + bytes([answer[-9] ^ 1]) + answer[-8:] if number > 1 else answer

    async with serving(tmp_path / "storage") as url:
        async with between(url, once) as way:
            files, _ = await fetched(way, tmp_path / "cache")
        async with between(url, always) as way:
            with pytest.raises(NotNow, match="comes damaged"):
                await fetched(way, tmp_path / "other")

    assert runs(files) == {RUNS[0]}
    assert not list((tmp_path / "other").rglob("*.zst*"))


async def test_a_wrong_token_a_collector_without_readers_and_what_is_none_are_told_apart(
    tmp_path: Path,
) -> None:
    def page(answer: bytes, number: int) -> bytes:
        return b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"

    def portal(answer: bytes, number: int) -> bytes:
        return b"HTTP/1.1 302 Found\r\nLocation: http://portal.example/\r\nContent-Length: 0\r\n\r\n"

    async with serving(tmp_path / "one") as url, collector(tmp_path / "two") as closed:
        with pytest.raises(SourceError, match=f"^{HERE}:.*: does not know this read token$"):
            await fetched(url, tmp_path / "cache", "x" * 43)
        with pytest.raises(SourceError, match="hands out no runs: its operator has named no readers"):
            await fetched(str(closed.base_url), tmp_path / "cache")
        async with between(url, page) as way:
            with pytest.raises(SourceError, match="what answers there is no collector"):
                await fetched(way, tmp_path / "cache")
        async with between(url, portal) as way:
            with pytest.raises(SourceError, match="answered 302, and not as a collector does"):
                await fetched(way, tmp_path / "cache")
        with pytest.raises(SourceError, match="a collector that cannot hand out runs yet"):
            await fetched(f"{url}/no/such/path", tmp_path / "cache")


async def test_nobody_there_is_said_after_a_few_tries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "_ATTEMPTS", 2)
    async with stream_server(lambda reader, writer: asyncio.sleep(0)) as port:
        pass
    with pytest.raises(NotNow, match=f"^{HERE}:{port}: "):
        await fetched(f"http://{HERE}:{port}", tmp_path)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("http://collector.example", "must begin with https://"),
        ("https://user:secret@collector.example", "collector.example: is not https://HOST"),
        ("https://collector.example/?token=x", "is not https://HOST"),
        ("https://", "is not https://HOST"),
        ("https://[::1", "must begin with https://"),
        ("ftp://collector.example", "is not https://HOST"),
    ],
)
def test_an_address_that_is_none_or_tells_the_token_is_refused(
    tmp_path: Path, url: str, sentence: str
) -> None:
    with pytest.raises(SourceError, match=sentence) as refused:
        fetch.segments(url, TOKEN, tmp_path, print)

    assert "secret" not in str(refused.value)
    assert not list(tmp_path.iterdir())


def test_a_proxy_that_is_none_is_said(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="^proxy: junk: is no address that can be used$"):
        fetch.segments("https://collector.example", TOKEN, tmp_path, print, proxy="junk")


@pytest.mark.parametrize("token", ["", "short", "a b" * 20, "geheim\n" * 9, "é" * 43])
def test_what_is_no_token_is_not_sent(tmp_path: Path, token: str) -> None:
    with pytest.raises(SourceError, match="the read token is not what"):
        fetch.segments("https://collector.example", token, tmp_path, print)


async def test_two_who_fetch_at_once_do_not_mix(tmp_path: Path) -> None:
    sealed(tmp_path / "storage", *kept(RUNS[0]))
    async with serving(tmp_path / "storage") as url:
        files, _ = await fetched(url, tmp_path / "cache")
        with held(files[0].parent.parent / "lock"), pytest.raises(NotNow, match="another process"):
            await fetched(url, tmp_path / "cache")


async def test_a_cache_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    async with serving(tmp_path / "storage") as url:
        with pytest.raises(SourceError, match="segments cannot be kept there"):
            await fetched(url, tmp_path / "cache")
