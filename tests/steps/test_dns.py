import asyncio
import re
import struct

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.demo.stand_ins import Datagrams, WebServer, name_reply
from probe.dialogue import Heard
from probe.failure import Closed, Malformed, Rejected, Silent, StepError, Unexpected
from probe.steps import Dns, DnsFacts, Tcp
from probe.steps.dns import Answer, Question, _contradictions, on_stream, over_udp
from tests.loopback import datagram_server, flow, stream_server
from tests.play import play

ZONE = {"chat.example": ("203.0.113.5", "2001:db8::5"), "v4.example": ("203.0.113.6",)}


def reply(query: bytes, *ips: str, rcode: int = 0, truncated: bool = False) -> bytes:
    asked = dns.message.from_wire(query)
    answer = dns.message.make_response(asked)
    answer.set_rcode(dns.rcode.from_text(dns.rcode.to_text(dns.rcode.Rcode(rcode))))
    if truncated:
        answer.flags |= dns.flags.TC
    if ips:
        answer.answer.append(
            dns.rrset.from_text(asked.question[0].name, 60, "IN", asked.question[0].rdtype, *ips)
        )
    return answer.to_wire(max_size=65535)


def test_a_question_knows_its_answer_and_nobody_elses() -> None:
    question = Question("chat.example", "A")
    other = Question("other.example", "A")
    other.identifier = question.identifier
    good = question.read(reply(question.wire(), "203.0.113.5"), at=0.1, ttl=57)

    assert good == Answer(rcode="NOERROR", records=("203.0.113.5",), at=0.1, reply_ttl=57)
    assert question.read(reply(other.wire(), "203.0.113.5"), at=0.1) is None
    assert question.read(question.wire(), at=0.1) is None


@pytest.mark.parametrize(
    ("kind", "text"),
    [("A", "203.0.113.5"), ("AAAA", "2001:db8::5"), ("TXT", '"hello"'), ("SRV", "0 5 3478 turn.example."),
     ("PTR", "edge.example.")],
)  # fmt: skip
def test_every_record_type_goes_there_and_back_through_dnspython(kind: str, text: str) -> None:
    question = Question("chat.example", kind)
    answer = question.read(reply(question.wire(), text), at=0.0)

    assert answer is not None
    assert answer.records == (text.strip('"'),)


def test_of_names_only_those_of_the_expected_form_are_kept() -> None:
    step = Dns(type="SRV", like="turn*.chat.example")
    good, bad = "1 1 3478 turn1.chat.example.", "1 1 3478 host-203-0-113-9.provider.example."
    answer = Answer(rcode="NOERROR", records=(bad, good))
    facts = step._kept(DnsFacts(name="x", type="SRV", answer=answer, further=(answer,)))

    for kept in (facts.answer, *facts.further):
        assert kept.records == ("a name of another form", good)
    assert Dns(type="SRV")._kept(facts) is facts


def test_an_address_in_a_text_record_is_withheld_unless_it_is_only_derived_from() -> None:
    for verbatim, said in ((False, "withheld: it holds an address"), (True, '"203.0.113.0/24"')):
        question = Question("origin.example", "TXT", verbatim=verbatim)
        answer = question.read(reply(question.wire(), '"203.0.113.0/24"'), at=0.0)
        assert answer is not None
        assert answer.records == (said,)


def test_a_lost_question_is_asked_again() -> None:
    question = Question("chat.example", "A")
    sent, (answers, tries) = play(over_udp([question]), [None, reply(question.wire(), "203.0.113.5")])

    assert (len(sent), tries) == (2, 2)
    assert answers[0] is not None


def test_three_silences_are_silence() -> None:
    with pytest.raises(Silent):
        play(over_udp([Question("chat.example", "A")]), [None] * 3)


def test_a_name_answered_for_one_family_only_is_an_answer() -> None:
    first, second = Question("chat.example", "A"), Question("chat.example", "AAAA")
    _, (answers, _) = play(over_udp([first, second]), [reply(first.wire(), "203.0.113.5"), *[None] * 4])

    assert [answer.records if answer else None for answer in answers] == [("203.0.113.5",), ()]


def test_a_second_different_answer_is_a_contradiction_and_a_repeated_one_is_not() -> None:
    question = Question("chat.example", "A")
    first = Answer(rcode="NOERROR", records=("203.0.113.5",))
    script = [
        Heard(reply(question.wire(), "203.0.113.5"), 0.1, 57),
        Heard(reply(question.wire(), "198.51.100.1"), 0.2, 117),
        None,
    ]
    _, further = play(_contradictions([question], [first], 3.0), script)

    assert [(answer.records, answer.reply_ttl) for answer in further] == [(("198.51.100.1",), 117)]


def test_on_a_stream_each_message_stands_behind_its_length() -> None:
    first, second = Question("chat.example", "A"), Question("chat.example", "AAAA")
    wires = [reply(second.wire(), "2001:db8::5"), reply(first.wire(), "203.0.113.5")]
    data = b"".join(struct.pack("!H", len(wire)) + wire for wire in wires)
    sent, answers = play(on_stream([first, second]), [data[:5], data[5:]])

    assert len(sent[0]) == 4 + len(first.wire()) + len(second.wire())
    assert [answer.records for answer in answers] == [("203.0.113.5",), ("2001:db8::5",)]


@given(st.lists(st.one_of(st.none(), st.binary(max_size=300)), max_size=20))
def test_no_datagram_whatever_breaks_a_look_up(script: list[bytes | None]) -> None:
    try:
        play(over_udp([Question("chat.example", "A")]), [*script, *[None] * 9])
    except StepError:
        return


