"""Addresses of relays that a service itself lists, and the targets that wait for them."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace

import msgspec

from probe.model import Chain
from probe.plan import Job
from probe.steps import HttpFacts

_WAIT = 20.0  # seconds for a list
_SAMPLE = 6  # addresses taken of one, at random: nobody's machines should be asked by every volunteer


class Lists:
    """Of every target that lists addresses for others, what it listed."""

    def __init__(self, todo: Sequence[Job]) -> None:
        loop = asyncio.get_running_loop()
        wanted = {(job.service, job.target.addresses_from) for job in todo if job.target.addresses_from}
        there = {(job.service, job.target.name) for job in todo}
        self._listed: dict[tuple[str, str], asyncio.Future[tuple[str, ...]]] = {
            key: loop.create_future() for key in wanted & there
        }

    def learn(self, job: Job, chains: Sequence[Chain]) -> None:
        """This target is through."""
        future = self._listed.get((job.service, job.target.name))
        if future is not None and not future.done():
            facts = [o.facts for chain in chains for o in chain.observations]
            found = [ip for one in facts if isinstance(one, HttpFacts) for ip in one.addresses]
            future.set_result(tuple(dict.fromkeys(found)))

    async def joined(self, job: Job) -> Job:
        """The job with the addresses it was waiting for, some of them, after its own."""
        future = self._listed.get((job.service, job.target.addresses_from))
        if future is None:
            return job
        await asyncio.wait([future], timeout=_WAIT)
        listed = list(future.result()) if future.done() else []
        some = random.sample(listed, min(_SAMPLE, len(listed)))
        addresses = (*job.target.addresses, *some)
        return replace(job, target=msgspec.structs.replace(job.target, addresses=addresses))
