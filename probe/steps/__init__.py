"""The list of steps. These two unions are the registry, the config schema and the result schema at once."""

from typing import TypeAlias

from probe.steps.call import Call, CallFacts
from probe.steps.dns import Dns, DnsFacts
from probe.steps.dtls import Dtls, DtlsFacts
from probe.steps.echo import Echo, EchoFacts
from probe.steps.fallback import Fallback, FallbackFacts
from probe.steps.greeting import Greeting, GreetingFacts
from probe.steps.http import Http, HttpFacts
from probe.steps.loop import Loop, LoopFacts
from probe.steps.media import Media, MediaFacts
from probe.steps.mtproto import Mtproto, MtprotoFacts
from probe.steps.noise import Noise, NoiseFacts
from probe.steps.quic import Quic, QuicFacts
from probe.steps.reflector import Reflector, ReflectorFacts
from probe.steps.reflectorloop import ReflectorLoop, ReflectorLoopFacts
from probe.steps.stun import Stun, StunFacts
from probe.steps.tcp import Tcp, TcpFacts
from probe.steps.threema import Threema, ThreemaFacts
from probe.steps.tls import Tls, TlsFacts
from probe.steps.turn import Turn, TurnFacts
from probe.steps.websocket import Websocket, WebsocketFacts

AnyStep: TypeAlias = (
    Dns | Tcp | Tls | Http | Websocket | Greeting | Quic | Stun | Turn | Reflector | Echo | Dtls | Media
    | Call | ReflectorLoop | Loop | Mtproto | Noise | Threema | Fallback
)  # fmt: skip
AnyFacts: TypeAlias = (
    DnsFacts | TcpFacts | TlsFacts | HttpFacts | WebsocketFacts | GreetingFacts | QuicFacts | StunFacts
    | TurnFacts | ReflectorFacts | EchoFacts | DtlsFacts | MediaFacts | CallFacts | ReflectorLoopFacts
    | LoopFacts | MtprotoFacts | NoiseFacts | ThreemaFacts | FallbackFacts
)  # fmt: skip

__all__ = [
    "AnyFacts", "AnyStep", "Call", "CallFacts", "Dns", "DnsFacts", "Dtls", "DtlsFacts", "Echo",
    "EchoFacts", "Fallback", "FallbackFacts", "Greeting", "GreetingFacts", "Http", "HttpFacts", "Loop",
    "LoopFacts", "Media", "MediaFacts", "Mtproto", "MtprotoFacts", "Noise", "NoiseFacts", "Quic",
    "QuicFacts", "Reflector", "ReflectorFacts", "ReflectorLoop", "ReflectorLoopFacts", "Stun", "StunFacts",
    "Tcp", "TcpFacts", "Threema", "ThreemaFacts", "Tls", "TlsFacts", "Turn", "TurnFacts", "Websocket",
    "WebsocketFacts",
]  # fmt: skip
