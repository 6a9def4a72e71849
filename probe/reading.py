"""What was seen, counted, of one target over one address family."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from probe.failure import Kind
from probe.model import Chain, Document, Measurement, Observation, Variant
from probe.step import Proof
from probe.steps import QuicFacts, StunFacts, TcpFacts, TlsFacts, TurnFacts

OWN: tuple[Variant, ...] = ("target", "again")
_STRANGERS = ("unknown_issuer", "self_signed")
# Steps that speak a service's own protocol until the peer has proved to hold a key that the catalogue has.
PROVING = ("mtproto", "noise", "threema")
DATAGRAMS = ("stun", "turn", "quic", "reflector", "echo", "dtls")
# Tuples: a union would be made anew whenever it is asked for.
_CERTIFIED = (TlsFacts, QuicFacts)
_RESENT = (StunFacts, TurnFacts)
_INATTENTIVE = 1.0  # seconds
_WITHOUT_US = (Kind.TIMEOUT, Kind.CLOSED, Kind.RESET)
INNOCENT: tuple[Variant, ...] = ("other_name", "no_name")


def failure_of(chain: Chain) -> Observation | None:
    """The observation a chain ended in, if it failed."""
    last = chain.observations[-1] if chain.observations else None
    return last if last is not None and last.failure is not None else None


def was_missed(observation: Observation) -> bool:
    """Whether time ran out, or the peer ended, while this machine did not attend for most of the time.

    A peer that waits for us gives up too; what it said (a refusal, a wrong certificate) it said all the same, and
    what came as a datagram is found in a buffer, so that silence is silence.
    """
    unheard = observation.failure is not None and observation.failure.kind in _WITHOUT_US
    return unheard and observation.late >= _INATTENTIVE and 2 * observation.late > observation.seconds


def is_evidence(observation: Observation) -> bool:
    """Whether it failed in a way that says something about peer or path."""
    failure = observation.failure
    return failure is not None and failure.kind.is_evidence and not was_missed(observation)


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


@dataclass(eq=False)  # not frozen, which would make every one of them slow to make
class Reading:
    """One target over one address family (0: a target that is only a question to resolvers)."""

    measurement: Measurement
    family: int
    # Rules ask the same again and again.
    _tries: dict[tuple[Variant, ...], list[Chain]] = field(default_factory=dict, init=False, repr=False)
    _passed: dict[tuple[Variant, ...], list[Chain]] = field(default_factory=dict, init=False, repr=False)

    def tries(self, *variants: Variant) -> list[Chain]:
        """The chains that asked one of these questions."""
        found = self._tries.get(variants)
        if found is None:
            found = self._tries[variants] = [
                chain
                for chain in self.measurement.chains
                if chain.family == self.family and chain.variant in variants and chain.observations
            ]
        return found

    @cached_property
    def own(self) -> list[Chain]:
        """The target's own chains."""
        return self.tries(*OWN)

    def passed(self, *variants: Variant) -> list[Chain]:
        """Those that went through to their last step."""
        found = self._passed.get(variants)
        if found is None:
            found = self._passed[variants] = [c for c in self.tries(*variants) if failure_of(c) is None]
        return found

    def failed(self, *variants: Variant) -> list[Chain]:
        """Those that did not, for a reason on the path or at the peer."""
        return [chain for chain in self.tries(*variants) if _is_evidence(chain)]

    @cached_property
    def failures(self) -> list[Observation]:
        """How the target's own tries failed."""
        return failures(self.own)

    @cached_property
    def step(self) -> str:
        """The step in which the own tries failed most often."""
        return most_common([o.step for o in self.failures])

    @cached_property
    def kind(self) -> Kind | None:
        """The kind of failure that was most common in that step."""
        word = most_common([o.failure.kind for o in self.failures if o.step == self.step and o.failure])
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

    @cached_property
    def is_detour(self) -> bool:
        """Whether its own tries left this machine by another way than the rest."""
        return any(chain.detour for chain in self.own)

    @cached_property
    def port(self) -> int:
        """The target's port."""
        return self.own[0].port if self.own else 0

    @cached_property
    def ips(self) -> set[str]:
        """The addresses its own tries went to."""
        return {chain.ip for chain in self.own if chain.ip}

    @cached_property
    def is_udp(self) -> bool:
        """Whether the target is reached by datagrams."""
        own = self.own
        return bool(own) and (own[0].observations[0].step in DATAGRAMS or self.measurement.at == "far-end")


def readings(document: Document) -> list[Reading]:
    """One of every target for each family that it was tried over."""
    found = []
    for measurement in document.measurements:
        tried = {chain.family for chain in measurement.chains}
        found += [r for family in (4, 6) if family in tried and (r := Reading(measurement, family)).own]
    return found


def _change(tries: list[Chain]) -> tuple[Observation, Observation] | None:
    good = sum(failure_of(chain) is None for chain in tries)
    before, after = tries[:good], tries[good:]
    if len(after) < 3 or not all(map(_is_evidence, after)) or any(map(failure_of, before)):
        return None
    return before[-1].observations[-1], after[0].observations[-1]


def _is_evidence(chain: Chain) -> bool:
    observation = failure_of(chain)
    return observation is not None and is_evidence(observation)


def failures(chains: Iterable[Chain]) -> list[Observation]:
    """How these failed, for a reason on the path or at the peer."""
    return [o for chain in chains if _is_evidence(chain) and (o := failure_of(chain)) is not None]


def most_common(words: Sequence[str]) -> str:
    """The word that is there most often, the first of several; "" for none."""
    return Counter(words).most_common(1)[0][0] if words else ""


def identity_shown(chain: Chain) -> bool:
    """Whether the peer of this chain proved to be who the target names (web PKI, pinned root or key)."""
    return any(
        o.facts.identity in ("verified", "pinned") if isinstance(o.facts, _CERTIFIED) else _proves(o)
        for o in chain.observations
    )


def proof(chain: Chain) -> Observation | None:
    """The observation in which the peer of this chain proved itself by the service's own protocol."""
    return next(filter(_proves, chain.observations), None)


def _proves(observation: Observation) -> bool:
    return isinstance(observation.facts, Proof) and observation.facts.identity == "proved"


def leaf(chain: Chain) -> str:
    """The digest of the certificate that the peer of this chain showed."""
    for observation in chain.observations:
        if isinstance(observation.facts, _CERTIFIED) and observation.facts.chain:
            return observation.facts.chain[0].sha256
    return ""


def issuer(chain: Chain) -> str:
    """Who signed that certificate, by name."""
    for observation in chain.observations:
        if isinstance(observation.facts, _CERTIFIED) and observation.facts.chain:
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
    if isinstance(observation.facts, _RESENT):
        return observation.facts.transmissions > 1
    return False
