from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.demo.relays import ReflectorRelay, reflector_stream
from probe.demo.stand_ins import Datagrams
from probe.dialogue import Heard
from probe.failure import Closed, Malformed, Silent, StepError, Unexpected
from probe.record import Private
from probe.steps import Reflector, Tcp
from probe.steps.reflector import Hellos
from probe.steps.reflector_frames import STREAM_START, SelfInfo, on_stream, pack_self_info
from tests.loopback import datagram_server, flow, stream_server
from tests.play import play

YEAR = 365 * 86400


def info(tag: bytes, query: bytes, date: int = 1700000000) -> bytes:
    return pack_self_info(SelfInfo(tag, date, query, "::ffff:203.0.113.7", 40000))


def answering(hellos: Hellos, pattern: str) -> Iterator[bytes | None]:
    """Per hello: "+" is the right answer, "-" is none."""
    for sign in pattern:
        if sign == "+":
            yield info(hellos.tag, hellos._queries[-1])
        yield None


def asked(pattern: str) -> tuple[Hellos, list[bytes]]:
    hellos = Hellos(stream=False)
    sent, _ = play(hellos.dialogue(4, 10, 9.7), answering(hellos, pattern))
    return hellos, sent


@pytest.mark.parametrize(
    ("pattern", "sent", "answered"),
    [
        ("++++", 4, 4),
        ("+-++", 4, 3),
        ("+--+", 10, 2),
        ("--+-++++++", 10, 7),
        ("----", 4, 0),
    ],
)  # fmt: skip
def test_a_path_that_looks_bad_is_asked_on_until_ten(pattern: str, sent: int, answered: int) -> None:
    hellos, packets = asked(pattern)

    assert (len(packets), len(hellos.paced.trips)) == (sent, answered)


def test_hellos_are_half_a_second_apart_also_after_the_wait() -> None:
    hellos, packets = asked("+---+")
    gaps = [b - a for a, b in zip(hellos.paced.sent_at, hellos.paced.sent_at[1:], strict=False)]

    assert all(0.45 < gap < 1.6 for gap in gaps)
    assert {len(packet) for packet in packets} == {40}
    assert len({packet[:16] for packet in packets}) == 1
    assert len({packet[32:] for packet in packets}) == 10


def test_silence_is_said_with_the_number_of_hellos() -> None:
    hellos, _ = asked("----")
    with pytest.raises(Silent) as caught:
        hellos.paced.conclude()

    assert caught.value.code == "4"


WRONG: dict[str, tuple[Callable[[Hellos], bytes], type[StepError], str]] = {
    "63 bytes": (lambda h: info(h.tag, h._queries[-1])[:-1], Malformed, ""),
    "its own hello": (lambda h: h.tag + b"\xff" * 12 + b"\xfe\xff\xff\xff" + h._queries[-1], Malformed, ""),
    "a prefix that differs in byte 3": (
        lambda h: info(h.tag[:3] + bytes([h.tag[3] ^ 1]) + h.tag[4:], h._queries[-1]),
        Unexpected,
        "tag",
    ),
    "another query id": (lambda h: info(h.tag, b"12345678"), Unexpected, "query"),
}


@pytest.mark.parametrize(("make", "error", "code"), WRONG.values(), ids=WRONG)
def test_a_wrong_answer_alone_is_the_finding_and_beside_a_right_one_it_is_counted(
    make: Callable[[Hellos], bytes], error: type[StepError], code: str
) -> None:
    def script(hellos: Hellos, *, right: bool) -> Iterator[bytes | None]:
        yield make(hellos)
        for _ in range(10):
            if right:
                yield info(hellos.tag, hellos._queries[-1])
            yield None

    alone, beside = Hellos(stream=False), Hellos(stream=False)
    play(alone.dialogue(4, 10, 9.7), script(alone, right=False))
    play(beside.dialogue(4, 10, 9.7), script(beside, right=True))

    with pytest.raises(error) as caught:
        alone.paced.conclude()
    assert caught.value.code == code
    beside.paced.conclude()
    assert (beside.paced.wrong, len(beside.paced.trips)) == (1, 4)


