"""Whether the machine's own resolver, or somebody on the way to others, told the truth about a name."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from probe.failure import Kind
from probe.model import Chain, Document, Observation
from probe.plan import is_bogon
from probe.reading import OWN, failure_of, identity_shown, ids, is_untrusted
from probe.resolution import SYSTEM, Resolution, addresses_in, is_denied

_CUT = (Kind.TIMEOUT, Kind.SILENT, Kind.RESET, Kind.CLOSED)


class Tampering(msgspec.Struct, frozen=True, kw_only=True):
    """How the machine's own resolver, or the path to another, was found to lie."""

    mechanism: str
    rule: str
    because: str
    evidence: tuple[int, ...]
    proved: bool = True


def _all_false(resolution: Resolution, system: "Resolver") -> bool:
    """Only addresses that no public service has, while other names lead to public ones."""
    mine = resolution.system_ips
    return bool(mine) and system.public and all(is_bogon(ip, ()) for ip in mine)


def _is_denied(resolution: Resolution, system: "Resolver") -> bool:
    mine = resolution.system
    return mine is not None and is_denied(mine) and resolution.tries >= 2 and bool(resolution.other_ips)


def _is_refused(resolution: Resolution, system: "Resolver") -> bool:
    return _fails(resolution, Kind.REJECTED)


def _is_unanswered(resolution: Resolution, system: "Resolver") -> bool:
    return _fails(resolution, Kind.TIMEOUT) and system.steady


def _fails(resolution: Resolution, kind: Kind) -> bool:
    """The system's resolver failed so every time it was asked, and two others answer."""
    failure = resolution.system.failure if resolution.system else None
    enough = resolution.tries >= 3 and len(_answering(resolution)) >= 2
    return failure is not None and failure.kind is kind and enough


def _answering(resolution: Resolution) -> list[str]:
    return [resolver for resolver, o in resolution.others.items() if addresses_in(o)]


@dataclass(frozen=True, kw_only=True)
class _Rule:
    id: str
    when: "Callable[[Resolution, Resolver], bool]"
    mechanism: str
    because: str


_RULES = (
    _Rule(
        id="dns.bogon",
        when=_all_false,
        mechanism="dns.bogon",
        because="the machine's own resolver gives an address that no public service has",
    ),
    _Rule(
        id="dns.denied",
        when=_is_denied,
        mechanism="dns.nxdomain",
        because="the machine's own resolver says that the name does not exist; others resolve it",
    ),
    _Rule(
        id="dns.refused",
        when=_is_refused,
        mechanism="dns.refused",
        because="the machine's own resolver refuses the name; others resolve it",
    ),
    _Rule(
        id="dns.unanswered",
        when=_is_unanswered,
        mechanism="dns.dropped",
        because="the machine's own resolver does not answer for this name and answers for others",
    ),
)


@dataclass(frozen=True, kw_only=True)
class Resolver:
    """What is known of the machine's own resolver from the whole run."""

    well: bool  # it resolves unrelated names
    public: bool  # to addresses of the public internet
    steady: bool  # and each of them when first asked, so that silence means something
    injections: int  # look-ups at others in which a second answer contradicted the first
    false: frozenset[
        str
    ]  # addresses it alone gives, and that proved not to be those of the names they stand for


def resolver(document: Document, names: dict[str, Resolution]) -> Resolver:
    """Judge the machine's own resolver by every name of the run."""
    hosts = {c.host for m in document.measurements if not m.service for c in m.chains}
    told = [names[h].system_ips for h in hosts if h in names and names[h].system_ips]
    return Resolver(
        well=len(told) >= 2,
        steady=len(told) >= 3 and not any(_was_slow(names[h]) for h in hosts if h in names),
        public=sum(not all(is_bogon(ip, ()) for ip in ips) for ips in told) >= 2,
        injections=sum(len(resolution.injected) for resolution in names.values()),
        false=frozenset(_proved_false(document, names) | _shared(document, names)),
    )


def _was_slow(resolution: Resolution) -> bool:
    """It had to be asked again, and not because the name is gone."""
    return resolution.tries > 1 and resolution.system is not None and not is_denied(resolution.system)


def _proved_false(document: Document, names: dict[str, Resolution]) -> set[str]:
    return {
        chain.ip
        for m in document.measurements
        for resolution in (names.get(host) for host in {c.host for c in m.chains})
        if resolution is not None
        for chain in _false_tries(resolution, m.chains)
        if chain.ip
    }


def _shared(document: Document, names: dict[str, Resolution]) -> set[str]:
    """Addresses that only the system gives, for names of several services, and that may be none of them.

    Services share the edges of delivery networks too: an address that showed a genuine certificate, or at which
    a handshake was cut so that nobody knows, is left alone.
    """
    services: dict[str, set[str]] = defaultdict(set)
    genuine: set[str | None] = set()
    for m in document.measurements:
        genuine |= {c.ip for c in m.chains if identity_shown(c) or _was_cut(c)}
        for host in {c.host for c in m.chains} if m.service else ():
            told = names.get(host)
            for ip in told.system_ips - told.true_ips if told is not None and told.true_ips else ():
                services[ip].add(m.service)
    return {ip for ip, found in services.items() if len(found) >= 2 and ip not in genuine}


