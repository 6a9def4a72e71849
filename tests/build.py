"""Build documents by hand: who was asked, what happened, over which family."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Any, cast

from probe.failure import Failure, Kind
from probe.identity import Certificate
from probe.model import Chain, Document, Lookup, Measurement, Observation, Run, Vantage, Variant
from probe.step import TcpInfo
from probe.steps import AnyFacts, DnsFacts, HttpFacts, QuicFacts, StunFacts, TcpFacts, TlsFacts, TurnFacts
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
) -> Observation:
    """One observation: it worked, or failed with this kind."""
    number = next(_ids)
    failure = None if kind is None else Failure(kind=kind, code=code)
    return Observation(
        id=number,
        step=step,
        at=NOON,
        seconds=seconds,
        sent=sent,
        source_port=port if port is not None else 40000 + number,
        facts=facts or (FACTS.get(step) if failure is None else None),
        failure=failure,
        tcp=tcp,
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
