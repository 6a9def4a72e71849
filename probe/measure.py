"""Run a plan within its limits: the only part that waits for a network.

Every target is measured on its own: look-ups, a chain at each address, then at most two rounds of
follow-ups. Targets and controls start together in random order. Whatever ends the run, a deadline, the
budget or the user, what was measured until then is kept, and what was not says why.
"""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from probe import __version__, follow_up, plan
from probe.catalogue import Catalogue, Service
from probe.lookup import Names
from probe.model import (
    FORMAT,
    AnyLine,
    Chain,
    Document,
    End,
    Ended,
    Lookup,
    Measurement,
    Run,
    Vantage,
)
from probe.observe import Observer
from probe.plan import Address, Job, Leg, Options
from probe.step import Net
from probe.vantage import look


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a run is."""

    done: int
    total: int
    what: str
    seconds_left: float


@dataclass(kw_only=True)
class _Round:
    """One run in progress."""

    catalogue: Catalogue
    options: Options
    observer: Observer
    names: Names
    keep: Callable[[AnyLine], None]
    progress: Callable[[Progress], None] | None
    todo: list[Job]
    until: float
    done: int = 0
    stopped: Ended = "interrupted"  # why targets that were cut off were cut off
    control_addresses: list[str] = field(default_factory=list)

    def tell(self, job: Job) -> None:
        """Say that one more target is done."""
        self.done += 1
        if self.progress is not None:
            what = f"{job.service or 'control'} {job.target.name}"
            left = max(0.0, self.until - self.observer.net.now())
            self.progress(Progress(done=self.done, total=len(self.todo), what=what, seconds_left=left))

    def situation(self, job: Job, spare: Sequence[Address]) -> follow_up.Situation:
        """What this target's follow-ups may use."""
        return follow_up.Situation(
            spare=spare,
            innocent_name=self.catalogue.settings.innocent_name,
            control_addresses=self.control_addresses,
            deliberate=self.options.tests != "default" and job.control is None,
        )

    def learn_controls(self, job: Job, chains: list[Chain]) -> None:
        """Remember foreign addresses that shook hands: there a name can be tried without its service."""
        if job.control is None or job.control.class_ == "domestic" or job.target.port != 443:
            return
        for chain in chains:
            shook_hands = any(o.step == "tls" and o.failure is None for o in chain.observations)
            if chain.variant == "target" and chain.ip and shook_hands:
                self.control_addresses.append(chain.ip)


async def run(
    catalogue: Catalogue,
    services: tuple[Service, ...],
    options: Options,
    net: Net,
    sink: Callable[[AnyLine], None],
    progress: Callable[[Progress], None] | None = None,
) -> Document:
    """Measure. `sink` gets each line as it is complete, except the end, which the document carries.

    Cancelling the task that runs this ends the run early; the document is returned all the same.
    """
    limits = catalogue.settings.limits
    began = net.now()
    vantage, interrupted = await _vantage(net, catalogue, options)
    header = Run(
        format=FORMAT,
        id=secrets.token_hex(8),
        software=f"callreach {__version__}",
        started=net.utc().replace(microsecond=0),
        vantage=vantage,
        catalogue=catalogue.digest,
        tests=options.tests,
    )
    lines: list[AnyLine] = []

    def keep(line: AnyLine) -> None:
        lines.append(line)
        sink(line)

    keep(header)
    pace, max_bytes = catalogue.settings.pace, options.max_bytes or limits.bytes
    observer = Observer(net, pace, catalogue.anchors, max_bytes=max_bytes)
    this = _Round(
        catalogue=catalogue,
        options=options,
        observer=observer,
        names=Names(observer, _usable_families(options, vantage), keep),
        keep=keep,
        progress=progress,
        todo=plan.jobs(catalogue, services, options, options.country or vantage.country),
        until=began + (options.seconds or limits.seconds),
    )
    ended: Ended = "interrupted" if interrupted else await _within(this)
    return Document(
        run=header,
        lookups=tuple(line for line in lines if isinstance(line, Lookup)),
        measurements=tuple(line for line in lines if isinstance(line, Measurement)),
        end=End(
            ended=ended,
            seconds=round(net.now() - began, 3),
            sent=observer.sent,
            received=observer.received,
        ),
    )