@given(st.binary(max_size=300), st.integers(0, 60))
def test_no_changed_byte_of_a_true_answer_breaks_a_look_up(change: bytes, at: int) -> None:
    question = Question("chat.example", "A")
    good = reply(question.wire(), "203.0.113.5")
    broken = good[:at] + change + good[at + len(change) :]
    try:
        play(over_udp([question]), [broken, *[None] * 9])
        play(on_stream([question]), [struct.pack("!H", len(broken)) + broken])
    except StepError:
        return


@given(st.binary(max_size=400))
def test_no_stream_whatever_breaks_a_look_up(data: bytes) -> None:
    try:
        play(on_stream([Question("chat.example", "A")]), [data])
    except StepError:
        return


def test_a_stream_of_somebody_elses_answers_is_malformed() -> None:
    other = Question("other.example", "A")
    wire = reply(other.wire(), "203.0.113.5")
    with pytest.raises(Malformed):
        play(on_stream([Question("chat.example", "A")]), [(struct.pack("!H", len(wire)) + wire) * 2])
    with pytest.raises(Closed):
        play(on_stream([Question("chat.example", "A")]), [b"\0"])


async def test_both_families_in_one_step_over_udp_with_the_ttl_of_the_reply() -> None:
    async with datagram_server(Datagrams(name_reply(ZONE))) as port, flow(port) as to:
        announced: list[object] = []
        to.announce = announced.append
        facts = await Dns(linger=0.1).run(to)

    assert facts.answer.records == ("203.0.113.5", "2001:db8::5")
    assert facts.answer.reply_ttl == 64
    assert announced


async def test_a_name_that_does_not_exist_is_rejected_with_the_code_and_the_facts() -> None:
    async with datagram_server(Datagrams(name_reply(ZONE))) as port, flow(port, host="gone.example") as to:
        with pytest.raises(Rejected) as caught:
            await Dns(linger=0.0).run(to)

    assert caught.value.code == "NXDOMAIN"
    assert caught.value.partial is not None


async def test_a_name_without_such_a_record_is_nodata() -> None:
    async with datagram_server(Datagrams(name_reply(ZONE))) as port, flow(port, host="v4.example") as to:
        with pytest.raises(Unexpected, match="no such record"):
            await Dns(type="AAAA", linger=0.0).run(to)


async def test_a_huge_answer_over_tcp_is_read_and_capped() -> None:
    async def huge(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = struct.unpack("!H", await reader.readexactly(2))[0]
        ips = [f"10.{n // 250}.{n % 250}.1" for n in range(3000)]
        wire = reply(await reader.readexactly(size), *ips)
        writer.write(struct.pack("!H", len(wire)) + wire)
        await writer.drain()

    async with stream_server(huge) as port, flow(port) as to:
        await Tcp().run(to)
        facts = await Dns(type="A").run(to)

    assert len(facts.answer.records) == 64


async def test_a_truncated_answer_is_asked_for_again_over_tcp() -> None:
    async def whole(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = struct.unpack("!H", await reader.readexactly(2))[0]
        wire = reply(await reader.readexactly(size), "203.0.113.5")
        writer.write(struct.pack("!H", len(wire)) + wire)
        await writer.drain()

    async with stream_server(whole) as port:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: Datagrams(lambda data, _: reply(data, truncated=True)), local_addr=("127.0.0.1", port)
        )
        async with flow(port) as to:
            facts = await Dns(type="A", linger=0.0).run(to)
        transport.close()

    assert (facts.truncated, facts.answer.records) == (True, ("203.0.113.5",))


async def test_a_question_over_https_is_posted_on_the_open_link() -> None:
    question = Question("chat.example", "A")
    body = reply(question.wire(identifier=0), "203.0.113.5")
    pages = {
        "/dns-query": (200, {"content-type": "application/dns-message"}, body),
        "/broken": (200, {}, b"no"),
    }

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        (length,) = re.findall(rb"(?i)content-length: *(\d+)", head)
        await reader.readexactly(int(length))
        writer.write(WebServer(pages)._answer(head))
        await writer.drain()

    for path, wrong in (("/dns-query", None), ("/broken", Malformed), ("/nowhere", Unexpected)):
        async with stream_server(serve) as port, flow(port) as to:
            await Tcp().run(to)
            step = Dns(type="A", path=path)
            if wrong is None:
                assert (await step.run(to)).answer.records == ("203.0.113.5",)
            else:
                with pytest.raises(wrong):
                    await step.run(to)


async def test_the_systems_resolver_answers_for_localhost() -> None:
    async with flow(0, host="localhost") as to:
        facts = await Dns(system=True).run(to)

    assert set(facts.answer.records) & {"127.0.0.1", "::1"}


async def test_a_name_the_dns_cannot_carry_is_malformed() -> None:
    async with flow(9, host="x" * 300) as to:
        with pytest.raises(Malformed):
            await Dns().run(to)


def test_resolvers_get_the_same_query_with_an_identifier_of_their_own() -> None:
    one, other = Question("chat.example", "AAAA"), Question("chat.example", "AAAA")
    one.identifier, other.identifier = 1, 0xFFFE

    assert (one.wire()[:2], other.wire()[:2]) == (b"\x00\x01", b"\xff\xfe")
    assert one.wire()[2:] == other.wire()[2:] == Question("chat.example", "AAAA", verbatim=True).wire()[2:]
    assert one.wire(identifier=0)[:2] == bytes(2)
    assert Question("chat.example", "A").wire()[2:] != one.wire()[2:]
