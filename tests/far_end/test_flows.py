"""All flows of a far end: who is known by what, quotas, ends, and what strangers can do."""

import random
from collections.abc import Hashable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.far_end.flow import UNPROVED_ANSWERS
from probe.far_end.flows import KEPT_SECONDS, PENDING_SECONDS, Flows, Port
from probe.far_end.protocol import Packets
from probe.far_end.settings import Limits
from probe.far_end.tickets import Refused, Session
from tests.far_end.guest import VOICE, Clock, Guest, numbers

HOME, NAT = ("192.0.2.1", 4000), ("192.0.2.1", 5000)
ELSEWHERE, VICTIM = ("198.51.100.7", 4000), ("203.0.113.9", 53)


class FarEnd:
    """Flows with one UDP and one TCP port, and one session."""

    def __init__(self, **limits: float) -> None:
        self.clock = Clock()
        self.flows = Flows(Limits(**limits), self.clock)  # type: ignore[arg-type]
        self.udp, self.tcp = self.flows.listen("udp", 1), self.flows.listen("tcp", 1)
        self.session = Session("s", 1e9)

    def expect(self, guest: Guest, *, paid: int = 0, session: Session | None = None) -> str:
        return self.flows.make(guest.asked, paid, session or self.session).id

    def refusal(self, guest: Guest) -> Refused:
        with pytest.raises(Refused) as caught:
            self.expect(guest)
        return caught.value


def answer(port: Port, guest: Guest, source: Hashable, **packet: int) -> bytes | None:
    reply = port.hear(guest.packet(**packet), source, 1000.0)
    if reply is not None and reply.answer is not None:
        guest.read(reply.answer)
    return reply.answer if reply is not None else None


def test_nobody_is_answered_without_a_flow() -> None:
    far_end = FarEnd()
    far_end.expect(Guest())

    assert far_end.udp.hear(Guest().packet(), HOME, 1000.0) is None
    assert far_end.udp.hear(bytes(200), HOME, 1000.0) is None


def test_a_flow_is_known_by_its_stamp_and_then_by_where_it_comes_from() -> None:
    far_end, guest, other = FarEnd(), Guest(packets=(VOICE, Packets(stamp_at=None, down="00"))), Guest()
    far_end.expect(other)
    far_end.expect(guest)

    assert answer(far_end.udp, guest, HOME) is not None
    reply = far_end.udp.hear(b"no stamp at all", HOME, 1000.0)
    assert reply is not None
    assert reply.answer == b"no stamp at all"
    assert far_end.udp.hear(b"no stamp at all", ELSEWHERE, 1000.0) is None
    assert answer(far_end.udp, other, ELSEWHERE) is not None


def test_a_flow_is_awaited_at_its_own_port_only() -> None:
    far_end, guest = FarEnd(), Guest()
    far_end.expect(guest)
    far_end.flows.listen("udp", 2)

    assert answer(far_end.flows.ports[("udp", 2)], guest, HOME) is None
    assert answer(far_end.tcp, guest, HOME) is None
    assert answer(far_end.udp, guest, HOME) is not None
    assert far_end.flows.listening("udp") == (1, 2)


def test_a_port_that_is_not_listened_on_is_a_conflict() -> None:
    assert FarEnd().refusal(Guest(port=9)).status == 409


def test_a_flow_that_never_begins_is_over_after_half_a_minute_and_its_log_says_so() -> None:
    far_end, guest = FarEnd(), Guest()
    name = far_end.expect(guest)
    far_end.clock.tick(PENDING_SECONDS + 1)
    far_end.flows.sweep()

    assert answer(far_end.udp, guest, HOME) is None
    assert far_end.flows.heard(name, far_end.session).ended == "time"
    assert far_end.session.live == 0


