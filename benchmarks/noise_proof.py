"""What a proof of identity by WhatsApp's handshake costs: round trips beyond TCP, and our CPU time for one.

`measure` drives the shipped dialogue over a link to the stand-in on which time passes only while an answer is on its
way, so that a busy machine changes nothing. The CPU time counts our half only, with the libraries loaded.
"""

import asyncio
import time
from datetime import UTC, datetime
from statistics import mean
from typing import NamedTuple

from probe.anchors import x25519_keys
from probe.demo.whatsapp_stand_in import NoiseAuthority, WhatsAppStandIn, read_hello
from probe.dialogue import converse
from probe.noise.certificates import problem
from probe.noise.handshake import Handshake
from probe.steps import Noise

_ROUNDS = 200
ROUND_TRIPS, CPU = 1.5, 20.0  # the limits; CPU in milliseconds
_SETTINGS = Noise()


class Cost(NamedTuple):
    """Round trips beyond TCP, and milliseconds of CPU for one handshake."""

    round_trips: float
    cpu: float


class FarLink:
    """A stream to a stand-in that is one round trip away; its clock counts round trips."""

    is_stream = True

    def __init__(self, peer: WhatsAppStandIn) -> None:
        self._peer, self._answer, self._trips = peer, b"", 0.0

    def now(self) -> float:
        return self._trips

    def unread(self, data: bytes) -> None:
        self._answer = data + self._answer

    async def send(self, data: bytes) -> None:
        hello = read_hello(data[:4], data[7:])
        assert hello is not None
        self._answer = self._peer.answer(hello)

    async def receive(self) -> tuple[bytes, int | None]:
        self._trips += 1
        answer, self._answer = self._answer, b""
        return answer, None


def measure() -> Cost:
    """Raises if a handshake does not prove the stand-in."""
    service = NoiseAuthority()
    peer, roots = WhatsAppStandIn(service), x25519_keys(service.pem)
    spent = [_cpu(peer, roots) for _ in range(_ROUNDS)]
    handshake, link = _fresh(), FarLink(peer)
    asyncio.run(converse(link, handshake.dialogue(roots, datetime.now(UTC), 10.0)))
    assert handshake.stage == "proved"
    return Cost(link.now(), mean(spent[1:]) * 1000)


def _cpu(peer: WhatsAppStandIn, roots: tuple[bytes, ...]) -> float:
    began = time.process_time()
    handshake = _fresh()
    said = handshake.hello()
    ours = time.process_time() - began
    hello = read_hello(said[:4], said[7:])
    assert hello is not None
    answer = peer.answer(hello)
    began = time.process_time()
    handshake.read(answer[3:])
    assert handshake.chain is not None
    assert problem(handshake.chain, handshake.static, roots, int(time.time())) is None
    return ours + time.process_time() - began


def _fresh() -> Handshake:
    return Handshake(_SETTINGS.pattern, bytes.fromhex(_SETTINGS.header))