async def _vantage(net: Net, catalogue: Catalogue, options: Options) -> tuple[Vantage, bool]:
    """The vantage point, and whether the user lost patience while it was looked at."""
    try:
        return await look(net, catalogue, options), False
    except asyncio.CancelledError:
        _keep_going()
        return Vantage(label=options.label, kind=options.kind), True


def _keep_going() -> None:
    """Take a cancellation back: it ends the measuring, not the writing down."""
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()


def _usable_families(options: Options, vantage: Vantage) -> tuple[int, ...]:
    seen = tuple(family for family in options.families if vantage.families.get(str(family), True))
    return seen or options.families


async def _within(this: _Round) -> Ended:
    """Measure everything until the run's time is up or the user stops it."""
    for asked in plan.questions(this.catalogue, this.todo).values():
        this.names.ask(asked)
    tasks = [asyncio.create_task(_measure(this, job)) for job in this.todo]
    try:
        async with asyncio.timeout(max(0.1, this.until - this.observer.net.now())):
            await asyncio.wait(tasks) if tasks else None
            await this.names.finish()
        this.stopped = "complete" if this.observer.within_budget else "budget"
    except TimeoutError:
        this.stopped = "deadline"
    except asyncio.CancelledError:
        _keep_going()
        this.stopped = "interrupted"
    for task in tasks:
        task.cancel()
    # Our own bug in a target's task must be seen, not swallowed.
    broken = [r for r in await asyncio.gather(*tasks, return_exceptions=True) if isinstance(r, Exception)]
    await this.names.close()
    if broken:
        raise broken[0]
    return this.stopped


async def _measure(this: _Round, job: Job) -> None:
    chains: list[Chain] = []
    ended: Ended = "complete"
    try:
        async with asyncio.timeout(this.catalogue.settings.limits.target_seconds):
            ended = await _rounds(this, job, chains)
    except TimeoutError:
        ended = "deadline"
    except asyncio.CancelledError:
        ended = this.stopped if chains else "not_attempted"
        raise
    finally:
        this.keep(_measurement(job, chains, ended))
        this.tell(job)


async def _rounds(this: _Round, job: Job, chains: list[Chain]) -> Ended:
    """The target's chains at all its addresses, then what they make worth asking."""
    legs, spare = await _first_legs(this, job)
    while legs:
        if not this.observer.within_budget:
            return "budget"
        async with asyncio.TaskGroup() as group:
            for leg in legs:
                group.create_task(this.observer.follow(leg, chains))
        if job.control is not None:
            this.learn_controls(job, chains)
        legs = follow_up.follow_ups(job.target, chains, this.situation(job, spare))
    return "complete"


async def _first_legs(this: _Round, job: Job) -> tuple[list[Leg], tuple[Address, ...]]:
    """The first round's chains, and the addresses that are left for when they fail."""
    target = job.target
    if not plan.needs_address(target):
        return plan.lookup_legs(target, this.catalogue.settings.resolvers, this.names.families), ()
    said = await this.names.addresses(target.host) if target.host else {}
    found = plan.addresses(target, said, this.catalogue, this.options)
    return plan.first_round(target, found.first), found.spare


def _measurement(job: Job, chains: list[Chain], ended: Ended) -> Measurement:
    target, control = job.target, job.control
    return Measurement(
        service=job.service,
        target=target.name,
        purpose=target.purpose,
        group=target.group or target.name,
        support=target.evidence.reply,
        tier=target.tier,
        vital=job.vital,
        control_class=control.class_ if control else "",
        country=control.country if control else "",
        role=control.role if control else "",
        chains=tuple(chains),
        ended=ended,
    )
