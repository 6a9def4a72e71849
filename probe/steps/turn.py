"""Ask a TURN server for an allocation (RFC 8656): the refusal proves life, credentials prove relaying."""

from typing import Literal

from probe.step import Facts, Flow, Step


class TurnFacts(Facts):
    """How the server answered, and, with credentials, whether a datagram came back through the relay."""

    rtt: float
    transmissions: int
    code: int  # of the first answer: 401 is what a server with long-term credentials must say
    realm: str = ""
    software: str = ""
    dialect: Literal["rfc8656", "microsoft"] = "rfc8656"
    allocated: bool = False
    lifetime: int = 0
    looped: int = 0  # datagrams that came back through the relay
    loop_rtt: float | None = None


class Turn(Step):
    """Allocate. `realm` is expected unless empty; with credentials also permission and a loop to ourselves."""

    realm: str = ""
    dialect: Literal["rfc8656", "microsoft"] = "rfc8656"
    username: str = ""
    password: str = ""
    secret: str = ""  # time-limited credentials are made from it (draft-uberti-behave-turn-rest)
    transmissions: int = 5
    seconds: float = 8.0

    async def run(self, flow: Flow) -> TurnFacts:
        """Ask. Raises Silent, Rejected (credentials refused) or Unexpected (another realm)."""
        raise NotImplementedError
