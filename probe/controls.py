"""How the controls fared, by step, address family, port and class."""

from collections.abc import Iterable
from typing import Any

import msgspec

from probe.failure import Kind
from probe.model import Document, Measurement
from probe.reading import OWN, PROVING, Reading, at_step, is_evidence, worked
from probe.steps import HttpFacts

# What to compare with where no control has a step.
_INSTEAD = dict.fromkeys(("turn", "reflector", "echo", "dtls"), "stun") | dict.fromkeys(
    (*PROVING, "websocket", "greeting"), "tls"
)


class Health(msgspec.Struct, frozen=True, kw_only=True):
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


def _is_control(measurement: Measurement) -> bool:
    return measurement.purpose == "control" and not measurement.service


class Controls:
    """The controls of a run, asked by step, family, port and class."""

    def __init__(self, document: Document, tried: Iterable[Reading]) -> None:
        """`tried` are the readings of the run, those of services too."""
        self.measurements = [m for m in document.measurements if _is_control(m)]
        self._all = [r for r in tried if _is_control(r.measurement)]
        self._readings: dict[tuple[int, tuple[str, ...]], list[Reading]] = {}
        self._health: dict[tuple[Any, ...], Health] = {}

    def readings(self, family: int, *, roles: tuple[str, ...] = ("control", "load")) -> list[Reading]:
        """One reading per control that was tried over this family."""
        if (family, roles) not in self._readings:
            own = [r for r in self._all if r.family == family and r.measurement.role in roles]
            self._readings[family, roles] = own
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
        asked = (step, family, ports, classes, not_port)
        if asked not in self._health:
            self._health[asked] = self._counted(*asked)
        return self._health[asked]

    def _counted(
        self, step: str, family: int, ports: tuple[int, ...], classes: tuple[str, ...], not_port: int
    ) -> Health:
        alive = total = tries = failures = 0
        evidence: list[int] = []
        for reading in self.readings(family):
            if (ports and reading.port not in ports) or reading.port == not_port:
                continue
            if classes and reading.measurement.control_class not in classes:
                continue
            seen = [o for chain in reading.own if (o := at_step(chain, step)) is not None]
            seen = [o for o in seen if o.failure is None or is_evidence(o)]
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
