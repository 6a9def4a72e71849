"""A collector with real sockets on loopback: crashes, crowds, the slow, and what it never says."""

import asyncio
import contextlib
import logging
import random
import resource
import socket
from pathlib import Path

import httpx
import pytest

from probe.collector.archive import StorageError
from probe.collector.protocol import RUNS
from probe.collector.server import running
from probe.http_server import NothingBound
from probe.record import holds_address
from probe.toml_file import ConfigError
from tests.collector.desk import collector, settings
from tests.collector.kept import kept
from tests.collector.process import process
from tests.collector.sender import Sender, new_id, receipt, result
from tests.loopback import HERE


async def answered(port: int, raw: bytes, sender: str = HERE) -> bytes:
    """Everything that comes back on one connection."""
    reader, writer = await asyncio.open_connection(HERE, port, local_addr=(sender, 0))
    writer.write(raw)
    with contextlib.suppress(ConnectionResetError):
        async with asyncio.timeout(10):
            answer = await reader.read()
            writer.close()
            return answer
    return b""


async def test_runs_are_kept_over_real_http_and_found_by_the_next_collector(tmp_path: Path) -> None:
    me, runs = Sender(), [new_id() for _ in range(20)]
    async with collector(tmp_path) as client:
        first = await asyncio.gather(*(me.send(client, run, result(run)) for run in runs))
    async with collector(tmp_path) as client:
        asked = await asyncio.gather(*(client.get(f"{RUNS}/{run}/receipt") for run in runs))

    assert {answer.status_code for answer in first} == {201}
    assert [receipt(answer) for answer in first] == [receipt(answer) for answer in asked]
    assert sorted(kept(tmp_path)) == sorted(runs)


async def test_two_collectors_on_one_storage_answer_as_one(tmp_path: Path) -> None:
    me, runs = Sender(), [new_id() for _ in range(30)]
    texts = {run: result(run) for run in runs}
    async with collector(tmp_path, name="one") as one, collector(tmp_path, name="two") as two:
        answers = await asyncio.gather(
            *(me.send(client, run, texts[run]) for run in runs for client in (one, two))
        )
        others = await asyncio.gather(*(me.send(two, run, result(run)) for run in runs[:3]))

    pairs = list(zip(answers[::2], answers[1::2], strict=True))
    assert {tuple(sorted(answer.status_code for answer in pair)) for pair in pairs} == {(200, 201)}
    assert all(receipt(left) == receipt(right) for left, right in pairs)
    assert {answer.status_code for answer in others} == {409}
    assert kept(tmp_path) == {run: [texts[run].decode()] for run in runs}


def test_kills_at_any_moment_under_load_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    me, dice, acknowledged = Sender(), random.Random(), dict[str, bytes]()

    async def load(url: str, until: asyncio.Event) -> None:
        async def work() -> None:
            async with httpx.AsyncClient(base_url=url, timeout=10, trust_env=False) as client:
                with contextlib.suppress(httpx.HTTPError):
                    while not until.is_set():
                        run = new_id()
                        exact = result(run)
                        if (await me.send(client, run, exact)).status_code == 201:
                            acknowledged[run] = exact

        await asyncio.gather(*(work() for _ in range(8)))

    async def killed(round_: int) -> None:
        with process(tmp_path, more="[segments]\noctets = 60_000\n[limits]\nhourly = 1_000_000\n") as up:
            working = asyncio.create_task(load(up.url, until := asyncio.Event()))
            enough = len(acknowledged) + 30
            while len(acknowledged) < enough:
                await asyncio.sleep(0.01)
            await asyncio.sleep(dice.random() / 10)
            up.kill()
            until.set()
            await working

    for number in range(3):
        asyncio.run(killed(number))
    with process(tmp_path) as up, httpx.Client(base_url=up.url, trust_env=False) as client:
        statuses = {client.get(f"{RUNS}/{run}/receipt").status_code for run in acknowledged}
    found = kept(tmp_path / "storage")

    assert statuses == {200}
    assert len(acknowledged) >= 90
    assert {run: found.get(run) for run in acknowledged} == {
        run: [exact.decode()] for run, exact in acknowledged.items()
    }


async def test_what_is_no_http_is_refused(tmp_path: Path) -> None:
    async with collector(tmp_path) as client:
        port = client.base_url.port
        assert port is not None
        answers = [
            await answered(port, raw)
            for raw in (
                b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
                b"GET\r\n\r\n",
                b"\r\n" * 9 + b"X\r\n\r\n",
            )
        ]
        after = await client.get("/healthz")

    assert all(answer.startswith(b"HTTP/1.1 400") for answer in answers), answers
    assert after.status_code == 200