def test_a_flow_ends_with_its_time_and_is_forgotten_after_two_minutes_more() -> None:
    far_end, guest = FarEnd(seconds=60.0), Guest()
    name = far_end.expect(guest)
    assert answer(far_end.udp, guest, HOME) is not None
    far_end.clock.tick(59)
    far_end.flows.sweep()
    assert answer(far_end.udp, guest, HOME) is not None
    far_end.clock.tick(2)
    far_end.flows.sweep()

    assert answer(far_end.udp, guest, HOME) is None
    assert not far_end.udp._known
    heard = far_end.flows.heard(name, far_end.session)
    assert (heard.ended, numbers(heard)) == ("time", [0, 1])
    far_end.clock.tick(KEPT_SECONDS + 1)
    far_end.flows.sweep()
    with pytest.raises(Refused, match="no such flow"):
        far_end.flows.heard(name, far_end.session)


def test_asking_to_end_a_flow_ends_it_and_gives_its_log_any_number_of_times() -> None:
    far_end, guest = FarEnd(), Guest()
    name = far_end.expect(guest)
    answer(far_end.udp, guest, HOME)

    assert far_end.flows.heard(name, far_end.session).ended == ""
    for _ in range(2):
        heard = far_end.flows.heard(name, far_end.session, end=True)
        assert (heard.ended, numbers(heard)) == ("closed", [0])
    assert far_end.session.live == 0
    assert answer(far_end.udp, guest, HOME) is None


def test_a_log_is_for_its_own_session() -> None:
    far_end = FarEnd()
    name = far_end.expect(Guest())

    for who, what in ((Session("t", 1e9), name), (far_end.session, "x")):
        with pytest.raises(Refused) as caught:
            far_end.flows.heard(what, who)
        assert caught.value.status == 404


def test_a_session_has_so_many_flows_at_once_and_so_many_bytes() -> None:
    far_end = FarEnd(per_session=2, octets=10_000)
    names = [far_end.expect(Guest()) for _ in range(2)]
    assert far_end.refusal(Guest()).status == 429
    far_end.flows.heard(names[0], far_end.session, end=True)
    far_end.expect(Guest())
    far_end.flows.heard(names[1], far_end.session, end=True)
    far_end.session.octets = 10_000

    refused = far_end.refusal(Guest())
    assert (refused.status, refused.retry) == (429, None)


def test_a_far_end_that_is_full_says_when_to_come_back() -> None:
    far_end = FarEnd(flows=1)
    far_end.expect(Guest(), session=Session("t", 1e9))
    refused = far_end.refusal(Guest())

    assert (refused.status, refused.retry) == (503, 10.0)


def test_a_request_that_cannot_be_met_costs_no_place() -> None:
    far_end = FarEnd()

    assert far_end.refusal(Guest(packets=(Packets(stamp_at=None, down=None),))).status == 400
    assert far_end.session.live == 0


def test_when_a_nat_changes_its_mind_the_flow_goes_on_from_there() -> None:
    far_end, guest = FarEnd(), Guest()
    name = far_end.expect(guest)
    for source in (HOME, HOME, NAT, NAT, ELSEWHERE, ELSEWHERE):
        assert answer(far_end.udp, guest, source) is not None

    assert numbers(far_end.flows.heard(name, far_end.session)) == [0, 1, 2, 3, 4, 5]
    assert answer(far_end.udp, guest, HOME) is not None  # and back again
    assert list(far_end.udp._known) == [HOME]


def test_a_guest_cannot_turn_the_far_end_on_somebody_else() -> None:
    """Its word is proved, its packets now claim to come from a victim, who never says the new word."""
    far_end, guest = FarEnd(), Guest()
    far_end.expect(guest, paid=10**6)
    for _ in range(3):
        assert answer(far_end.udp, guest, HOME) is not None
    word = guest.word
    replies = [far_end.udp.hear(guest.packet(word=word), VICTIM, 1000.0) for _ in range(300)]

    assert sum(reply is not None and reply.answer is not None for reply in replies) == UNPROVED_ANSWERS


