"""Ask a STUN server for a Binding (RFC 8489), over UDP or on an open stream."""

from typing import Literal

from probe.record import Record
from probe.step import Facts, Flow, Step


class StunAnswer(Record):
    """One answer: to which of our transmissions at the latest, when, of which class, with which code."""

    at: float
    kind: Literal["success", "error"]
    code: int = 0
    reply_ttl: int | None = None


class StunFacts(Facts):
    """Round trip, how many transmissions it took, every answer, and nothing of the mapped address but family."""

    rtt: float
    transmissions: int
    answers: tuple[StunAnswer, ...]
    dialect: Literal["rfc8489", "rfc3489"]
    mapped_family: int = 0
    mapped_public: bool = False
    software: str = ""


class Stun(Step):
    """A Binding request; on UDP retransmitted with random gaps, five times within `seconds`."""

    dialect: Literal["rfc8489", "rfc3489"] = "rfc8489"  # the older one has no magic cookie
    transmissions: int = 5
    seconds: float = 8.0

    async def run(self, flow: Flow) -> StunFacts:
        """Ask. Raises Silent when no transmission was answered; any answer with our id is proof of life."""
        raise NotImplementedError
