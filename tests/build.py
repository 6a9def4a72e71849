"""Build documents by hand: who was asked, what happened, over which family."""

import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, TypeAlias, cast

from probe.failure import Failure, Kind
from probe.far_end.client import Heartbeat
from probe.far_end.talk import StageFacts
from probe.identity import Certificate
from probe.media.emodel import score
from probe.media.pacing import Pacing
from probe.media.quality import Passage, direction, round_trip
from probe.model import Chain, Document, Lookup, Measurement, Observation, Run, Vantage, Variant
from probe.step import TcpInfo
from probe.steps import (
    AnyFacts,
    CallFacts,
    DnsFacts,
    DtlsFacts,
    EchoFacts,
    HttpFacts,
    MediaFacts,
    QuicFacts,
    ReflectorFacts,
    StunFacts,
    TcpFacts,
    TlsFacts,
    TurnFacts,
)  # fmt: skip
from probe.steps.call import HelloFacts
from probe.steps.dns import Answer
from probe.steps.stun import StunAnswer

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
_ids = count(1)


def tls_facts(identity: str = "verified", leaf: str = "aa", issuer: str = "CN=A Root") -> TlsFacts:
    certificate = Certificate(
        sha256=leaf, spki_sha256="bb", subject="CN=x", issuer=issuer, not_before="2026", not_after="2027"
    )
    return TlsFacts(
        version="1.3", cipher="x", alpn="h2", sni="host", hello_ja4="", hello_sha256="",
        identity=identity, chain=(certificate,),  # type: ignore[arg-type]
    )  # fmt: skip


FACTS: dict[str, AnyFacts] = {
    "tcp": TcpFacts(connect=0.03),
    "tls": tls_facts(),
    "http": HttpFacts(
        version="2",
        status=200,
        first_byte=0.1,
        body_bytes=10,
        body_seconds=0.01,
        body_complete=True,
        body_sha256="00",
    ),
    "quic": QuicFacts(version="1", alpn="h3", sni="host", cipher="x", handshake=0.1, identity="verified"),
    "stun": StunFacts(
        rtt=0.03, transmissions=1, answers=(StunAnswer(at=0.03, kind="success"),), dialect="rfc8489"
    ),
    "turn": TurnFacts(rtt=0.03, transmissions=1, code=401, realm="example.org"),
    "reflector": ReflectorFacts(rtt=0.03, sent=4, answered=4, rtts=(0.03, 0.03, 0.03, 0.03)),
    "echo": EchoFacts(rtt=0.03, sent=5, answered=5, answers="5+", last=4),
    "dtls": DtlsFacts(hello_sha256="aa", hello_bytes=183, flights=3, reached="finished", handshake=0.06),
}


def saw(
    step: str,
    kind: Kind | None = None,
    *,
    code: str = "",
    facts: AnyFacts | None = None,
    seconds: float = 0.03,
    sent: int = 100,
    tcp: TcpInfo | None = None,
    port: int | None = None,
    at: float = 0.0,
    late: float = 0.0,
) -> Observation:
    """One observation: it worked, or failed with this kind, `at` seconds after noon."""
    number = next(_ids)
    failure = None if kind is None else Failure(kind=kind, code=code)
    return Observation(
        id=number,
        step=step,
        at=NOON + timedelta(seconds=at),
        seconds=seconds,
        sent=sent,
        source_port=port if port is not None else 40000 + number,
        facts=facts or (FACTS.get(step) if failure is None else None),
        failure=failure,
        tcp=tcp,
        late=late,
    )


def chain(
    *observations: Observation,
    variant: str = "target",
    ip: str = "5.5.5.5",
    host: str = "chat.example.org",
    port: int = 443,
    said_by: Sequence[str] = ("system", "doh"),
) -> Chain:
    """A chain over the family of its address."""
    return Chain(
        variant=cast(Variant, variant),
        host=host,
        port=port,
        ip=ip,
        family=6 if ":" in ip else 4,
        said_by=tuple(said_by),
        observations=observations,
    )


def works(*steps: str, **where: Any) -> Chain:
    """A chain in which every step worked."""
    return chain(*(saw(step) for step in steps), **where)


def measured(
    *chains: Chain, service: str = "paperplane", target: str = "chat", purpose: str = "messaging", **more: Any
) -> Measurement:
    """A target of a service."""
    fields: dict[str, Any] = {"group": target, "support": "source", **more}
    return Measurement(service=service, target=target, purpose=purpose, chains=chains, **fields)  # type: ignore[arg-type]


def control(*chains: Chain, target: str, kind: str = "foreign-large", role: str = "control") -> Measurement:
    """A control."""
    return Measurement(
        service="",
        target=target,
        purpose="control",
        group=target,
        control_class=kind,
        role=role,
        chains=chains,
    )


def healthy_controls(*, domestic: bool = True) -> list[Measurement]:
    """Controls of every kind, all well, over IPv4."""
    found = []
    for index, kind in enumerate(
        ("foreign-large", "foreign-large", "foreign-hosting") + ("domestic",) * domestic
    ):
        host, ip = f"c{index}.example.net", f"9.9.9.{index + 1}"
        found += [
            control(works("tcp", "tls", "http", host=host, ip=ip), target=f"https-{index}", kind=kind),
            control(works("stun", host=host, ip=ip, port=3478), target=f"stun-{index}", kind=kind),
            control(works("stun", host=host, ip=ip, port=19302), target=f"stun-other-{index}", kind=kind),
            control(works("turn", host=host, ip=ip, port=3478), target=f"turn-{index}", kind=kind),
            control(works("quic", host=host, ip=ip), target=f"quic-{index}", kind=kind),
        ]
    return found


