"""Segments for readers: what is listed and handed out, and what is not."""

import hashlib
from contextlib import closing
from pathlib import Path

import httpx
import msgspec
import zstandard

from probe.collector.archive import tidy
from probe.collector.protocol import SEGMENTS, Listing, Sealed
from probe.collector.readers import new_token
from tests.collector.desk import visitor
from tests.collector.shelf import archive, drop, keep, sealed

TOKEN, DIGEST = new_token()
READER = {"Authorization": f"Bearer {TOKEN}"}


def refused(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]


async def listed(client: httpx.AsyncClient) -> tuple[Sealed, ...]:
    answer = await client.get(SEGMENTS, headers=READER)
    assert answer.status_code == 200
    return msgspec.json.decode(answer.content, type=Listing).segments


async def test_a_reader_gets_every_sealed_segment_as_it_stands_on_the_disk(tmp_path: Path) -> None:
    sealed(tmp_path, keep("aa" * 8), keep("bb" * 8))
    async with visitor(tmp_path, readers=(DIGEST,)) as client:
        found = await listed(client)
        bodies = [(await client.get(f"{SEGMENTS}/{one.sha256}", headers=READER)).content for one in found]

    files = sorted((tmp_path / "sealed").iterdir())
    assert [one.name for one in found] == [file.name.removesuffix(".jsonl.zst") for file in files]
    assert bodies == [file.read_bytes() for file in files]
    assert [hashlib.sha256(body).hexdigest() for body in bodies] == [one.sha256 for one in found]
    assert [len(body) for body in bodies] == [one.octets for one in found]


async def test_nobody_else_gets_anything_and_without_readers_nobody_does(tmp_path: Path) -> None:
    sealed(tmp_path, keep("aa" * 8))
    async with visitor(tmp_path, readers=(DIGEST,)) as client:
        (one,) = await listed(client)
        paths = (SEGMENTS, f"{SEGMENTS}/{one.sha256}")
        bare = [await client.get(path) for path in paths]
        wrong = [await client.get(path, headers={"Authorization": "Bearer " + "x" * 43}) for path in paths]
        metrics = await client.get("/metrics")
    async with visitor(tmp_path) as client:
        off = [await client.get(path, headers=READER) for path in paths]

    assert {refused(answer) for answer in (*bare, *wrong)} == {(401, "token")}
    assert {answer.headers["www-authenticate"] for answer in bare} == {"Bearer"}
    assert {refused(answer) for answer in off} == {(404, "export")}
    for answer in (*bare, *wrong, *off, metrics):
        assert TOKEN not in answer.text
        assert DIGEST not in answer.text


async def test_a_download_goes_on_where_it_broke_off(tmp_path: Path) -> None:
    sealed(tmp_path, keep("aa" * 8))
    async with visitor(tmp_path, readers=(DIGEST,)) as client:
        (one,) = await listed(client)
        path = f"{SEGMENTS}/{one.sha256}"
        whole = await client.get(path, headers=READER)
        rest = await client.get(path, headers=READER | {"Range": "bytes=10-"})
        beyond = await client.get(path, headers=READER | {"Range": f"bytes={one.octets}-"})
        odd = [
            await client.get(path, headers=READER | {"Range": text})
            for text in ("bytes=1-2", "bytes=-5", "bytes=1-,3-", "lines=1-", "bytes=" + "9" * 30 + "-")
        ]

    assert (whole.status_code, rest.status_code) == (200, 206)
    assert rest.content == whole.content[10:]
    assert rest.headers["content-range"] == f"bytes 10-{one.octets - 1}/{one.octets}"
    assert refused(beyond) == (416, "range")
    assert {(answer.status_code, answer.content) for answer in odd} == {(200, whole.content)}


async def test_what_is_being_written_or_not_yet_compressed_is_not_handed_out(tmp_path: Path) -> None:
    with closing(archive(tmp_path, "other", segment_bytes=1)) as shelf:
        shelf.commit([keep("aa" * 8)])
    with closing(archive(tmp_path, "other")) as shelf:
        shelf.commit([keep("bb" * 8)])
        async with visitor(tmp_path, readers=(DIGEST,)) as client:
            assert await listed(client) == ()


async def test_a_deleted_run_is_never_handed_out_again(tmp_path: Path) -> None:
    sealed(tmp_path, keep("aa" * 8, text="gone"), keep("bb" * 8))
    async with visitor(tmp_path, readers=(DIGEST,)) as client:
        before = await listed(client)
        with closing(archive(tmp_path, "other", segment_bytes=1)) as shelf:
            shelf.commit([drop("aa" * 8)])
            waiting = [
                await client.get(path, headers=READER)
                for path in (SEGMENTS, f"{SEGMENTS}/{before[0].sha256}")
            ]
            other = await client.get(f"{SEGMENTS}/{before[1].sha256}", headers=READER)
            shelf.erased(tidy(tmp_path, shelf.turn()))
        still = await client.get(SEGMENTS, headers=READER)
    with closing(archive(tmp_path)) as shelf:
        shelf.erased(tidy(tmp_path, shelf.turn()))
    async with visitor(tmp_path, readers=(DIGEST,)) as client:
        after = await listed(client)
        old = await client.get(f"{SEGMENTS}/{before[0].sha256}", headers=READER)
        bodies = [(await client.get(f"{SEGMENTS}/{one.sha256}", headers=READER)).content for one in after]

    assert {refused(answer) for answer in waiting} == {(503, "busy")}
    assert {answer.headers["retry-after"] for answer in waiting} == {"5"}
    assert other.status_code == 200
    assert refused(still) == (503, "busy")  # until this collector has tidied up, too
    assert refused(old) == (404, "unknown")
    assert [one.name for one in after][:2] == [one.name for one in before]
    assert not any(
        b"gone" in zstandard.ZstdDecompressor().decompressobj().decompress(body) for body in bodies
    )


async def test_a_segment_that_was_moved_away_is_not_listed_and_not_found(tmp_path: Path) -> None:
    sealed(tmp_path, keep("aa" * 8), keep("bb" * 8))
    async with visitor(tmp_path, readers=(DIGEST,)) as client:
        first, second = await listed(client)
        (tmp_path / "sealed" / f"{first.name}.jsonl.zst").rename(tmp_path / "moved")
        gone = await client.get(f"{SEGMENTS}/{first.sha256}", headers=READER)

        assert refused(gone) == (404, "unknown")
        assert await listed(client) == (second,)