def _was_cut(chain: Chain) -> bool:
    ended = failure_of(chain)
    return (
        ended is not None and ended.step != "tcp" and ended.failure is not None and ended.failure.kind in _CUT
    )


def tampering(resolution: Resolution, chains: Sequence[Chain], system: Resolver) -> Tampering | None:
    """Whether this name was tampered with, or leads the machine's own programs nowhere."""
    if not system.well:
        return None
    for rule in _RULES:
        if rule.when(resolution, system):
            return Tampering(
                mechanism=rule.mechanism, rule=rule.id, because=rule.because, evidence=resolution.evidence
            )
    false = _false_tries(resolution, chains)
    if false or (resolution.system_ips and resolution.system_ips <= system.false):
        return Tampering(
            mechanism="dns.spoofed",
            rule="dns.spoofed",
            because="the addresses of the machine's own resolver are not the service's; those of other resolvers are",
            evidence=resolution.evidence + ids(false),
        )
    injected = resolution.injected
    if injected and system.injections >= 2:
        return Tampering(
            mechanism="dns.injected",
            rule="dns.injected",
            because="a false answer races the true one: two different answers came to one question",
            evidence=injected,
        )
    elsewhere = _leads_nowhere(resolution, chains)
    if elsewhere:
        return Tampering(
            mechanism="dns.elsewhere",
            rule="dns.elsewhere",
            because="the addresses of the machine's own resolver do not answer and those of other resolvers do; which"
            " are right was not proved",
            evidence=resolution.evidence + ids(elsewhere),
            proved=False,
        )
    return None


def _only_mine(resolution: Resolution, chains: Sequence[Chain]) -> list[Chain]:
    """Own tries at addresses that the system gave and nobody who is believed more."""
    believed = resolution.true_ips
    return [
        c
        for c in chains
        if c.variant in OWN and SYSTEM in c.said_by and c.ip is not None and c.ip not in believed
    ]


def _false_tries(resolution: Resolution, chains: Sequence[Chain]) -> list[Chain]:
    """Own tries at such addresses, per family, if they are proved not to be the service's.

    All failed where the true addresses showed the service's identity, and somebody else answered there, or the
    answers themselves contradict each other by transport. An address that is merely dead may be a dead machine.
    """
    false: list[Chain] = []
    only_mine = _only_mine(resolution, chains)
    if not only_mine:
        return false
    for family in (4, 6):
        mine = [chain for chain in only_mine if chain.family == family]
        if not mine:
            continue
        theirs = [
            c
            for c in chains
            if c.variant in OWN and c.family == family and c.ip in resolution.true_ips and identity_shown(c)
        ]
        strangers = (
            any(map(is_untrusted, mine))
            or _serves_something_else(mine, chains)
            or _differs_by_transport(resolution, family)
        )
        if theirs and strangers and all(map(failure_of, mine)):
            false += mine
    return false


def _serves_something_else(mine: Sequence[Chain], chains: Sequence[Chain]) -> bool:
    """The machine there is up, refuses the service's port and answers on another: a block page without TLS."""
    ends = [ended for chain in mine if (ended := failure_of(chain)) is not None]
    refused = [
        o for o in ends if o.step == "tcp" and o.failure is not None and o.failure.kind is Kind.REFUSED
    ]
    there = {chain.ip for chain in mine}
    other = [c for c in chains if c.variant == "other_port" and c.ip in there and failure_of(c) is None]
    return len(refused) >= 2 and len(refused) == len(mine) and bool(other)


def _differs_by_transport(resolution: Resolution, family: int) -> bool:
    """Everybody asked in the clear says one thing, everybody asked under encryption another: a lie on the way."""

    def said(observation: Observation | None) -> frozenset[str]:
        return frozenset(ip for ip in addresses_in(observation) if (6 if ":" in ip else 4) == family)

    encrypted = [said(o) for name, o in resolution.others.items() if name in resolution.encrypted and said(o)]
    clear = [said(o) for name, o in resolution.others.items() if name not in resolution.encrypted and said(o)]
    mine = said(resolution.system)
    agree = len(clear) >= 2 and all(one == mine for one in clear)
    return agree and len(encrypted) >= 2 and not any(one & mine for one in encrypted)


def _leads_nowhere(resolution: Resolution, chains: Sequence[Chain]) -> list[Chain]:
    """All own tries at the system's addresses failed, twice or more, and others' addresses work."""
    system = [c for c in chains if c.variant in OWN and SYSTEM in c.said_by]
    if len(system) < 2 or system != _only_mine(resolution, chains):
        return []
    families = {chain.family for chain in system}
    theirs = [c for c in chains if c.variant in OWN and c.family in families and c.ip in resolution.true_ips]
    works = [c for c in theirs if failure_of(c) is None]
    return system if works and all(failure_of(chain) for chain in system) else []
