"""The HTTP side, request by request, and with requests of any kind."""

import asyncio
import dataclasses
import fcntl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import msgspec
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from probe.collector.protocol import RUNS, Refusal
from probe.collector.settings import Limits
from probe.http_server import trouble
from probe.upload.signing import RUN, sign
from tests.collector.desk import visitor
from tests.collector.kept import kept, lines
from tests.collector.sender import Sender, new_id, receipt, result


def packed(exact: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(exact)


def refusal(response: httpx.Response) -> tuple[int, str, str]:
    """Of a refusal, which has its form: status, error, sentence."""
    made = msgspec.json.decode(response.content, type=Refusal)
    assert response.headers["content-type"] == "application/json"
    assert made.reason
    assert ("retry-after" in response.headers) == (response.status_code in (425, 429, 503))
    return response.status_code, made.error, made.reason


async def test_a_run_is_kept_byte_for_byte_and_acknowledged_by_a_signed_receipt(tmp_path: Path) -> None:
    me, run = Sender(), new_id()
    exact = result(run).replace(b'"chat"', '"чат \\" \\u0000"'.encode(), 1)
    async with visitor(tmp_path) as client:
        first, again = await me.send(client, run, exact), await me.send(client, run, exact)
        asked = await client.get(f"{RUNS}/{run}/receipt")

    assert (first.status_code, again.status_code, asked.status_code) == (201, 200, 200)
    assert first.content == again.content == asked.content
    assert receipt(first).run == run
    assert kept(tmp_path) == {run: [exact.decode()]}
    (line,) = lines(tmp_path)
    assert (line["sha256"], line["received"], line["key"]) == (
        receipt(first).sha256,
        receipt(first).received,
        me.public,
    )


async def test_other_bytes_or_another_key_under_a_known_id_are_refused(tmp_path: Path) -> None:
    me, run = Sender(), new_id()
    exact = result(run)
    async with visitor(tmp_path) as client:
        await me.send(client, run, exact)
        other = await me.send(client, run, result(run))
        stolen = await Sender().send(client, run, exact)

    assert refusal(other)[:2] == refusal(stolen)[:2] == (409, "taken")
    assert kept(tmp_path) == {run: [exact.decode()]}


async def test_a_run_is_deleted_by_its_key_alone_and_does_not_come_back(tmp_path: Path) -> None:
    me, run = Sender(), new_id()
    exact, path = result(run), f"{RUNS}/{run}"
    async with visitor(tmp_path) as client:
        unknown = await client.delete(path, headers=me.wish(run))
        await me.send(client, run, exact)
        others = await client.delete(path, headers=Sender().wish(run))
        forged = await client.delete(path, headers=me.wish(new_id()))
        late = await client.delete(
            path, headers=Sender(me.key, datetime.now(UTC) - timedelta(days=2)).wish(run)
        )
        done = [await client.delete(path, headers=me.wish(run)) for _ in range(2)]
        back, asked = await me.send(client, run, exact), await client.get(f"{path}/receipt")

    assert [refusal(r)[:2] for r in (unknown, others, forged, late)] == [
        (404, "unknown"), (403, "key"), (401, "signature"), (425, "clock"),
    ]  # fmt: skip
    assert [(r.status_code, r.content) for r in done] == [(204, b"")] * 2
    assert refusal(back)[:2] == refusal(asked)[:2] == (410, "deleted")
    assert kept(tmp_path) == {}


@pytest.mark.parametrize(
    ("name", "value", "status", "sentence"),
    [
        ("Content-Type", "application/json", 415, "sent as application/vnd.callreach.run+jsonl"),
        ("Content-Encoding", "gzip", 415, "Content-Encoding: zstd"),
        ("Callreach-Run", "../../etc", 400, "8 to 64 digits"),
        ("Callreach-Run", "0" * 16, 422, "is not the one that Callreach-Run names"),
        ("Callreach-Key", "AAAA", 400, "callreach-key is 32 bytes"),
        ("Callreach-Key", "A" * 43, 401, "not this key's"),
        ("Callreach-Signature", "A" * 86, 401, "not this key's"),
        ("Callreach-Signature", "A" * 85, 400, "callreach-signature is 64 bytes"),
        ("Callreach-Sent", "yesterday", 400, "callreach-sent is a time"),
        ("Callreach-Sent", "2026-02-31T00:00:00Z", 400, "callreach-sent is a time"),
        (
            "Callreach-Sent",
            "1970-01-01T00:00:00Z",
            425,
            "1970-01-01T00:00:00Z by your clock, and here it is 20",
        ),
        ("Callreach-Sent", "9999-12-31T23:59:59Z", 425, "by your clock"),
        ("Content-Length", "99999999999999999999999", 413, "at most 524288 bytes"),
    ],
)
async def test_a_header_that_is_wrong_is_refused_with_the_reason(
    tmp_path: Path, name: str, value: str, status: int, sentence: str
) -> None:
    me, run = Sender(), new_id()
    exact = result(run)
    async with visitor(tmp_path) as client:
        response = await client.post(
            RUNS, content=packed(exact), headers=me.headers(run, exact) | {name: value}
        )

    assert refusal(response)[0] == status
    assert sentence in refusal(response)[2]
    assert kept(tmp_path) == {}


async def test_every_header_is_needed_and_none_may_be_there_twice(tmp_path: Path) -> None:
    me, run = Sender(), new_id()
    exact = result(run)
    headers = me.headers(run, exact)
    async with visitor(tmp_path) as client:
        for name in headers:
            without = {one: value for one, value in headers.items() if one != name}
            response = await client.post(RUNS, content=packed(exact), headers=without)
            assert refusal(response)[0] == (415 if name.startswith("Content") else 400)
        twice = [*headers.items(), ("Callreach-Run", new_id())]
        assert refusal(await client.post(RUNS, content=packed(exact), headers=twice))[2].endswith(
            "there twice"
        )


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{}", 400),
        (packed(b"x" * 3000)[:-3], 400),
        (packed(b"x") + packed(b"y"), 400),
        (packed(b"x") + b"z", 400),
        (packed(bytes(3 << 20)), 413),
        (zstandard.ZstdCompressor(write_content_size=False).compress(bytes(64 << 20)), 413),
        (zstandard.ZstdCompressor(write_content_size=False).compress(bytes(1 << 30)), 413),
        (
            bytes.fromhex("28b52ffd") + b"\xe0" + b"\xff" * 7 + b"\x7f" + bytes(9),
            413,
        ),  # says it holds 2^63 - 1 bytes
        (
            bytes.fromhex("28b52ffd") + b"\xe0" + b"\xff" * 8 + bytes(9),
            400,
        ),  # a number that also means "unknown"
        (bytes(600_000), 413),
    ],
)
async def test_a_body_that_is_torn_or_a_bomb_is_refused(tmp_path: Path, body: bytes, status: int) -> None:
    me, run = Sender(), new_id()
    async with visitor(tmp_path) as client:
        response = await client.post(RUNS, content=body, headers=me.headers(run, b"x"))

    assert refusal(response)[0] == status


