"""What the resolvers said about each name."""

from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property

from probe.model import Document, Lookup, Observation
from probe.record import is_address
from probe.steps import DnsFacts

SYSTEM = "system"
_NO_SUCH_NAME = ("NXDOMAIN", "EAI_NONAME", "EAI_NODATA", "NODATA")


@dataclass(frozen=True, kw_only=True)
class Resolution:
    """One host name: what the system said, what others said, and the observations behind it."""

    host: str
    system: Observation | None = None
    tries: int = 0  # how often the machine's own resolver was asked; `system` is how it ended
    others: dict[str, Observation] = field(default_factory=dict)
    encrypted: frozenset[str] = frozenset()  # those of the others that nobody on the way can answer for

    @cached_property
    def system_ips(self) -> set[str]:
        """The addresses the machine's own resolver gave."""
        return addresses_in(self.system)

    @cached_property
    def other_ips(self) -> set[str]:
        """The addresses anybody else gave."""
        return {ip for observation in self.others.values() for ip in addresses_in(observation)}

    @cached_property
    def true_ips(self) -> set[str]:
        """What is nearest to the truth: what encrypted resolvers gave, else what any other gave."""
        private = [o for resolver, o in self.others.items() if resolver in self.encrypted]
        return {ip for observation in private for ip in addresses_in(observation)} or self.other_ips

    @property
    def gone(self) -> bool:
        """Nobody knows the name any more, and everybody said so."""
        seen = [o for o in (self.system, *self.others.values()) if o is not None]
        return len(seen) >= 2 and all(is_denied(observation) for observation in seen)

    @cached_property
    def injected(self) -> tuple[int, ...]:
        """Look-ups in which more answers came that contradict each other than questions were sent.

        A question that was sent again is answered again, and delivery networks give each answer other addresses.
        """
        return tuple(
            o.id
            for o in self.others.values()
            if isinstance(o.facts, DnsFacts) and len(o.facts.further) > 2 * (o.facts.tries - 1)
        )

    @property
    def evidence(self) -> tuple[int, ...]:
        """The observations this rests on."""
        return tuple(o.id for o in (self.system, *self.others.values()) if o is not None)


def resolutions(document: Document) -> dict[str, Resolution]:
    """By host name, what each resolver said."""
    by_name: dict[str, dict[str, Observation]] = defaultdict(dict)
    tries: dict[str, int] = {}
    encrypted = frozenset(opened(document))
    for lookup in document.lookups:
        if lookup.name and lookup.observations:
            by_name[lookup.name][lookup.resolver] = lookup.observations[-1]
            if lookup.resolver == SYSTEM:
                tries[lookup.name] = len(lookup.observations)
    return {
        name: Resolution(
            host=name,
            system=said.pop(SYSTEM, None),
            tries=tries.get(name, 0),
            others=said,
            encrypted=encrypted,
        )
        for name, said in by_name.items()
    }


def opened(document: Document) -> dict[str, Lookup]:
    """By resolver, how the opening of its connection went (encrypted resolvers only)."""
    return {lookup.resolver: lookup for lookup in document.lookups if not lookup.name}


def addresses_in(observation: Observation | None) -> set[str]:
    """The addresses of an answer; none where there was no answer."""
    if observation is None or not isinstance(observation.facts, DnsFacts):
        return set()
    return {record for record in observation.facts.answer.records if is_address(record)}


def is_denied(observation: Observation) -> bool:
    """The resolver says that there is no such name, or no address of it."""
    return observation.failure is not None and observation.failure.code in _NO_SUCH_NAME
