from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.demo.relays import keep_alive_reply
from probe.demo.stand_ins import Datagrams, relay_reply
from probe.dialogue import Heard, Send
from probe.failure import Closed, Malformed, Silent, StepError, Unexpected
from probe.steps import Stun, Tcp
from probe.steps.stun import Exchange, binding, keep_alive, on_stream, over_udp
from probe.stun_message import Attribute, Message, Method, error, pack_address
from tests.loopback import datagram_server, flow, stream_server
from tests.play import play


def answer(request: Message, ip: str = "203.0.113.9", kind: str = "success") -> bytes:
    attributes: tuple[tuple[int, bytes], ...]
    attributes = ((Attribute.XOR_MAPPED_ADDRESS, pack_address(ip, 4000, request.transaction)),)
    if kind == "error":
        attributes = ((Attribute.ERROR_CODE, error(420, "Unknown")),)
    return Message(request.method, kind, request.transaction, attributes).encode()  # type: ignore[arg-type]


def test_an_answer_to_the_first_transmission_gives_the_round_trip() -> None:
    request = binding("rfc8489")
    sent, exchanged = play(over_udp(request, 5), [answer(request)])

    assert sent == [request.encode()]
    assert (exchanged.transmissions, round(exchanged.rtt, 6)) == (1, 0.01)


def test_silence_is_asked_again_and_then_said() -> None:
    request = binding("rfc8489")
    with pytest.raises(Silent) as caught:
        play(over_udp(request, 5), [None] * 5)

    assert caught.value.code == "5"


def test_an_answer_to_somebody_else_is_not_ours() -> None:
    request = binding("rfc8489")
    with pytest.raises(Silent):
        play(over_udp(request, 2), [answer(binding("rfc8489")), None, None])


def test_a_second_answer_is_kept_beside_the_first() -> None:
    request = binding("rfc8489")
    script = [Heard(answer(request), 0.1, 60), Heard(answer(request, "198.51.100.7"), 0.2, 117)]
    _, exchanged = play(over_udp(request, 5), script)

    assert [heard.ttl for _, heard in exchanged.answers] == [60, 117]


def test_a_refusal_is_proof_of_life() -> None:
    request = binding("rfc8489")
    _, exchanged = play(over_udp(request, 5), [answer(request, kind="error")])

    assert exchanged.answers[0][0].error_code == 420


def test_on_a_stream_the_length_field_frames_the_answer() -> None:
    request = binding("rfc8489")
    data = answer(request)
    _, exchanged = play(on_stream(request), [data[:7], data[7:]])

    assert exchanged.transmissions == 1


@pytest.mark.parametrize(
    ("data", "wrong"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", Malformed),
        (b"\x01\x01\xff\xff\x21\x12\xa4\x42" + b"\0" * 12, Malformed),
        (answer(Message(Method.BINDING, "request", b"somebody els")), Unexpected),
        (b"\x01\x01", Closed),
    ],
)  # fmt: skip
def test_a_stream_that_says_something_else_is_a_failure(data: bytes, wrong: type[StepError]) -> None:
    with pytest.raises(wrong):
        play(on_stream(binding("rfc8489")), [data])


@given(st.lists(st.one_of(st.none(), st.binary(max_size=200)), max_size=30))
def test_no_datagram_whatever_breaks_the_dialogue(script: list[bytes | None]) -> None:
    try:
        _, exchanged = play(over_udp(binding("rfc8489"), 5), [*script, *[None] * 40])
    except StepError:
        return
    assert isinstance(exchanged, Exchange)


@given(st.lists(st.binary(max_size=200), max_size=10), st.binary(max_size=120), st.integers(0, 100))
def test_no_stream_whatever_breaks_the_dialogue(script: list[bytes], change: bytes, at: int) -> None:
    request = binding("rfc8489")
    good = answer(request)
    for lines in (script, [good[:at] + change + good[at:]]):
        try:
            play(on_stream(request), lines)
        except StepError:
            continue


async def test_the_mapped_address_stays_in_memory_and_is_not_in_the_facts() -> None:
    async with datagram_server(Datagrams(relay_reply("x"))) as port, flow(port) as to:
        facts = await Stun().run(to)

    assert (facts.mapped_family, facts.mapped_public, facts.transmissions) == (4, False, 1)
    assert to.mapped[0].open() == "127.0.0.1"
    assert "127.0.0.1" not in str(facts)
    assert facts.answers[0].reply_ttl == 64


async def test_the_dialect_without_a_cookie_is_answered_too() -> None:
    async with datagram_server(Datagrams(relay_reply("x"))) as port, flow(port) as to:
        assert (await Stun(dialect="rfc3489").run(to)).dialect == "rfc3489"


def kept_alive(answers: Callable[[bytes], list[bytes]]) -> tuple[bytes, Exchange]:
    """What is sent to keep a path alive, and what is made of these answers to it."""
    dialogue = keep_alive(3)
    act = next(dialogue)
    assert isinstance(act, Send)
    dialogue.send(0.0)
    try:
        for number, data in enumerate(answers(act.data)):
            dialogue.send(Heard(data, 0.1 * number))
        while True:
            dialogue.send(None)
    except StopIteration as ended:
        return act.data, ended.value


def test_whatsapps_keep_alive_is_a_bare_header_and_only_its_own_answer_counts() -> None:
    right = b"\x08\x02"
    sent, exchanged = kept_alive(
        lambda asked: [
            asked,
            right + asked[2:19] + bytes([asked[19] ^ 1]),
            b"\x09\x11" + asked[2:],
            right + asked[2:],
        ]
    )

    assert (len(sent), sent[:8]) == (20, bytes.fromhex("080100002112a442"))
    assert exchanged.rtt == pytest.approx(0.3)
    assert [message.class_ for message, _ in exchanged.answers] == ["success"]


@given(st.lists(st.one_of(st.none(), st.binary(max_size=40)), max_size=20))
def test_no_datagram_whatever_is_taken_for_a_keep_alive(script: list[bytes | None]) -> None:
    with pytest.raises(Silent) as caught:
        play(keep_alive(3), [*script, *[None] * 20])

    assert caught.value.code == "3"


async def test_a_keep_alive_goes_over_udp_and_is_known_by_its_dialect() -> None:
    async with datagram_server(Datagrams(lambda data, _: keep_alive_reply(data))) as port, flow(port) as to:
        facts = await Stun(dialect="whatsapp", transmissions=3).run(to)

    assert (facts.dialect, facts.transmissions, facts.mapped_family, to.mapped) == ("whatsapp", 1, 0, [])


async def test_stun_on_an_open_stream() -> None:
    from tests.lab.responder import relay_stream

    async with stream_server(lambda r, w: relay_stream(r, w, relay_reply("x"))) as port, flow(port) as to:
        await Tcp().run(to)
        assert (await Stun().run(to)).mapped_family == 4


async def test_nobody_at_the_port_is_a_refusal() -> None:
    async with datagram_server(Datagrams(relay_reply("x"))) as port:
        pass
    async with flow(port) as to:
        with pytest.raises(ConnectionRefusedError):
            await Stun().run(to)


def test_a_binding_request_is_twenty_bytes_and_its_method_is_binding() -> None:
    assert len(binding("rfc8489").encode()) == len(binding("rfc3489").encode()) == 20
    assert binding("rfc8489").method == Method.BINDING