async def test_a_body_without_an_announced_length_is_counted_as_it_comes(tmp_path: Path) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(65536)

    async with visitor(tmp_path) as client:
        response = await client.post(RUNS, content=endless(), headers=Sender().headers(new_id(), b"x"))

    assert refusal(response)[:2] == (413, "size")


HEAD = (
    '{"record":"run","format":1,"id":"ID","software":"SOFT","started":"2026-11-25T04:10:37Z","vantage":{}'
    ',"catalogue":""}'
)
DEEP = '{"record":"lookup","resolver":"","name":"","type":"","x":' + "[" * 200_000
END = '{"record":"end","ended":"complete","seconds":1,"sent":0,"received":0}'


@pytest.mark.parametrize(
    ("text", "status", "sentence"),
    [
        ("", 422, "line 1: is empty"),
        ("\n", 422, "line 1: is empty"),
        ("{}\n", 422, "line 1: record: object missing required field `record`"),
        ("[" * 200_000 + "\n", 422, "line 1"),
        (HEAD, 422, "line 1 is cut off"),
        (f"{HEAD}\n{{}}\n", 422, "line 2"),
        (f"{HEAD}\n{HEAD}\n", 422, "line 2: is a second run in one file"),
        (f"{HEAD}\n{DEEP}\n", 422, "line 2: is nested too deeply"),
        (f"{HEAD}\n\n", 422, "line 2: is empty"),
        (f"{HEAD}\n{END.replace('1', 'NaN')}\n", 422, "line 2: is not JSON"),
        (f"{HEAD}\n{END.replace('complete', 'at last')}\n", 422, "line 2: ended: invalid enum value"),
        (f"{HEAD}\n{END}\n", 201, ""),
        (HEAD.replace("04:10:37Z", "04:10:37") + "\n", 422, "started: has no time zone"),
        (HEAD.replace("2026-11-25", "2031-11-25") + "\n", 422, "began at 2031-11-25"),
        (HEAD.replace("2026-11-25", "1970-01-01") + "\n", 422, "began at 1970-01-01"),
        (HEAD.replace('"format":1', '"format":"1"') + "\n", 422, "line 1: format"),
        (f"{HEAD}\n", 201, ""),
        (HEAD.replace('"format":1', '"format":99') + "\nanything at all\n", 202, ""),
        (HEAD.replace("SOFT", "callreach 99.0.0") + '\n{"record":"dream"}\n', 202, ""),
        (HEAD.replace("SOFT", "callreach 0.0.1") + '\n{"record":"dream"}\n', 422, "line 2"),
    ],
)  # fmt: skip
async def test_what_is_no_result_file_is_refused_and_what_is_newer_is_kept_aside(
    tmp_path: Path, text: str, status: int, sentence: str
) -> None:
    me, run = Sender(), new_id()
    exact = text.replace("ID", run).encode()
    async with visitor(tmp_path) as client:
        response = await me.send(client, run, exact)
        again = await me.send(client, run, exact)

    assert response.status_code == status, response.text
    if status == 422:
        assert sentence in refusal(response)[2]
        assert kept(tmp_path) == {}
    else:
        assert receipt(response).run == run
        assert again.status_code == (202 if status == 202 else 200)
        (line,) = lines(tmp_path)
        assert line.get("aside", False) == (status == 202)


