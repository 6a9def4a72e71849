"""Ask every resolver for every name, once, and hand out addresses as soon as somebody has answered."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import replace

from probe.catalogue import Resolver
from probe.model import Lookup, Observation
from probe.observe import Observer
from probe.plan import Question
from probe.record import is_address
from probe.resolution import SYSTEM, is_denied
from probe.step import Facts, Flow
from probe.steps import Dns, DnsFacts, Tcp, Tls

GRACE = 1.0  # seconds that the other resolvers get once one has answered
# What the machine's own resolver does not answer is asked again: on a lossy line it fails for every tenth name. That
# a name does not exist is said twice.
_SYSTEM_TRIES = 3
_SYSTEM_SECONDS = 25.0  # after which it is not asked once more
_PAUSE = 0.5
_REOPEN = 3  # how often an encrypted resolver's connection may be opened anew


class Names:
    """The look-ups of one run. Every question is asked once, whoever wants to know."""

    def __init__(self, observer: Observer, families: Iterable[int], sink: Callable[[Lookup], None]) -> None:
        self.observer, self.sink = observer, sink
        self.families = tuple(families)
        self._first: dict[tuple[str, str], asyncio.Future[list[str]]] = {}
        self._asking: list[asyncio.Task[None]] = []
        self._sessions: dict[str, _Session] = {}
        self._stack = AsyncExitStack()

    def ask(self, questions: Iterable[Question]) -> None:
        """Start asking."""
        for question in questions:
            key = (question.name, question.resolver.name)
            if key not in self._first:
                self._first[key] = asyncio.get_running_loop().create_future()
                self._asking.append(asyncio.create_task(self._ask(question, self._first[key])))

    async def addresses(self, name: str) -> dict[str, list[str]]:
        """What each resolver said by now. Waits for one answer, then a little for the others."""
        pending = {future for (host, _), future in self._first.items() if host == name}
        grace: float | None = None
        while pending:
            done, pending = await asyncio.wait(pending, timeout=grace, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                break
            if any(future.result() for future in done):
                grace = GRACE
        return self.known(name)

    async def wait_for_all(self, name: str, seconds: float) -> None:
        """Give the slow resolvers time for this name: a failure may be due to what the quick ones said."""
        pending = [future for (host, _), future in self._first.items() if host == name and not future.done()]
        if pending:
            await asyncio.wait(pending, timeout=seconds)

    def known(self, name: str) -> dict[str, list[str]]:
        """What each resolver said by now, without waiting."""
        return {
            resolver: future.result()
            for (host, resolver), future in self._first.items()
            if host == name and future.done() and not future.cancelled() and future.result()
        }

    async def finish(self) -> None:
        """Wait for those that still listen for a second answer, then let go of the connections."""
        await asyncio.gather(*self._asking)
        await self.close()

    async def close(self) -> None:
        """Stop asking; what was under way is kept as interrupted."""
        for task in self._asking:
            task.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)
        await self._stack.aclose()

    async def keep_open(self, host: str, ip: str, port: int) -> Flow:
        """A flow that stays open until the end of the run; its bytes are counted then."""
        flow = await self._stack.enter_async_context(self.observer.lookup_flow(host, ip, port))
        self._stack.callback(self.observer.count, flow)
        return flow

    async def _ask(self, question: Question, first: "asyncio.Future[list[str]]") -> None:
        def announce(facts: Facts) -> None:
            if isinstance(facts, DnsFacts) and not first.done():
                first.set_result(_ips(facts))

        seen: list[Observation] = []
        try:
            await self._answer(question, announce, seen)
            if seen and isinstance(seen[-1].facts, DnsFacts):
                announce(seen[-1].facts)
        finally:
            if not first.done():
                first.set_result([])
            if seen:
                self.sink(
                    Lookup(
                        resolver=question.resolver.name,
                        name=question.name,
                        type=question.type,
                        observations=tuple(seen),
                    )
                )

    async def _answer(
        self, question: Question, announce: Callable[[Facts], None], into: list[Observation]
    ) -> None:
        resolver = question.resolver
        step = Dns(
            name=question.name,
            type=question.type,
            system=resolver.over == "system",
            path=resolver.path if resolver.over == "https" else "",
        )
        if resolver.over not in ("system", "udp"):
            session = self._sessions.setdefault(resolver.name, _Session(self, resolver))
            await session.ask(step, announce, into)
            return
        ip = None if resolver.over == "system" else reachable_address(resolver, self.families)
        if ip is None and resolver.over != "system":
            return
        tries = _SYSTEM_TRIES if resolver.name == SYSTEM else 1
        until = self.observer.net.now() + _SYSTEM_SECONDS
        async with self.observer.lookup_flow(question.name, ip, resolver.port or 53) as flow:
            flow.announce = announce
            for number in range(tries):
                if number:
                    await asyncio.sleep(_PAUSE)
                seen = await self.observer.observe(flow, step, into)
                answered = seen.failure is None or (number and is_denied(seen))
                if answered or self.observer.net.now() > until:
                    break


class _Session:
    """One open connection to a resolver, shared by its questions."""

    def __init__(self, names: Names, resolver: Resolver) -> None:
        self._names, self._resolver = names, resolver
        self._opening = asyncio.Lock()
        self._turn = asyncio.Lock()
        self._flow: Flow | None = None
        self._opened = 0

    async def ask(self, step: Dns, announce: Callable[[Facts], None], into: list[Observation]) -> None:
        """Ask on the open connection; nothing where it could not be opened (that is recorded once)."""
        flow = await self._open()
        if flow is None:
            return
        if flow.alpn == "h2":  # HTTP/2 carries all questions at once
            await self._on(flow, step, announce, into)
        else:
            async with self._turn:
                await self._on(flow, step, announce, into)

    async def _on(
        self, flow: Flow, step: Dns, announce: Callable[[Facts], None], into: list[Observation]
    ) -> None:
        asking = replace(flow, announce=announce)
        observation = await self._names.observer.observe(asking, step, into, shared=True)
        failed = observation.failure
        if (
            failed is not None
            and failed.kind.is_evidence
            and observation.facts is None
            and self._flow is flow
        ):
            self._flow = None  # a broken connection; the next question opens another

    async def _open(self) -> Flow | None:
        async with self._opening:
            if self._flow is None and self._opened < _REOPEN:
                self._opened += 1
                self._flow = await self._connect()
                if self._flow is None:
                    self._opened = _REOPEN
            return self._flow

    async def _connect(self) -> Flow | None:
        names, resolver = self._names, self._resolver
        default_port = {"tls": 853, "https": 443}.get(resolver.over, 53)
        ip = reachable_address(resolver, names.families)
        if ip is None:
            return None
        flow = await names.keep_open(resolver.host, ip, resolver.port or default_port)
        alpn: tuple[str, ...] = {"tls": ("dot",), "https": ("h2", "http/1.1")}.get(resolver.over, ())
        steps = [Tcp(), Tls(alpn=alpn, trust=resolver.trust)] if alpn else [Tcp()]
        seen: list[Observation] = []
        try:
            for step in steps:
                if (await names.observer.observe(flow, step, seen, shared=True)).failure is not None:
                    return None
        finally:
            names.sink(Lookup(resolver=resolver.name, name="", type="", observations=tuple(seen)))
        if resolver.over == "https":
            from probe.http_link import connection

            connection(flow)  # before the flow is copied for each question
        return flow


def reachable_address(resolver: Resolver, families: tuple[int, ...]) -> str | None:
    """The resolver's first address of a family that may be used."""
    return next((ip for ip in resolver.addresses if (6 if ":" in ip else 4) in families), None)


def _ips(facts: DnsFacts) -> list[str]:
    return [record for record in facts.answer.records if is_address(record)]
