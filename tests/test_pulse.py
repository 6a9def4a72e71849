"""How well a process attends."""

import asyncio
import time

from probe.net import SystemNet
from probe.pulse import Pulse


async def attended(busy: float) -> float:
    pulse = Pulse(SystemNet())
    beating = asyncio.create_task(pulse.beat())
    await asyncio.sleep(0.15)
    before = pulse.late()
    time.sleep(busy)  # noqa: ASYNC251 - nothing else runs meanwhile: that is the point
    at_once = pulse.late() - before
    await asyncio.sleep(0.15)
    beating.cancel()
    assert pulse.late() - before >= at_once
    return at_once


async def test_what_keeps_a_process_from_its_sockets_is_added_up_and_known_at_once() -> None:
    # A beat that is due within a tenth of a second cannot tell what came before it.
    assert await attended(1.0) >= 0.9


async def test_before_it_beats_nothing_is_late() -> None:
    assert Pulse(SystemNet()).late() == 0.0
