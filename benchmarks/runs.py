"""Runs of about 20 kB for bench_compare: what a probe with a small catalogue writes of two services, over IPv4.

Every run differs in its times, addresses and counters, as real ones do, and one in seven tells of trouble: a name
that is answered by resets, relays that are silent, a name that the machine's own resolver denies. Facts are as full
as the steps write them: an observation of TLS carries its certificates, one of TCP what the kernel counted.
"""

import hashlib
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import msgspec

from probe.failure import Failure, Kind
from probe.identity import Certificate
from probe.model import Chain, Document, End, Judgement, Lookup, Measurement, Observation, Run, Vantage
from probe.step import TcpInfo
from probe.steps import DnsFacts, HttpFacts, StunFacts, TcpFacts, TlsFacts
from probe.steps.dns import Answer
from probe.steps.stun import StunAnswer
from probe.verdict import judge

BEGAN = datetime(2026, 11, 1, tzinfo=UTC)
DAYS, NETWORKS, COUNTRIES = 30, 50, 10
RESOLVERS = ("system", "google-udp", "quad9-tls")
WEB = ("tcp", "tls", "http")
CONTROLS = (
    ("large-web", "www.example.com", "foreign-large", "control", WEB),
    ("hosting-web", "www.example.org", "foreign-hosting", "control", WEB),
    ("canary", "canary.example.net", "foreign-large", "portal", ("tcp", "http")),
    ("large-stun", "stun.example.com", "foreign-large", "control", ("stun",)),
    ("hosting-stun", "stun.example.org", "foreign-hosting", "control", ("stun",)),
)
SERVICES = ("paperplane", "carrier")
STORIES = ("fine",) * 18 + ("reset", "silent", "denied")
RESET = Failure(kind=Kind.RESET, code="ECONNRESET", detail="Connection reset by peer")
SILENT = Failure(kind=Kind.SILENT, code="5", detail="nothing came back")
DENIED = Failure(kind=Kind.REJECTED, code="NXDOMAIN", detail="there is no such name")


def document(number: int) -> Document:
    """The run of this number: always the same one."""
    return _Teller(number).document()


