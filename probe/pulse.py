"""How well this process attended to its sockets: a beat that comes late was spent on something else.

A machine that is busy with other work, or with ours, finds answers late or not at all, and a timeout that it
counts says nothing of the network. What is added up here stands beside each observation.
"""

import asyncio

from probe.step import Net

_EVERY = 0.1  # seconds
_USUAL = 0.005  # seconds by which any timer may be late


class Pulse:
    """Beats while `beat` runs, and adds up by how much it was late."""

    def __init__(self, net: Net) -> None:
        self._net = net
        self._sum = 0.0
        self._due = float("inf")

    async def beat(self) -> None:
        """Until cancelled."""
        while True:
            self._due = self._net.now() + _EVERY
            await asyncio.sleep(_EVERY)
            self._sum = self.late()

    def late(self) -> float:
        """Seconds, until now, in which this process could not attend; only differences mean something."""
        over = self._net.now() - self._due
        return self._sum + (over if over > _USUAL else 0.0)