async def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    run = new_id()
    async with visitor(tmp_path) as client:
        response = await Sender().send(client, run, result(run) + b"\xff\xfe\n")

    assert "is not UTF-8 text (byte " in refusal(response)[2]


async def test_a_key_that_sends_too_much_is_told_when_to_come_again_and_others_are_not(
    tmp_path: Path,
) -> None:
    me, other = Sender(), Sender()
    async with visitor(tmp_path, limits=Limits(hourly=2)) as client:
        forged = dataclasses.replace(me, key=other.key)
        runs = [new_id() for _ in range(5)]
        answers = [await me.send(client, run, result(run)) for run in runs[:3]]
        for run in runs:  # who does not hold the key cannot use up what its holder may send
            await client.post(RUNS, content=packed(b"x"), headers=forged.headers(run, b"y"))
        others = await other.send(client, runs[3], result(runs[3]))

    assert [answer.status_code for answer in answers] == [201, 201, 429]
    assert int(answers[2].headers["retry-after"]) == 1800
    assert others.status_code == 201


async def test_too_much_at_once_is_asked_to_come_again(tmp_path: Path) -> None:
    limits = Limits(waiting=1 << 20, hourly=1000)
    runs = [new_id() for _ in range(60)]
    async with visitor(tmp_path, limits=limits) as client:
        sent = [Sender().send(client, run, result(run, size=60_000)) for run in runs]
        answers = await asyncio.gather(*sent)
        after = await Sender().send(client, run := new_id(), result(run))

    statuses = {answer.status_code for answer in answers}
    assert statuses == {201, 503}
    assert after.status_code == 201
    assert sorted(kept(tmp_path)) == sorted(
        [run, *(r for r, answer in zip(runs, answers, strict=True) if answer.status_code == 201)]
    )


async def test_a_storage_that_fails_is_503_with_a_time_and_nothing_is_lost(tmp_path: Path) -> None:
    storage, away, me = tmp_path / "storage", tmp_path / "away", Sender()
    one, two = new_id(), new_id()
    async with visitor(storage) as client:
        first = await me.send(client, one, exact := result(one))
        storage.rename(away)
        gone = [
            await me.send(client, two, result(two)), await client.get("/healthz"),
            await client.get(f"{RUNS}/{two}/receipt"), await client.delete(f"{RUNS}/{one}", headers=me.wish(one)),
        ]  # fmt: skip
        away.rename(storage)
        after = [
            await me.send(client, one, exact),
            await me.send(client, two, result(two)),
            await client.get("/healthz"),
        ]

    assert first.status_code == 201
    assert [refusal(one)[:2] for one in gone] == [(503, "storage")] * 4
    assert [one.status_code for one in after] == [200, 201, 200]


