"""Run a plan within its limits: the only part that waits for a network.

Every target is measured on its own: look-ups, a chain at each address, then at most two rounds of
follow-ups. Targets and controls start together in random order. Whatever ends the run, a deadline, the
budget or the user, what was measured until then is kept, and what was not says why.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from probe import __version__, call_follow_up, follow_up, placing, plan, relay_media
from probe.catalogue import Catalogue, Service
from probe.lines import Lines
from probe.lists import Lists
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
from probe.siblings import Siblings
from probe.step import Net
from probe.vantage import look
from probe.watch import Watch

_SLOW_RESOLVERS = 4.0  # seconds
_QUIET = 15.0  # seconds that calls wait for everything else to be measured
_RECHECK = 35.0  # seconds for asking once more, three times at the most


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
    lines: Lines
    lists: Lists
    watch: Watch
    siblings: Siblings
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
    """Measure. `sink` gets the run and then each line as it is complete, except the end, which the document has.

    Cancelling the task that runs this ends the run early; the document is returned all the same.
    """
    limits = catalogue.settings.limits
    began, started, lines = net.now(), net.utc(), Lines(sink)
    todo = plan.jobs(catalogue, services, options)
    media = placing.cost([job.target for job in todo], catalogue)
    max_bytes = options.max_bytes or limits.bytes + media.most_octets
    watch = Watch(net, _ways(net, catalogue, options))
    families = _families(watch, options)
    supplies = replace(
        catalogue.supplies,
        far_end_key=options.far_end.key if options.far_end else "",
        turn=placing.turn_server(catalogue.settings.turn, started.timestamp()),
    )
    observer = Observer(net, catalogue.settings.pace, supplies, max_bytes=max_bytes, watch=watch)
    this = _Round(
        catalogue=catalogue,
        options=replace(options, families=families),
        observer=observer,
        names=Names(observer, families, lines.keep),
        lines=lines,
        lists=Lists(todo),
        watch=watch,
        siblings=Siblings([job for job in todo if not placing.is_media(job.target)]),
        progress=progress,
        todo=todo,
        until=began + (options.seconds or limits.seconds + media.most_seconds),
    )

    def begin(vantage: Vantage) -> None:
        header = Run(
            format=FORMAT,
            id=secrets.token_hex(8),
            software=f"callreach {__version__}",
            started=started.replace(microsecond=0),
            vantage=vantage,
            catalogue=catalogue.digest,
            tests=options.tests,
            consent=options.consent,
        )
        lines.begin(header)

    ended = await _within(this, options, begin)
    if lines.header is None:  # it ended before the vantage point was known
        begin(Vantage(label=options.label, kind=options.kind, country=options.country))
    assert lines.header is not None
    return Document(
        run=lines.header,
        lookups=tuple(line for line in lines.rest if isinstance(line, Lookup)),
        measurements=tuple(line for line in lines.rest if isinstance(line, Measurement)),
        end=End(
            ended=ended,
            seconds=round(net.now() - began, 3),
            sent=observer.sent,
            received=observer.received,
            disturbances=tuple(watch.seen),
        ),
    )


def _ways(net: Net, catalogue: Catalogue, options: Options) -> list[str]:
    """Per family, an address of a resolver to which the system has a way."""
    ips = [ip for resolver in catalogue.settings.resolvers for ip in resolver.addresses]
    by_family = {6 if ":" in ip else 4: ip for ip in ips if net.source(ip) is not None}
    return [ip for family, ip in by_family.items() if family in options.families]


def _families(watch: Watch, options: Options) -> tuple[int, ...]:
    """The families in which the system has a way out; all if it has none."""
    routed = {6 if ":" in ip else 4 for ip in watch.sources}
    return tuple(family for family in options.families if family in routed) or options.families


async def _vantage(this: _Round, options: Options, begin: Callable[[Vantage], None]) -> None:
    """Learn where we are while the measuring goes on; then the country's own controls can join."""
    vantage = await look(this.observer.net, this.catalogue, options)
    begin(vantage)
    home = plan.domestic_controls(this.catalogue, this.options, vantage.country)
    this.todo += home
    for asked in plan.questions(this.catalogue, home).values():
        this.names.ask(asked)
    async with asyncio.TaskGroup() as group:
        for job in home:
            group.create_task(_measure(this, job))


async def _within(this: _Round, options: Options, begin: Callable[[Vantage], None]) -> Ended:
    """Measure everything until the run's time is up or the user stops it."""
    for asked in plan.questions(this.catalogue, this.todo).values():
        this.names.ask(asked)
    tasks = [asyncio.create_task(_vantage(this, options, begin))]
    others = [job for job in this.todo if not placing.is_media(job.target)]
    tasks += [asyncio.create_task(_measure(this, job)) for job in others]
    calls = [job for job in this.todo if placing.is_media(job.target)]
    tasks += [asyncio.create_task(_measure(this, job, tuple(tasks))) for job in calls]
    watching = asyncio.create_task(this.watch.keep_looking())
    try:
        this.stopped = await _until_done(this, tasks)
    finally:
        this.watch.look()
        for task in (watching, *tasks):
            task.cancel()
        results = await asyncio.gather(watching, *tasks, return_exceptions=True)
        await this.names.close()
    for result in results:
        if isinstance(result, Exception):  # our own mistake, or a full disk: it must be seen
            raise result
    return this.stopped


