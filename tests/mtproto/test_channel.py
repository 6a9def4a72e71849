import struct

import pytest
from hypothesis import strategies as st

from probe.dialogue import Heard
from probe.failure import Closed, Malformed, Rejected, StepError
from probe.mtproto.channel import Channel, OnStream
from probe.mtproto.framing import MOST, Abridged, Framing, Full, Intermediate, Obfuscation, Padded
from tests.fuzz import fuzz
from tests.mtproto import vectors as v
from tests.play import play

TRANSPORTS: dict[OnStream, Framing] = {
    "abridged": Abridged(),
    "intermediate": Intermediate(),
    "padded": Padded(),
    "full": Full(),
    "obfuscated2": Intermediate(),
}
ERROR_404 = struct.pack("<i", -404)


def seeded(size: int) -> bytes:
    return v.SEED[:size]


def from_server(transport: OnStream, packet: bytes) -> bytes:
    """What the server puts on the wire for a packet; the obfuscated client's seed is `SEED`."""
    if transport != "obfuscated2":
        return packet
    init = v.SEED[:56] + b"\xee" * 4 + struct.pack("<h", 2) + v.SEED[62:]
    return Obfuscation(init).down.update(packet)


def asked(transport: OnStream, script: list[bytes | None]) -> tuple[list[bytes], tuple[bytes, float]]:
    return play(Channel(transport, 2, seeded).ask(v.REQ_PQ, 5.0), script)


def ended(transport: OnStream, pieces: list[bytes]) -> None:
    """Ask on a stream that ends after these pieces."""
    dialogue = Channel(transport, 2).ask(v.REQ_PQ, 5.0)
    next(dialogue)
    dialogue.send(0.0)
    for piece in pieces:
        dialogue.send(Heard(piece, 0.1))
    dialogue.throw(Closed("the stream ended"))


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_an_answer_is_read_however_it_is_cut(transport: OnStream) -> None:
    wire = from_server(transport, TRANSPORTS[transport].pack(v.RES_PQ, 0))
    for size in (1, 3, 7, 1000):
        pieces: list[bytes | None] = [wire[at : at + size] for at in range(0, len(wire), size)]
        _, (payload, seconds) = asked(transport, pieces)
        assert payload.startswith(v.RES_PQ)
        assert seconds > 0


def test_the_opening_is_sent_once_and_packets_are_numbered() -> None:
    openings: dict[OnStream, bytes] = {
        "abridged": b"\xef",
        "intermediate": b"\xee" * 4,
        "padded": b"\xdd" * 4,
    }
    for transport, opening in openings.items():
        channel = Channel(transport, 2)
        assert channel.pack(v.REQ_PQ).startswith(opening)
        assert not channel.pack(v.REQ_PQ).startswith(opening)
    full = Channel("full", 2)

    assert full.pack(v.REQ_PQ) == bytes.fromhex("3400000000000000") + v.REQ_PQ + bytes.fromhex("22b7ab88")
    assert full.pack(v.REQ_PQ)[:8] == bytes.fromhex("3400000001000000")


def test_the_hidden_question_is_byte_for_byte_the_researched_one() -> None:
    sent, _ = asked(
        "obfuscated2", [from_server("obfuscated2", Intermediate().pack(v.RES_PQ, 0))]
    )  # fmt: skip

    assert sent == [
        v.SEED[:56]
        + bytes.fromhex("27a3e26acbdb9f1d")
        + bytes.fromhex(
            "b8a57ab4dd9e957d69ebdb13d3a6e2297a2f7795f32c7baf3b013374669e1b57b03943d2ccc6d166e2dfbd21"
        )
    ]


def test_the_researched_hidden_error_is_a_rejection() -> None:
    with pytest.raises(Rejected) as caught:
        asked("obfuscated2", [bytes.fromhex("2464aaf6373ee855")])

    assert caught.value.code == "-404"


@pytest.mark.parametrize("code", [-404, -429, -444, -1])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_an_error_of_the_transport_is_a_rejection_with_its_number(transport: OnStream, code: int) -> None:
    packet = TRANSPORTS[transport].pack(struct.pack("<i", code), 0)
    with pytest.raises(Rejected) as caught:
        asked(transport, [from_server(transport, packet)])

    assert caught.value.code == str(code)


def test_an_error_without_a_frame_is_known_on_the_full_transport() -> None:
    with pytest.raises(Rejected) as caught:
        asked("full", [ERROR_404])

    assert caught.value.code == "-404"


HTTP = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"
ALERT = bytes.fromhex("15030300020228")


@pytest.mark.parametrize(("wire", "code"), [(HTTP, "http"), (b"<html><body>", "http"), (ALERT, "tls")])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_another_protocols_answer_is_named(transport: OnStream, wire: bytes, code: str) -> None:
    for script in ([wire], [wire[:5], wire[5:]]):
        with pytest.raises(Malformed) as caught:
            ended(transport, script)
        assert caught.value.code == code


@pytest.mark.parametrize(
    ("transport", "packet"),
    [
        ("intermediate", (1 << 30).to_bytes(4, "little")),
        ("intermediate", Intermediate().pack(bytes(MOST + 4), 0)),
        ("intermediate", Intermediate().pack(struct.pack("<i", 404), 0)),
        ("intermediate", Intermediate().pack(ERROR_404 + bytes(4), 0)),
        ("intermediate", Intermediate().pack(bytes(7) + b"\x01" + bytes(12), 0)),
        ("abridged", b"\x7f\xff\xff\xff"),
        ("abridged", b"SSH-2.0-OpenSSH_9.7"),
        ("full", b"\x20\0\0\0" + bytes(28)),
        ("padded", Padded().pack(struct.pack("<i", 5), 0)),
    ],
    ids=range(9),
)
def test_what_is_no_packet_is_malformed_without_waiting_for_the_rest(
    transport: OnStream, packet: bytes
) -> None:
    with pytest.raises(Malformed) as caught:
        asked(transport, [packet])

    assert caught.value.code == "frame"


def test_a_stream_that_ends_is_closed_whatever_came_before() -> None:
    for pieces in ([], [b"\x28\0"], [Intermediate().pack(v.RES_PQ, 0)[:50]]):
        with pytest.raises(Closed):
            ended("intermediate", pieces)


def test_silence_is_a_timeout() -> None:
    with pytest.raises(TimeoutError):
        asked("intermediate", [b"\x28\0", None])


def test_an_answer_to_the_next_question_may_come_with_the_first() -> None:
    channel = Channel("intermediate", 2)
    both = Intermediate().pack(v.RES_PQ, 0) + Intermediate().pack(v.REQ_PQ, 1)
    _, (first, _) = play(channel.ask(v.REQ_PQ, 5.0), [both])
    _, (second, seconds) = play(channel.ask(v.REQ_PQ, 5.0), [])

    assert (first, second, seconds) == (v.RES_PQ, v.REQ_PQ, 0.0)


@fuzz(
    "mtproto channel",
    st.tuples(st.sampled_from(tuple(TRANSPORTS)), st.lists(st.binary(max_size=40), max_size=4)),
)
def test_no_stream_whatever_is_more_than_a_step_error(example: tuple[OnStream, list[bytes]]) -> None:
    transport, pieces = example
    good = from_server(transport, TRANSPORTS[transport].pack(v.RES_PQ, 0))
    for script in (pieces, [good[:9], *pieces], [good[: len(good) // 2], *pieces]):
        try:
            asked(transport, [*script, None])
        except (StepError, TimeoutError):
            continue
