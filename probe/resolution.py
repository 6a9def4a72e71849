"""What the resolvers said about one name, and whether the machine's own resolver told the truth."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from probe.failure import Kind
from probe.model import Chain, Document, Lookup, Observation
from probe.plan import is_address, is_bogon
from probe.reading import OWN, failure_of, identity_shown
from probe.steps import DnsFacts

SYSTEM = "system"
_NO_SUCH_NAME = ("NXDOMAIN", "EAI_NONAME", "EAI_NODATA", "NODATA")


@dataclass(frozen=True, kw_only=True)
class Resolution:
    """One host name: what the system said, what others said, and the observations behind it."""

    host: str
    system: Observation | None = None
    others: dict[str, Observation] = field(default_factory=dict)

    @property
    def system_ips(self) -> set[str]:
        """The addresses the machine's own resolver gave."""
        return _ips(self.system)

    @property
    def other_ips(self) -> set[str]:
        """The addresses anybody else gave."""
        return {ip for observation in self.others.values() for ip in _ips(observation)}

    @property
    def gone(self) -> bool:
        """Nobody knows the name any more, and everybody said so."""
        seen = [o for o in (self.system, *self.others.values()) if o is not None]
        return len(seen) >= 2 and all(_denied(observation) for observation in seen)

    def injected(self) -> tuple[int, ...]:
        """Look-ups in which a second answer contradicted the first."""
        return tuple(o.id for o in self.others.values() if isinstance(o.facts, DnsFacts) and o.facts.further)

    @property
    def evidence(self) -> tuple[int, ...]:
        """The observations this rests on."""
        return tuple(o.id for o in (self.system, *self.others.values()) if o is not None)


@dataclass(frozen=True, kw_only=True)
class Tampering:
    """How the machine's own resolver, or the path to another, was found to lie."""

    mechanism: str
    rule: str
    because: str
    evidence: tuple[int, ...]


def resolutions(document: Document) -> dict[str, Resolution]:
    """By host name, what each resolver said."""
    by_name: dict[str, dict[str, Observation]] = defaultdict(dict)
    for lookup in document.lookups:
        if lookup.name and lookup.observations:
            by_name[lookup.name][lookup.resolver] = lookup.observations[-1]
    return {
        name: Resolution(
            host=name,
            system=said.get(SYSTEM),
            others={resolver: o for resolver, o in said.items() if resolver != SYSTEM},
        )
        for name, said in by_name.items()
    }


def opened(document: Document) -> dict[str, Lookup]:
    """By resolver, how the opening of its connection went (encrypted resolvers only)."""
    return {lookup.resolver: lookup for lookup in document.lookups if not lookup.name}


def _ips(observation: Observation | None) -> set[str]:
    if observation is None or not isinstance(observation.facts, DnsFacts):
        return set()
    return {record for record in observation.facts.answer.records if is_address(record)}


def _denied(observation: Observation) -> bool:
    return observation.failure is not None and observation.failure.code in _NO_SUCH_NAME


def _all_false(resolution: Resolution) -> bool:
    """Only addresses that no public service has, and nobody else says the same."""
    mine = resolution.system_ips
    return bool(mine) and not mine & resolution.other_ips and all(is_bogon(ip, ()) for ip in mine)


def _is_denied(resolution: Resolution) -> bool:
    return resolution.system is not None and _denied(resolution.system) and bool(resolution.other_ips)


def _is_refused(resolution: Resolution) -> bool:
    failure = resolution.system.failure if resolution.system else None
    return failure is not None and failure.kind is Kind.REJECTED and len(_answering(resolution)) >= 2


def _is_unanswered(resolution: Resolution) -> bool:
    failure = resolution.system.failure if resolution.system else None
    return failure is not None and failure.kind is Kind.TIMEOUT and len(_answering(resolution)) >= 2


def _answering(resolution: Resolution) -> list[str]:
    return [resolver for resolver, o in resolution.others.items() if _ips(o)]


_RULES: tuple[tuple[str, str, Callable[[Resolution], bool], str], ...] = (
    (
        "dns.bogon",
        "dns.bogon",
        _all_false,
        "the machine's own resolver gives an address that no public service has; others give real ones",
    ),
    (
        "dns.denied",
        "dns.nxdomain",
        _is_denied,
        "the machine's own resolver says that the name does not exist; others resolve it",
    ),
    (
        "dns.refused",
        "dns.refused",
        _is_refused,
        "the machine's own resolver refuses the name; others resolve it",
    ),
    (
        "dns.unanswered",
        "dns.dropped",
        _is_unanswered,
        "the machine's own resolver does not answer for this name and answers for others",
    ),
)


def tampering(
    resolution: Resolution, chains: Sequence[Chain], *, resolver_is_well: bool, injections: int
) -> Tampering | None:
    """Whether this name was tampered with. `resolver_is_well`: it resolves unrelated names."""
    if not resolver_is_well:
        return None
    for rule, mechanism, matches, because in _RULES:
        if matches(resolution):
            return Tampering(mechanism=mechanism, rule=rule, because=because, evidence=resolution.evidence)
    false = _false_addresses(resolution, chains)
    if false:
        return Tampering(
            mechanism="dns.spoofed",
            rule="dns.spoofed",
            because="the addresses of the machine's own resolver are not the service's; those of other resolvers are",
            evidence=resolution.evidence + false,
        )
    injected = resolution.injected()
    if injected and injections >= 2:
        return Tampering(
            mechanism="dns.injected",
            rule="dns.injected",
            because="a false answer races the true one: two different answers came to one question",
            evidence=injected,
        )
    return None


def _false_addresses(resolution: Resolution, chains: Sequence[Chain]) -> tuple[int, ...]:
    """Own tries at addresses only the system gave, all without the service's identity, while others showed it."""
    own = [chain for chain in chains if chain.variant in OWN]
    mine = [chain for chain in own if chain.said_by == (SYSTEM,) and chain.ip not in resolution.other_ips]
    theirs = [chain for chain in own if SYSTEM not in chain.said_by and identity_shown(chain)]
    if not mine or not theirs or any(identity_shown(chain) for chain in mine):
        return ()
    failures = [failure for chain in mine if (failure := failure_of(chain)) is not None]
    return tuple(o.id for o in failures) if len(failures) == len(mine) else ()
