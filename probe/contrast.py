"""What tells causes apart: predicates over one target's tries, named after what they show.

A contrast is a pair of tries that differ in one thing and end differently. An artefact is a single
observation that an honest path cannot produce. Both are needed for "blocked"; a failure alone is not.
"""

from collections.abc import Sequence

import msgspec

from probe.controls import Controls, Health
from probe.failure import Kind
from probe.model import Chain, Document
from probe.reading import (
    INNOCENT,
    OWN,
    Reading,
    at_step,
    failure_of,
    identity_shown,
    issuer,
    leaf,
    round_trip,
    shows_any_name,
    was_missed,
)

SILENCE = (Kind.TIMEOUT, Kind.SILENT)
# Ten transmissions on two source ports: at 30 % loss each way all ten fail once in 800 times.
ENOUGH_SILENCE = 10
_MEASURABLE_RTT = 0.008  # seconds; below it "earlier than a round trip" means nothing
_STRONG = ("source", "capture")


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One target over one family, with everything that may be compared with it."""

    reading: Reading
    controls: Controls
    service: Sequence[Reading]  # all readings of the same service and family
    everything: Sequence[Reading]  # all readings of the run in this family, controls too
    document: Document

    @property
    def health(self) -> Health:
        """The controls of the same kind."""
        return self.controls.of_kind(self.reading.step or "tcp", self.reading.family, self.reading.port)

    @property
    def control_evidence(self) -> tuple[int, ...]:
        """The observations of those controls."""
        return self.health.evidence


def all_ours_fail(case: Case, at_least: int) -> bool:
    """All own tries failed in the same step, so many times; those that this machine missed are none."""
    own = [chain for chain in case.reading.tries(*OWN) if not was_missed(chain.observations[-1])]
    same = [o for o in case.reading.failures if o.step == case.reading.step]
    return len(same) >= at_least and len(same) == len(own)


def innocent_names_pass(case: Case) -> bool:
    """Other names went further at the same address, at least twice, and none failed there."""
    return len(_further(case)) >= 2 and not _stuck(case)


def _further(case: Case) -> list[Chain]:
    step = case.reading.step
    return [c for c in case.reading.tries(*INNOCENT) if (o := at_step(c, step)) and o.failure is None]


def _stuck(case: Case) -> list[Chain]:
    return [c for c in case.reading.failed(*INNOCENT) if (o := failure_of(c)) and o.step == case.reading.step]


def another_hello_passes(case: Case) -> bool:
    """The same name went further at the same address in another TLS hello, at least twice, and never failed."""
    tried = [c for c in case.reading.tries("other_hello") if at_step(c, case.reading.step)]
    good = [c for c in tried if (o := at_step(c, case.reading.step)) and o.failure is None]
    return len(good) >= 2 and len(good) == len(case.reading.tries("other_hello"))


def name_fails_elsewhere(case: Case) -> bool:
    """The service's name failed at control addresses in the same way, where an innocent name passed."""
    minds = {chain.ip for chain in case.reading.failed("other_to_control")}
    fair = {chain.ip for chain in case.reading.passed("other_to_control")} - minds
    tried = [chain for chain in case.reading.tries("name_to_control") if chain.ip in fair]
    same = [c for c in tried if (o := failure_of(c)) and o.failure and o.failure.kind is case.reading.kind]
    return len(same) >= 2 and len(same) == len(tried)


def reset_too_early(case: Case) -> bool:
    """The reset came sooner than a packet can travel to the server and back, nearly every time.

    The round trip is the shortest that any connection to the same address took: a lost SYN makes one look long.
    """
    early = 0
    for chain in case.reading.failed(*OWN):
        ended, rtt = failure_of(chain), _round_trip(case, chain.ip)
        if at_step(chain, "tcp") is None or ended is None or ended.failure is None or rtt is None:
            continue
        is_reset = ended.failure.kind is Kind.RESET
        early += is_reset and rtt >= _MEASURABLE_RTT and ended.seconds < 0.6 * rtt
    return early >= 3


def _round_trip(case: Case, ip: str | None) -> float | None:
    chains = [chain for chain in case.reading.measurement.chains if chain.ip == ip]
    took = [trip for c in chains for o in c.observations if (trip := round_trip(o)) is not None]
    return min(took, default=None)


def never_acknowledged(case: Case) -> bool:
    """What we sent after the connection opened was never acknowledged, although any kernel does that.

    `acked` counts the SYN as one byte, and everything that earlier steps of the chain sent.
    """
    unheard = 0
    for chain in case.reading.failed(*OWN):
        ended = failure_of(chain)
        if ended is None or ended.tcp is None or ended.failure is None or ended.failure.kind not in SILENCE:
            continue
        before = sum(o.sent for o in chain.observations[:-1])
        unheard += ended.sent > 0 and ended.tcp.acked <= 1 + before and ended.tcp.retransmits > 0
    return unheard >= 3


