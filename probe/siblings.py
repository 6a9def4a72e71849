"""How the targets of one service learn of each other while they are measured."""

import asyncio
from collections.abc import Sequence

from probe.plan import Job


class Siblings:
    """The targets of each service, so that one that worked can learn that another of them did not."""

    def __init__(self, todo: Sequence[Job]) -> None:
        loop = asyncio.get_running_loop()
        self._failed = {(j.service, j.target.name): loop.create_future() for j in todo if j.service}

    def settle(self, job: Job, *, failed: bool) -> None:
        """This target is through."""
        future = self._failed.get((job.service, job.target.name))
        if future is not None and not future.done():
            future.set_result(failed)

    async def any_failed(self, job: Job) -> bool:
        """Wait until all targets of the service are through; whether any of them failed."""
        mine = [future for (service, _), future in self._failed.items() if service == job.service]
        done, _ = await asyncio.wait(mine)
        return any(future.result() for future in done)
