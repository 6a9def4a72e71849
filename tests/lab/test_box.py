"""The box between two pipes instead of two devices: order, and the truth about each packet."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab import packets, truth
from tests.lab.box import Box
from tests.lab.truth import Log

CLIENT, SERVER = "85.140.1.2", "5.45.64.1"


@pytest.fixture
def pipes() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_DIRECT)  # packets stay apart
    yield reading, writing
    os.close(reading)
    os.close(writing)


def numbered(number: int) -> bytes:
    return packets.udp(CLIENT, SERVER, (40000, 3478), number.to_bytes(2, "big"))


def arrived(reading: int) -> list[int]:
    found = []
    while True:
        try:
            found.append(int.from_bytes(os.read(reading, 2000)[-2:], "big"))
        except BlockingIOError:
            return found


def carry(pipes: tuple[int, int], box: list[dict[str, Any]], log: Log | None = None) -> list[int]:
    """What comes out of 200 packets that enter one millisecond apart."""
    reading, writing = pipes
    carrying = Box({True: writing, False: writing}, box, 3, log)
    began, came = time.monotonic() - 10, []
    for number in range(300):
        if number < 200:
            carrying.take(numbered(number), True, began + number / 1000)
        carrying.release(began + number / 1000)
        came += arrived(reading)
    return came


def test_jitter_keeps_the_order_of_a_flow(pipes: tuple[int, int]) -> None:
    assert carry(pipes, [{"do": "delay", "ms": 20, "jitter_ms": 20}]) == list(range(200))


def test_jitter_that_may_reorder_does_and_loses_nothing(pipes: tuple[int, int]) -> None:
    came = carry(
        pipes, [{"do": "delay", "ms": 20, "jitter_ms": 20, "reorder": True}, {"do": "delay", "ms": 8}]
    )

    assert came != list(range(200))
    assert sorted(came) == list(range(200))


def test_the_log_says_of_each_packet_when_it_came_and_left(pipes: tuple[int, int], tmp_path: Path) -> None:
    log = Log(tmp_path / "log")

    came = carry(pipes, [{"do": "ratio", "percent": 30}, {"do": "delay", "ms": 20}], log)
    log.flush()
    told = truth.read(tmp_path / "log")

    assert [number for number, one in enumerate(told) if one.left is not None] == came
    assert {(one.flow, one.size, one.up, one.protocol) for one in told} == {(0, 30, True, packets.UDP)}
    gaps = {round(later.came - one.came, 6) for one, later in zip(told, told[1:], strict=False)}
    assert gaps == {0.001}
    assert all(one.left is None or one.left > one.came + 0.02 for one in told)


def test_the_log_numbers_flows_and_has_no_address_in_it(tmp_path: Path) -> None:
    log = Log(tmp_path / "log")
    for local in (1, 2, 1):
        log.note(packets.Packet(packets.udp(CLIENT, SERVER, (local, 3478), b""), up=True), 1.0, 2.0)
    log.note(packets.Packet(packets.udp(SERVER, CLIENT, (3478, 1), b""), up=False), 1.5)
    log.flush()

    assert [(one.flow, one.up, one.left) for one in truth.read(tmp_path / "log")] == [
        (0, True, 2.0), (1, True, 2.0), (0, True, 2.0), (0, False, None),
    ]  # fmt: skip
    assert (tmp_path / "log").stat().st_size == 4 * 24
