"""One paced flow: what is answered, what is not, and what can never happen."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.far_end.flow import MOST_MOVES, UNPROVED_ANSWERS, UNPROVED_BELIEVED, PacedFlow
from probe.far_end.protocol import Packets
from probe.far_end.receive_log import MOST
from probe.far_end.tickets import Session
from probe.media.stamp import SIZE
from probe.media.template import MAX_SIZE
from tests.far_end.guest import VOICE, Clock, Guest, numbers, times

PLENTY = 10**9


def opened(
    guest: Guest,
    *,
    paid: int = 0,
    most: int = PLENTY,
    clock: Clock | None = None,
    session: Session | None = None,
) -> PacedFlow:
    return PacedFlow(guest.asked, paid, session or Session("s", 1e9), most, clock or Clock())


def proved(guest: Guest, flow: PacedFlow) -> None:
    """One exchange, so that the guest knows the word, and one more, so that it has said it."""
    for _ in range(2):
        answer = flow.hear(guest.packet(), 1000.0)
        assert answer is not None
        guest.read(answer)
    assert flow.log.proved


def test_an_answer_has_the_number_that_it_answers_a_word_and_the_far_ends_own_time() -> None:
    guest, clock = Guest(), Clock()
    flow = opened(guest, clock=clock)
    for number in range(3):
        arrived = clock.now
        clock.tick(0.003)  # that it is held here
        answer = flow.hear(guest.packet(170), arrived)
        assert answer is not None
        stamp = guest.read(answer)
        assert (stamp.kind, stamp.number, stamp.micros) == (0, number, number * 20_000 + 3_000)
        assert stamp.word
        assert len(answer) == 170
        clock.tick(0.017)

    assert times(flow.log.heard()) == [0, 20_000, 40_000]
    assert flow.log.heard().proved


def test_each_kind_has_its_own_place_answer_and_counter() -> None:
    packets = (
        Packets(stamp_at=0, down="{count16} {stamp}"),
        Packets(stamp_at=4, down="aabb {stamp} {count16}"),
        Packets(stamp_at=0, down=None),
    )
    guest = Guest(packets=packets)
    flow = opened(guest, paid=1000)
    first, second = guest.packet(), b"head" + guest.packet(kind=1)
    answers = [
        flow.hear(data, 1000.0) for data in (first, second, b"head" + guest.packet(kind=1), guest.packet())
    ]

    assert [answer[:2].hex() if answer else None for answer in answers] == ["0000", "aabb", "aabb", "0001"]
    assert [answer[14:].hex() if answer else None for answer in answers[1:3]] == ["0000", "0001"]
    assert flow.hear(guest.packet(kind=2), 1000.0) is None
    assert flow.log.heard().mute == (4,)


def test_a_kind_whose_stamp_stands_elsewhere_is_not_believed() -> None:
    guest = Guest(packets=(VOICE, Packets(stamp_at=4, down="{stamp}")))
    flow = opened(guest)

    assert flow.open(guest.packet(kind=1)) is None
    assert flow.open(guest.packet(kind=7)) is None
    assert flow.hear(guest.packet(kind=1), 1000.0) is None


def test_somebody_who_forges_a_source_gets_twenty_answers_and_then_none() -> None:
    guest = Guest()
    flow = opened(guest, paid=10**6)
    answers = [flow.hear(guest.packet(word=0), 1000.0) for _ in range(2 * UNPROVED_BELIEVED)]

    assert sum(answer is not None for answer in answers) == UNPROVED_ANSWERS
    heard = flow.log.heard()
    assert len(heard.numbers) <= UNPROVED_BELIEVED + 1
    assert (heard.ended, heard.proved) == ("unproved", False)


def test_somebody_who_guesses_the_word_has_one_try() -> None:
    guest = Guest()
    flow = opened(guest)
    answer = flow.hear(guest.packet(), 1000.0)
    assert answer is not None
    word = guest.down.open(answer[:SIZE])
    assert word is not None

    assert flow.hear(guest.packet(word=word.word ^ 1), 1000.0) is None
    assert flow.log.ended == "unproved"


def test_once_the_word_came_back_everything_is_answered() -> None:
    guest = Guest()
    flow = opened(guest)
    proved(guest, flow)

    assert all(flow.hear(guest.packet(), 1000.0) is not None for _ in range(1000))
    assert flow.log.heard().mute == ()


def test_packets_that_were_sent_before_the_word_was_known_may_come_late() -> None:
    guest = Guest()
    flow = opened(guest)
    early = guest.packet(word=0)
    proved(guest, flow)

    assert flow.hear(early, 1000.0) is not None
    assert flow.log.ended == ""


def test_a_number_is_answered_once_however_often_it_comes() -> None:
    guest = Guest()
    flow = opened(guest)
    proved(guest, flow)
    packet = guest.packet()

    assert flow.hear(packet, 1000.0) is not None
    assert flow.hear(packet, 1000.0) is None
    assert numbers(flow.log.heard()) == [0, 1, 2, 2]
    assert flow.log.heard().mute == ()


def test_an_answer_that_is_not_paid_for_is_not_sent() -> None:
    guest = Guest(packets=(Packets(stamp_at=0, down="{stamp} {random:988}"),))
    flow = opened(guest, paid=1000)
    answers = [flow.hear(guest.packet(100), 1000.0) for _ in range(19)]

    assert [answer is not None for answer in answers] == [True] + [False] * 8 + [True] + [False] * 9
    heard = flow.log.heard()
    assert heard.octets_out == 2000 <= 1000 + heard.octets_in
    assert len(heard.mute) == 17


def test_what_could_not_be_sent_is_not_counted_as_sent() -> None:
    guest = Guest()
    flow = opened(guest)
    answer = flow.hear(guest.packet(), 1000.0)
    assert answer is not None
    flow.take_back(answer)

    assert flow.log.heard().octets_out == 0
    assert flow.log.heard().mute == (0,)


def test_what_has_no_stamp_is_echoed_where_it_is_expected() -> None:
    guest = Guest(packets=(VOICE, Packets(stamp_at=None, down="0000", least=2)))
    flow = opened(guest)
    proved(guest, flow)

    assert flow.hear(b"\0\0", 1000.0) == b"\0\0"
    assert flow.hear(b"\0", 1000.0) is None
    assert flow.hear(bytes(MAX_SIZE + 1), 1000.0) is None
    assert flow.log.heard().packets_in == 5
    assert len(flow.log.heard().numbers) == 2


def test_what_has_no_stamp_is_not_echoed_where_nobody_expects_it() -> None:
    for packets in ((VOICE,), (VOICE, Packets(stamp_at=None, down=None))):
        guest = Guest(packets=packets)
        flow = opened(guest)
        proved(guest, flow)
        assert flow.hear(bytes(20), 1000.0) is None


def test_the_session_pays_for_everything_and_the_flow_ends_when_it_has_no_more() -> None:
    guest, session = Guest(), Session("s", 1e9, octets=500)
    flow = opened(guest, most=1000, session=session)
    answers = [flow.hear(guest.packet(200), 1000.0) for _ in range(4)]

    assert [answer is not None for answer in answers] == [True, True, False, False]
    assert flow.log.ended == "octets"
    assert session.octets == 1100


def test_a_log_that_is_full_ends_the_flow() -> None:
    guest = Guest()
    flow = opened(guest)
    proved(guest, flow)
    for _ in range(MOST):
        flow.hear(guest.packet(SIZE), 1000.0)

    assert flow.log.ended == "octets"
    assert len(flow.log.heard().numbers) == MOST


def test_a_flow_that_is_over_stays_silent_and_keeps_its_log() -> None:
    guest = Guest()
    flow = opened(guest)
    proved(guest, flow)
    flow.end("closed")
    flow.end("time")

    assert flow.hear(guest.packet(), 1000.0) is None
    assert flow.log.heard().ended == "closed"
    assert len(flow.log.heard().numbers) == 2


def test_a_flow_may_move_a_few_times_and_must_prove_itself_each_time() -> None:
    guest = Guest()
    flow = opened(guest, paid=10**6)
    proved(guest, flow)
    for _ in range(MOST_MOVES):
        packet = guest.packet()
        stamp = flow.open(packet)
        assert stamp is not None
        assert flow.may_move(stamp)
        assert not flow.may_move(stamp)
        answers = [flow.hear(packet, 1000.0)] + [flow.hear(guest.packet(), 1000.0) for _ in range(30)]
        assert sum(answer is not None for answer in answers) == UNPROVED_ANSWERS
        assert answers[0] is not None
        guest.read(answers[0])
        assert flow.hear(guest.packet(), 1000.0) is not None
    stamp = flow.open(guest.packet())
    assert stamp is not None
    assert not flow.may_move(stamp)


@pytest.mark.parametrize(
    ("packets", "reason"),
    [
        ((Packets(stamp_at=None, down="00"),), "no kind of packet has a stamp"),
        ((VOICE, Packets(stamp_at=0, down="{stamp")), "packets[1].down cannot be read from"),
        ((Packets(stamp_at=0, down="{random:1400}{stamp}"),), "packets[0].down makes 1412 bytes"),
    ],
)
def test_a_request_that_cannot_be_met_is_refused_in_words(packets: tuple[Packets, ...], reason: str) -> None:
    with pytest.raises(ValueError, match=reason.replace("[", r"\[").replace("{", r"\{")):
        opened(Guest(packets=packets))


downs = st.sampled_from(
    [None, "{stamp}", "{stamp} {fill}", "{random:500} {stamp}", "{random:1388} {stamp}", "00", "{fill}aa"]
)
kinds = st.lists(
    st.builds(Packets, stamp_at=st.sampled_from([None, 0, 4, 20]), down=downs, least=st.integers(1, 40)),
    min_size=1,
    max_size=4,
).filter(lambda packets: any(one.stamp_at is not None for one in packets))


@given(
    kinds,
    st.integers(0, 3000),
    st.randoms(use_true_random=False),
    st.lists(st.integers(0, 1500), max_size=150),
)
def test_never_more_bytes_out_than_in_and_the_log_is_true_whatever_comes(
    packets: list[Packets], paid: int, luck: random.Random, sizes: list[int]
) -> None:
    guest, clock, session = Guest(packets=tuple(packets)), Clock(), Session("s", 1e9)
    flow = opened(guest, paid=paid, clock=clock, session=session, most=60_000)
    heard_in, out, arrived, answered, proofs = 0, 0, [], [], 0
    for size in sizes:
        clock.tick(luck.choice([0.0, 0.02, 3.0]))
        kind = luck.randrange(len(packets) + 1) % 16
        data = guest.packet(
            size, kind=kind, word=luck.choice([0, guest.word, guest.word, luck.randrange(1 << 16)])
        )
        data = luck.choice([b"", b"head", bytes(20)]) + data if luck.random() < 0.9 else luck.randbytes(size)
        stamp, was_over = flow.open(data), bool(flow.log.ended)
        answer = flow.hear(data, clock.now)
        heard_in += 0 if was_over else len(data)
        if answer is not None:
            assert not was_over
            out += len(answer)
            answered.append(stamp)
            if not flow.log.proved:
                proofs += 1
            for place in (0, 500, 1388):
                said = guest.down.open(answer[place : place + SIZE])
                guest.word = said.word if said is not None else guest.word
        if stamp is not None and not was_over:
            arrived.append(stamp.number)
        assert out <= paid + heard_in
    heard = flow.log.heard()

    assert proofs <= UNPROVED_ANSWERS
    assert (heard.octets_out, heard.octets_in) == (out, heard_in) == (heard.octets_out, session.octets)
    logged = numbers(heard)
    assert logged == arrived[: len(logged)]
    assert len(arrived) - len(logged) <= 1  # the one whose bytes were too many
    assert set(heard.mute).isdisjoint(stamp.number for stamp in answered if stamp is not None)
    assert times(heard) == sorted(times(heard))


@given(st.lists(st.binary(max_size=1600), max_size=30))
def test_no_datagram_whatever_raises(datagrams: list[bytes]) -> None:
    guest = Guest(packets=(VOICE, Packets(stamp_at=None, down="00", least=1)))
    flow = opened(guest, paid=500)
    for data in datagrams:
        flow.open(data)
        flow.hear(data, 1000.0)