async def test_a_head_without_end_is_hung_up_on(tmp_path: Path) -> None:
    async with collector(tmp_path) as client:
        port = client.base_url.port
        assert port is not None
        long = await answered(port, b"GET / HTTP/1.1\r\nX: " + bytes([120]) * 5_000_000)
        large = await answered(
            port, b"GET / HTTP/1.1\r\nConnection: close\r\nX: " + bytes([120]) * 9000 + b"\r\n\r\n"
        )

    assert long == b""
    assert large.startswith(b"HTTP/1.1 404")


async def test_a_body_in_one_piece_with_its_head_is_no_head_without_end(tmp_path: Path) -> None:
    async with collector(tmp_path) as client:
        port = client.base_url.port
        assert port is not None
        one = b"POST /v1/runs HTTP/1.1\r\nContent-Length: 150000\r\n\r\n" + bytes(150_000)
        two = one + b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n"
        answer = await answered(port, two)

    assert answer.count(b"HTTP/1.1 415") == 1


async def test_who_is_slow_is_hung_up_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("probe.http_server._SLOW", 0.2)
    monkeypatch.setattr("probe.collector.app._BODY_SECONDS", 0.3)
    me, run = Sender(), new_id()
    head = "".join(f"{name}: {value}\r\n" for name, value in me.headers(run, b"x").items())
    async with collector(tmp_path) as client:
        port = client.base_url.port
        assert port is not None
        silent = await answered(port, b"")
        halting = await answered(port, b"POST /v1/runs HTTP/1.1\r\nHost: ")
        endless = await answered(
            port, f"POST /v1/runs HTTP/1.1\r\n{head}Content-Length: 5000\r\n\r\n".encode() + b"x"
        )

    assert (silent, halting) == (b"", b"")
    assert endless.startswith(b"HTTP/1.1 408")


def test_ten_thousand_who_say_nothing_do_not_keep_a_sender_out(tmp_path: Path) -> None:
    crowd = 10_000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < crowd + 200:
        pytest.skip(f"the system allows {hard} open files here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (crowd + 200, hard))
    idle: list[socket.socket] = []
    try:
        with process(tmp_path) as up:
            for number in range(crowd):
                idle.append(
                    socket.create_connection((HERE, up.port), source_address=(f"127.0.0.{2 + number % 4}", 0))
                )
                if number % 100 == 0:
                    idle[-1].sendall(b"POST /v1/runs HTTP/1.1\r\n")

            async def send() -> int:
                async with httpx.AsyncClient(base_url=up.url, timeout=30, trust_env=False) as client:
                    run = new_id()
                    return (await Sender().send(client, run, result(run))).status_code

            assert asyncio.run(send()) == 201
    finally:
        for sock in idle:
            sock.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_nothing_it_says_or_writes_has_an_address_of_a_sender(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    said: list[str] = []
    sender = "127.93.41.77"
    transport = httpx.AsyncHTTPTransport(local_address=sender)
    async with collector(tmp_path, said) as client:
        async with httpx.AsyncClient(transport=transport, base_url=client.base_url) as far:
            me, run = Sender(), new_id()
            kept_ = await me.send(far, run, result(run))
            named = await far.get("/healthz", headers={"x-forwarded-for": "203.0.113.9"})
            await far.post(RUNS, content=b"x")
            metrics = await far.get("/metrics")
        assert client.base_url.port is not None
        await answered(client.base_url.port, b"\x00\xff\r\n\r\n", sender)
    written = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    out = "".join(capfd.readouterr())
    logged = "".join(
        one.getMessage() for one in caplog.records if not one.name.startswith(("httpx", "httpcore"))
    )

    assert (kept_.status_code, named.status_code) == (201, 200)
    for text in (out, logged, *said, metrics.text):
        assert sender not in text
        assert "203.0.113.9" not in text
    assert not any(holds_address(sentence) for sentence in said)
    assert sender.encode() not in written
    assert b"203.0.113.9" not in written
    assert bytes(map(int, sender.split("."))) not in written


async def test_a_storage_or_key_that_cannot_be_used_is_said_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder, and no key")
    cases = (
        (settings(tmp_path / "file" / "storage"), StorageError, "Not a directory"),
        (settings(tmp_path / "a", key=str(tmp_path / "file")), ConfigError, "holds no Ed25519 key"),
        (settings(tmp_path / "b", key=str(tmp_path / "no" / "key")), ConfigError, "cannot be read or made"),
    )
    for given, error, sentence in cases:
        with pytest.raises(error, match=sentence):
            async with running(given, print):
                pass


async def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    with socket.socket() as taken:
        taken.bind((HERE, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(NothingBound):
            async with running(settings(tmp_path, listen=(f"{HERE}:{port}",)), said.append):
                pass

    assert said == [f"Port {port} of {HERE} cannot be used: Address already in use."]
