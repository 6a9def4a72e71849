import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.failure import Malformed
from probe.webrtc import Peer
from probe.webrtc.sdp import OFFERED, Refusal, Section, read_answer, read_offer
from tests.webrtc.calls import HERE

CHROMIUM = (
    Path(__file__).parent / "chromium-offer.sdp"
).read_text()  # version 156: audio, video, a data channel


def test_a_browsers_offer_comes_down_to_one_codec_a_medium_and_no_data_channel() -> None:
    offer = read_offer(CHROMIUM)
    audio, video, channel = offer.lines

    assert isinstance(audio, Section)
    assert isinstance(video, Section)
    assert (audio.media, audio.payload_type, audio.codec) == ("audio", 111, "opus/48000/2")
    assert (video.media, video.payload_type, video.codec, video.pictures) == ("video", 96, "VP8/90000", True)
    assert channel == Refusal("application", "UDP/DTLS/SCTP", "webrtc-datachannel", "2")
    assert (offer.setup, audio.mid_extension, video.mid_extension) == ("actpass", 4, 4)


def test_a_name_that_only_its_own_network_knows_is_no_candidate() -> None:
    assert ".local " in CHROMIUM
    assert read_offer(CHROMIUM).candidates == ()


async def test_a_browsers_offer_is_answered_line_by_line() -> None:
    peer = Peer(clock=time.monotonic, on_packet=lambda _: None, local=HERE)
    answer = await peer.answer(CHROMIUM, setup="passive")
    await peer.close()
    kinds = [line.split()[:2] for line in answer.splitlines() if line.startswith("m=")]

    assert kinds == [["m=audio", "9"], ["m=video", "9"], ["m=application", "0"]]
    assert "a=group:BUNDLE 0 1\r\n" in answer
    assert answer.count("a=setup:passive") == 2
    assert "rtx" not in answer


async def test_offers_and_answers_of_ours_are_read_as_they_were_meant() -> None:
    caller, callee = (Peer(clock=time.monotonic, on_packet=lambda _: None, local=HERE) for _ in range(2))
    offer = await caller.offer()
    answer = await callee.answer(offer)
    await caller.close()
    await callee.close()

    assert read_offer(offer).sections == OFFERED
    assert read_answer(answer).sections == OFFERED
    assert [one.host for one in read_answer(answer).candidates] == ["127.0.0.1"]
    assert read_answer(answer).setup == "active"


@pytest.mark.parametrize(
    ("direction", "answered"),
    [("sendonly", "recvonly"), ("recvonly", "sendonly"), ("inactive", "inactive"), ("sendrecv", "sendrecv")],
)
def test_a_direction_is_answered_by_its_counterpart(direction: str, answered: str) -> None:
    offer = read_offer(CHROMIUM.replace("a=sendrecv", f"a={direction}"))

    assert {section.direction for section in offer.sections} == {answered}


@pytest.mark.parametrize(
    "line",
    [
        "a=candidate:1 1 tcp 1 192.0.2.1 9 typ host tcptype active",
        "a=candidate:1 2 udp 1 192.0.2.1 9 typ host",
        "a=candidate:1 1 udp 1 192.0.2.1 0 typ host",
        "a=candidate:1 1 udp 1 192.0.2.1 65536 typ host",
        "a=candidate:1 1 udp 1 192.0.2.1 9 typ whatever",
        "a=candidate:1 1 udp 1 224.0.0.1 9 typ host",
        "a=candidate:1 1 udp 1 0.0.0.0 9 typ host",
        "a=candidate:1 1 udp 1 name.example 9 typ host",
    ],
)
def test_what_cannot_or_must_not_be_called_is_no_candidate(line: str) -> None:
    assert read_offer(CHROMIUM.replace("a=mid:0", f"a=mid:0\r\n{line}")).candidates == ()


def test_nobody_is_sent_to_more_than_a_few_addresses() -> None:
    lines = "".join(f"\r\na=candidate:1 1 udp 1 192.0.2.{i} 9 typ host" for i in range(1, 100))

    assert len(read_offer(CHROMIUM.replace("a=mid:0", "a=mid:0" + lines)).candidates) == 16


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a=ice-ufrag:", "a=x:"),
        ("a=ice-pwd:", "a=ice-pwd:!"),
        ("a=fingerprint:sha-256", "a=fingerprint:md5"),
        ("a=setup:actpass", "a=setup:holdconn"),
        ("a=setup:actpass", "a=x:y"),
        ("a=rtcp-mux\n", ""),
        ("a=group:BUNDLE 0 1 2", "a=group:BUNDLE 0"),
        ("a=mid:1", "a=mid:0"),
        ("a=mid:0", "a=x:0"),
        ("m=", "x="),
        ("v=0", "a=ice-lite\r\nv=0"),
        ("s=-", "s=" + "-" * 30_000),
    ],
)
def test_an_offer_that_cannot_be_used_is_malformed(old: str, new: str) -> None:
    text = CHROMIUM.replace(old, new)
    assert text != CHROMIUM
    with pytest.raises(Malformed):
        read_offer(text)


def test_sections_that_use_one_payload_type_cannot_be_told_apart() -> None:
    text = CHROMIUM.replace("SAVPF 96 ", "SAVPF 111 ").replace("a=rtpmap:96 ", "a=rtpmap:111 ")
    with pytest.raises(Malformed):
        read_offer(text)


_LINES = CHROMIUM.splitlines()


@given(st.text(max_size=300))
def test_no_text_whatever_raises_anything_but_malformed(text: str) -> None:
    for read in (read_offer, read_answer):
        with pytest.raises(Malformed):
            read(text)


@given(
    st.lists(st.tuples(st.integers(0, len(_LINES) - 1), st.integers(0, 60), st.text(max_size=8)), max_size=6),
    st.lists(st.integers(0, len(_LINES) - 1), max_size=4),
)
def test_no_change_to_an_offer_raises_anything_but_malformed(
    changes: list[tuple[int, int, str]], left_out: list[int]
) -> None:
    lines = list(_LINES)
    for at, column, text in changes:
        lines[at] = lines[at][:column] + text + lines[at][column + len(text) :]
    kept = "\r\n".join(line for at, line in enumerate(lines) if at not in left_out)
    for read in (read_offer, read_answer):
        try:
            read(kept)
        except Malformed:
            continue
