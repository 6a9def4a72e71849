"""What the whole network does, judged before any service is: controls only, first match wins.

A regime other than `normal` explains failures, and so takes away the right to speak of a service.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from statistics import median

from probe.controls import Controls
from probe.failure import Kind
from probe.model import Chain, Document, Observation, Regime
from probe.reading import (
    OWN,
    Reading,
    at_step,
    failure_of,
    identity_shown,
    is_slow_start,
    is_untrusted,
    issuer,
    leaf,
    readings,
    round_trip,
    shows_any_name,
)
from probe.resolution import Resolution, resolutions
from probe.tampering import Resolver, resolver

FOREIGN = ("foreign-large", "foreign-hosting")
_DAY = 86400.0
_TOO_SLOW = 8_000.0  # bytes/s below which handshakes of many services at once fail on their own
_SLOW_LANE = 64_000.0  # bytes/s; reported slow lanes outside an allowlist ran at about 14 kB/s
_LONG_WAY = 0.8  # seconds of median connect time


@dataclass(frozen=True)
class Network:
    """Everything the regimes are read from."""

    document: Document

    @cached_property
    def tried(self) -> list[Reading]:
        """All readings of the run, services' too."""
        return readings(self.document)

    @cached_property
    def controls(self) -> Controls:
        """The controls."""
        return Controls(self.document, self.tried)

    @cached_property
    def readings(self) -> list[Reading]:
        """All control readings, both families, portal canaries too."""
        roles = ("control", "load", "portal")
        return [reading for family in (4, 6) for reading in self.controls.readings(family, roles=roles)]

    @cached_property
    def chains(self) -> list[Chain]:
        """The controls' own tries."""
        return [chain for reading in self.readings for chain in reading.tries(*OWN)]

    @cached_property
    def names(self) -> dict[str, Resolution]:
        """What resolvers said."""
        return resolutions(self.document)

    @cached_property
    def resolver(self) -> Resolver:
        """What the machine's own resolver is worth."""
        return resolver(self.document, self.names)

    @cached_property
    def only_home_answers(self) -> bool:
        """Domestic controls answer, and of three foreign ones or more none does."""
        return len(self.asked(*FOREIGN)) >= 3 and not self.alive(*FOREIGN) and bool(self.alive("domestic"))

    @cached_property
    def applying(self) -> "list[RegimeRule]":
        """The regimes that apply, the decisive one first."""
        return regimes(self)

    def untrusted(self, *codes: str) -> list[Chain]:
        """Control tries whose peer's identity failed with one of these codes."""
        return [
            chain
            for chain in self.chains
            if is_untrusted(chain) and (o := failure_of(chain)) and o.failure and o.failure.code in codes
        ]

    @cached_property
    def genuine(self) -> list[Chain]:
        """Control tries over TCP whose peer proved its name. A portal or inspector may leave QUIC alone."""
        return [chain for chain in self.chains if at_step(chain, "tls") and identity_shown(chain)]

    def asked(self, *classes: str) -> list[Reading]:
        """Controls of these classes, beyond the canaries and port 53, that would say something."""
        return [
            r
            for r in self.readings
            if r.measurement.control_class in classes
            and r.measurement.role != "portal"
            and r.port != 53
            and _spoken(r)
        ]

    def alive(self, *classes: str) -> list[Reading]:
        """Those that said something. An open connection is not enough: allowlists let the SYN of any pass."""
        return [r for r in self.asked(*classes) if any(map(_was_heard, _spoken(r)))]


def _nothing_answers(network: Network) -> bool:
    """No first step worked; or connections open everywhere and nobody ever speaks, as behind a dead gateway."""
    chains = [c for m in network.document.measurements for c in m.chains if c.variant in OWN]
    beyond_dns = [c for c in chains if c.port != 53 and c.observations and c.observations[0].step != "dns"]
    spoken = [o for c in beyond_dns for o in c.observations if o.step != "tcp"]
    if len({c.host or c.ip for c in beyond_dns if any(o.step != "tcp" for o in c.observations)}) >= 4:
        return not any(_was_heard(o) for o in spoken)
    return not any(c.observations[0].failure is None for c in beyond_dns)


