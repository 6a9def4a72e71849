"""The box between ISP and internet: two TUN devices in two namespaces, and behaviours in between.

Without behaviours it is a bare tunnel between two namespaces, as a VPN's is.

python -m tests.lab.box SETTINGS.json      prints "ready" when packets can flow
"""

import contextlib
import fcntl
import gc
import heapq
import json
import os
import random
import select
import struct
import sys
import time
from itertools import count
from pathlib import Path
from typing import Any

from tests.lab.behaviours import Behaviour
from tests.lab.kinds import build
from tests.lab.packets import Packet
from tests.lab.topology import enter
from tests.lab.truth import IDLE, Log

_TUNSETIFF = 0x400454CA
_IFF_TUN_NO_PI = 0x1001
_SPIN = 0.0001  # seconds before a packet is due from which sleeping would be too coarse
_BATCH = 16  # packets taken before what is due has its turn


def tun(namespace: str, name: str) -> int:
    """A TUN device in a network namespace, in which we are then; returns its file descriptor."""
    enter(namespace)
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH", name.encode(), _IFF_TUN_NO_PI))
    return device


class Box:
    """Carries packets, each after the time its behaviours give it."""

    def __init__(
        self, devices: dict[bool, int], settings: list[dict[str, Any]], seed: int, log: Log | None = None
    ) -> None:
        self._out = devices  # by direction: True is towards the internet
        # When each is due, an order for what is due at once, and when it came in (None: it is forged).
        self._waiting: list[tuple[float, int, Packet, float | None]] = []
        self._order = count()
        self._began = 0.0
        self._last: dict[tuple[str, int, int, bool], float] = {}
        self._log = log
        rng = random.Random(seed)
        self._behaviours: list[Behaviour] = [build(one, rng, self._forge) for one in settings]

    def _forge(self, raw: bytes, up: bool, after: float) -> None:
        due = time.monotonic() + after
        heapq.heappush(self._waiting, (due, next(self._order), Packet(raw, up), None))

    def take(self, raw: bytes, up: bool, now: float) -> None:
        """Decide what becomes of a packet."""
        packet, due, in_order = Packet(raw, up), now, True
        self._began = self._began or now
        for behaviour in self._behaviours:
            if now - self._began < behaviour.after or not behaviour.matches(packet):
                continue
            extra = behaviour.see(packet, due)
            if extra is None:
                if self._log is not None:
                    self._log.note(packet, now)
                return
            due += extra
            in_order = in_order and behaviour.keeps_order
        if in_order:  # jitter does not reorder a flow
            flow = (*packet.flow, up)
            due = self._last[flow] = max(due, self._last.get(flow, 0.0))
        heapq.heappush(self._waiting, (due, next(self._order), packet, now))

    def release(self, now: float) -> float | None:
        """Send what is due; returns the seconds until the next."""
        while self._waiting and self._waiting[0][0] <= now:
            _, _, packet, came = heapq.heappop(self._waiting)
            is_gone = False
            with contextlib.suppress(OSError):
                os.write(self._out[packet.up], packet.raw)
                is_gone = True
            if self._log is not None and came is not None:
                self._log.note(packet, came, *([time.monotonic()] if is_gone else []))
        return self._waiting[0][0] - now if self._waiting else None


def be_punctual() -> None:
    """Run before anything else of this machine, where that is allowed, and never pause to collect garbage."""
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    gc.freeze()
    gc.disable()


def main() -> None:
    settings = json.loads(Path(sys.argv[1]).read_text())
    inner, outer = (tun(settings[end], settings["device"]) for end in ("inner", "outer"))
    log = Log(Path(settings["log"])) if settings.get("log") else None
    box = Box({True: outer, False: inner}, settings["behaviours"], settings["seed"], log)
    be_punctual()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        wait = box.release(time.monotonic())
        # select waits in microseconds, where epoll waits in milliseconds; the last of it is spent looking.
        patience = IDLE if wait is None else min(IDLE, max(0.0, wait - _SPIN))
        ready, _, _ = select.select((inner, outer), (), (), patience)
        if not ready and wait is None and log is not None:
            log.flush()
        for device in ready:
            _take_all(box, device, up=device == inner)


def _take_all(box: Box, device: int, *, up: bool) -> None:
    for _ in range(_BATCH):
        try:
            raw = os.read(device, 65535)
        except BlockingIOError:
            return
        if raw and raw[0] >> 4 in (4, 6):
            box.take(raw, up, time.monotonic())


if __name__ == "__main__":
    main()