async def _until_done(this: _Round, tasks: Sequence[asyncio.Task[None]]) -> Ended:
    try:
        async with asyncio.timeout(max(0.1, this.until - this.observer.net.now())):
            await asyncio.wait(tasks)
            await this.names.finish()
    except TimeoutError:
        return "deadline"
    except asyncio.CancelledError:
        _keep_going()
        return "interrupted"
    return "complete" if this.observer.within_budget else "budget"


def _keep_going() -> None:
    """Take a cancellation back: it ends the measuring, not the writing down."""
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()


async def _measure(this: _Round, job: Job, after: Sequence[asyncio.Task[None]] = ()) -> None:
    chains: list[Chain] = []
    ended: Ended = "complete"
    limit = this.catalogue.settings.limits.target_seconds
    try:
        if after:  # handshakes of everything else would be heard in the media
            await asyncio.wait(after, timeout=_QUIET)
        # Media waits for its turn, and a flow has a deadline of its own: the run's end is limit enough.
        async with asyncio.timeout(None if placing.is_media(job.target) else limit):
            job = await this.lists.joined(job)
            for asked in plan.questions(this.catalogue, [job]).values():  # of a host that was only listed now
                this.names.ask(asked)
            ended = await _rounds(this, job, chains)
        this.lists.learn(job, chains)  # before it waits for its siblings, for these may wait for the list
        await _recheck(this, job, chains)
    except TimeoutError:
        ended = "deadline"
    except asyncio.CancelledError:
        ended = this.stopped if chains else "not_attempted"
        raise
    finally:
        this.siblings.settle(job, failed=True)
        this.lists.learn(job, chains)
        this.lines.keep(_measurement(job, chains, ended))
        this.tell(job)


async def _rounds(this: _Round, job: Job, chains: list[Chain]) -> Ended:
    """The target's chains at all its addresses, then what they make worth asking."""
    first = legs = await _first_legs(this, job)
    while legs:
        if not this.observer.within_budget:
            return "budget"
        async with asyncio.TaskGroup() as group:
            for leg in legs:
                group.create_task(this.observer.follow(leg, chains))
        if job.control is not None:
            this.learn_controls(job, chains)
        if job.control is not None and job.control.role == "closed":
            break  # its failure is the answer
        if placing.is_media(job.target):
            at_far_end = job.target.at == "far-end"
            legs = (
                call_follow_up.follow_ups(job.target, chains, this.catalogue, first[0])
                if at_far_end
                else relay_media.follow_ups(chains, first[0])
            )
            continue
        if follow_up.any_broken([chain for chain in chains if chain.variant == "target"]):
            await this.names.wait_for_all(job.target.host, _SLOW_RESOLVERS)
        legs = follow_up.follow_ups(job.target, chains, this.situation(job, _spare(this, job, chains)))
    return "complete"


async def _recheck(this: _Round, job: Job, chains: list[Chain]) -> None:
    """A target that worked is asked again if another of its service did not: the moment may have decided."""
    legs = follow_up.recheck(job.target, chains)
    first = [chain for chain in chains if chain.variant == "target"]
    this.siblings.settle(job, failed=follow_up.any_broken(first))
    if job.control is not None or not legs or placing.is_media(job.target):
        return
    if not await this.siblings.any_failed(job):
        return
    if not this.observer.within_budget:
        return
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_RECHECK), asyncio.TaskGroup() as group:
            for leg in legs:
                group.create_task(_up_to_thrice(this, leg, chains))


async def _up_to_thrice(this: _Round, leg: Leg, chains: list[Chain]) -> None:
    for _ in range(3):
        mine: list[Chain] = []
        try:
            await this.observer.follow(leg, mine)
        finally:
            chains += mine
        if not this.observer.within_budget or follow_up.failed_at(mine[0]) is None:
            return


async def _first_legs(this: _Round, job: Job) -> list[Leg]:
    """The first round's chains."""
    target = job.target
    resolvers, families = this.catalogue.settings.resolvers, this.names.families
    if not (plan.needs_address(target) or plan.is_reverse(target)):
        return plan.lookup_legs(target, resolvers, families)
    said = await this.names.addresses(target.host) if target.host else {}
    found = plan.addresses(target, said, this.catalogue, this.options).first
    if plan.is_reverse(target):
        return plan.reverse_legs(target, found, resolvers, families)
    return plan.first_round(target, found)


def _spare(this: _Round, job: Job, chains: Sequence[Chain]) -> tuple[Address, ...]:
    """Addresses that were not tried yet, also those that a slow resolver gave since."""
    found = plan.addresses(job.target, this.names.known(job.target.host), this.catalogue, this.options)
    tried = {chain.ip for chain in chains}
    return tuple(address for address in (*found.first, *found.spare) if address.ip not in tried)


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
        at=target.at,
        chains=tuple(chains),
        ended=ended,
    )