def _spoken(reading: Reading) -> list[Observation]:
    """The observations of its own tries in which the other side had to speak, or a connection did not open."""
    seen = [o for chain in reading.tries(*OWN) for o in chain.observations]
    return [o for o in seen if o.step != "tcp" or o.failure is not None]


def _was_heard(observation: Observation) -> bool:
    """The other side said something, be it wrong or a refusal."""
    failure = observation.failure
    return failure is None or failure.kind in (
        Kind.UNEXPECTED, Kind.UNTRUSTED, Kind.REJECTED, Kind.MALFORMED,
    )  # fmt: skip


def _canary_is_wrong(network: Network) -> bool:
    canaries = [r for r in network.readings if r.measurement.role == "portal"]
    wrong = [
        r
        for r in canaries
        if any(
            o.step == "http" and o.failure is not None and o.failure.kind is Kind.UNEXPECTED
            for o in r.failures
        )
    ]
    return bool(wrong) and not _right_canaries(network) and not network.genuine


def _right_canaries(network: Network) -> list[Reading]:
    return [r for r in network.readings if r.measurement.role == "portal" and r.passed(*OWN)]


def _one_face_for_all(network: Network) -> bool:
    """Unrelated TLS controls show one certificate that is for neither."""
    strangers = network.untrusted("name_mismatch", "self_signed", "unknown_issuer")
    faces = {leaf(chain) for chain in strangers}
    hosts = {chain.host for chain in strangers}
    return len(hosts) >= 2 and len(faces) == 1 and not network.genuine and not _right_canaries(network)


def _one_address_for_all(network: Network) -> bool:
    """The machine's own resolver gives one and the same answer to unrelated names."""
    control_hosts = {chain.host for chain in network.chains} | {
        lookup.name for lookup in network.document.lookups if lookup.name
    }
    said = [network.names[h].system_ips for h in control_hosts if h in network.names]
    told = [frozenset(ips) for ips in said if ips]
    return len(told) >= 4 and len(set(told)) == 1 and not network.genuine


def _dates_are_wrong(network: Network) -> bool:
    late = {chain.host for chain in network.untrusted("expired", "not_yet_valid")}
    genuine = {chain.host for chain in network.genuine}
    offsets = network.controls.clock_offsets()
    skewed = bool(offsets) and abs(median(offsets)) > _DAY
    return (len(late) >= 2 and len(late) > len(genuine)) or (skewed and bool(late))


def _strangers_sign_all(network: Network) -> bool:
    strangers = network.untrusted("unknown_issuer", "self_signed", "invalid")
    hosts = {chain.host for chain in strangers}
    genuine = {chain.host for chain in network.genuine}
    return len(hosts) >= 2 and len(hosts) > len(genuine) and len({issuer(c) for c in strangers}) <= 2


def _inspector_is_trusted(network: Network) -> bool:
    """Somebody with a certificate for every name signs what this machine's own store believes, too.

    A managed computer trusts its company's root, so the controls look genuine. A service with roots of its own
    does not, and the same issuer stands behind both.
    """
    believed: dict[str, set[str]] = defaultdict(set)
    for chain in network.genuine:
        believed[issuer(chain)].add(chain.host)
    strangers = {
        issuer(chain)
        for m in network.document.measurements
        for chain in m.chains
        if m.service and shows_any_name(m, chain)
    }
    return any(len(believed[one]) >= 2 for one in strangers if one)


def _udp_is_dead(network: Network) -> bool:
    udp = [r for r in network.readings if r.is_udp and r.port != 53]
    answered = [r for r in udp if r.passed(*OWN) or r.passed("classic")]
    return len(udp) >= 2 and not answered and bool(network.genuine or _tcp_works(network))


def _tcp_works(network: Network) -> bool:
    return any(at_step(chain, "tcp") and failure_of(chain) is None for chain in network.chains)


