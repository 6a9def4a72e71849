"""Do one step and write down what happened; follow one leg to its first failure.

Here, and only here, exceptions become data. Here too everything is counted: observations, bytes, and how
many flows are open at once, in all and towards one address.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Literal

from probe.catalogue import Pace
from probe.failure import Failure, Kind, StepError, classify
from probe.model import Chain, Observation
from probe.plan import Leg
from probe.pulse import Pulse
from probe.record import Record
from probe.step import Facts, Flow, Net, Step, Supplies
from probe.steps import AnyFacts, Call, Loop, Media, Quic, ReflectorLoop, Tls
from probe.watch import Watch

_LOOKUPS = 256
_NOTICEABLE = 0.05  # seconds of our own lateness; less is every machine's


class Observer:
    """Observes steps on one network, within a pace and a budget of bytes."""

    def __init__(
        self, net: Net, pace: Pace, supplies: Supplies, *, max_bytes: int, watch: Watch | None = None
    ) -> None:
        self.net, self.supplies, self.max_bytes = net, supplies, max_bytes
        self.pulse = Pulse(net)
        self._watch = watch
        self.sent = self.received = 0
        self._pace = pace
        self._flows = asyncio.Semaphore(pace.flows)
        self._media = _Lanes(pace.media)
        # A look-up over UDP keeps its socket for seconds, to hear a second answer; it must not hold up chains.
        self._lookups = asyncio.Semaphore(_LOOKUPS)
        self._hosts: dict[str, asyncio.Semaphore] = {}
        self._next_start: dict[str, float] = {}
        self._ids = 0

    @property
    def within_budget(self) -> bool:
        """Whether more bytes may be spent."""
        return self.sent + self.received < self.max_bytes

    @asynccontextmanager
    async def flow(self, host: str, ip: str | None, port: int) -> AsyncIterator[Flow]:
        """A flow in its turn: not too many at once, and not two to one address at the same instant."""
        per_host = self._hosts.setdefault(ip or "", asyncio.Semaphore(self._pace.per_host))
        async with per_host, self._flows, self._opened(host, ip, port, self._pace.gap) as flow:
            yield flow

    @asynccontextmanager
    async def lookup_flow(self, host: str, ip: str | None, port: int) -> AsyncIterator[Flow]:
        """A flow for one question to a resolver, which many names share and which is used to many."""
        async with self._lookups, self._opened(host, ip, port, self._pace.gap / 5) as flow:
            yield flow

    @asynccontextmanager
    async def _opened(self, host: str, ip: str | None, port: int, gap: float) -> AsyncIterator[Flow]:
        if ip is not None:
            await self._wait_for_turn(ip, gap)
        flow = Flow(net=self.net, host=host, ip=ip, port=port, supplies=self.supplies)
        try:
            yield flow
        finally:
            flow.close()

    async def _wait_for_turn(self, ip: str, gap: float) -> None:
        now = self.net.now()
        start = max(now, self._next_start.get(ip, now))
        self._next_start[ip] = start + gap
        if start > now:
            await asyncio.sleep(start - now)

    async def observe(
        self, flow: Flow, step: Step, into: list[Observation], *, shared: bool = False
    ) -> Observation:
        """Do one step and append what happened. Raises nothing for what the network did.

        A cancelled step is appended as interrupted, and the cancellation goes on. On a `shared` link
        other observations are under way: its bytes are counted when the flow is closed.
        """
        self._ids += 1
        number, at, began, before = self._ids, self.net.utc(), self.net.now(), _tally(flow)
        late = self.pulse.late()
        facts: Facts | Record | None = None
        failure: Failure | None = Failure(kind=Kind.INTERRUPTED)
        flow.learned = None
        try:
            async with asyncio.timeout(step.seconds):
                facts = await step.run(flow)
            failure = None
        except Exception as error:  # noqa: BLE001 - the one place where exceptions become data
            failure = classify(error)
            facts = error.partial if isinstance(error, StepError) else None
        finally:
            facts = facts or flow.learned
            after = before if shared else _tally(flow)
            self.sent += after[0] - before[0]
            self.received += after[1] - before[1]
            socket = flow.sockets[-1] if flow.sockets else None
            observation = Observation(
                id=number,
                step=type(step).__name__.lower(),
                at=at,
                seconds=round(self.net.now() - began, 6),
                sent=after[0] - before[0],
                received=after[1] - before[1],
                source_port=socket.local_port() if socket else None,
                facts=_kept(facts),
                failure=failure,
                tcp=socket.tcp_info() if socket else None,
                late=_noticeable(self.pulse.late() - late),
            )
            into.append(observation)
        return observation

    def count(self, flow: Flow) -> None:
        """Count the bytes of a flow whose observations were `shared`."""
        sent, received = _tally(flow)
        self.sent += sent
        self.received += received

    async def follow(
        self, leg: Leg, into: list[Chain], *, announce: Callable[[Facts], None] = lambda facts: None
    ) -> None:
        """The leg's steps in order, to the first failure; the chain is appended, an interrupted one too.

        `announce` gets what a step knows before it is done.
        """
        observations: list[Observation] = []
        detour = self._is_detour(leg)
        try:
            async with (
                self._media.taken(_lanes(leg, self._pace)),
                self.flow(leg.host, leg.address.ip, leg.port) as flow,
            ):
                flow.announce = announce
                for step in leg.steps:
                    observation = await self.observe(flow, step, observations)
                    if observation.failure is not None:
                        break
        finally:
            if observations:
                into.append(chain_of(leg, observations, detour=detour))

    def _is_detour(self, leg: Leg) -> bool:
        source = self.net.source(leg.address.ip) if self._watch is not None else None
        return (
            source is not None and self._watch is not None and self._watch.is_detour(leg.address.ip, source)
        )


class _Lanes:
    """Media flows share a line: so many at once, and one that needs all of it goes alone."""

    def __init__(self, count: int) -> None:
        self._lanes, self._door = asyncio.Semaphore(count), asyncio.Lock()

    @asynccontextmanager
    async def taken(self, count: int) -> AsyncIterator[None]:
        """Hold so many lanes. The door keeps two who want several from each holding half."""
        held = 0
        try:
            async with self._door if count else contextlib.nullcontext():
                for _ in range(count):
                    await self._lanes.acquire()
                    held += 1
            yield
        finally:
            for _ in range(held):
                self._lanes.release()


def _lanes(leg: Leg, pace: Pace) -> int:
    if any(isinstance(step, Call | Loop) for step in leg.steps):
        return pace.media
    return 1 if any(isinstance(step, Media | ReflectorLoop) for step in leg.steps) else 0


def chain_of(leg: Leg, observations: list[Observation], *, detour: bool = False) -> Chain:
    """The record of a leg that was followed."""
    family: Literal[4, 6] = leg.address.family
    return Chain(
        variant=leg.variant,
        host=leg.host,
        port=leg.port,
        ip=leg.address.ip,
        family=family,
        said_by=leg.address.said_by,
        sni=next((step.sni for step in leg.steps if isinstance(step, Tls | Quic)), ""),
        detour=detour,
        observations=tuple(observations),
    )


def _noticeable(late: float) -> float:
    return round(late, 3) if late >= _NOTICEABLE else 0.0


def _kept(facts: object) -> AnyFacts | None:
    return facts if isinstance(facts, AnyFacts) else None


def _tally(flow: Flow) -> tuple[int, int]:
    sent, received = sum(link.sent for link in flow.sockets), sum(link.received for link in flow.sockets)
    return flow.sent + sent, flow.received + received
