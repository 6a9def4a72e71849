"""Numbered packets sent at due times, and which of them were answered, and when."""

from collections.abc import Callable, Iterable
from statistics import median
from typing import TypeAlias

from probe.dialogue import Dialogue, Heard, Link, converse, listen, send
from probe.failure import Closed, Malformed, Silent, StepError, Unexpected

# What something heard says: the numbers it answers, and complaints about what answers none.
Said: TypeAlias = Iterable[int | Malformed | Unexpected]
MARGIN = 0.3  # seconds before a step's deadline at which it ends by itself, because a cancelled step keeps no facts


class Paced:
    """One flow: packets are due `every` so many seconds, however long sending and hearing took.

    `say` makes packet n; `read` tells what a piece of the peer's bytes answers. What answers nothing is counted
    and its complaint kept: beside right answers it is an oddity, alone it is the finding.
    """

    def __init__(self, say: Callable[[int], bytes], read: Callable[[bytes], Said], *, every: float) -> None:
        self._say, self._read, self._every = say, read, every
        self.sent_at: list[float] = []
        self.trips: dict[int, float] = {}  # round trip of every answered packet, seconds
        self.wrong = 0
        self.first_at = 0.0  # when the first right answer came, and
        self.reply_ttl: int | None = None  # the TTL it came with
        self._complaint: StepError | None = None
        self._now = 0.0

    @property
    def rtt(self) -> float:
        """The median round trip."""
        return round(median(self.trips.values()), 6)

    async def over(self, link: Link, dialogue: Dialogue[None]) -> None:
        """Run a dialogue of this flow. Raises what the link raises and what `conclude` does.

        Once something was answered, an error of the link or an end of the stream takes nothing back.
        """
        try:
            await converse(link, dialogue)
        except (OSError, Closed, Malformed):
            if not self.trips:
                raise
        self.conclude()

    def conclude(self) -> None:
        """Raises, where nothing was answered, Silent (code: packets sent) or how what came was wrong."""
        if self.trips:
            return
        if self._complaint is not None:
            raise self._complaint
        raise Silent(f"no answer to {len(self.sent_at)} packets", code=str(len(self.sent_at)))

    def exchange(self, count: int, wait: float, until: float) -> Dialogue[None]:
        """Send until `count` packets are sent in all, then wait for the last ones; over by `until` at the latest."""
        due = self._now
        while len(self.sent_at) < count and due < until:
            yield from self._hear(due)
            self._now = yield from send(self._say(len(self.sent_at)))
            self.sent_at.append(self._now)
            due += self._every
        yield from self._hear(min(until, self._now + wait), all_in=True)

    def _hear(self, until: float, *, all_in: bool = False) -> Dialogue[None]:
        """Take in what comes until then; with `all_in` no longer than until everything sent is answered."""
        while self._now < until and not (all_in and len(self.trips) == len(self.sent_at)):
            heard = yield from listen(until - self._now)
            self._now = until if heard is None else heard.at
            if heard is not None:
                self._take(heard)

    def _take(self, heard: Heard) -> None:
        for said in self._read(heard.data):
            if not isinstance(said, int):
                self.wrong += 1
                self._complaint = self._complaint or said
            elif said not in self.trips:
                if not self.trips:
                    self.first_at, self.reply_ttl = heard.at, heard.ttl
                self.trips[said] = round(heard.at - self.sent_at[said], 6)
