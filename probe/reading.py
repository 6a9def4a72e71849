"""What was seen, counted: of one target over one address family, and of the controls beside it."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

from probe.failure import Kind
from probe.model import Chain, Document, Measurement, Observation, Variant
from probe.step import Proof
from probe.steps import HttpFacts, QuicFacts, StunFacts, TcpFacts, TlsFacts, TurnFacts

OWN: tuple[Variant, ...] = ("target", "again")
_STRANGERS = ("unknown_issuer", "self_signed")
# Steps that speak a service's own protocol until the peer has proved to hold a key that the catalogue has.
PROVING = ("mtproto", "noise", "threema")
DATAGRAMS = ("stun", "turn", "quic", "reflector", "echo", "dtls")
# What to compare with where no control has a step.
_INSTEAD = dict.fromkeys(("turn", "reflector", "echo", "dtls"), "stun") | dict.fromkeys(
    (*PROVING, "websocket", "greeting"), "tls"
)
INNOCENT: tuple[Variant, ...] = ("other_name", "no_name")


def failure_of(chain: Chain) -> Observation | None:
    """The observation a chain ended in, if it failed."""
    last = chain.observations[-1] if chain.observations else None
    return last if last is not None and last.failure is not None else None


def worked(observation: Observation) -> bool:
    """Whether the step's own protocol went through, even if the answer was not the expected one."""
    failure = observation.failure
    return failure is None or (failure.kind is Kind.UNEXPECTED and observation.facts is not None)


def at_step(chain: Chain, step: str) -> Observation | None:
    """The chain's observation of a step."""
    return next((o for o in chain.observations if o.step == step), None)


def ids(chains: Iterable[Chain]) -> tuple[int, ...]:
    """The observations that say how the chains ended."""
    return tuple(chain.observations[-1].id for chain in chains if chain.observations)