def looked_up(
    name: str,
    resolver: str,
    *ips: str,
    code: str = "",
    kind: Kind = Kind.REJECTED,
    further: Sequence[Sequence[str]] = (),
) -> Lookup:
    """One look-up: addresses, or a failure with this code."""
    observation = saw("dns", kind if code else None, code=code)
    if not code:
        facts = DnsFacts(
            name=name,
            type="A+AAAA",
            answer=Answer(rcode="NOERROR", records=ips),
            further=tuple(Answer(rcode="NOERROR", records=tuple(records)) for records in further),
        )
        observation = saw("dns", facts=facts)
    tries = 3 if code and resolver == "system" else 1  # the machine's own resolver is asked again
    return Lookup(resolver=resolver, name=name, type="A+AAAA", observations=(observation,) * tries)


def known_names() -> list[Lookup]:
    """The controls' names, resolved alike by everybody."""
    return [
        looked_up(f"c{index}.example.net", resolver, f"9.9.9.{index + 1}")
        for index in range(4)
        for resolver in ("system", "udp", "doh")
    ]


def document(
    *measurements: Measurement, lookups: Sequence[Lookup] = (), controls: Sequence[Measurement] | None = None
) -> Document:
    """A run with healthy controls unless others are given."""
    run = Run(
        format=1, id="0" * 16, software="callreach test", started=NOON, vantage=Vantage(), catalogue="x"
    )
    beside = healthy_controls() if controls is None else list(controls)
    return Document(run=run, measurements=(*measurements, *beside), lookups=(*known_names(), *lookups))


# What becomes of a packet that is sent so many seconds after its flow began: seconds of delay, None for a loss.
Fate: TypeAlias = Callable[[float], float | None]


def fair(at: float) -> float | None:
    """A good line."""
    return 0.025


def losing(share: float, seed: int = 1) -> Fate:
    """Loses so many at random."""
    chance = random.Random(seed)
    return lambda at: None if chance.random() < share else 0.025


def dead_from(start: float, until: float = 1e9) -> Fate:
    """Loses everything between two times."""
    return lambda at: None if start <= at < until else 0.025


def stage(
    profile: str = "voice",
    *,
    up: Fate = fair,
    down: Fate = fair,
    began: float = 1.0,
    seconds: float = 12.0,
    every: float = 0.02,
    size: int = 180,
    log: bool = True,
) -> StageFacts:
    """A stage as the probe counts it: up at the far end, down what was answered there. `began` is the flow's age."""
    sent, back = [], []
    for number in range(round(seconds / every)):
        at = number * every
        there = up(began + at)
        sent.append(Passage(number, size, began + at, None if there is None else began + at + there))
        if there is not None:
            home = down(began + at + there)
            arrived = None if home is None else began + at + there + home
            back.append(Passage(number, size, began + at + there, arrived))
        elif not log:
            back.append(Passage(number, size, began + at, None))
    trips = [two.arrived - sent[two.number].sent for two in back if two.arrived is not None]
    shift = min((one.arrived - one.sent for one in sent if one.arrived is not None), default=0.0)
    rtt = round_trip(trips)
    upward = direction(sent, began=began) if log else None
    downward = direction([one._replace(sent=one.sent - shift) for one in back], began=began)
    return StageFacts(
        profile=profile,
        began=began,
        every=every,
        up=upward,
        down=downward,
        rtt=rtt,
        score_up=score(upward, rtt) if upward is not None else None,
        score_down=score(downward, rtt),
    )


def media_facts(*stages: StageFacts, **more: Any) -> MediaFacts:
    """A flow whose far end gave its log and lived over HTTPS."""
    fields: dict[str, Any] = {
        "shape": "whatsapp-native", "disguise": "", "transport": "udp", "port": 3478, "source_port": 40000,
        "pacing": Pacing(packets=600, late_median=0.0, late_p99=0.001, late_max=0.002),
        "heartbeat": Heartbeat(asked=2, answered=2, slowest=0.06), "heard": True, "proved": True, "ended": "closed",
    }  # fmt: skip
    return MediaFacts(stages=stages, **(fields | more))


def call_facts(*stages: StageFacts, **more: Any) -> CallFacts:
    """A call whose far end gave its log and lived over HTTPS."""
    fields: dict[str, Any] = {
        "path": "direct", "gathered": 0.1, "answered": 0.2, "ice": 0.3, "dtls": 0.5, "first_media": 0.6,
        "hello": HelloFacts(sender="us", kind="library"),
        "heartbeat": Heartbeat(asked=2, answered=2, slowest=0.06), "heard": True, "ended": "closed",
    }  # fmt: skip
    return CallFacts(stages=stages, **(fields | more))


def tried(
    facts: MediaFacts | CallFacts | None,
    code: str = "",
    *,
    kind: Kind = Kind.SILENT,
    variant: str = "target",
    at: float = 0.0,
    seconds: float = 14.0,
    **where: Any,
) -> Chain:
    """A call or flow to the far end: its connection, and the step itself, `at` seconds after noon."""
    step = "call" if isinstance(facts, CallFacts) else "media"
    seen = saw(step, kind if code else None, code=code, facts=facts, seconds=seconds, at=at)
    place: dict[str, Any] = {"host": "far.example.org", "ip": "7.7.7.7", "port": 443} | where
    return chain(saw("tcp", at=at), saw("tls", at=at), seen, variant=variant, **place)


def at_far_end(*chains: Chain, service: str = "paperplane", **more: Any) -> Measurement:
    """A target at the far end: a flow that looks like a service's calls."""
    fields: dict[str, Any] = {"target": "look-alike", "group": "look-alike", "vital": True} | more
    return measured(*chains, service=service, purpose="calls", at="far-end", **fields)
