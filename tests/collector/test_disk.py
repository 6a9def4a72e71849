"""A real file system that is full and has room again, and one that is read-only. Needs root."""

import asyncio
import fcntl
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.collector.kept import kept
from tests.collector.process import process
from tests.collector.sender import Sender, new_id, result

_SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN of linux/ext4.h


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Of three megabytes."""
    where = tmp_path / "disk"
    where.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "disk", str(where)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.decode().strip()}")
    try:
        yield where
    finally:
        subprocess.run(["umount", "-l", str(where)], check=True)


@pytest.fixture
def dying(tmp_path: Path) -> Iterator[Path]:
    """An ext4 of its own."""
    image, where = tmp_path / "image", tmp_path / "mounted"
    where.mkdir()
    if os.geteuid() != 0 or shutil.which("mkfs.ext4") is None:
        pytest.skip("needs root and mkfs.ext4")
    with image.open("wb") as file:
        file.truncate(64 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)
    done = subprocess.run(["mount", "-o", "loop", str(image), str(where)], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.decode().strip()}")
    try:
        yield where
    finally:
        subprocess.run(["umount", "-l", str(where)], check=True)


def shut_down(disk: Path) -> None:
    """As if it were pulled out: what is not on it now never will be, and every use of it fails."""
    folder = os.open(disk, os.O_RDONLY)
    try:
        fcntl.ioctl(folder, _SHUTDOWN, struct.pack("I", 2))  # EXT4_GOING_FLAGS_NOLOGFLUSH
    except OSError as error:
        pytest.skip(f"this kernel cannot shut a file system down: {error.strerror}")
    finally:
        os.close(folder)


def remount(disk: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(disk)], check=True)


def test_a_full_disk_is_503_until_it_has_room_and_nothing_is_lost(tmp_path: Path, disk: Path) -> None:
    me, acknowledged = Sender(), dict[str, str]()

    async def send(client: httpx.AsyncClient, run: str = "", exact: bytes = b"") -> httpx.Response:
        run = run or new_id()
        exact = exact or result(run, size=20_000)
        response = await me.send(client, run, exact)
        if response.status_code == 201:
            acknowledged[run] = exact.decode()
        return response

    async def story(url: str) -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as client:
            refused: list[httpx.Response] = []
            while len(refused) < 40:
                answers = await asyncio.gather(*(send(client) for _ in range(8)))
                refused += [answer for answer in answers if answer.status_code != 201]
            refused.append(await client.get("/healthz"))
            remount(disk, "size=30m")
            answers = [await send(client) for _ in range(20)]
            run, text = next(iter(acknowledged.items()))
            answers.append(await send(client, run, text.encode()))
            assert [answer.status_code for answer in answers] == [201] * 20 + [200]
            return refused

    with process(tmp_path, storage=disk / "storage", more="[limits]\nhourly = 1_000_000\n") as up:
        refused = asyncio.run(story(up.url))
    with process(tmp_path, storage=disk / "storage"):
        found = kept(disk / "storage")

    assert {answer.status_code for answer in refused} == {503}
    assert all(answer.json()["error"] == "storage" and answer.headers["retry-after"] for answer in refused)
    assert len(acknowledged) > 80
    assert {run: found.get(run) for run in acknowledged} == {
        run: [text] for run, text in acknowledged.items()
    }


def test_a_disk_that_is_read_only_is_said_at_the_start(tmp_path: Path, disk: Path) -> None:
    remount(disk, "ro")
    file = tmp_path / "collector.toml"
    file.write_text(f'listen = ["127.0.0.1:0"]\nstorage = "{disk}"\n')
    command = [sys.executable, "-m", "probe", "collect", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stderr) == (1, f"probe: {disk}: Read-only file system\n")


def test_a_disk_that_dies_under_a_collector_is_503_and_what_was_acknowledged_is_on_it(
    tmp_path: Path, dying: Path
) -> None:
    me, runs = Sender(), {run: result(run) for run in (new_id() for _ in range(6))}
    with process(tmp_path, storage=dying / "storage") as up:

        async def story() -> tuple[list[int], list[httpx.Response]]:
            async with httpx.AsyncClient(base_url=up.url, timeout=60, trust_env=False) as client:
                first = [(await me.send(client, run, exact)).status_code for run, exact in runs.items()]
                shut_down(dying)
                late = new_id()
                return first, [await me.send(client, late, result(late)), await client.get("/healthz")]

        first, refused = asyncio.run(story())
    subprocess.run(["umount", str(dying)], check=True)
    subprocess.run(["mount", "-o", "loop", str(tmp_path / "image"), str(dying)], check=True)
    with process(tmp_path, storage=dying / "storage"):
        found = kept(dying / "storage")

    assert first == [201] * 6
    assert [(one.status_code, one.json()["error"]) for one in refused] == [(503, "storage")] * 2
    assert all(one.headers["retry-after"] for one in refused)
    assert found == {run: [exact.decode()] for run, exact in runs.items()}
