"""What to measure, at which addresses, in which order. Pure; what to ask next is follow_up's."""

import ipaddress
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import msgspec

from probe.catalogue import Catalogue, Control, Resolver, Service, Target
from probe.model import Variant
from probe.placing import FarEnd, is_media, place
from probe.record import is_address
from probe.steps import AnyStep, Dns
from probe.steps.dns import Type

_SAMPLE = 3  # controls whose names are asked of a resolver that is only to show whether it can be reached


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the user asked for."""

    only: tuple[str, ...] = ()  # purposes or steps
    tests: Literal["default", "extended", "all"] = "default"
    tiers: tuple[str, ...] = ("core",)
    families: tuple[int, ...] = (4, 6)
    seconds: float | None = None  # None: the settings' limits
    max_bytes: int | None = None
    label: str = ""
    country: str = ""  # overrides what the network says
    kind: Literal["mobile", "fixed", "wifi", "other", "unknown"] = "unknown"
    seed: int | None = None
    far_end: FarEnd | None = None  # None: no test calls
    consent: str = "none"  # how far the volunteer agreed to go; it is written down


@dataclass(frozen=True, kw_only=True)
class Job:
    """One target to measure. `service` is empty for a control."""

    service: str
    target: Target
    vital: bool = False  # whether the purpose is dead without this target's group

    @property
    def control(self) -> Control | None:
        """The target, if it is a control."""
        return self.target if isinstance(self.target, Control) else None


@dataclass(frozen=True, kw_only=True)
class Question:
    """One name to ask one resolver for."""

    resolver: Resolver
    name: str
    type: Type


@dataclass(frozen=True, kw_only=True)
class Address:
    """An address of a target, and who said so."""

    ip: str
    said_by: tuple[str, ...]

    @property
    def family(self) -> Literal[4, 6]:
        """4 or 6."""
        return 6 if ":" in self.ip else 4


@dataclass(frozen=True, kw_only=True)
class Leg:
    """One chain to follow: which question it asks, where, and by which steps."""

    variant: Variant
    address: Address
    port: int
    host: str
    steps: tuple[AnyStep, ...]


def jobs(catalogue: Catalogue, services: Sequence[Service], options: Options) -> list[Job]:
    """Targets and controls in one random order, so that both see the network at the same moments."""
    chosen = [
        Job(service=service.service, target=placed, vital=_is_vital(service, target))
        for service in services
        for target in _chosen(service, options)
        if (placed := place(target, options.far_end, catalogue.settings.turn))
    ]
    calls = any(is_media(job.target) for job in chosen)
    chosen += [
        Job(service="", target=placed)
        for control in catalogue.controls
        if control.tier in options.tiers and not control.country and (calls or control.at == "endpoint")
        if (placed := place(control, options.far_end, catalogue.settings.turn))
    ]
    random.Random(options.seed).shuffle(chosen)
    return chosen


def domestic_controls(catalogue: Catalogue, options: Options, country: str) -> list[Job]:
    """The country's own controls; those of every country where it is not known.

    Behind an allowlist nothing foreign answers, so nobody says which country this is, and only its own servers
    can show that the network is up.
    """
    return [
        Job(service="", target=control)
        for control in catalogue.controls
        if control.tier in options.tiers and control.country and country in ("", control.country)
    ]


def _chosen(service: Service, options: Options) -> list[Target]:
    """The targets that are asked for, and those that they wait for; of reverse names only what is waited for."""
    asked = [t for t in service.targets if t.tier in options.tiers and _wanted(t, options)]
    sources = {source for t in asked for source in (t.addresses_from, t.hosts_from)}
    return [t for t in service.targets if t.name in sources or (t in asked and not is_reverse(t))]


def _is_vital(service: Service, target: Target) -> bool:
    """A call needs all of its groups; messaging needs those the service names."""
    return target.purpose == "calls" or (target.group or target.name) in service.vital


def _wanted(target: Target, options: Options) -> bool:
    if target.tests == "extended" and options.tests == "default":
        return False
    words = {target.purpose, *(type(step).__name__.lower() for step in target.steps)}
    return not options.only or bool(words & set(options.only))


def questions(catalogue: Catalogue, todo: Iterable[Job]) -> dict[str, list[Question]]:
    """For every host name of the jobs, whom to ask for its addresses."""
    asked: dict[str, list[Question]] = {}
    sample = [c.host for c in catalogue.controls if c.host and not is_address(c.host) and not c.country][
        :_SAMPLE
    ]
    for job in todo:
        host = job.target.host
        if not host or is_address(host) or host in asked or "{" in host:
            continue
        if not (needs_address(job.target) or is_reverse(job.target)):
            continue
        asked[host] = [
            Question(resolver=resolver, name=host, type="A+AAAA")
            for resolver in catalogue.settings.resolvers
            if resolver.scope == "all" or host in sample
        ]
    return asked


def needs_address(target: Target) -> bool:
    """Whether the target is reached at an address; a target that only asks the DNS is not."""
    return not isinstance(target.steps[0], Dns)


def is_reverse(target: Target) -> bool:
    """Whether the target asks for the reverse name of its host's address."""
    first = target.steps[0]
    return isinstance(first, Dns) and first.type == "PTR" and not first.name