async def test_a_disk_that_does_not_answer_is_503_and_what_it_does_later_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("probe.collector.intake._PATIENCE", 0.2)
    me, run = Sender(), new_id()
    exact = result(run)
    async with visitor(tmp_path) as client:
        with (tmp_path / "lock").open("r+") as stuck:
            fcntl.flock(stuck, fcntl.LOCK_EX)
            waited = await me.send(client, run, exact)
            asked = await client.get(f"{RUNS}/{run}/receipt")
        monkeypatch.setattr("probe.collector.intake._PATIENCE", 20.0)
        again = await me.send(client, run, exact)

    assert refusal(waited) == refusal(asked) == (503, "storage", "the disk does not answer")
    assert again.status_code == 200
    assert kept(tmp_path) == {run: [exact.decode()]}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404), ("GET", RUNS, 405), ("PUT", f"{RUNS}/{'0' * 16}", 405), ("OPTIONS", RUNS, 405),
        ("GET", f"{RUNS}/{'0' * 16}/receipt", 404), ("GET", f"{RUNS}/x/receipt", 400), ("DELETE", f"{RUNS}/x", 400),
        ("GET", f"{RUNS}//receipt", 404), ("GET", f"{RUNS}/%00%ff/receipt", 400), ("POST", "/metrics", 405),
    ],
)  # fmt: skip
async def test_paths_that_lead_nowhere(tmp_path: Path, method: str, path: str, status: int) -> None:
    async with visitor(tmp_path) as client:
        response = await client.request(method, path, headers=Sender().wish("x"))

    assert refusal(response)[0] == status


async def test_an_answer_that_should_not_happen_tells_the_operator_where_and_nothing_else(
    tmp_path: Path,
) -> None:
    def broken_clock() -> datetime:
        raise RuntimeError("of 192.0.2.7")

    said: list[str] = []
    tell = lambda error: said.append(trouble(error, "collector"))  # noqa: E731
    async with visitor(tmp_path, utc=broken_clock, trouble=tell) as client:
        response = await Sender().send(client, run := new_id(), result(run))

    assert response.status_code == 500
    assert response.json()["error"] == "mistake"
    assert [each.partition(", line ")[0] for each in said] == [
        "A mistake of the collector's own: RuntimeError in test_app.py"
    ]


async def test_what_it_shows_of_itself_names_nobody(tmp_path: Path) -> None:
    run = new_id()
    async with visitor(tmp_path) as client:
        await Sender().send(client, run, result(run))
        metrics = await client.get("/metrics")
        health = await client.get("/healthz")

    assert 'callreach_answers_total{error="",status="201"} 1.0' in metrics.text
    assert "callreach_commit_seconds_bucket" in metrics.text
    assert "192.0.2.1" not in metrics.text
    assert run not in metrics.text
    assert health.json() == {"status": "ok"}


ANY_HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "content-type",
            "content-encoding",
            "callreach-run",
            "callreach-key",
            "callreach-signature",
            "callreach-sent",
        ]
    ),
    st.one_of(
        st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=100),
        st.sampled_from([RUN, "zstd", "0" * 16, "A" * 43, "A" * 86, "2026-11-25T04:10:37Z"]),
        st.binary(max_size=64),
    ),
)


@settings(max_examples=60)
@given(
    headers=ANY_HEADERS,
    body=st.one_of(st.binary(max_size=500), st.binary(max_size=500).map(packed)),
    content=st.one_of(st.none(), st.binary(max_size=300), st.text(max_size=300).map(str.encode)),
)
def test_requests_of_any_kind_are_refused_in_the_usual_form(
    headers: dict[str, str], body: bytes, content: bytes | None
) -> None:
    """`content`: signed by its sender, so that it gets further than a wrong signature does."""

    async def ask() -> None:
        me = Sender()
        full = me.headers("0" * 16, content or b"") if content is not None else {}
        sent = {
            name: value if isinstance(value, bytes) else value.encode()
            for name, value in (full | headers).items()
        }
        if content is not None and "callreach-signature" not in headers:
            assert sign(me.key, RUN, content).encode() == sent["Callreach-Signature"]
        with TemporaryDirectory() as folder:
            async with visitor(Path(folder)) as client:
                raw = [(name.encode(), value) for name, value in sent.items()]
                request = client.build_request(
                    "POST", RUNS, content=body if content is None else packed(content)
                )
                request.headers = httpx.Headers([*request.headers.raw, *raw])
                response = await client.send(request)
        assert refusal(response)[0] in (400, 401, 413, 415, 422, 425)

    asyncio.run(ask())