@dataclass(frozen=True)
class Reading:
    """One target over one address family (0: a target that is only a question to resolvers)."""

    measurement: Measurement
    family: int
    # Rules ask the same again and again.
    _found: dict[tuple[Variant, ...], list[Chain]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def tries(self, *variants: Variant) -> list[Chain]:
        """The chains that asked one of these questions."""
        found = self._found.get(variants)
        if found is None:
            found = self._found[variants] = [
                chain
                for chain in self.measurement.chains
                if chain.family == self.family and chain.variant in variants and chain.observations
            ]
        return found

    @property
    def own(self) -> list[Chain]:
        """The target's own chains."""
        return self.tries(*OWN)

    def passed(self, *variants: Variant) -> list[Chain]:
        """Those that went through to their last step."""
        return [chain for chain in self.tries(*variants) if failure_of(chain) is None]

    def failed(self, *variants: Variant) -> list[Chain]:
        """Those that did not, for a reason on the path or at the peer."""
        return [chain for chain in self.tries(*variants) if _is_evidence(chain)]

    @cached_property
    def failures(self) -> list[Observation]:
        """How the target's own tries failed."""
        return [o for chain in self.failed(*OWN) if (o := failure_of(chain)) is not None]

    @cached_property
    def step(self) -> str:
        """The step in which the own tries failed most often."""
        return _most_common(o.step for o in self.failures)

    @cached_property
    def kind(self) -> Kind | None:
        """The kind of failure that was most common in that step."""
        word = _most_common(o.failure.kind for o in self.failures if o.step == self.step and o.failure)
        return Kind(word) if word else None

    @cached_property
    def change(self) -> tuple[Observation, Observation] | None:
        """The last observation that worked and the first that did not, if it worked first and then never again.

        Told where this happened at every address that ever worked: three failures after the last success, two may
        be luck, and none before it, for that is a bad line.
        """
        if len(self.failures) < 3:
            return None
        by_ip: dict[str | None, list[Chain]] = defaultdict(list)
        for chain in sorted(self.tries(*OWN), key=lambda chain: chain.observations[0].id):
            by_ip[chain.ip].append(chain)
        worked = [tries for tries in by_ip.values() if any(failure_of(c) is None for c in tries)]
        changes = [_change(tries) for tries in worked]
        if not changes or None in changes:
            return None
        return changes[0]

    @property
    def is_detour(self) -> bool:
        """Whether its own tries left this machine by another way than the rest."""
        return any(chain.detour for chain in self.own)

    @property
    def port(self) -> int:
        """The target's port."""
        return self.own[0].port if self.own else 0

    @property
    def ips(self) -> set[str]:
        """The addresses its own tries went to."""
        return {chain.ip for chain in self.own if chain.ip}

    @property
    def is_udp(self) -> bool:
        """Whether the target is reached by datagrams."""
        own = self.own
        return bool(own) and (own[0].observations[0].step in DATAGRAMS or self.measurement.at == "far-end")


def _change(tries: list[Chain]) -> tuple[Observation, Observation] | None:
    good = sum(failure_of(chain) is None for chain in tries)
    before, after = tries[:good], tries[good:]
    if len(after) < 3 or not all(map(_is_evidence, after)) or any(map(failure_of, before)):
        return None
    return before[-1].observations[-1], after[0].observations[-1]


def _is_evidence(chain: Chain) -> bool:
    observation = failure_of(chain)
    return observation is not None and observation.is_evidence


def _most_common(words: Iterable[str]) -> str:
    counted = Counter(words).most_common(1)
    return counted[0][0] if counted else ""


def identity_shown(chain: Chain) -> bool:
    """Whether the peer of this chain proved to be who the target names (web PKI, pinned root or key)."""
    return proof(chain) is not None or any(
        isinstance(o.facts, TlsFacts | QuicFacts) and o.facts.identity in ("verified", "pinned")
        for o in chain.observations
    )


def proof(chain: Chain) -> Observation | None:
    """The observation in which the peer of this chain proved itself by the service's own protocol."""
    return next(
        (o for o in chain.observations if isinstance(o.facts, Proof) and o.facts.identity == "proved"), None
    )


def leaf(chain: Chain) -> str:
    """The digest of the certificate that the peer of this chain showed."""
    for observation in chain.observations:
        if isinstance(observation.facts, TlsFacts | QuicFacts) and observation.facts.chain:
            return observation.facts.chain[0].sha256
    return ""


def issuer(chain: Chain) -> str:
    """Who signed that certificate, by name."""
    for observation in chain.observations:
        if isinstance(observation.facts, TlsFacts | QuicFacts) and observation.facts.chain:
            return observation.facts.chain[-1].issuer
    return ""


def shows_any_name(measurement: Measurement, chain: Chain) -> bool:
    """Whether this chain said an innocent name and was shown a certificate for it, by whoever also signs the false
    one that the target's own tries were shown."""
    if chain.variant != "other_name":
        return False
    own = {issuer(c) for c in measurement.chains if c.variant in OWN and is_untrusted(c)} - {""}
    return issuer(chain) in own and any(
        isinstance(o.facts, TlsFacts) and o.facts.covers_sni and o.facts.identity in _STRANGERS
        for o in chain.observations
    )


def is_untrusted(chain: Chain) -> bool:
    """Whether it ended because the peer is not who it should be."""
    ended = failure_of(chain)
    return ended is not None and ended.failure is not None and ended.failure.kind is Kind.UNTRUSTED


def round_trip(observation: Observation) -> float | None:
    """Seconds there and back as opening a connection showed; the kernel's own figure does not suffer from a busy us."""
    if not isinstance(observation.facts, TcpFacts):
        return None
    kernel = observation.tcp.rtt if observation.tcp is not None and observation.tcp.rtt else None
    return min(observation.facts.connect, kernel) if kernel is not None else observation.facts.connect


def is_slow_start(observation: Observation) -> bool:
    """Whether packets of this observation had to be sent again."""
    if observation.step == "tcp":  # where the kernel does not tell, a SYN is sent again after a second
        return observation.tcp.retransmits > 0 if observation.tcp is not None else observation.seconds > 0.95
    if isinstance(observation.facts, StunFacts | TurnFacts):
        return observation.facts.transmissions > 1
    return False


@dataclass(frozen=True, kw_only=True)
class Health:
    """How the controls of one kind fared."""

    alive: int = 0  # controls that answered at least once
    total: int = 0
    tries: int = 0  # tries at those that are alive
    failures: int = 0  # and how many of them failed
    evidence: tuple[int, ...] = ()

    @property
    def good(self) -> bool:
        """At least half of the controls answer, and those that do answer four times in five."""
        return self.alive > 0 and 2 * self.alive >= self.total and 5 * self.failures <= self.tries

    @property
    def dead(self) -> bool:
        """Controls were asked and none answered."""
        return self.total > 0 and self.alive == 0


class Controls:
    """The controls of a run, asked by step, family, port and class."""

    def __init__(self, document: Document) -> None:
        self.measurements = [m for m in document.measurements if m.purpose == "control" and not m.service]
        self._readings: dict[tuple[int, tuple[str, ...]], list[Reading]] = {}

    def readings(self, family: int, *, roles: tuple[str, ...] = ("control", "load")) -> list[Reading]:
        """One reading per control that was tried over this family."""
        if (family, roles) not in self._readings:
            readings = [Reading(m, family) for m in self.measurements if m.role in roles]
            self._readings[family, roles] = [reading for reading in readings if reading.own]
        return self._readings[family, roles]

    def health(
        self,
        step: str,
        family: int,
        *,
        ports: tuple[int, ...] = (),
        classes: tuple[str, ...] = (),
        not_port: int = -1,
    ) -> Health:
        """How this step fared at the controls that reached it."""
        alive = total = tries = failures = 0
        evidence: list[int] = []
        for reading in self.readings(family):
            if (ports and reading.port not in ports) or reading.port == not_port:
                continue
            if classes and reading.measurement.control_class not in classes:
                continue
            seen = [o for chain in reading.own if (o := at_step(chain, step)) is not None]
            seen = [o for o in seen if o.failure is None or o.is_evidence]
            if not seen:
                continue
            good = sum(map(worked, seen))
            total += 1
            evidence.append(seen[-1].id)
            if good:
                alive += 1
                tries += len(seen)
                failures += len(seen) - good
        return Health(alive=alive, total=total, tries=tries, failures=failures, evidence=tuple(evidence[:6]))

    def of_kind(self, step: str, family: int, port: int) -> Health:
        """The controls nearest to a target: the same step on the same port, else the same step."""
        same_port = self.health(step, family, ports=(port,))
        if same_port.alive:
            return same_port
        anywhere = self.health(step, family, not_port=53 if port != 53 else -1)
        instead = _INSTEAD.get(step)
        if instead and not anywhere.total:
            return self.of_kind(instead, family, port)
        return anywhere

    def silent_port(self, step: str, family: int, port: int) -> Health | None:
        """The health of the controls on this port, if all are silent there while others answer elsewhere."""
        here = self.health(step, family, ports=(port,))
        elsewhere = self.health(step, family, not_port=port)
        beyond_dns = [
            r for r in self.readings(family) if r.port not in (53, port) and r.passed(*OWN) and r.is_udp
        ]
        # One server may have given up a port; two have not.
        return here if here.dead and here.total >= 2 and elsewhere.alive and beyond_dns else None

    def udp_refusals_arrive(self, family: int) -> bool:
        """Whether a closed UDP port of a control was refused: routers here let ICMP errors through."""
        closed = self.readings(family, roles=("closed",))
        return any(
            o.failure is not None and o.failure.kind is Kind.REFUSED for r in closed for o in r.failures
        )

    def speeds(self, *classes: str) -> list[float]:
        """Bytes per second of the load controls' bodies, as far as this machine took them in time; of all classes
        without one.
        """
        found = []
        for reading in (r for family in (4, 6) for r in self.readings(family, roles=("load",))):
            if classes and reading.measurement.control_class not in classes:
                continue
            for chain in reading.tries(*OWN):
                observation = at_step(chain, "http")
                if observation is None or 4 * observation.late > observation.seconds:
                    continue
                facts = observation.facts
                if isinstance(facts, HttpFacts) and facts.body_bytes > 8192 and facts.body_seconds > 0:
                    found.append(facts.body_bytes / facts.body_seconds)
        return found

    def clock_offsets(self) -> list[float]:
        """How far our clock is ahead of the Date headers of controls, in seconds."""
        return [
            o.facts.clock_ahead
            for m in self.measurements
            for chain in m.chains
            for o in chain.observations
            if isinstance(o.facts, HttpFacts) and o.facts.clock_ahead is not None
        ]
