"""From a run's facts to verdicts: targets by the rules, then groups, then purposes, then families.

Within a group one reachable target is enough. Every group is needed: a purpose whose vital group is cut
is cut, one that lost another group is impaired. Families are judged apart and then together. A regime
takes back every statement about a service that the network's own condition explains.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import msgspec
from msgspec.structs import replace

from probe import rules
from probe.contrast import Case
from probe.findings import findings
from probe.model import Chain, Document, Judgement, Measurement, Purpose, Regime, State, Verdict
from probe.reading import OWN, Reading, identity_shown, ids
from probe.regime import Network
from probe.resolution import SYSTEM
from probe.tampering import Tampering, tampering

# Which regimes explain a failure away, and for what.
_EXPLAINS_ALL: tuple[Regime, ...] = ("offline", "portal")
_EXPLAINS_FAILURE: tuple[Regime, ...] = (
    "allowlist", "foreign_slow", "too_poor", "intercepted", "clock_wrong", "tunnelled",
)  # fmt: skip
# Rules that say of a test with the far end only that it could not be made.
_SAYS_NOTHING = (
    "far_end.refuses", "far_end.unreachable", "far_end.ends", "ours", "media.detour", "media.port", "media.nothing",
    "media.open", "media.once",
)  # fmt: skip
_CALLED = {"call"}  # groups in which the call itself is the thing, and not a likeness of somebody's
_SAD: tuple[State, ...] = ("blocked", "likely_blocked", "degraded", "unreachable")


class Conclusion(msgspec.Struct, frozen=True, kw_only=True):
    """What is concluded of a target, a group, or a purpose over one family."""

    state: State
    mechanism: str = ""
    rule: str = ""
    because: str = ""
    evidence: tuple[int, ...] = ()
    identity: bool | None = None
    udp: bool = False
    partly: tuple[str, ...] = ()  # what fails while the rest works


def judge(document: Document) -> Judgement:
    """What the run means, by today's rules. Pure: the same document gives the same judgement."""
    network = Network(document)
    applying = network.applying
    # A broken IPv6 is told beside whatever else is true, and explains nothing over IPv4.
    regime: Regime = applying[0].regime if applying else "normal"
    services: dict[str, list[Measurement]] = defaultdict(list)
    for measurement in document.measurements:
        if measurement.service:
            services[measurement.service].append(measurement)
    court = _Court(network, {rule.regime: rule.because for rule in applying})
    return Judgement(
        rules=rules.VERSION,
        regime=regime,
        findings=tuple(findings(network)),
        services={name: court.service(measurements) for name, measurements in sorted(services.items())},
    )


