"""What the box really did to each packet, as a file of 24 bytes a packet, to hold a measurement against.

little-endian: float64 time in | float64 time out, NaN if it was dropped | uint32 flow | uint16 size
               | uint8 direction (1: towards the internet) | uint8 IP protocol

Times are seconds of the machine's monotonic clock, the same in every process. Flows are numbered as they begin, so
that no address is in the file; both directions have the same number. Sizes are those of IP packets. Forged packets
are not in it.
"""

import math
import os
import struct
from pathlib import Path
from typing import NamedTuple

from tests.lab.packets import Packet

_ENTRY = struct.Struct("<ddIHBB")
IDLE = 0.05  # seconds without a packet after which everything is written
# Bytes that are kept however busy the box is: a write to a disk can take 15 ms, which would be packets' time.
_FULL = 1 << 24


class Passed(NamedTuple):
    """One packet: `left` is None if the box dropped it."""

    came: float
    left: float | None
    flow: int
    size: int
    up: bool
    protocol: int


class Log:
    """The box's side of the file. `flush` when there is time."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._unwritten = bytearray()
        self._flows: dict[tuple[int, str, int, int], int] = {}

    def note(self, packet: Packet, came: float, left: float = math.nan) -> None:
        """What became of a packet."""
        flow = self._flows.setdefault((packet.protocol, *packet.flow), len(self._flows))
        self._unwritten += _ENTRY.pack(came, left, flow, len(packet.raw), packet.up, packet.protocol)
        if len(self._unwritten) > _FULL:
            self.flush()

    def flush(self) -> None:
        """Write what is kept."""
        if self._unwritten:
            os.write(self._file, self._unwritten)
            self._unwritten.clear()


def read(path: Path) -> list[Passed]:
    """Everything that was written until now, in the order in which it came in."""
    data = path.read_bytes()
    whole = memoryview(data)[: len(data) - len(data) % _ENTRY.size]
    found = [
        Passed(came, None if math.isnan(left) else left, flow, size, bool(up), protocol)
        for came, left, flow, size, up, protocol in _ENTRY.iter_unpack(whole)
    ]
    return sorted(found, key=lambda passed: passed.came)
