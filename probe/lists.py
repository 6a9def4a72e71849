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
from probe.step import Facts
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
        self._alike: dict[tuple[str, str, str], list[str]] = {}
        for job in todo:
            self._alike.setdefault(_waiting_for(job), []).append(job.target.name)

    def hear(self, job: Job, facts: Sequence[Facts | None], *, through: bool = False) -> None:
        """What this target found: the first that lists anything is its list, else what there is when it is through."""
        future = self._listed.get((job.service, job.target.name))
        if future is None or future.done():
            return
        listing = _Listing(_addresses(facts), _hosts(job.target, facts))
        if through or any(listing):
            future.set_result(listing)

    def learn(self, job: Job, chains: Sequence[Chain], *, through: bool = True) -> None:
        """The same, of all its chains."""
        self.hear(job, [o.facts for chain in chains for o in chain.observations], through=through)

    async def joined(self, job: Job) -> Job:
        """The job with what it was waiting for: some addresses of its share, after its own, or a host no other got.

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
        share = self._share(job, listing.addresses)
        some = random.sample(share, min(_SAMPLE, len(share)))
        addresses = (*job.target.addresses, *some)
        return replace(job, target=msgspec.structs.replace(job.target, addresses=addresses))

    def _turn(self, job: Job) -> tuple[int, int]:
        """Which of how many targets this one is that wait for the same."""
        alike = self._alike.get(_waiting_for(job), [job.target.name])
        return alike.index(job.target.name), len(alike)

    def _share(self, job: Job, listed: Sequence[str]) -> Sequence[str]:
        """Neighbours in a list are of one region: each target gets a stretch of it. All of one that is too short."""
        turn, count = self._turn(job)
        return listed[len(listed) * turn // count : len(listed) * (turn + 1) // count] or listed

    def _with_host(self, job: Job, hosts: Sequence[Listed]) -> Target:
        target, (turn, _) = job.target, self._turn(job)
        named = dict.fromkeys(
            (target.host.format(**listed.words) or listed.host, target.port or listed.port)
            for listed in hosts
        )
        host, port = list(named)[turn] if turn < len(named) else ("", target.port)
        return msgspec.structs.replace(target, host=host, port=port)


def _waiting_for(job: Job) -> tuple[str, str, str]:
    return job.service, _source(job.target), job.target.host


def _source(target: Target) -> str:
    return target.hosts_from or target.addresses_from


def _addresses(facts: Sequence[Facts | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(ip for one in facts if isinstance(one, HttpFacts) for ip in one.addresses))


def _hosts(target: Target, facts: Sequence[Facts | None]) -> tuple[Listed, ...]:
    """The hosts in the first answers to the target's question, of its form; of each name one."""
    step = target.steps[-1]
    if not isinstance(step, Dns) or not step.like:
        return ()
    wanted = form(step.like)
    records = {record for one in facts if isinstance(one, DnsFacts) for record in one.answer.records}
    hosts = {listed.host: listed for r in sorted(records) if (listed := wanted.read(r, step.type))}
    return tuple(random.sample(list(hosts.values()), len(hosts)))