def is_bogon(ip: str, own_networks: Sequence[str]) -> bool:
    """Whether no public service can have this address; such an answer is never connected to."""
    if own_networks:
        address = ipaddress.ip_address(ip)
        if any(address in ipaddress.ip_network(network) for network in own_networks):
            return False
    return not _is_public(ip)


@lru_cache(maxsize=4096)
def _is_public(ip: str) -> bool:
    address = ipaddress.ip_address(ip)
    mapped = getattr(address, "ipv4_mapped", None)
    # The well-known NAT64 prefix (RFC 6052) is not global, and right behind DNS64.
    if address in ipaddress.ip_network("64:ff9b::/96"):
        return True
    return (mapped or address).is_global


@dataclass(frozen=True, kw_only=True)
class Found:
    """A target's addresses: those to try first, and those for when the first fail."""

    first: tuple[Address, ...] = ()
    spare: tuple[Address, ...] = ()


def addresses(
    target: Target, said: Mapping[str, Sequence[str]], catalogue: Catalogue, options: Options
) -> Found:
    """Whom to talk to, per family: one address is enough where the system's resolver and a believed one agree.

    Where they do not, and where the catalogue lists addresses of its own, up to the limit are tried: each
    resolver's first answers in turn, then the catalogue's.
    """
    sources = dict(said)
    fixed = list(target.addresses) or ([target.host] if is_address(target.host) else [])
    random.Random(options.seed).shuffle(fixed)
    if fixed:
        sources["catalogue"] = fixed
    said_by: dict[str, list[str]] = {}
    for rank in range(max((len(ips) for ips in sources.values()), default=0)):
        for source, ips in sources.items():
            if rank < len(ips):
                said_by.setdefault(ips[rank], []).append(source)
    if is_media(target):  # media costs: one address of one family is enough
        return _one_of(said_by, fixed, catalogue, options)
    first: list[Address] = []
    spare: list[Address] = []
    limit = 1 if target.steps[-1].is_counted else catalogue.settings.limits.addresses
    believed = {r.name for r in catalogue.settings.resolvers if r.over in ("tls", "https")} & set(said)
    for family in options.families:
        usable = [
            Address(ip=ip, said_by=tuple(by))
            for ip, by in said_by.items()
            if (6 if ":" in ip else 4) == family and not is_bogon(ip, catalogue.settings.own_networks)
        ]
        agreed = next((a for a in usable if _is_agreed(a, believed)), None)
        chosen = [agreed] if agreed is not None and not fixed else usable[:limit]
        first += chosen
        spare += [address for address in usable if address not in chosen][:limit]
    return Found(first=tuple(first), spare=tuple(spare))


def _one_of(
    said_by: Mapping[str, Sequence[str]], fixed: Sequence[str], catalogue: Catalogue, options: Options
) -> Found:
    usable = [
        Address(ip=ip, said_by=tuple(by))
        for family in options.families
        for ip, by in said_by.items()
        if (6 if ":" in ip else 4) == family
        and (ip in fixed or not is_bogon(ip, catalogue.settings.own_networks))
    ]
    return Found(first=tuple(usable[:1]), spare=tuple(usable[1:2]))


def _is_agreed(address: Address, believed: Iterable[str]) -> bool:
    """The system and somebody else say so: an encrypted resolver where one answered, for a lie on the way
    reaches the system and every plain resolver alike."""
    others = set(address.said_by) - {"system"}
    return "system" in address.said_by and bool(others & set(believed) if believed else others)


def first_round(target: Target, found: Sequence[Address]) -> list[Leg]:
    """The target's own steps at every address."""
    return [
        Leg(variant="target", address=address, port=target.port, host=target.host, steps=target.steps)
        for address in found
    ]


def lookup_legs(target: Target, resolvers: Sequence[Resolver], families: Sequence[int]) -> list[Leg]:
    """The same question to every plain resolver, for a target that is a name rather than an endpoint."""
    legs = []
    for resolver in resolvers:
        ip = next((ip for ip in resolver.addresses if (6 if ":" in ip else 4) in families), None)
        if resolver.over == "udp" and ip is not None:
            address = Address(ip=ip, said_by=(resolver.name,))
            port = resolver.port or 53
            legs.append(
                Leg(variant="target", address=address, port=port, host=target.host, steps=target.steps)
            )
    return legs


def reverse_legs(
    target: Target, found: Sequence[Address], resolvers: Sequence[Resolver], families: Sequence[int]
) -> list[Leg]:
    """The question for the reverse name of the first address of the target's host."""
    if not found:
        return []
    name = ipaddress.ip_address(found[0].ip).reverse_pointer
    steps = (msgspec.structs.replace(target.steps[0], name=name), *target.steps[1:])
    return lookup_legs(msgspec.structs.replace(target, steps=steps), resolvers, families)