class _Court:
    def __init__(self, network: Network, regimes: dict[Regime, str]) -> None:
        document = network.document
        self.document, self.regimes = document, regimes
        self.controls, self.names = network.controls, network.names
        self.by_family: dict[int, list[Reading]] = defaultdict(list)
        self.by_service: dict[tuple[int, str], list[Reading]] = defaultdict(list)
        for reading in network.tried:
            self.by_family[reading.family].append(reading)
            self.by_service[reading.family, reading.measurement.service].append(reading)
        self.read = {(id(r.measurement), r.family): r for r in network.tried}
        self.resolver = network.resolver

    def service(self, measurements: Sequence[Measurement]) -> dict[str, Verdict]:
        purposes: tuple[Purpose, ...] = ("messaging", "calls", "web")
        return {p: self.purpose(p, [m for m in measurements if m.purpose == p]) for p in purposes}

    def purpose(self, purpose: Purpose, measurements: Sequence[Measurement]) -> Verdict:
        if not measurements:
            because = f"no test of this service's {purpose} without an account is known, or none was chosen"
            return Verdict(state="not_tested", rule="none.known", because=because)
        by_family = {family: self._over(family, measurements) for family in (4, 6)}
        tried = {family: c for family, c in by_family.items() if c.state != "not_tested"}
        if not tried:
            vital = [c for c in by_family.values() if c.rule == "none.vital"]
            tried = {0: vital[0] if vital else self._untried(measurements)}
        overall = self._after_regime(_together(tried, self._is_split(measurements)))
        return Verdict(
            state=overall.state,
            mechanism=overall.mechanism or None,
            rule=overall.rule,
            because=overall.because,
            evidence=tuple(sorted(set(overall.evidence)))[:40],
            families={str(f): self._after_regime(c).state for f, c in tried.items() if f},
            identity="not asked"
            if overall.identity is None
            else "proved"
            if overall.identity
            else "not proved",
            partly=overall.partly if overall.state not in ("inconclusive", "not_tested") else (),
        )

    def _over(self, family: int, measurements: Sequence[Measurement]) -> Conclusion:
        if family == 6 and "ipv6_broken" in self.regimes:
            return Conclusion(
                state="not_tested", rule="regime.ipv6_broken", because=self.regimes["ipv6_broken"]
            )
        groups: dict[str, list[Conclusion]] = defaultdict(list)
        vital: set[str] = set()
        for measurement in measurements:
            reading = self.read.get((id(measurement), family))
            if reading is None:  # nothing of it was tried over this family
                continue
            conclusion = self._target(reading)
            if conclusion.state != "not_tested":
                groups[measurement.group].append(conclusion)
                if measurement.vital:
                    vital.add(measurement.group)
        if not groups:
            return Conclusion(state="not_tested", rule="none.tried")
        judged = {name: _group(c) for name, c in groups.items()}
        alike = {m.group for m in measurements if m.at == "far-end" and m.group in judged} - _CALLED
        # A far end that could not be tested with takes nothing from what the service's own machines showed.
        spoken = {g: c for g, c in judged.items() if g not in alike or c.rule not in _SAYS_NOTHING}
        if spoken and spoken.keys() <= alike and all(c.state == "reachable" for c in spoken.values()):
            return Conclusion(
                state="inconclusive",
                rule="media.alike",
                because="flows of its shape pass to our own far end; rules bound to the service's addresses are not"
                " seen that way",
                evidence=tuple(i for c in spoken.values() for i in c.evidence),
                udp=True,
            )
        together = _groups_together(spoken or judged, vital)
        # Calls are placed over one family only.
        untried = {m.group for m in measurements if m.vital and m.at == "endpoint"} - groups.keys()
        if untried and together.state == "reachable":
            # What works beside it says nothing of what the purpose lives from.
            names = ", ".join(sorted(untried))
            because = f"no address of {names} was tried over this address family"
            return Conclusion(state="not_tested", rule="none.vital", because=because)
        return together

    def _target(self, reading: Reading) -> Conclusion:
        case = Case(
            reading=reading,
            controls=self.controls,
            service=self.by_service[reading.family, reading.measurement.service],
            everything=self.by_family[reading.family],
            document=self.document,
        )
        rule = rules.decide(case)
        mechanism, because = rule.said(case)
        own = reading.passed(*OWN) if rule.state == "reachable" else reading.tries(*OWN)
        conclusion = Conclusion(
            state=rule.state,
            mechanism=mechanism,
            rule=rule.id,
            because=because,
            evidence=ids(own) + _beside(rule.state, case),
            identity=_identity(reading) if rule.state == "reachable" else None,
            udp=reading.is_udp,
        )
        lie = self._tampering(reading.measurement, own=reading.tries(*OWN))
        if lie is None:
            return conclusion
        believed = self.names[reading.tries(*OWN)[0].host].true_ips
        return _with_lie(conclusion, lie, reading, believed)

    def _tampering(self, measurement: Measurement, *, own: Sequence[Chain]) -> Tampering | None:
        host = own[0].host if own else ""
        resolution = self.names.get(host)
        if resolution is None:
            return None
        lie = tampering(resolution, measurement.chains, self.resolver)
        vantage = self.document.run.vantage
        theirs, ours = vantage.resolver_asn, vantage.asn
        if lie is None or not theirs or not ours or theirs == ours:
            return lie
        because = (
            f"{lie.because}; that resolver is in AS{theirs}, not in this network: whoever chose it decides"
        )
        return replace(lie, because=because)

    def _untried(self, measurements: Sequence[Measurement]) -> Conclusion:
        """No address of any target could be tried: say what the look-ups said."""
        if all(m.ended == "not_attempted" for m in measurements):
            return Conclusion(state="not_tested", rule="none.time", because="the run ended before its turn")
        return Conclusion(
            state="inconclusive",
            rule="dns.nothing",
            because="no resolver gave an address for it: retired, or the DNS does not work here",
        )

    def _is_split(self, measurements: Sequence[Measurement]) -> bool:
        """Both families are healthy at the controls, so a difference between them is about the service."""
        return all(self.controls.health("tcp", family).good for family in (4, 6)) and bool(measurements)

    def _after_regime(self, conclusion: Conclusion) -> Conclusion:
        end = self.document.end
        if end is not None and end.disturbances and conclusion.state in _SAD:
            return replace(
                conclusion,
                state="inconclusive",
                mechanism="",
                rule="run.disturbed",
                because="this machine did not stay where it was during the run; measure again",
            )
        for regime in self.regimes:
            if regime in _EXPLAINS_ALL:
                because = self.regimes[regime]
                return Conclusion(state="not_tested", rule=f"regime.{regime}", because=because)
            explains = regime in _EXPLAINS_FAILURE or (regime == "no_udp" and conclusion.udp)
            if explains and (conclusion.state in _SAD or conclusion.rule == "control.poor"):
                return replace(
                    conclusion,
                    state="inconclusive",
                    mechanism="",
                    rule=f"regime.{regime}",
                    because=self.regimes[regime],
                )
        return conclusion


