"""Packets as text: every token, sizes, what is refused, and texts of any kind."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.media.stamp import SIZE
from probe.media.template import MAX_SIZE, MAX_TEXT, Memory, Template, TemplateError

MARK = b"stampstampst"


def made(text: str, wanted: int = 0, memory: Memory | None = None) -> bytes:
    return Template(text).render(memory or Memory(), MARK, wanted)


@pytest.mark.parametrize(
    ("text", "packet"),
    [
        ("0003 00c0", "000300c0"),
        ("00 01\n 02", "000102"),
        ("'ab C'", "61622043"),
        ("ff {stamp}", "ff" + MARK.hex()),
        ("{rest16} 0102", "00020102"),
        ("{rest32} 010203", "00000003010203"),
        ("17 {rest16} {rest32} 'x'", "170005" + "00000001" + "78"),
        ("{count16}{count32le}", "0000" + "00000000"),
        ("{clock32:960}", "00000000"),
    ],
)
def test_text_becomes_bytes(text: str, packet: str) -> None:
    assert made(text).hex() == packet


def test_counters_count_and_clocks_go_on() -> None:
    memory, template = Memory(), Template("{count16} {count32le} {clock32:960}")
    packets = [template.render(memory, b"") for _ in range(3)]

    assert [packet.hex() for packet in packets] == [
        "0000" + "00000000" + "00000000",
        "0001" + "01000000" + "000003c0",
        "0002" + "02000000" + "00000780",
    ]


def test_a_counter_turns_where_its_field_ends() -> None:
    template = Template("{count16} {clock32:65536}")
    memory = Memory(counts={0: 0x10001, 1: 0x10001})

    assert template.render(memory, b"").hex() == "0001" + "00010000"


def test_same_stays_the_same_in_a_flow_and_not_beyond() -> None:
    template, memory = Template("{same:ssrc:8}"), Memory()

    assert template.render(memory, b"") == template.render(memory, b"") != template.render(Memory(), b"")


def test_random_is_random_and_high_is_what_no_protocol_of_a_call_begins_with() -> None:
    assert made("{random:16}") != made("{random:16}")
    assert all(made("{high}")[0] >= 0xC0 for _ in range(100))


def test_fill_makes_the_size_that_is_wanted_within_what_is_possible() -> None:
    template = Template("80 {stamp} {fill}")

    assert [len(template.render(Memory(), MARK, wanted)) for wanted in (0, 13, 160, 9000)] == [
        13,
        13,
        160,
        MAX_SIZE,
    ]
    assert [template.sized(wanted) for wanted in (0, 13, 160, 9000)] == [13, 13, 160, MAX_SIZE]
    assert (template.size, template.minimum, template.stamp_at) == (None, 13, 1)


def test_a_packet_without_fill_has_its_own_size_whatever_is_wanted() -> None:
    template = Template("{rest16} {stamp} {random:6}")

    assert len(template.render(Memory(), MARK, 900)) == template.size == template.minimum == 20
    assert template.stamp_at == 2


def test_a_length_field_counts_the_fill_behind_it() -> None:
    packet = made("{rest16} {stamp} {fill}", 100)

    assert packet[:2] == (98).to_bytes(2, "big")
    assert packet[2 : 2 + SIZE] == MARK


def test_a_packet_without_a_stamp_has_none() -> None:
    assert Template("0001").stamp_at is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "makes 0 bytes"),
        ("{fill}", "makes 0 bytes"),
        ("012", "cannot be read from '2' on"),
        ("'no end", 'cannot be read from "\'no end" on'),
        ("{nonsense}", "unknown or lacks its number"),
        ("{random}", "unknown or lacks its number"),
        ("{random:0}", "unknown or lacks its number"),
        ("{same:4}", "unknown or lacks its number"),
        ("{stamp:4}", "unknown or lacks its number"),
        ("{stamp}{stamp}", "needs its one {stamp} before its {fill}"),
        ("{fill}{stamp}", "needs its one {stamp} before its {fill}"),
        ("{fill} 00 {fill}", "more than one {fill}"),
        (f"{{random:{MAX_SIZE}}} 00", f"makes {MAX_SIZE + 1} bytes"),
        ("00" * (MAX_TEXT // 2 + 1), "longer than"),
    ],
)
def test_a_template_that_cannot_be_is_refused_in_words(text: str, reason: str) -> None:
    with pytest.raises(TemplateError) as caught:
        Template(text)

    assert reason in str(caught.value)


tokens = st.sampled_from(
    [
        "00", "c0ffee", "'text'", "{stamp}", "{random:3}", "{same:a:4}", "{same:b1:2}", "{count16}", "{count32le}",
        "{clock32:9}", "{rest16}", "{rest32}", "{fill}", "{high}", " ", "\n", "{", "}", "'", ":", "x",
    ]
)  # fmt: skip


@given(st.one_of(st.text(max_size=60), st.lists(tokens, max_size=12).map("".join)), st.integers(0, 2000))
def test_whatever_text_comes_is_refused_or_makes_packets_of_the_size_it_promises(
    text: str, wanted: int
) -> None:
    try:
        template = Template(text)
    except TemplateError:
        return
    memory = Memory()
    for _ in range(2):
        packet = template.render(memory, MARK, wanted)
        assert len(packet) == template.sized(wanted) <= MAX_SIZE
        if template.stamp_at is not None:
            assert packet[template.stamp_at : template.stamp_at + SIZE] == MARK
