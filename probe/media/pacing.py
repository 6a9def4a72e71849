"""Send at absolute times, never catch up in a burst, and keep account of our own lateness."""

import asyncio
import math
from collections.abc import Callable, Sequence

from probe.record import Record

# The event loop waits in whole milliseconds, rounded up: half of one too early and half too late is even.
_ROUNDING = 0.0005
# Intervals behind which a packet is left out: more than two at once would be a burst of our own making.
_HOPELESS = 2


class Pacing(Record):
    """How punctual the sender was: seconds behind (negative: before) the due time.

    `missed` packets were left out as too late: that says nothing of the network, and a busy machine voids a test.
    `unsent` ones were due and did not leave: a refusal (ICMP) was pending, or a queue of this machine was full.
    """

    packets: int
    late_median: float
    late_p99: float
    late_max: float
    missed: int = 0
    unsent: int = 0


class Pacer:
    """Paces one flow; `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._late: list[float] = []
        self._missed = self._unsent = 0

    async def run(
        self, count: int, every: float, send: Callable[[int], float | None], go_on: Callable[[], bool]
    ) -> bool:
        """Call `send(index)` every so many seconds until `count` is reached or `go_on` says no; then False.

        `send` returns the time at which the packet left, None if it did not leave.
        """
        began = self._clock()
        for index in range(count):
            due = began + index * every
            wait = due - self._clock() - _ROUNDING
            if wait > 0:
                await asyncio.sleep(wait)
            if not go_on():
                return False
            if self._clock() - due > _HOPELESS * every:
                self._missed += 1
                continue
            left = send(index)
            if left is None:
                self._unsent += 1
            else:
                self._late.append(left - due)
        return True

    def account(self) -> Pacing:
        """How it went."""
        late = sorted(self._late)
        return Pacing(
            packets=len(late),
            late_median=round(_rank(late, 0.5), 6),
            late_p99=round(_rank(late, 0.99), 6),
            late_max=round(late[-1], 6) if late else 0.0,
            missed=self._missed,
            unsent=self._unsent,
        )


def _rank(ordered: Sequence[float], share: float) -> float:
    """By nearest rank; 0 of nothing."""
    return ordered[math.ceil(share * len(ordered)) - 1] if ordered else 0.0