class _Teller:
    def __init__(self, number: int) -> None:
        self.number, self.chance = number, random.Random(number)
        self.story = STORIES[number % len(STORIES)]
        self.at = self.began = BEGAN + timedelta(seconds=number * 3037 % (DAYS * 86400), microseconds=number)
        self.away = 0.01 + self.chance.random() / 5  # seconds to most servers and back
        self.ids = 0

    def document(self) -> Document:
        where = self.number % NETWORKS
        vantage = Vantage(
            country=f"{chr(65 + where % COUNTRIES)}A", asn=64500 + where, as_name=f"NET{where} - Network {where}",
            resolver_asn=64500 + where, kind="mobile" if where % 2 else "fixed", families={"4": True, "6": False},
        )  # fmt: skip
        run = Run(
            format=1, id=f"{self.number:016x}", software="callreach 0.1.0", started=self.began, vantage=vantage,
            catalogue="0f1e2d3c4b5a6978",
        )  # fmt: skip
        measured = tuple(self.measurements())
        hosts = dict.fromkeys(m.chains[0].host for m in measured)
        end = End(ended="complete", seconds=6.0 + 20 * self.away, sent=40_000, received=90_000)
        made = Document(
            run=run,
            lookups=tuple(self.lookup(host, resolver) for host in hosts for resolver in RESOLVERS),
            measurements=measured,
            end=end,
        )
        return msgspec.structs.replace(made, judgement=_judgement(self.story, made))

    def measurements(self) -> Iterator[Measurement]:
        for target, host, kind, role, steps in CONTROLS:
            chains = (self.chain(host, steps),)
            yield Measurement(
                service="", target=target, purpose="control", group=target, support="known", control_class=kind,
                role=role, chains=chains,
            )  # fmt: skip
        for service in SERVICES:
            chat, relay = f"chat.{service}.example", f"relay.{service}.example"
            story = self.story if service == SERVICES[0] else "fine"
            reset, silent = RESET if story == "reset" else None, SILENT if story == "silent" else None
            tls, stun = [self.chain(chat, WEB, fails=reset)], [self.chain(relay, ("stun",), fails=silent)]
            if reset:
                tls += [self.chain(chat, WEB, fails=reset, variant="again") for _ in range(2)]
                tls += [self.chain(chat, WEB[:2], variant="other_name") for _ in range(2)]
            if silent:
                stun += [self.chain(relay, ("stun",), fails=silent, variant="again") for _ in range(2)]
            yield Measurement(
                service=service, target="chat", purpose="messaging", group="chat", support="source", vital=True,
                chains=tuple(tls),
            )  # fmt: skip
            yield Measurement(
                service=service, target="relay", purpose="calls", group="relay", support="capture", vital=True,
                chains=tuple(stun),
            )  # fmt: skip

    def chain(
        self, host: str, steps: tuple[str, ...], *, fails: Failure | None = None, variant: Any = "target"
    ) -> Chain:
        """What fails does so in TLS or STUN."""
        source, octets = self.chance.randrange(32768, 61000), 0
        seen = []
        for step in steps:
            failed = fails if step in ("tls", "stun") else None
            seen.append(self.observation(step, host, source, octets, failed))
            octets += seen[-1].sent
            if failed:
                break
        return Chain(
            variant=variant, host=host, port=3478 if steps == ("stun",) else 443 if "tls" in steps else 80,
            ip=self.address(host), family=4, said_by=RESOLVERS[1:] if self.denies(host) else RESOLVERS,
            sni="other.example" if variant == "other_name" else "host" if "tls" in steps else "",
            observations=tuple(seen),
        )  # fmt: skip

    def observation(
        self, step: str, host: str, source: int, octets: int, fails: Failure | None = None
    ) -> Observation:
        """One step, after so many bytes of the connection."""
        took = round(self.away * (1 + self.chance.random()), 6)
        sent = {"tls": 597, "http": 214, "stun": 20}.get(step, 0)
        tcp = None
        if step in WEB:
            trip = round(self.away * (1 + self.chance.random() / 10), 6)
            tcp = TcpInfo(acked=1 + octets + sent, received=3 * octets, retransmits=0, rtt=trip, min_rtt=trip)
        self.ids += 1
        self.at += timedelta(seconds=took)
        return Observation(
            id=self.ids, step=step, at=self.at, seconds=took, sent=sent, received=0 if fails else 3 * sent,
            source_port=source or None, facts=None if fails else self.facts(step, host, took), failure=fails, tcp=tcp,
        )  # fmt: skip

    def facts(self, step: str, host: str, took: float) -> Any:
        if step == "tcp":
            return TcpFacts(connect=took - 0.000_01 * self.chance.random())
        if step == "tls":
            return TlsFacts(
                version="1.3", cipher="TLS_AES_256_GCM_SHA384", alpn="h2", sni="host",
                hello_ja4="t13d1812h2_85036bcba153_d41ae481755e", hello_sha256=_digest("hello"), identity="verified",
                covers_sni=True, chain=(_certificate(host, self.number % 40),),
            )  # fmt: skip
        if step == "http":
            return HttpFacts(
                version="2", status=200, first_byte=round(0.9 * took, 6), body_bytes=4096,
                body_seconds=round(0.1 * took, 6), body_complete=True, body_sha256=_digest(f"{host}{self.number % 90}"),
                server="nginx", clock_ahead=round(self.chance.random(), 1),
            )  # fmt: skip
        if step == "stun":
            heard = StunAnswer(at=took, kind="success", reply_ttl=self.chance.randrange(40, 60))
            return StunFacts(
                rtt=took, transmissions=1, answers=(heard,), dialect="rfc8489", mapped_family=4, mapped_public=True,
            )  # fmt: skip
        answer = Answer(rcode="NOERROR", records=(self.address(host), self.address(host, 1)), at=took)
        return DnsFacts(name=host, type="A+AAAA", answer=answer)

    def lookup(self, host: str, resolver: str) -> Lookup:
        denied = DENIED if resolver == "system" and self.denies(host) else None
        seen = tuple(self.observation("dns", host, 0, 0, denied) for _ in range(2 if denied else 1))
        return Lookup(resolver=resolver, name=host, type="A+AAAA", observations=seen)

    def denies(self, host: str) -> bool:
        return self.story == "denied" and host == f"chat.{SERVICES[0]}.example"

    def address(self, host: str, number: int = 0) -> str:
        """One of the some hundred that a delivery network has for the name."""
        place = int(_digest(host)[:4], 16)
        return f"5.{place % 250}.{self.number % 7 + number}.{self.number // 7 % 30}"


@cache
def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def _certificate(host: str, number: int) -> Certificate:
    return Certificate(
        sha256=_digest(f"{host}{number}"), spki_sha256=_digest(f"key of {host}{number}"), subject=f"CN={host}",
        issuer="CN=Example Root X1,O=Example Trust,C=US", not_before="2026-10-26", not_after="2027-02-24",
    )  # fmt: skip


_said: dict[str, Judgement] = {}


def _judgement(story: str, made: Document) -> Judgement:
    """What was thought when the run was made; of one story always the same."""
    if story not in _said:
        _said[story] = judge(made)
    return _said[story]