def _outside_is_slow(network: Network) -> bool:
    outside, home = network.controls.speeds(*FOREIGN), network.controls.speeds("domestic")
    if not outside:
        return False
    slow = median(outside) < _SLOW_LANE
    return slow and bool(home) and median(outside) < 0.25 * median(home)


def _too_poor(network: Network) -> bool:
    if network.only_home_answers:  # what does not answer was not lost on a bad line
        return False
    families = [network.controls.health("tcp", family) for family in (4, 6)]
    sick = [h for h in families if h.total >= 2 and h.alive and not h.good]
    well = [h for h in families if h.total >= 2 and h.good]
    trips = [trip for c in network.chains for o in c.observations if (trip := round_trip(o)) is not None]
    opened = [o for c in network.chains for o in c.observations if o.failure is None]
    observed = [o for o in opened if o.step in ("tcp", "stun", "turn")]
    resent = sum(map(is_slow_start, observed))
    speeds = network.controls.speeds(*FOREIGN, "domestic")
    return (
        (bool(sick) and not well)
        or (len(trips) >= 3 and median(trips) > _LONG_WAY)
        or (len(observed) >= 6 and resent > 0.3 * len(observed))
        or (bool(speeds) and median(speeds) < _TOO_SLOW)
    )


def _ipv6_is_broken(network: Network) -> bool:
    six = [r for r in network.readings if r.family == 6]
    refused_at_home = [
        r for r in six if any(o.failure and o.failure.code == "ENETUNREACH" for o in r.failures)
    ]
    return (
        len(six) >= 2
        and not any(r.passed(*OWN) for r in six)
        and len(refused_at_home) < len(six)
        and network.controls.health("tcp", 4).good
    )


def _tunnelled(network: Network) -> bool:
    return network.document.run.vantage.tunnel


@dataclass(frozen=True, kw_only=True)
class RegimeRule:
    """One line of the table of regimes."""

    regime: Regime
    when: Callable[[Network], bool]
    because: str
    steady: bool = False  # reads absence as evidence, so only where the machine stayed where it was


REGIMES: tuple[RegimeRule, ...] = (
    RegimeRule(regime="offline", when=_nothing_answers, because="nothing on the internet answers from here"),
    RegimeRule(
        regime="portal",
        when=lambda n: _canary_is_wrong(n) or _one_face_for_all(n) or _one_address_for_all(n),
        because="a sign-in page answers instead of the internet; sign in and measure again",
    ),
    RegimeRule(
        regime="clock_wrong",
        when=_dates_are_wrong,
        because="the clock of this machine is wrong, so certificates cannot be judged",
    ),
    RegimeRule(
        regime="intercepted",
        when=lambda n: _strangers_sign_all(n) or _inspector_is_trusted(n),
        because="something between here and the internet opens all TLS connections (a company or security"
        " product does this)",
    ),
    RegimeRule(
        regime="allowlist",
        when=lambda n: n.only_home_answers,
        steady=True,
        because="only listed or domestic addresses answer; nothing foreign does, whatever the service",
    ),
    RegimeRule(
        regime="no_udp",
        when=_udp_is_dead,
        steady=True,
        because="no UDP gets through except to the DNS; office and guest networks do this",
    ),
    RegimeRule(
        regime="foreign_slow",
        when=_outside_is_slow,
        steady=True,
        because="everything foreign is slow from here while domestic servers are fast",
    ),
    RegimeRule(
        regime="too_poor",
        when=_too_poor,
        steady=True,
        because="the connection is too slow or loses too much to tell interference from bad luck",
    ),
    RegimeRule(
        regime="tunnelled",
        when=_tunnelled,
        because="a VPN or proxy is active, so this is not the network's own behaviour",
    ),
    RegimeRule(
        regime="ipv6_broken",
        when=_ipv6_is_broken,
        steady=True,
        because="IPv6 is configured here and reaches nothing; the verdicts are about IPv4",
    ),
)


def regimes(network: Network) -> list[RegimeRule]:
    """All that apply, the decisive one first; empty on a normal network."""
    end = network.document.end
    disturbed = end is not None and bool(end.disturbances)
    return [rule for rule in REGIMES if not (rule.steady and disturbed) and rule.when(network)]
