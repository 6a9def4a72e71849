"""All paced flows of a far end: which are awaited at which port, which is known by which address, which are over."""

import secrets
from collections.abc import Callable, Hashable, Iterator
from typing import NamedTuple

from probe.far_end.flow import PacedFlow
from probe.far_end.protocol import Heard, Made, NewFlow
from probe.far_end.settings import Limits
from probe.far_end.tickets import Refused, Session

PENDING_SECONDS = 30.0  # within which the first packet must come
KEPT_SECONDS = 120.0  # for which the log of a flow that is over can be had
_LOGS = 4  # times the flows that may be under way: logs that are kept at most
# Flows that packets of nobody may be tried against in a second: a flood of them must not hold up the others.
_AWAITED, _MOVED = 20_000, 2_000


class Reply(NamedTuple):
    """What a packet led to: the flow it is of, and what to send back, if anything."""

    flow: PacedFlow
    answer: bytes | None


class _Trials:
    """So many a second."""

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        self._most, self._clock = most, clock
        self._left, self._since = most, clock()

    def afford(self, flows: list[PacedFlow]) -> list[PacedFlow]:
        """As many as there is time for."""
        now = self._clock()
        if now - self._since >= 1.0:
            self._left, self._since = self._most, now
        found = flows[: self._left]
        self._left -= len(found)
        return found


class Port:
    """One port, at every address: flows that are awaited here, and those known by where they come from.

    A source is whatever tells senders apart: an address, or a TCP connection. `movable`: a flow may come from another.
    """

    def __init__(self, clock: Callable[[], float], *, movable: bool) -> None:
        self._clock, self._movable = clock, movable
        self._known: dict[Hashable, PacedFlow] = {}
        self._sources: dict[PacedFlow, Hashable] = {}
        self._pending: list[PacedFlow] = []
        self._awaited, self._moved = _Trials(_AWAITED, clock), _Trials(_MOVED, clock)

    def expect(self, flow: PacedFlow) -> None:
        """Its first packet may come now."""
        self._pending.append(flow)

    def hear(self, data: bytes, source: Hashable, at: float) -> Reply | None:
        """What a packet that arrived at `at` is part of; None if it is nobody's."""
        flow = self._known.get(source)
        if flow is None:
            return self._first(data, source, at)
        return Reply(flow, flow.hear(data, at))

    def _first(self, data: bytes, source: Hashable, at: float) -> Reply | None:
        """Whether a packet from an unknown source opens a flow, or shows that one has moved."""
        for flow in self._candidates(source):
            stamp = flow.open(data)
            if stamp is None:
                continue
            if flow in self._sources:
                if not flow.may_move(stamp):
                    return None
                del self._known[self._sources[flow]]
            else:
                self._pending.remove(flow)
            self._known[source], self._sources[flow] = flow, source
            return Reply(flow, flow.hear(data, at, stamp))
        return None

    def _candidates(self, source: Hashable) -> Iterator[PacedFlow]:
        """Flows that a packet from an unknown source may be of, the likeliest first, as far as there is time to try."""
        yield from self._awaited.afford(self._pending[::-1])  # the newest is asked for first
        if self._movable and isinstance(source, tuple):
            here = source[0]
            near: list[PacedFlow] = []
            far: list[PacedFlow] = []
            for flow, other in self._sources.items():
                if flow.is_movable:
                    (near if isinstance(other, tuple) and other[0] == here else far).append(flow)
            yield from self._moved.afford(near + far)

    def gone(self, source: Hashable) -> None:
        """Nothing more comes from there: a connection has ended."""
        flow = self._known.get(source)
        if flow is not None:
            flow.end("closed")
            self.forget(flow)

    def forget(self, flow: PacedFlow) -> None:
        """The flow is over, and where it came from is nobody's business any more."""
        if flow in self._sources:
            del self._known[self._sources.pop(flow)]
        elif flow in self._pending:
            self._pending.remove(flow)


class Flows:
    """Makes flows, finds their logs, ends them. `ports` are keyed by transport and port."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self._limits, self._clock = limits, clock
        self.ports: dict[tuple[str, int], Port] = {}
        self._flows: dict[str, PacedFlow] = {}
        self._live: set[str] = set()

    def listen(self, transport: str, port: int) -> Port:
        """The port of that number, made if there is none yet."""
        key = (transport, port)
        if key not in self.ports:
            self.ports[key] = Port(self._clock, movable=transport == "udp")
        return self.ports[key]

    def listening(self, transport: str) -> tuple[int, ...]:
        """Port numbers, in order."""
        return tuple(sorted(port for known, port in self.ports if known == transport))

    def make(self, asked: NewFlow, paid: int, session: Session) -> Made:
        """Expect a flow; `paid` bytes were spent on the request. Raises Refused."""
        port = self.ports.get((asked.transport, asked.port))
        if port is None:
            raise Refused(409, f"nobody listens on {asked.transport} port {asked.port} here")
        most = self._limits
        if session.live >= most.per_session:
            raise Refused(429, "this session has as many flows and calls under way as it may have", retry=5.0)
        if session.octets >= most.octets:
            raise Refused(429, "this session has spent its bytes")
        if len(self._live) >= most.flows:
            raise Refused(503, "the far end has as many flows under way as it can serve", retry=10.0)
        try:
            flow = PacedFlow(asked, paid, session, most.octets, self._clock)
        except ValueError as error:
            raise Refused(400, str(error)) from None
        name = secrets.token_hex(16)
        self._flows[name] = flow
        self._live.add(name)
        session.live += 1
        port.expect(flow)
        return Made(id=name, seconds=PENDING_SECONDS)

    def heard(self, name: str, session: Session, *, end: bool = False) -> Heard:
        """The log of a flow, which is over then if `end` says so. Raises Refused."""
        flow = self._flows.get(name)
        if flow is None or flow.session.id != session.id:
            raise Refused(404, "there is no such flow, or no more")
        if end:
            flow.end("closed")
        self._settle(name, flow)
        return flow.log.heard()

    def sweep(self) -> None:
        """End what has lasted long enough, and forget what is over for long."""
        now = self._clock()
        for name in list(self._live):
            flow = self._flows[name]
            began = flow.log.packets_in > 0
            if now - flow.born > (self._limits.seconds if began else PENDING_SECONDS):
                flow.end("time")
            self._settle(name, flow)
        for name, flow in list(self._flows.items()):
            if name not in self._live and now - flow.ended_at > KEPT_SECONDS:
                del self._flows[name]
        over = [name for name in self._flows if name not in self._live]  # the oldest come first
        for name in over[: max(0, len(over) - _LOGS * self._limits.flows)]:
            del self._flows[name]

    def _settle(self, name: str, flow: PacedFlow) -> None:
        if flow.log.ended and name in self._live:
            self._live.discard(name)
            flow.session.live -= 1
            self.ports[(flow.asked.transport, flow.asked.port)].forget(flow)