def server_proved_itself(case: Case) -> bool:
    """Under another name the same address showed a certificate that is valid for the service."""
    return any(identity_shown(chain) for chain in _further(case))


def is_silent(case: Case) -> bool:
    """Enough transmissions on enough source ports, and not one answer."""
    return case.reading.kind in SILENCE and _transmissions(case.reading) >= ENOUGH_SILENCE


def _transmissions(reading: Reading) -> int:
    ports = {o.source_port for o in reading.failures}
    counted = sum(
        int(o.failure.code) if o.failure and o.failure.code.isdigit() else 0 for o in reading.failures
    )
    return counted if len(ports) >= 2 and not reading.passed(*OWN) else 0


def answers_without_cookie(case: Case) -> bool:
    """The same address and port answered a STUN request that lacks the magic cookie."""
    return bool(case.reading.passed("classic"))


def cookie_is_dropped_everywhere(case: Case) -> bool:
    """No STUN with the cookie was answered by anybody, and STUN without it was."""
    stun = [r for r in case.everything if r.is_udp and any(at_step(c, "stun") for c in r.tries(*OWN))]
    with_cookie = [r for r in stun if r.passed(*OWN)]
    without = [r for r in case.everything if r.passed("classic")]
    return len(without) >= 2 and not with_cookie


def relays_are_silent_but_alive(case: Case) -> bool:
    """Silent over UDP on machines that are up: a relay whose own port takes TCP, or two relays that are alive.

    Alive is a machine where a TCP connection opens. One that refuses TCP is up too, but its relay may have been
    switched off; then it would refuse UDP as well, which counts only where such refusals are seen to arrive.
    """
    same = [
        r
        for r in case.service
        if r.is_udp
        and (r.measurement.purpose, r.measurement.group)
        == (case.reading.measurement.purpose, case.reading.measurement.group)
    ]
    if any(r.passed(*OWN) or Kind.REFUSED in _kinds(r) for r in same):
        return False
    asked = [chain for r in same for chain in r.tries("tcp")]
    opened = [chain for chain in asked if failure_of(chain) is None]
    if any(chain.port == case.reading.port for chain in opened):
        return True
    refused = case.controls.udp_refusals_arrive(case.reading.family) and any(map(_is_refused, asked))
    return len({ip for r in same for ip in r.ips}) >= 2 and (bool(opened) or refused)


def _kinds(reading: Reading) -> set[Kind]:
    return {o.failure.kind for o in reading.failures if o.failure is not None}


def _is_refused(chain: Chain) -> bool:
    ended = failure_of(chain)
    return ended is not None and ended.failure is not None and ended.failure.kind is Kind.REFUSED


def is_known_to_answer(case: Case) -> bool:
    """Its answer without an account was read in source or seen in a capture, not only inferred."""
    return case.reading.measurement.support in _STRONG


def port_is_silent_at_controls(case: Case) -> bool:
    """Controls are silent on this port too, and answer on others."""
    reading = case.reading
    return (
        reading.is_udp and case.controls.silent_port(reading.step, reading.family, reading.port) is not None
    )


def same_stranger_everywhere(case: Case) -> bool:
    """Several services were shown certificates of one unknown issuer, while controls were genuine."""
    mine = {_issuers(chain) for chain in case.reading.failed(*OWN)} - {""}
    others = {
        r.measurement.service
        for r in case.everything
        if r.measurement.service not in ("", case.reading.measurement.service)
        and any(_issuers(chain) in mine for chain in r.failed(*OWN))
    }
    return bool(mine) and len(others) >= 1


def _issuers(chain: Chain) -> str:
    ended = failure_of(chain)
    untrusted = ended is not None and ended.failure is not None and ended.failure.kind is Kind.UNTRUSTED
    return issuer(chain) if untrusted else ""


def stranger_follows_the_name(case: Case) -> bool:
    """The same false certificate came from a control's address when the service's name was said there."""
    mine = {leaf(chain) for chain in case.reading.failed(*OWN)} - {""}
    there = [c for c in case.reading.tries("name_to_control") if not identity_shown(c)]
    return any(leaf(chain) in mine for chain in there)


def stranger_takes_any_name(case: Case) -> bool:
    """Under an innocent name the address showed a certificate for that very name, by the same unknown issuer."""
    return any(shows_any_name(case.reading.measurement, chain) for chain in case.reading.tries("other_name"))


def other_port_passes(case: Case) -> bool:
    """The same address answers on another port."""
    return bool(case.reading.passed("other_port"))


def failure_code(case: Case) -> str:
    """The peer's own code in the most common failure."""
    codes = [o.failure.code for o in case.reading.failures if o.step == case.reading.step and o.failure]
    return max(codes, key=codes.count) if codes else ""