def _identity(reading: Reading) -> bool:
    return any(identity_shown(chain) for chain in reading.passed(*OWN))


def _beside(state: State, case: Case) -> tuple[int, ...]:
    """The contrasting tries and the controls a sad verdict also rests on."""
    if state not in _SAD:
        return ()
    others = [
        c for c in case.reading.measurement.chains if c.family == case.reading.family and c.variant not in OWN
    ]
    return ids(others) + case.control_evidence


def _with_lie(conclusion: Conclusion, lie: Tampering, reading: Reading, believed: set[str]) -> Conclusion:
    """A target whose name is tampered with: cut for whoever believes the resolver, unless it also told the truth."""
    still_reached = [c for c in reading.passed(*OWN) if SYSTEM in c.said_by and c.ip in believed]
    state: State = "unreachable" if not lie.proved else "degraded" if still_reached else "blocked"
    return replace(
        conclusion,
        state=state,
        mechanism=lie.mechanism,
        rule=lie.rule,
        because=lie.because,
        evidence=lie.evidence + conclusion.evidence,
        udp=False,
    )


def _first(conclusions: Iterable[Conclusion], *states: State) -> Conclusion | None:
    return next((c for state in states for c in conclusions if c.state == state), None)


def _group(members: list[Conclusion]) -> Conclusion:
    """One reachable member is enough; a blocked one beside it is an impairment."""
    works = _first(members, "reachable")
    cut = _first(members, "blocked", "degraded")
    if works is None:
        worst = _first(members, "degraded", "blocked", "unreachable", "inconclusive")
        assert worst is not None
        return replace(worst, udp=all(m.udp for m in members if m.state == worst.state))
    if cut is not None:
        return replace(
            cut,
            state="degraded",
            because=f"another way works, but {cut.because}",
            evidence=cut.evidence + works.evidence,
        )
    return replace(works, identity=any(m.identity for m in members))


def _groups_together(groups: dict[str, Conclusion], vital: set[str]) -> Conclusion:
    conclusions = list(groups.values())
    cut_vital = _first(
        [c for name, c in groups.items() if name in vital], "blocked", "unreachable", "inconclusive"
    )
    if cut_vital is not None:
        return cut_vital
    works = _first(conclusions, "reachable", "degraded")
    if works is None:
        worst = _first(conclusions, "blocked", "unreachable", "inconclusive")
        assert worst is not None
        return worst
    evidence = tuple(i for c in conclusions for i in c.evidence)
    cut = _first(conclusions, "blocked")
    if cut is not None:
        return replace(_partly(groups, cut), state="degraded")
    impaired = _first(conclusions, "degraded")
    if impaired is not None:
        return replace(impaired, partly=_lost(groups))
    lost = _first(conclusions, "unreachable")
    if lost is not None:
        return _partly(groups, lost)
    # Proved is what the purpose lives from: a certificate of a helper host says nothing about the chat server.
    core = [c for name, c in groups.items() if name in vital]
    proved = all(c.identity for c in core) if core else any(c.identity for c in conclusions)
    return replace(works, identity=proved, evidence=evidence)


def _partly(groups: dict[str, Conclusion], worst: Conclusion) -> Conclusion:
    names = ", ".join(name for name, c in groups.items() if c.state == worst.state)
    count = len(groups)
    return replace(worst, because=f"partly: {names} of {count} ({worst.because})", partly=_lost(groups))


def _lost(groups: dict[str, Conclusion]) -> tuple[str, ...]:
    """The groups that do not work; a degraded one has a way left."""
    return tuple(sorted(name for name, c in groups.items() if c.state in ("blocked", "unreachable")))


def _together(families: dict[int, Conclusion], split_counts: bool) -> Conclusion:
    """Both families as one: what works over one family and is cut over the other is impaired."""
    conclusions = list(families.values())
    if len({c.state for c in conclusions}) == 1:
        evidence = tuple(i for c in conclusions for i in c.evidence)
        return replace(conclusions[0], evidence=evidence, identity=_any_identity(conclusions))
    works = _first(conclusions, "reachable")
    sad = _first(conclusions, "blocked", "degraded", "unreachable")
    if works is not None and sad is not None:
        if sad.state == "unreachable" and not split_counts:
            return works
        family = next(f for f, c in families.items() if c is sad)
        because = f"over IPv{family} only: {sad.because}"
        return replace(sad, state="degraded", because=because, partly=(f"IPv{family}", *sad.partly))
    return works or sad or conclusions[0]


def _any_identity(conclusions: Sequence[Conclusion]) -> bool | None:
    said = [c.identity for c in conclusions if c.identity is not None]
    return any(said) if said else None
