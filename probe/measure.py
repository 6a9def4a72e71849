"""Run a plan within its limits: the only part that waits for a network.

Every target is measured on its own: look-ups, a chain at each address, then at most two rounds of
follow-ups. Targets and controls start together in random order. Whatever ends the run, a deadline, the
budget or the user, what was measured until then is kept, and what was not says why.
"""

import asyncio
import importlib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace

from probe import __version__, placing, plan
from probe.catalogue import Catalogue, Service
from probe.lines import Lines
from probe.lists import Lists
from probe.lookup import Names
from probe.model import (
    FORMAT,
    AnyLine,
    Document,
    End,
    Ended,
    Lookup,
    Measurement,
    Run,
    Vantage,
)
from probe.observe import Observer
from probe.plan import Options
from probe.rounds import Progress, UnderWay, measure_target
from probe.siblings import Siblings
from probe.step import Net
from probe.vantage import look
from probe.watch import Watch

_LIBRARIES = (
    "dns.resolver",
    "aioquic.quic.connection",
    "OpenSSL.crypto",
    "service_identity",
    "probe.http_link",
    "probe.websocket_link",
)


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
    began, started, lines = net.now(), net.utc(), Lines(sink)
    _import_libraries()
    this = _under_way(catalogue, services, options, net, lines, progress)

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
            sent=this.observer.sent,
            received=this.observer.received,
            disturbances=tuple(this.watch.seen),
        ),
    )


def _import_libraries() -> None:
    """Import what steps import where they use it, before anything is timed: all flows stand still while one imports."""
    for name in _LIBRARIES:
        importlib.import_module(name)


def _under_way(
    catalogue: Catalogue,
    services: tuple[Service, ...],
    options: Options,
    net: Net,
    lines: Lines,
    progress: Callable[[Progress], None] | None,
) -> UnderWay:
    """What is to be measured, by which means and within which limits."""
    limits = catalogue.settings.limits
    todo = plan.jobs(catalogue, services, options)
    media = placing.cost([job.target for job in todo], catalogue)
    watch = Watch(net, _ways(net, catalogue, options))
    families = _families(watch, options)
    supplies = replace(
        catalogue.supplies,
        far_end_key=options.far_end.key if options.far_end else "",
        turn=placing.turn_server(catalogue.settings.turn, net.utc().timestamp()),
    )
    max_bytes = limits.bytes + media.most_octets
    if options.max_bytes is not None:
        max_bytes = min(max_bytes, options.max_bytes)
    observer = Observer(net, catalogue.settings.pace, supplies, max_bytes=max_bytes, watch=watch)
    return UnderWay(
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
        until=net.now() + (options.seconds or limits.seconds + media.most_seconds),
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


async def _vantage(this: UnderWay, options: Options, begin: Callable[[Vantage], None]) -> None:
    """Learn where we are while the measuring goes on; the country's own controls join as soon as it is known."""
    async with asyncio.TaskGroup() as group:

        def measure_at_home(country: str) -> None:
            home = plan.domestic_controls(this.catalogue, this.options, country)
            this.todo += home
            for asked in plan.questions(this.catalogue, home).values():
                this.names.ask(asked)
            for job in home:
                group.create_task(measure_target(this, job))

        vantage = await look(this.observer.net, this.catalogue, options, measure_at_home)
        begin(vantage)
        if not vantage.country:
            measure_at_home("")


async def _within(this: UnderWay, options: Options, begin: Callable[[Vantage], None]) -> Ended:
    """Measure everything until the run's time is up or the user stops it."""
    for asked in plan.questions(this.catalogue, this.todo).values():
        this.names.ask(asked)
    tasks = [asyncio.create_task(_vantage(this, options, begin))]
    others = [job for job in this.todo if not placing.is_media(job.target)]
    tasks += [asyncio.create_task(measure_target(this, job)) for job in others]
    calls = [job for job in this.todo if placing.is_media(job.target)]
    tasks += [asyncio.create_task(measure_target(this, job, tuple(tasks))) for job in calls]
    beside = [asyncio.create_task(this.watch.keep_looking()), asyncio.create_task(this.observer.pulse.beat())]
    try:
        this.stopped = await _until_done(this, tasks)
    finally:
        this.watch.look()
        for task in (*beside, *tasks):
            task.cancel()
        results = await asyncio.gather(*beside, *tasks, return_exceptions=True)
        await this.names.close()
    for result in results:
        if isinstance(result, Exception):  # our own mistake, or a full disk: it must be seen
            raise result
    return this.stopped


async def _until_done(this: UnderWay, tasks: Sequence[asyncio.Task[None]]) -> Ended:
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
