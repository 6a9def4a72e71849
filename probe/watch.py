"""Whether this machine stayed where it was while it measured: its address, its way out, its clock.

A laptop that changes networks, loses its link or falls asleep in mid-run fails at whatever it was doing, and
the failures look like a filter's. Nothing is sent; what was seen is compared in memory and only named.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime

from probe.model import Disturbance
from probe.record import Private
from probe.step import Net

_EVERY = 0.5  # seconds
_LEAP = 2.0  # seconds by which the two clocks may drift apart; time servers slew, they do not leap


class Watch:
    """Looks twice a second; `seen` is what happened, each kind once."""

    def __init__(self, net: Net, towards: Sequence[str]) -> None:
        self._net = net
        self.sources = {ip: source for ip in towards if (source := net.source(ip)) is not None}
        self._began = (net.utc(), net.now())
        self.seen: list[Disturbance] = []

    async def keep_looking(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(_EVERY)
            self.look()

    def look(self) -> None:
        """Compare with the beginning."""
        now = self._net.utc()
        for ip, before in self.sources.items():
            source = self._net.source(ip)
            if source is None:
                self._note("way_lost", now)
            elif not source.same_host(before):
                self._note("address_changed", now)
        wall, steady = self._began
        if abs((now - wall).total_seconds() - (self._net.now() - steady)) > _LEAP:
            # CLOCK_MONOTONIC stands still while a machine sleeps, the wall clock does not.
            self._note("clock_leapt", now)

    def is_detour(self, ip: str, source: Private) -> bool:
        """Whether a connection left by another way than the rest: a split tunnel. Told for IPv4 only.

        An IPv6 machine has several addresses on one interface and chooses among them by destination.
        """
        if ":" in ip or source.is_loopback:
            return False
        usual = [s for towards, s in self.sources.items() if ":" not in towards]
        return bool(usual) and not any(source.same_host(one) for one in usual)

    def _note(self, kind: str, at: datetime) -> None:
        if kind not in {disturbance.kind for disturbance in self.seen}:
            self.seen.append(Disturbance(kind=kind, at=at))  # type: ignore[arg-type]
