"""One target of a run under way: a chain at each address, then at most two rounds of follow-ups, and once more if
another target of its service failed. Whatever cuts it off, what was measured is kept and says why it ended."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from probe import call_follow_up, follow_up, placing, plan, relay_media
from probe.catalogue import Catalogue
from probe.lines import Lines
from probe.lists import Lists
from probe.lookup import Names
from probe.model import Chain, Ended, Measurement
from probe.observe import Observer
from probe.plan import Address, Job, Leg, Options
from probe.siblings import Siblings
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
class UnderWay:
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


async def measure_target(this: UnderWay, job: Job, after: Sequence[asyncio.Task[None]] = ()) -> None:
    """Measure one target, after those tasks; its line is kept however it ends."""
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


async def _rounds(this: UnderWay, job: Job, chains: list[Chain]) -> Ended:
    """The target's chains at all its addresses, then what they make worth asking."""
    first = legs = await _first_legs(this, job)
    while legs:
        if not this.observer.within_budget:
            return "budget"
        async with asyncio.TaskGroup() as group:
            for leg in legs:
                group.create_task(_follow(this, job, leg, chains))
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


async def _follow(this: UnderWay, job: Job, leg: Leg, chains: list[Chain]) -> None:
    """One chain. Who needs what it lists waits neither for other chains nor for a resolver's second answer."""
    await this.observer.follow(leg, chains, announce=lambda facts: this.lists.hear(job, [facts]))
    this.lists.learn(job, chains, through=False)


async def _recheck(this: UnderWay, job: Job, chains: list[Chain]) -> None:
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


async def _up_to_thrice(this: UnderWay, leg: Leg, chains: list[Chain]) -> None:
    for _ in range(3):
        mine: list[Chain] = []
        try:
            await this.observer.follow(leg, mine)
        finally:
            chains += mine
        if not this.observer.within_budget or follow_up.failed_at(mine[0]) is None:
            return


async def _first_legs(this: UnderWay, job: Job) -> list[Leg]:
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


def _spare(this: UnderWay, job: Job, chains: Sequence[Chain]) -> tuple[Address, ...]:
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
