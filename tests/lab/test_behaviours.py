"""What the box does, on packets made by hand: no namespaces, no clock."""

import random
import struct
from typing import Any

import pytest

from probe.stun_message import COOKIE
from tests.lab import packets
from tests.lab.behaviours import Behaviour
from tests.lab.kinds import build
from tests.lab.packets import Packet

CLIENT, SERVER, OTHER = "85.140.1.2", "5.45.64.1", "5.45.64.2"
CLIENT6, SERVER6 = "2a00:1370:1:77::2", "2a03:b0c0:1::1"
HELLO = bytes.fromhex("16feff000000000000000000440100003800000000000000 38fefd") + bytes(32) + b"\0\x1d\0\x17"


def made(do: str, **settings: Any) -> Behaviour:
    return build({"do": do, **settings}, random.Random(1), lambda raw, up, after: None)


def up(payload: bytes = b"hello", *, port: int = 3478, local: int = 40000, server: str = SERVER) -> Packet:
    client = CLIENT6 if ":" in server else CLIENT
    return Packet(packets.udp(client, server, (local, port), payload), up=True)


def down(payload: bytes = b"hello", *, port: int = 3478, local: int = 40000, server: str = SERVER) -> Packet:
    client = CLIENT6 if ":" in server else CLIENT
    return Packet(packets.udp(server, client, (port, local), payload), up=False)


def passes(behaviour: Behaviour, packet: Packet, now: float = 0.0) -> bool:
    """Whether it passes, as the box would ask."""
    return not behaviour.matches(packet) or behaviour.see(packet, now) is not None


def test_ports_may_be_one_or_several() -> None:
    assert not passes(made("drop", port=1400), up(port=1400))
    assert not passes(made("drop", port=[596, 1400]), up(port=596))
    assert passes(made("drop", port=[596, 1400]), up(port=3478))


def test_a_word_that_a_behaviour_does_not_have_is_refused() -> None:
    with pytest.raises(KeyError, match="percentage"):
        made("loss", percentage=5)
    with pytest.raises(KeyError):
        made("magic")


# freeze


@pytest.mark.parametrize("server", [SERVER, SERVER6])
def test_a_flow_freezes_after_so_many_packets_of_both_directions_and_a_new_one_begins_anew(
    server: str,
) -> None:
    freeze = made("freeze", packets=6)

    for _ in range(3):
        assert passes(freeze, up(server=server))
        assert passes(freeze, down(server=server))
    assert not passes(freeze, up(server=server))
    assert not passes(freeze, down(server=server))
    assert passes(freeze, up(server=server, local=40001))


def test_a_direction_says_what_is_counted_and_the_flow_freezes_both_ways() -> None:
    freeze = made("freeze", packets=2, direction="down")

    assert all(passes(freeze, up()) for _ in range(10))
    assert passes(freeze, down())
    assert passes(freeze, down())
    assert not passes(freeze, up())
    assert not passes(freeze, down())


def test_a_flow_freezes_after_so_many_bytes() -> None:
    freeze = made("freeze", bytes=3000)

    sent = [passes(freeze, up(bytes(972))) for _ in range(5)]  # 1000 with the headers

    assert sent == [True, True, True, False, False]


def test_a_flow_freezes_at_an_age() -> None:
    freeze = made("freeze", seconds=5.0)

    assert passes(freeze, up(), 100.0)
    assert passes(freeze, down(), 104.9)
    assert not passes(freeze, up(), 105.0)
    assert passes(freeze, up(local=40001), 105.0)


def test_with_a_rate_only_what_flows_like_media_is_judged() -> None:
    freeze = made("freeze", min_rate=40, window=3.0)

    slow = [passes(freeze, make(local=1), number / 30) for number in range(300) for make in (up, down)]
    fast = [passes(freeze, make(local=2), number / 50) for number in range(300) for make in (up, down)]

    assert all(slow)  # 60 packets a second, but 30 in each direction
    assert fast.index(False) == 239
    assert not any(fast[239:])


def test_a_rate_and_a_limit_must_both_be_reached() -> None:
    freeze = made("freeze", min_rate=40, seconds=10.0)

    fast = [passes(freeze, up(local=1), number / 50) for number in range(1000)]
    idle = [passes(freeze, up(local=2), float(number)) for number in range(30)]

    assert fast.index(False) == 500
    assert all(idle)


def test_a_freeze_without_any_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="needs"):
        made("freeze")


# ratio, police, jitter


