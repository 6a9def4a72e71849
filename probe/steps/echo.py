"""Ask Discord's voice machines for an echo: eight bytes that come back as they are, without an account.

    13 37 ca fe | counter 4, little-endian, from 0

The client measures regions with it before a call (captures). Sent for longer it is a sustained flow, which shows
what a first answer cannot: a path that is cut or worn down after some packets.
"""

import struct
from itertools import groupby
from typing import Annotated

from msgspec import Meta

from probe.failure import Malformed, Unexpected
from probe.step import Facts, Flow, Step
from probe.steps.paced import MARGIN, Paced

MAGIC = bytes.fromhex("1337cafe")
_WAIT = 2.0  # seconds for the last answers


class EchoFacts(Facts):
    """Which packets came back. `rtt` is the median round trip in seconds.

    `answers` is the whole flow in runs: "25+ 75-" is 25 packets answered and then 75 not. `longest_gap` is the
    longest run unanswered, `last` the number (from 0) of the last packet answered, `wrong` counts datagrams that
    are not an echo of ours.
    """

    rtt: float
    sent: int
    answered: int
    answers: str
    longest_gap: int = 0
    last: int = 0
    wrong: int = 0
    reply_ttl: int | None = None


class Echo(Step):
    """`count` packets, one `every` so many seconds; a sustained flow needs `seconds` to match."""

    count: Annotated[int, Meta(ge=1, le=1000)] = 5
    every: Annotated[float, Meta(ge=0.01, le=10)] = 0.2
    seconds: float = 10.0

    async def run(self, flow: Flow) -> EchoFacts:
        """Ask. Raises Silent (code: packets sent), or Malformed or Unexpected where only wrong answers came."""
        paced = flow_of(self.every)
        await paced.over(await flow.udp(), paced.exchange(self.count, _WAIT, self.seconds - MARGIN))
        return _facts(paced)


def flow_of(every: float) -> Paced:
    """A flow of numbered packets."""
    paced = Paced(packet, lambda data: [_number(data, len(paced.sent_at))], every=every)
    return paced


def packet(number: int) -> bytes:
    """The packet of a number: 8 bytes."""
    return MAGIC + struct.pack("<I", number)


def _number(data: bytes, sent: int) -> int | Malformed | Unexpected:
    if len(data) != 8 or data[:4] != MAGIC:
        return Malformed("not an echo of what was sent")
    number: int = struct.unpack_from("<I", data, 4)[0]
    return number if number < sent else Unexpected("an echo of what was not sent", code="counter")


def _facts(paced: Paced) -> EchoFacts:
    sent = len(paced.sent_at)
    runs = [
        (back, sum(1 for _ in run)) for back, run in groupby(number in paced.trips for number in range(sent))
    ]
    return EchoFacts(
        rtt=paced.rtt,
        sent=sent,
        answered=len(paced.trips),
        answers=" ".join(f"{length}{'+' if back else '-'}" for back, length in runs),
        longest_gap=max((length for back, length in runs if not back), default=0),
        last=max(paced.trips),
        wrong=paced.wrong,
        reply_ttl=paced.reply_ttl,
    )
