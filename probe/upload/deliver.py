"""Bring what waits to every collector. It can be stopped at any moment and begun again: nothing is lost or doubled."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from probe.upload.client import Client
from probe.upload.connection import NotNow, Unreachable
from probe.upload.queue import Outcome, Queue, QueueError


@dataclass(kw_only=True)
class Delivery:
    """What became of it: last words, what waits on, and why."""

    outcomes: list[Outcome] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    waiting: int = 0
    octets: int = 0  # of bodies, sent again or not

    def said(self, word: str) -> int:
        """How often collectors said this."""
        return sum(outcome.word == word for outcome in self.outcomes)


def deliver(
    home: Path,
    clients: Sequence[tuple[str, Callable[[], AbstractContextManager[Client]]]],
    *,
    allowed: Callable[[str], bool],
    only: Sequence[str] = (),
    others: Sequence[str] = (),
    tell: Callable[[Outcome], None] = lambda outcome: None,
) -> Delivery:
    """Send what waits; `clients` are collectors' hosts and how to open them, `others` hosts that it must reach too.

    The caller holds the queue's lock. Before every run it is asked again whether that is still `allowed`: a consent
    that is withdrawn while this goes on counts at once. Raises OSError when the disk does not take a receipt: then
    nothing more is sent, since it would have to be sent again.
    """
    queue, done = Queue(home), Delivery()
    queue.tidy()
    hosts = {*(host for host, _ in clients), *others}
    for host, opened in clients:
        mine = [run for run in only or queue.waiting() if queue.outcome(run, host) is None]
        if mine:
            with opened() as client:
                _to_one(queue, client, mine, done, allowed=allowed, tell=tell)
    for run in queue.waiting():
        queue.settle(run, hosts)
    done.waiting = len(queue.waiting())
    return done


def _to_one(
    queue: Queue,
    client: Client,
    runs: Sequence[str],
    done: Delivery,
    *,
    allowed: Callable[[str], bool],
    tell: Callable[[Outcome], None],
) -> None:
    host = client.collector.host
    for run in runs:
        if not allowed(host):
            done.problems.append(f"{host}: nothing more is sent there, as you withdrew your consent")
            return
        try:
            waiting = queue.take(run)
            outcome = client.send(waiting)
        except QueueError as error:
            done.problems.append(str(error))
            continue
        except NotNow as error:
            done.problems.append(str(error))
            if isinstance(error, Unreachable) or error.again is not None:
                return  # the next run would fare no better
            continue
        queue.conclude(outcome)
        done.outcomes.append(outcome)
        done.octets += len(waiting.body)
        tell(outcome)
