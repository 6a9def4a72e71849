"""What tells causes apart where a service's own first bytes fail: other bytes, other forms of them, other machines.

A step of PROVING speaks a service's protocol up to the point where the peer has proved its identity. Where it
follows TCP directly, everybody on the way can read its first bytes.
"""

from collections.abc import Iterable

from probe.contrast import SILENCE, Case, all_ours_fail, failure_code
from probe.failure import Kind
from probe.model import Chain, Observation
from probe.reading import OWN, PROVING, Reading, at_step, failure_of, proof
from probe.step import Proof

_NEW_KEY = ("unknown-key", "unknown-root")
_DATES = ("expired", "not-yet-valid")


def is_proving(case: Case) -> bool:
    """The own tries fail in a step that asks for a proof of identity."""
    return case.reading.step in PROVING


def is_in_the_open(case: Case) -> bool:
    """That step follows TCP directly, so its first bytes can be read on the way."""
    return is_proving(case) and all(
        [o.step for o in chain.observations] == ["tcp", case.reading.step]
        for chain in case.reading.failed(*OWN)
        if at_step(chain, case.reading.step)
    )


def is_an_impostor(case: Case) -> bool:
    """The peer cannot use the key it names; a date out of bounds is no impostor's sign."""
    return is_proving(case) and case.reading.kind is Kind.UNTRUSTED and failure_code(case) not in _DATES


def is_news(case: Case) -> bool:
    """The peer's handshake is sound, and its key or its form is none that the catalogue knows."""
    return is_proving(case) and case.reading.kind is Kind.UNEXPECTED


def shows_a_new_key(case: Case) -> bool:
    """It is the key that is new."""
    return is_news(case) and failure_code(case) in _NEW_KEY


def proved_elsewhere(case: Case) -> bool:
    """Another machine or another way proved in this run to hold a key of the catalogue, by the same protocol."""
    return any(
        (found := proof(chain)) is not None and found.step == case.reading.step
        for reading in case.service
        for chain in reading.passed(*OWN)
    )


def other_bytes_arrive(case: Case) -> bool:
    """Other bytes were heard at the same address and port, at least twice, and each time they were sent."""
    tried = [c for c in case.reading.tries("other_bytes") if _went_on(c)]
    return len(tried) >= 2 and all(map(_is_heard, tried))


def answer_is_unheard(case: Case) -> bool:
    """The peer answered first, and then what we sent was never acknowledged, three times and every time."""
    tried = [o for chain in case.reading.failed(*OWN) if (o := failure_of(chain)) and o.step in PROVING]
    return len(tried) >= 3 and all(_spoke(o) and _is_unheard(o) for o in tried)


def fell_silent(case: Case) -> bool:
    """The peer answered first and then no more, every time."""
    tried = [o for chain in case.reading.failed(*OWN) if (o := failure_of(chain)) and o.step in PROVING]
    cut = (*SILENCE, Kind.RESET, Kind.CLOSED)
    return bool(tried) and all(_spoke(o) and o.failure and o.failure.kind in cut for o in tried)


def fails_at_controls(case: Case) -> bool:
    """The same first bytes fall silent at control addresses too, which answer other bytes.

    A reset would tell nothing: a server that closes with bytes unread sends one.
    """
    heard = {c.ip for c in case.reading.tries("other_bytes_to_control") if _went_on(c) and _is_heard(c)}
    unheard = {c.ip for c in case.reading.tries("other_bytes_to_control") if _went_on(c) and not _is_heard(c)}
    fair = heard - unheard
    tried = [c for c in case.reading.tries("bytes_to_control") if c.ip in fair]
    same = [c for c in tried if (o := at_step(c, case.reading.step)) and _is_silent(o)]
    return case.reading.kind in SILENCE and len(same) >= 2 and len(same) == len(tried)


def another_form_passes(case: Case) -> bool:
    """At the same address and port another form of the same protocol led to a proof, twice, and never failed."""
    others = [reading for reading in _same_place(case) if reading is not case.reading]
    good = [chain for r in others for chain in r.passed(*OWN) if _is_at(chain, case) and proof(chain)]
    bad = [chain for r in others for chain in r.failed(*OWN) if _is_at(chain, case)]
    return all_ours_fail(case, 3) and len(good) >= 2 and not bad


def _same_place(case: Case) -> Iterable[Reading]:
    mine = case.reading
    return (
        r
        for r in case.service
        if r.measurement.target != mine.measurement.target and r.ips & mine.ips and r.port == mine.port
    )


def _is_at(chain: Chain, case: Case) -> bool:
    return chain.ip in case.reading.ips and [o.step for o in chain.observations] == ["tcp", case.reading.step]


def _went_on(chain: Chain) -> bool:
    """Whether it came past TCP, so that bytes were sent."""
    return len(chain.observations) > 1


def _is_heard(chain: Chain) -> bool:
    """Whether the bytes arrived: something came back, an orderly end too, or the kernel over there acknowledged."""
    last = chain.observations[-1]
    if last.received or (last.failure is None) or last.failure.kind is Kind.CLOSED:
        return True
    return last.tcp is not None and last.tcp.acked > 1


def _spoke(observation: Observation) -> bool:
    return isinstance(observation.facts, Proof) and observation.facts.stage != "opened"


def _is_unheard(observation: Observation) -> bool:
    """The last bytes sent in this step were not acknowledged although they were sent again; the SYN counts as one."""
    tcp = observation.tcp
    return (
        _is_silent(observation)
        and tcp is not None
        and tcp.retransmits > 0
        and tcp.acked < 1 + observation.sent
    )


def _is_silent(observation: Observation) -> bool:
    return observation.failure is not None and observation.failure.kind in SILENCE