def test_whoever_copies_a_packet_does_not_get_the_flow() -> None:
    far_end, guest = FarEnd(), Guest()
    far_end.expect(guest)
    first = guest.packet()
    assert far_end.udp.hear(first, HOME, 1000.0) is not None
    answer(far_end.udp, guest, HOME)

    assert far_end.udp.hear(first, VICTIM, 1000.0) is None


def test_a_connection_that_ends_ends_its_flow_and_a_flow_on_tcp_does_not_move() -> None:
    far_end, guest, connection, other = FarEnd(), Guest(transport="tcp"), object(), object()
    name = far_end.expect(guest)
    for _ in range(3):
        assert answer(far_end.tcp, guest, connection) is not None
    assert answer(far_end.tcp, guest, other) is None
    far_end.tcp.gone(other)
    far_end.tcp.gone(connection)

    assert far_end.flows.heard(name, far_end.session).ended == "closed"
    assert answer(far_end.tcp, guest, connection) is None


def test_a_flood_of_strangers_does_not_cost_the_flows_their_answers() -> None:
    far_end, guest, late = FarEnd(), Guest(), Guest()
    far_end.expect(guest)
    for _ in range(3):
        assert answer(far_end.udp, guest, HOME) is not None
    junk = bytes(200)
    for port in range(5000):
        assert far_end.udp.hear(junk, ("203.0.113.9", port), 1000.0) is None
    assert far_end.udp._moved._left == 0  # no more is tried in this second

    assert answer(far_end.udp, guest, HOME) is not None
    assert answer(far_end.udp, guest, NAT) is None
    far_end.expect(late)
    assert answer(far_end.udp, late, ELSEWHERE) is not None
    far_end.clock.tick(1)
    assert answer(far_end.udp, guest, NAT) is not None


def test_logs_that_are_kept_are_bounded_and_what_is_under_way_is_never_forgotten() -> None:
    far_end = FarEnd(flows=2, per_session=10)
    living = Guest()
    alive = far_end.expect(living)
    answer(far_end.udp, living, HOME)
    for _ in range(100):
        far_end.flows.heard(far_end.expect(Guest()), far_end.session, end=True)
    far_end.flows.sweep()

    assert len(far_end.flows._flows) == 9
    assert far_end.flows.heard(alive, far_end.session).ended == ""


sources = st.sampled_from([HOME, NAT, ELSEWHERE, VICTIM])


@given(st.lists(st.tuples(st.integers(0, 3), sources, st.integers(0, 1500)), max_size=200), st.randoms())
def test_whoever_sends_whatever_from_wherever_nobody_gets_more_than_was_paid(
    traffic: list[tuple[int, tuple[str, int], int]], luck: random.Random
) -> None:
    far_end = FarEnd(octets=100_000)
    guests = [Guest(), Guest(packets=(Packets(stamp_at=0, down="{stamp} {random:900}"),)), Guest()]
    names = [far_end.expect(guest, paid=700) for guest in guests[:2]]  # the third is a stranger
    heard, sent = 1400, 0
    for who, source, size in traffic:
        far_end.clock.tick(luck.choice([0.0, 0.01, 1.5]))
        data = guests[who].packet(size) if who < len(guests) else luck.randbytes(size)
        reply = far_end.udp.hear(data, source, far_end.clock.now)
        heard += len(data) if reply is not None else 0
        if reply is not None and reply.answer is not None:
            sent += len(reply.answer)
            if luck.random() < 0.7 and who < len(guests):
                guests[who].read(reply.answer)
        if luck.random() < 0.02:
            far_end.flows.sweep()
    logs = [far_end.flows.heard(name, far_end.session) for name in names]

    assert sent <= heard
    assert sum(log.octets_out for log in logs) == sent
    assert sum(log.octets_in for log in logs) <= heard - 1400
    assert len(set(far_end.udp._known.values())) == len(far_end.udp._known) == len(far_end.udp._sources)