def test_a_ratio_of_the_packets_is_lost_and_the_same_seed_loses_the_same() -> None:
    first, second = made("ratio", percent=50), made("ratio", percent=50)

    lost = [not passes(first, down()) for _ in range(4000)]

    assert sum(lost) / 4000 == pytest.approx(0.5, abs=0.03)
    assert lost == [not passes(second, down()) for _ in range(4000)]


def test_a_policer_lets_the_burst_and_then_its_rate_through_and_delays_nothing() -> None:
    police = made("police", rate=80_000, burst=5000)
    packet = up(bytes(972))

    seen = [police.see(packet, number / 50) for number in range(1000)]  # 50,000 bytes a second for 20 s

    assert set(seen) == {0.0, None}
    assert seen.count(0.0) == pytest.approx(5 + 200, abs=2)
    assert seen[:5] == [0.0] * 5


def test_a_policer_keeps_a_bucket_for_each_direction() -> None:
    police = made("police", rate=8, burst=1000)

    assert passes(police, up(bytes(972)))
    assert not passes(police, up(bytes(972)))
    assert passes(police, down(bytes(972)))


def test_a_policer_is_filled_to_its_burst_and_no_more() -> None:
    police = made("police", rate=80_000, burst=2000)

    assert [passes(police, up(bytes(972)), at) for at in (0.0, 0.0, 0.0)] == [True, True, False]
    assert [passes(police, up(bytes(972)), at) for at in (100.0, 100.0, 100.0)] == [True, True, False]


def test_jitter_keeps_the_order_unless_it_may_not() -> None:
    assert made("delay", ms=20, jitter_ms=10).keeps_order
    assert not made("delay", ms=20, jitter_ms=10, reorder=True).keeps_order


# payload


def stun(kind: int, *attributes: int) -> bytes:
    body = b"".join(struct.pack("!HH", one, 5) + bytes(8) for one in attributes)
    return struct.pack("!HHI", kind, len(body), COOKIE) + bytes(12) + body


def test_a_datagram_vanishes_by_bytes_at_an_offset() -> None:
    reflector = made("payload", patterns=[{"at": 16, "bytes": "ff" * 12}])

    assert not passes(reflector, up(bytes(16) + b"\xff" * 12 + b"rest"))
    assert passes(reflector, up(bytes(17) + b"\xff" * 12))
    assert passes(reflector, up(bytes(16) + b"\xff" * 11))


def test_a_mask_says_which_bits_count() -> None:
    types = made("payload", patterns=[{"at": 0, "bytes": "0801", "mask": "fffc"}])

    assert [passes(types, up(struct.pack("!H", kind))) for kind in range(0x7FF, 0x806)] == [
        True, False, False, False, False, True, True,
    ]  # fmt: skip


def test_bytes_without_an_offset_are_looked_for_everywhere_and_alternatives_are_alternatives() -> None:
    either = made("payload", patterns=[{"bytes": "2112a442"}, {"at": 0, "bytes": "00010046", "shorter": 80}])

    assert not passes(either, up(b"x\x21\x12\xa4\x42"))
    assert not passes(either, up(bytes.fromhex("00010046") + bytes(70)))
    assert passes(either, up(bytes.fromhex("00010046") + bytes(76)))
    assert passes(either, up(b"anything"))


def test_lengths_are_exclusive() -> None:
    middling = made("payload", patterns=[{"longer": 100, "shorter": 103}])

    assert [passes(middling, up(bytes(size))) for size in range(99, 105)] == [
        True, True, False, False, True, True,
    ]  # fmt: skip


def test_stun_is_known_by_its_type_or_its_attributes() -> None:
    whatsapp = made(
        "payload", patterns=[{"stun_types": [0x0800, 0x0801, 0x0802]}, {"stun_attributes": [0x4000, 0x4001]}]
    )

    assert not passes(whatsapp, up(stun(0x0801)))
    assert not passes(whatsapp, down(stun(0x0003, 0x0019, 0x4000)))
    assert passes(whatsapp, up(stun(0x0001, 0x0006)))
    assert passes(whatsapp, up(b"\x08\x01" + bytes(40)))  # no cookie


def test_the_types_and_attributes_of_one_pattern_must_both_be_there() -> None:
    both = made("payload", patterns=[{"stun_types": [0x0003], "stun_attributes": [0x4000]}])

    assert not passes(both, up(stun(0x0003, 0x4000)))
    assert passes(both, up(stun(0x0003, 0x0019)))
    assert passes(both, up(stun(0x0001, 0x4000)))


