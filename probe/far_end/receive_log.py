"""What was heard of one flow or call, kept as compactly as it is handed out (protocol.Heard)."""

from array import array
from typing import Literal

import msgspec

from probe.far_end.protocol import Heard

MOST = 32_768  # stamped packets of one flow: three minutes of 180 a second
Ended = Literal["", "time", "octets", "unproved", "closed"]


class ReceiveLog:
    """Numbers and times of arrival, and which numbers were not answered."""

    def __init__(self) -> None:
        self._numbers, self._at, self._mute = array("i"), array("I"), array("i")
        self._seen = bytearray()  # a bit for each number
        self._last_number = self._last_at = 0
        self._began: float | None = None
        self.octets_in = self.octets_out = self.packets_in = 0
        self.proved = False
        self.ended: Ended = ""

    @property
    def is_full(self) -> bool:
        """Whether more would not fit into an answer."""
        return len(self._numbers) >= MOST

    def micros(self, at: float) -> int:
        """Microseconds between the first packet that was heard and a time in seconds."""
        return 0 if self._began is None else max(0, round((at - self._began) * 1e6))

    def hear(self, number: int, at: float) -> bool:
        """Note an arrival. False if the number was heard before."""
        if self._began is None:
            self._began = at
        # The kernel's stamps and a clock that is being set may disagree by a little; time does not run backwards.
        micros = max(self._last_at, self.micros(at))
        self._numbers.append(number - self._last_number)
        self._at.append(micros - self._last_at)
        self._last_number, self._last_at = number, micros
        place, bit = number >> 3, 1 << (number & 7)
        if place >= len(self._seen):
            self._seen.extend(bytes(place + 1 - len(self._seen)))
        if self._seen[place] & bit:
            return False
        self._seen[place] |= bit
        return True

    def keep_silent(self, number: int) -> None:
        """Note that a number was heard and is not answered."""
        self._mute.append(number)

    def heard(self) -> Heard:
        """The log so far."""
        return Heard(
            numbers=tuple(self._numbers),
            at=tuple(self._at),
            mute=tuple(self._mute),
            octets_in=self.octets_in,
            octets_out=self.octets_out,
            packets_in=self.packets_in,
            proved=self.proved,
            ended=self.ended,
        )


def encoded(heard: Heard) -> bytes:
    """As JSON."""
    return msgspec.json.encode(heard)
