"""Relays and hosts that a service itself lists, and the targets that wait for them."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import msgspec

from probe.catalogue import Target
from probe.model import Chain
from probe.plan import Job
from probe.steps import Dns, DnsFacts, HttpFacts
from probe.steps.dns_names import Listed, form

_WAIT = 20.0  # seconds for a list
_SAMPLE = 6  # addresses taken of one, at random: nobody's machines should be asked by every volunteer


class _Listing(NamedTuple):
    """What a target listed; hosts in random order."""

    addresses: tuple[str, ...] = ()
    hosts: tuple[Listed, ...] = ()


class Lists:
    """Of every target that lists addresses or hosts for others, what it listed."""

    def __init__(self, todo: Sequence[Job]) -> None:
        loop = asyncio.get_running_loop()
        wanted = {(job.service, source) for job in todo if (source := _source(job.target))}
        there = {(job.service, job.target.name) for job in todo}
        self._listed: dict[tuple[str, str], asyncio.Future[_Listing]] = {
            key: loop.create_future() for key in wanted & there
        }
        self._turns: dict[tuple[str, str], int] = {}
        alike: dict[tuple[str, str, str], int] = {}
        for job in todo:
            if job.target.hosts_from:
                key = (job.service, job.target.hosts_from, job.target.host)
                self._turns[job.service, job.target.name] = alike.get(key, 0)
                alike[key] = alike.get(key, 0) + 1

    def learn(self, job: Job, chains: Sequence[Chain]) -> None:
        """This target is through."""
        future = self._listed.get((job.service, job.target.name))
        if future is not None and not future.done():
            future.set_result(_Listing(_addresses(chains), _hosts(job.target, chains)))

    async def joined(self, job: Job) -> Job:
        """The job with what it was waiting for: some of the addresses, after its own, or a host that no other got.

        Where a host was waited for and none was listed, the job has none, and nothing of it is measured.
        """
        source = _source(job.target)
        if not source:
            return job
        future = self._listed.get((job.service, source))
        if future is not None:
            await asyncio.wait([future], timeout=_WAIT)
        listing = future.result() if future is not None and future.done() else _Listing()
        if job.target.hosts_from:
            return replace(job, target=self._with_host(job, listing.hosts))
        if future is None:
            return job
        some = random.sample(listing.addresses, min(_SAMPLE, len(listing.addresses)))
        addresses = (*job.target.addresses, *some)
        return replace(job, target=msgspec.structs.replace(job.target, addresses=addresses))

    def _with_host(self, job: Job, hosts: Sequence[Listed]) -> Target:
        target, turn = job.target, self._turns.get((job.service, job.target.name), 0)
        named = dict.fromkeys(
            (target.host.format(**listed.words) or listed.host, target.port or listed.port)
            for listed in hosts
        )
        host, port = list(named)[turn] if turn < len(named) else ("", target.port)
        return msgspec.structs.replace(target, host=host, port=port)


def _source(target: Target) -> str:
    return target.hosts_from or target.addresses_from


def _addresses(chains: Sequence[Chain]) -> tuple[str, ...]:
    facts = [o.facts for chain in chains for o in chain.observations]
    return tuple(dict.fromkeys(ip for one in facts if isinstance(one, HttpFacts) for ip in one.addresses))


def _hosts(target: Target, chains: Sequence[Chain]) -> tuple[Listed, ...]:
    """The hosts in the first answers to the target's question, of its form; of each name one."""
    step = target.steps[-1]
    if not isinstance(step, Dns) or not step.like:
        return ()
    wanted = form(step.like)
    records = {
        record
        for chain in chains
        for o in chain.observations
        if isinstance(o.facts, DnsFacts)
        for record in o.facts.answer.records
    }
    hosts = {listed.host: listed for r in sorted(records) if (listed := wanted.read(r, step.type))}
    return tuple(random.sample(list(hosts.values()), len(hosts)))