def test_a_payload_filter_leaves_tcp_alone() -> None:
    segment = packets.tcp(CLIENT, SERVER, (40000, 443), (1, 1), packets.ACK)

    assert passes(made("payload", patterns=[{"longer": -1, "shorter": 9}]), Packet(segment, up=True))


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"at": 4},
        {"bytes": "08", "mask": "ff"},
        {"at": 0, "bytes": "0800", "mask": "ff"},
        {"at": 0, "bytes": "zz"},
    ],
)
def test_a_pattern_that_cannot_be_meant_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        made("payload", patterns=[wrong])


def test_a_pattern_with_an_unknown_word_is_refused() -> None:
    with pytest.raises(TypeError):
        made("payload", patterns=[{"offset": 0}])


# dtls


@pytest.mark.parametrize("make", [up, down])
def test_a_dtls_hello_vanishes_whoever_sends_it(make: Any) -> None:
    dtls = made("dtls")

    assert not passes(dtls, make(HELLO))
    assert not passes(dtls, make(HELLO))  # retransmitted
    assert passes(dtls, make(HELLO[:13] + b"\x02" + HELLO[14:]))  # a ServerHello
    assert passes(dtls, make(b"\x17" + HELLO[1:]))
    assert passes(dtls, make(b"\x16\x03\x01" + HELLO[3:]))  # TLS
    assert passes(dtls, make(stun(1)))


def test_a_direction_says_whose_dtls_hello_is_looked_at() -> None:
    dtls = made("dtls", direction="down")

    assert passes(dtls, up(HELLO))
    assert not passes(dtls, down(HELLO))


def test_a_dtls_hello_is_known_by_bytes_anywhere_or_at_an_offset() -> None:
    at = HELLO.index(b"\0\x1d\0\x17")

    assert not passes(made("dtls", contains="001d0017"), up(HELLO))
    assert not passes(made("dtls", contains="001d0017", at=at), up(HELLO))
    assert passes(made("dtls", contains="001d0017", at=at - 2), up(HELLO))
    assert passes(made("dtls", contains="0017001d"), up(HELLO))


def test_a_cut_lets_the_hello_pass_and_kills_its_flow_later_both_ways() -> None:
    dtls = made("dtls", action="cut", seconds=5.0, direction="up")

    assert passes(dtls, up(HELLO), 10.0)
    assert passes(dtls, up(HELLO), 11.0)  # retransmitted; the time runs from the first
    assert passes(dtls, down(b"media"), 14.9)
    assert not passes(dtls, down(b"media"), 15.0)
    assert not passes(dtls, up(b"media"), 15.1)
    assert not passes(dtls, up(HELLO), 15.2)
    assert passes(dtls, up(b"media", local=40001), 15.2)


def test_a_dtls_action_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="explode"):
        made("dtls", action="explode")


# rtp


def rtp(number: int, *, ssrc: bytes = b"abcd", kind: int = 0x6F, first: int = 0x80) -> bytes:
    return struct.pack("!BBHI", first, kind, number % 65536, number * 960) + ssrc + bytes(80)


def test_rtp_vanishes_from_its_second_packet_on() -> None:
    behaviour = made("rtp")

    assert [passes(behaviour, up(rtp(number))) for number in range(65533, 65540)] == [True] + [False] * 6
    assert [passes(behaviour, down(rtp(number))) for number in range(5)] == [True] + [False] * 4


def test_interleaved_streams_are_rtp_each_and_a_lost_packet_does_not_hide_one() -> None:
    behaviour = made("rtp")
    sent = [rtp(number, ssrc=ssrc) for number in (1, 2, 5) for ssrc in (b"voic", b"vide")]

    assert [passes(behaviour, up(one)) for one in sent] == [True, True, False, False, False, False]


def test_what_only_begins_like_rtp_passes() -> None:
    behaviour, rng = made("rtp"), random.Random(7)

    for number in range(500):
        noise = bytes([0x80 | rng.randrange(64)]) + rng.randbytes(100)
        assert passes(behaviour, up(noise)), number
    assert all(passes(behaviour, up(rtp(rng.randrange(65536), ssrc=b"same"))) for _ in range(20))


@pytest.mark.parametrize(
    ("kind", "first"), [(200, 0x80), (201, 0x80), (0x6F, 0x40), (0x6F, 0xC0), (50, 0x80)]
)
def test_rtcp_other_versions_and_types_that_rtp_does_not_have_pass(kind: int, first: int) -> None:
    behaviour = made("rtp")

    assert all(passes(behaviour, up(rtp(number, kind=kind, first=first))) for number in range(5))


def test_the_marker_bit_is_no_part_of_the_type() -> None:
    behaviour = made("rtp")

    assert passes(behaviour, up(rtp(1, kind=0x6F)))
    assert not passes(behaviour, up(rtp(2, kind=0xEF)))
