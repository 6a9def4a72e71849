import asyncio
from collections.abc import Iterator
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.demo.relays import echo_reply
from probe.demo.stand_ins import Address, Datagrams
from probe.dialogue import Heard
from probe.failure import Malformed, Silent, StepError, Unexpected
from probe.steps import Echo, EchoFacts
from probe.steps.echo import _facts, flow_of, packet
from probe.steps.paced import Paced
from tests.loopback import datagram_server, flow
from tests.play import play


def played(pattern: str, every: float = 0.2) -> tuple[Paced, list[bytes]]:
    """A flow in which "+" comes back at once and "-" does not."""

    def script() -> Iterator[bytes | None]:
        for number, sign in enumerate(pattern):
            if sign == "+":
                yield packet(number)
            yield None

    paced = flow_of(every)
    sent, _ = play(paced.exchange(len(pattern), 2.0, 1e9), script())
    return paced, sent


def facts_of(pattern: str) -> EchoFacts:
    return _facts(played(pattern)[0])


def test_a_packet_is_eight_bytes_with_a_counter_from_zero() -> None:
    assert packet(0) == bytes.fromhex("1337cafe00000000")
    assert packet(258) == bytes.fromhex("1337cafe02010000")
    assert played("+++")[1] == [packet(0), packet(1), packet(2)]


@pytest.mark.parametrize(
    ("pattern", "answers", "answered", "gap", "last"),
    [
        ("+++++", "5+", 5, 0, 4),
        ("+" * 25 + "-" * 75, "25+ 75-", 25, 75, 24),
        ("+-+--+", "1+ 1- 1+ 2- 1+", 3, 2, 5),
        ("---+", "3- 1+", 1, 3, 3),
    ],
)  # fmt: skip
def test_a_flow_is_told_in_runs(pattern: str, answers: str, answered: int, gap: int, last: int) -> None:
    facts = facts_of(pattern)

    assert (facts.answers, facts.answered, facts.longest_gap, facts.last) == (answers, answered, gap, last)
    assert facts.sent == len(pattern)


def test_the_pace_does_not_drift_however_much_is_heard() -> None:
    paced, _ = played("+" * 100)

    assert abs(paced.sent_at[99] - paced.sent_at[0] - 99 * 0.2) < 0.05


def test_an_echo_that_comes_after_the_next_packet_is_counted_for_its_own() -> None:
    def script() -> Iterator[bytes | None]:
        yield from (None, None, packet(0), packet(1), packet(2))

    paced = flow_of(0.2)
    play(paced.exchange(3, 2.0, 60), script())
    assert _facts(paced).answers == "3+"
    assert paced.trips[0] > 0.4


def test_silence_is_said_with_the_number_of_packets() -> None:
    paced, _ = played("-----")
    with pytest.raises(Silent) as caught:
        paced.conclude()

    assert caught.value.code == "5"


@pytest.mark.parametrize(
    ("data", "error"),
    [(packet(9), Unexpected), (b"1337cafe", Malformed), (packet(0) + b"x", Malformed), (b"", Malformed)],
)
def test_a_wrong_echo_alone_is_the_finding_and_beside_a_right_one_it_is_counted(
    data: bytes, error: type[StepError]
) -> None:
    alone, beside = flow_of(0.2), flow_of(0.2)
    play(alone.exchange(2, 2.0, 60), [data])
    play(beside.exchange(2, 2.0, 60), [data, packet(0)])

    with pytest.raises(error):
        alone.conclude()
    beside.conclude()
    assert (beside.wrong, _facts(beside).answers) == (1, "1+ 1-")


def test_the_same_echo_twice_is_one_answer() -> None:
    paced = flow_of(0.2)
    play(paced.exchange(2, 2.0, 60), [Heard(packet(0), 0.05, 50), Heard(packet(0), 0.06, 99)])

    assert (len(paced.trips), paced.wrong, paced.reply_ttl) == (1, 0, 50)


@given(
    st.lists(st.one_of(st.none(), st.binary(max_size=12), st.builds(packet, st.integers(0, 6))), max_size=40)
)
def test_no_datagrams_whatever_break_the_dialogue(script: list[bytes | None]) -> None:
    paced = flow_of(0.2)
    play(paced.exchange(5, 2.0, 9.7), script)
    try:
        paced.conclude()
    except StepError:
        return
    assert _facts(paced).answered <= 5


async def test_a_voice_machine_echoes_a_stranger() -> None:
    async with datagram_server(Datagrams(echo_reply())) as port, flow(port) as to:
        facts = await Echo(every=0.02).run(to)

    assert (facts.answers, facts.reply_ttl, facts.wrong) == ("5+", 64, 0)
    assert facts.rtt > 0


async def test_a_flow_ends_by_itself_before_its_deadline_and_keeps_its_facts() -> None:
    async with datagram_server(Datagrams(echo_reply())) as port, flow(port) as to:
        facts = await Echo(count=1000, every=0.05, seconds=0.8).run(to)

    assert 1 <= facts.answered <= facts.sent <= 11


class OneAnswer(asyncio.DatagramProtocol):
    """Answers once, and then its port is closed."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._transport.sendto(data, addr)
        self._transport.close()


async def test_a_refusal_after_an_answer_takes_nothing_back() -> None:
    async with datagram_server(OneAnswer()) as port, flow(port) as to:
        facts = await Echo(every=0.05).run(to)

    assert facts.answers.startswith("1+")


async def test_nobody_at_the_port_is_a_refusal() -> None:
    async with datagram_server(OneAnswer()) as port:
        pass
    async with flow(port) as to:
        with pytest.raises(ConnectionRefusedError):
            await Echo(every=0.02).run(to)