def test_on_a_stream_each_packet_has_its_length_before_it_and_may_come_in_pieces() -> None:
    hellos = Hellos(stream=True)

    def script() -> Iterator[bytes | None]:
        for _ in range(4):
            framed = on_stream(info(hellos.tag, hellos._queries[-1]))
            yield from (framed[:3], framed[3:30], framed[30:], None)

    sent, _ = play(hellos.dialogue(4, 10, 9.7), script())

    assert sent[0] == STREAM_START
    assert {packet[:4] for packet in sent[1:]} == {b"\x28\0\0\0"}
    assert len(hellos.paced.trips) == 4


@given(st.booleans(), st.lists(st.one_of(st.none(), st.binary(max_size=80)), max_size=30))
def test_no_bytes_whatever_break_the_dialogue(stream: bool, script: list[bytes | None]) -> None:
    hellos = Hellos(stream=stream)
    try:
        play(hellos.dialogue(4, 10, 9.7), script)
        hellos.paced.conclude()
    except StepError:
        return
    raise AssertionError("nobody guesses a tag")


@given(st.binary(max_size=20), st.integers(0, 64))
def test_no_answer_whatever_with_our_tag_and_query_breaks_the_dialogue(change: bytes, at: int) -> None:
    hellos = Hellos(stream=False)

    def script() -> Iterator[bytes | Heard | None]:
        while True:
            good = info(hellos.tag, hellos._queries[-1])
            yield good[:at] + change + good[at + len(change) :]
            yield None

    play(hellos.dialogue(4, 10, 9.7), script())


async def test_a_relay_answers_a_stranger_and_our_address_stays_in_memory() -> None:
    async with datagram_server(ReflectorRelay()) as port, flow(port) as to:
        to.mapped.append(Private("127.0.0.1", 1))
        facts = await Reflector().run(to)

    assert (facts.sent, facts.answered, facts.over, facts.reply_ttl) == (4, 4, "udp", 64)
    assert len(facts.rtts) == 4
    assert min(facts.rtts) <= facts.rtt <= max(facts.rtts)
    assert abs(facts.clock_ahead or 0) < 10
    assert (facts.mapped_family, facts.mapped_public, facts.mapped_agrees) == (4, False, True)
    assert to.mapped[-1].open() == "127.0.0.1"
    assert "127.0.0.1" not in str(facts)


async def test_another_address_and_another_clock_are_told_and_not_judged() -> None:
    def reply(data: bytes, sender: tuple[str, int]) -> bytes:
        return info(data[:16], data[32:40], date=2_000_000_000)

    async with datagram_server(Datagrams(reply)) as port, flow(port) as to:
        to.mapped.append(Private("198.51.100.1", 1))
        facts = await Reflector(transmissions=1).run(to)

    assert facts.mapped_agrees is False
    assert abs(facts.clock_ahead or 0) > YEAR


async def test_a_relay_is_greeted_on_an_open_stream_too() -> None:
    async with stream_server(reflector_stream) as port, flow(port) as to:
        await Tcp().run(to)
        facts = await Reflector(transmissions=2).run(to)

    assert (facts.answered, facts.over, facts.mapped_agrees) == (2, "tcp", None)


async def test_a_stream_that_ends_without_an_answer_is_closed() -> None:
    async with stream_server(_hang_up) as port, flow(port) as to:
        await Tcp().run(to)
        with pytest.raises((Closed, ConnectionError)):
            await Reflector().run(to)


async def test_nobody_at_the_port_is_a_refusal() -> None:
    async with datagram_server(ReflectorRelay()) as port:
        pass
    async with flow(port) as to:
        with pytest.raises(ConnectionRefusedError):
            await Reflector().run(to)


async def _hang_up(reader: object, writer: object) -> None:
    """Accepts, and ends at once."""
