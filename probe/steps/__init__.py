"""The list of steps. These two unions are the registry, the config schema and the result schema at once."""

from typing import TypeAlias

from probe.steps.dns import Dns, DnsFacts
from probe.steps.http import Http, HttpFacts
from probe.steps.quic import Quic, QuicFacts
from probe.steps.stun import Stun, StunFacts
from probe.steps.tcp import Tcp, TcpFacts
from probe.steps.tls import Tls, TlsFacts
from probe.steps.turn import Turn, TurnFacts

AnyStep: TypeAlias = Dns | Tcp | Tls | Http | Quic | Stun | Turn
AnyFacts: TypeAlias = DnsFacts | TcpFacts | TlsFacts | HttpFacts | QuicFacts | StunFacts | TurnFacts

__all__ = [
    "AnyFacts", "AnyStep", "Dns", "DnsFacts", "Http", "HttpFacts", "Quic", "QuicFacts", "Stun", "StunFacts",
    "Tcp", "TcpFacts", "Tls", "TlsFacts", "Turn", "TurnFacts",
]  # fmt: skip
