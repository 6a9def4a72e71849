"""Look a name up with one resolver, and keep listening for a second, different answer."""

from typing import Literal

from probe.record import Record
from probe.step import Facts, Flow, Need, Step

Type = Literal["A+AAAA", "A", "AAAA", "TXT", "SRV", "PTR"]


class Answer(Record):
    """One answer to a question: response code, records as text, and the TTL its packet arrived with."""

    rcode: str
    records: tuple[str, ...] = ()
    at: float = 0.0
    reply_ttl: int | None = None
    soa: str = ""
    truncated: bool = False


class DnsFacts(Facts):
    """The first answer, and the later ones that differ from it (two different answers mean injection)."""

    name: str
    type: Type
    answer: Answer
    further: tuple[Answer, ...] = ()
    tries: int = 1


class Dns(Step):
    """Ask one question. Over UDP, an open stream (RFC 7858), HTTPS (`path`, RFC 8484), or the system."""

    name: str = ""  # empty: the target's host
    type: Type = "A+AAAA"
    path: str = ""  # ask by HTTP on the open stream
    system: bool = False
    linger: float = 3.0  # how long to keep listening after the first UDP answer
    seconds: float = 12.0

    @property
    def needs(self) -> Need:
        """The system resolver needs no address of ours."""
        return "name" if self.system else "stream" if self.path else "address"

    async def run(self, flow: Flow) -> DnsFacts:
        """Ask, and return what was answered; an error code is raised as Rejected with the code."""
        raise NotImplementedError
