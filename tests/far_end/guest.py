"""A guest of a far end: makes the packets of one flow, and reads what is answered; no socket."""

import os
from itertools import accumulate
from typing import Literal

from probe.far_end.protocol import Heard, NewFlow, Packets
from probe.media.stamp import KEY, SIZE, Sealer, Stamp

VOICE = Packets(stamp_at=0, down="{stamp} {fill}", least=SIZE)


class Clock:
    """Seconds that pass when told to."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def tick(self, seconds: float) -> None:
        self.now += seconds


class Guest:
    """The probe's end of a flow whose stamps stand at the beginning."""

    def __init__(
        self, port: int = 1, transport: Literal["udp", "tcp"] = "udp", packets: tuple[Packets, ...] = (VOICE,)
    ) -> None:
        key = os.urandom(KEY)
        self.asked = NewFlow(transport=transport, port=port, key=key.hex(), packets=packets)
        self.up, self.down = Sealer(key, "up"), Sealer(key, "down")
        self.word, self.number = 0, -1

    def packet(
        self, size: int = 160, *, kind: int = 0, word: int | None = None, number: int | None = None
    ) -> bytes:
        """The next one."""
        self.number = self.number + 1 if number is None else number
        stamp = Stamp(kind, self.number, self.word if word is None else word, 20_000 * self.number)
        return self.up.seal(stamp) + os.urandom(max(0, size - SIZE))

    def read(self, answer: bytes) -> Stamp:
        """The stamp of an answer, whose word is learned."""
        stamp = self.down.open(answer[:SIZE])
        assert stamp is not None
        self.word = stamp.word
        return stamp


def numbers(heard: Heard) -> list[int]:
    """The log's numbers, decoded."""
    return list(accumulate(heard.numbers))


def times(heard: Heard) -> list[int]:
    """The log's times in microseconds, decoded."""
    return list(accumulate(heard.at))
