"""The box between ISP and internet: two TUN devices in two namespaces, and behaviours in between.

Without behaviours it is a bare tunnel between two namespaces, as a VPN's is.

python -m tests.lab.box SETTINGS.json      prints "ready" when packets can flow
"""

import ctypes
import fcntl
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

from tests.lab.behaviours import Behaviour, build
from tests.lab.packets import Packet

_TUNSETIFF = 0x400454CA
_IFF_TUN_NO_PI = 0x1001
_CLONE_NEWNET = 0x40000000


def tun(namespace: str, name: str) -> int:
    """A TUN device in a network namespace; returns its file descriptor."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path(f"/var/run/netns/{namespace}").open("rb") as file:
        if libc.setns(file.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH", name.encode(), _IFF_TUN_NO_PI))
    return device


class Box:
    """Carries packets, each after the time its behaviours give it."""

    def __init__(self, devices: dict[bool, int], settings: list[dict[str, Any]], seed: int) -> None:
        self._out = devices  # by direction: True is towards the internet
        self._waiting: list[tuple[float, int, bytes, bool]] = []
        self._order = count()
        self._began = 0.0
        self._last: dict[tuple[str, int, int, bool], float] = {}
        rng = random.Random(seed)
        self._behaviours: list[Behaviour] = [build(one, rng, self._forge) for one in settings]

    def _forge(self, raw: bytes, up: bool, after: float) -> None:
        heapq.heappush(self._waiting, (time.monotonic() + after, next(self._order), raw, up))

    def take(self, raw: bytes, up: bool, now: float) -> None:
        """Decide what becomes of a packet."""
        packet, due = Packet(raw, up), now
        self._began = self._began or now
        for behaviour in self._behaviours:
            if now - self._began < behaviour.after or not behaviour.matches(packet):
                continue
            extra = behaviour.see(packet, due)
            if extra is None:
                return
            due += extra
        flow = (*packet.flow, up)
        due = max(due, self._last.get(flow, 0.0))  # jitter does not reorder a flow
        self._last[flow] = due
        heapq.heappush(self._waiting, (due, next(self._order), raw, up))

    def release(self, now: float) -> float | None:
        """Send what is due; returns the seconds until the next."""
        while self._waiting and self._waiting[0][0] <= now:
            _, _, raw, up = heapq.heappop(self._waiting)
            try:
                os.write(self._out[up], raw)
            except OSError:
                continue
        return self._waiting[0][0] - now if self._waiting else None


def main() -> None:
    settings = json.loads(Path(sys.argv[1]).read_text())
    inner, outer = (tun(settings[end], settings["device"]) for end in ("inner", "outer"))
    box = Box({True: outer, False: inner}, settings["behaviours"], settings["seed"])
    poll = select.epoll()
    poll.register(inner, select.EPOLLIN)
    poll.register(outer, select.EPOLLIN)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        wait = box.release(time.monotonic())
        for device, _ in poll.poll(wait if wait is not None else 1.0):
            for _ in range(64):
                try:
                    raw = os.read(device, 65535)
                except BlockingIOError:
                    break
                if raw and raw[0] >> 4 in (4, 6):
                    box.take(raw, device == inner, time.monotonic())


if __name__ == "__main__":
    main()
