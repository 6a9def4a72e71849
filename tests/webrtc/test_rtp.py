from aiortc.rtp import RtcpPacket, RtcpPsfbPacket, RtcpRrPacket, RtcpSenderInfo, RtcpSrPacket
from hypothesis import given
from hypothesis import strategies as st

from probe.webrtc.rtp import Stream, read, read_reports


def stream(media: str = "audio", *, extension: int | None = 4, ssrc: int = 7) -> Stream:
    return Stream(
        "audio" if media == "audio" else "video", payload_type=111, clock_rate=48000, mid="0",
        mid_extension=extension, sends=True, ssrc=ssrc,
    )  # fmt: skip


def test_a_packet_looks_as_a_browsers_does() -> None:
    packet = stream().packet(0x1234, 0x1_0000_0005, True, b"payload")

    assert (
        packet == bytes.fromhex("90ef1234 00000005 00000007 bede0001 4030 0000".replace(" ", "")) + b"payload"
    )
    assert stream(extension=None).packet(1, 2, False, b"") == bytes.fromhex("806f00010000000200000007")


def test_a_packet_is_read_back_without_what_was_put_around_it() -> None:
    found = read(stream().packet(65535, 9, False, b"payload"))

    assert found is not None
    assert (found.payload, found.sequence_number, found.timestamp, found.ssrc) == (b"payload", 65535, 9, 7)


def test_a_report_says_what_was_sent_and_what_came() -> None:
    ours, theirs = stream(ssrc=7), stream(ssrc=9)
    for number in (10, 11, 13, 14):
        found = read(theirs.packet(number, number * 960, False, b"x"))
        assert found is not None
        ours.heard(found)
    ours.sent(960, 40, 2.0)
    ours.heard_report(RtcpSrPacket(9, RtcpSenderInfo(0x1111_2222_3333_4444, 0, 4, 4)), 3.0)
    report, names = RtcpPacket.parse(ours.report(3.5, b"name"))

    assert isinstance(report, RtcpSrPacket)
    assert (report.ssrc, report.sender_info.packet_count, report.sender_info.octet_count) == (7, 1, 40)
    about = report.reports[0]
    assert (about.ssrc, about.packets_lost, about.highest_sequence) == (9, 1, 14)
    assert (about.lsr, about.dlsr) == (0x22223333, 0x8000)
    assert names.chunks[0].items == [(1, b"name")]  # type: ignore[union-attr]


def test_who_sends_nothing_reports_as_a_receiver_and_who_hears_nothing_reports_nothing() -> None:
    (report, _) = RtcpPacket.parse(stream().report(0.0, b"name"))

    assert isinstance(report, RtcpRrPacket)
    assert report.reports == []


def test_a_new_source_is_counted_anew() -> None:
    ours = stream()
    for ssrc, numbers in ((1, (5, 9)), (2, (60000, 60001))):
        for number in numbers:
            found = read(stream(ssrc=ssrc).packet(number, 0, False, b""))
            assert found is not None
            ours.heard(found)
    (report, _) = RtcpPacket.parse(ours.report(0.0, b"name"))

    assert isinstance(report, RtcpRrPacket)
    assert (report.reports[0].ssrc, report.reports[0].packets_lost) == (2, 0)


def test_a_lost_picture_is_asked_for_where_it_came_from() -> None:
    ours = stream("video")
    assert ours.picture_lost() == b""
    found = read(stream("video", ssrc=9).packet(1, 0, False, b""))
    assert found is not None
    ours.heard(found)

    assert RtcpPacket.parse(ours.picture_lost()) == [RtcpPsfbPacket(fmt=1, ssrc=7, media_ssrc=9)]


@given(st.binary(max_size=80) | st.binary(max_size=80).map(lambda data: b"\x90" + data))
def test_no_bytes_whatever_raise(data: bytes) -> None:
    read(data)
    read_reports(data)
    read_reports(b"\x81\xc8" + data)
