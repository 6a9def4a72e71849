"""What the shapes that ship say on the wire: STUN, RTP, DTLS, QUIC and the dialects of the services."""

from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from probe import hello
from probe.configs import load
from probe.media.shape import has_cookie
from probe.stun_message import Attribute, Message, decode
from tests.lab.packets import quic_initial
from tests.media.on_the_wire import Ends, Seen, flow

SHAPES = load(Path(__file__).parent.parent.parent / "configs").shapes
# Where RTP begins in media, its second byte, its clock's step.
RTP = {
    "rtp": (0, 0x6F, 960), "stun-classic": (0, 0x6F, 960), "stun": (0, 0x6F, 960), "stun-ice": (0, 0x6F, 960),
    "dtls12-hello": (0, 0x6F, 960), "dtls13-hello": (0, 0x6F, 960), "whatsapp-native": (0, 0x78, 960),
    "whatsapp-2019": (0, 0x78, 2560), "telegram-reflector": (24, 0x6D, 2880), "telegram-turn": (4, 0x6D, 2880),
    "signal": (4, 0x6F, 960), "viber": (4, 0x6F, 960), "messenger": (4, 0x6F, 960), "discord": (0, 0x78, 960),
    "meet": (0, 0x6F, 960), "teams": (0, 0x6F, 960),
}  # fmt: skip


def packets(name: str, kind: str, count: int = 1) -> list[tuple[bytes, bytes]]:
    """Packets of this kind, each with its answer."""
    ends = Ends(SHAPES[name])
    index = next(i for i, one in enumerate(ends.kinds) if one.name == kind)
    exchanges = [list(ends.exchange(index)) for _ in range(count)]
    return [(up.data, down.data) for up, down in exchanges]


def kind_of(data: bytes) -> int:
    return int.from_bytes(data[:2], "big")


def stun_messages(name: str) -> Iterator[tuple[Seen, Message]]:
    """What in a flow has STUN's cookie in its place; the Microsoft dialect does not pad."""
    for seen in flow(SHAPES[name], (200,), 0):
        frame = 24 if name == "telegram-reflector" else 0
        if seen.data[frame + 4 : frame + 8] == bytes.fromhex("2112a442"):
            yield seen, decode(seen.data[frame:], padded=len(seen.data) != 187)


@pytest.mark.parametrize("name", SHAPES)
def test_stun_is_well_formed_and_shows_nobodys_address(name: str) -> None:
    documentation = [ip_network("203.0.113.0/24"), ip_network("198.51.100.0/24"), ip_network("10.0.0.1/32")]
    shown = (
        Attribute.MAPPED_ADDRESS, Attribute.XOR_MAPPED_ADDRESS, Attribute.XOR_PEER_ADDRESS,
        Attribute.XOR_RELAYED_ADDRESS, 0x802B, 0x802C,
    )  # fmt: skip
    messages = [message for _, message in stun_messages(name)]

    assert bool(messages) == has_cookie(SHAPES[name])
    for message in messages:
        for attribute in shown:
            address = message.address(attribute)
            assert address is None or any(ip_address(address[0]) in net for net in documentation)


@pytest.mark.parametrize(
    ("name", "realm", "nonce"),
    [
        ("signal", b"signal.org", 16),
        ("telegram-turn", b"telegram.org", 16),
        ("viber", b"viber.com", 16),
        ("messenger", b"turner.facebook", 40),
    ],
)
def test_turn_is_refused_with_the_services_realm_and_then_allowed(
    name: str, realm: bytes, nonce: int
) -> None:
    ((asked, refused),) = packets(name, "allocate")
    ((signed, allowed),) = packets(name, "allocate-signed")
    ((bound, done),) = packets(name, "channel")
    refusal = decode(refused)

    assert asked[:8].hex() == "000300082112a442"
    assert asked[20:].hex() == "0019000411000000"
    assert refusal.error_code == 401
    assert refusal.get(Attribute.REALM) == realm
    assert len(refusal.get(Attribute.NONCE) or b"") == nonce
    for packet in (signed, bound):
        request = decode(packet)
        assert request.get(Attribute.REALM) == realm
        assert request.get(Attribute.NONCE) == refusal.get(Attribute.NONCE)
        assert len(request.get(Attribute.MESSAGE_INTEGRITY) or b"") == 20
    assert [kind_of(data) for data in (refused, allowed, done)] == [0x0113, 0x0103, 0x0109]


def test_bindings_have_the_attributes_that_were_captured() -> None:
    for name, attributes in {
        "signal": [0x20, 0x01, 0x802B, 0x802C, 0x8022, 0x8028],
        "telegram-turn": [0x20, 0x01, 0x802B, 0x802C, 0x8022, 0x8028],
        "viber": [0x20, 0x8028],
        "stun": [0x20],
    }.items():
        ((asked, answered),) = packets(name, "binding")
        assert (kind_of(asked), kind_of(answered)) == (0x0001, 0x0101)
        assert [kind for kind, _ in decode(answered).attributes] == attributes


def test_classic_stun_has_no_cookie() -> None:
    ((asked, answered),) = packets("stun-classic", "binding")

    assert bytes.fromhex("2112a442") not in asked + answered
    assert decode(asked, classic=True).attributes == ()
    assert decode(answered, classic=True).address(Attribute.MAPPED_ADDRESS) == ("203.0.113.7", 40000)


@pytest.mark.parametrize("name", ["stun-ice", "meet", "teams"])
def test_checks_have_what_ice_wants(name: str) -> None:
    ((asked, answered),) = packets(name, "check")
    request = decode(asked)

    for attribute in (Attribute.USERNAME, Attribute.PRIORITY, 0x802A, Attribute.MESSAGE_INTEGRITY, 0x8028):
        assert request.get(attribute) is not None
    assert decode(answered).address(Attribute.XOR_MAPPED_ADDRESS) == ("203.0.113.7", 40000)
    assert (request.get(0xC057) is not None) == (name == "meet")
    assert (request.get(0x8054) is not None and request.get(0x8070) is not None) == (name == "teams")


def test_whatsapp_has_types_and_attributes_of_its_own() -> None:
    seen = [(kind_of(s.data), m) for s, m in stun_messages("whatsapp-native")]
    attributes = {kind: [a for a, _ in message.attributes] for kind, message in seen}

    assert attributes == {
        0x0003: [0x4000, 0x0016, 0x0008],
        0x0103: [0x0020, 0x4002, 0x0008],
        0x0804: [0x4007, 0x0016, 0x0008],
        0x0805: [0x4002, 0x4004, 0x0008],
        0x0801: [],
        0x0802: [],
    }
    tokens = [message.get(0x4000) or b"" for kind, message in seen if kind == 0x0003]
    assert len(tokens) == 2
    assert tokens[0] == tokens[1]
    assert tokens[0][:2].hex() == "0902"
    assert len(tokens[0]) == 150
    assert next(m.get(0x4007) for k, m in seen if k == 0x0804) == (500).to_bytes(2, "big")
    assert next(m.get(0x4004) for k, m in seen if k == 0x0805) == bytes(452)


def test_whatsapp_of_2019_sends_its_token_unpadded() -> None:
    seen = [(kind_of(s.data), m) for s, m in stun_messages("whatsapp-2019")]

    assert [(kind, [a for a, _ in m.attributes]) for kind, m in seen] == [
        (0x0003, [0x4000]), (0x0103, [0x0020, 0x4002]),
    ] * 2  # fmt: skip
    assert len(seen[0][1].get(0x4000) or b"") == 102
    assert packets("whatsapp-2019", "health") == [(b"health", b"health")]


def test_whatsapp_media_has_its_header_extension() -> None:
    for up, down in packets("whatsapp-native", "media", 3):
        assert up[:2].hex() == down[:2].hex() == "9078"
        assert up[12:16].hex() == "debe0001"
    assert packets("whatsapp-native", "rtcp")[0][0][:2].hex() == "81c8"


def test_the_reflector_is_greeted_as_telegram_does() -> None:
    for kind in ("hello", "ping"):
        ((asked, answered),) = packets("telegram-reflector", kind)
        assert asked[16:].hex() == "ff" * 12 + "feffffff" + "000000000000007b"
        assert answered[16:].hex() == (
            "ff" * 12 + "c77215c0" + "00f15365" + "000000000000007b"
            "00000000000000000000ffffcb007107" + "409c0000"
        )  # fmt: skip


def test_a_reflectors_frame_says_how_long_it_is_and_keeps_its_tags() -> None:
    frames = [data for pair in packets("telegram-reflector", "media", 3) for data in pair]
    frames += packets("telegram-reflector", "check")[0]

    for frame in frames:
        assert int.from_bytes(frame[20:24], "big") == len(frame) - 24
    assert len({frame[:20] for frame in frames[:6:2]}) == 1


@pytest.mark.parametrize("name", ["telegram-turn", "signal", "viber", "messenger"])
def test_channel_data_says_how_long_it_is(name: str) -> None:
    for pair in packets(name, "media", 3):
        for data in pair:
            assert data[:2].hex() == "4000"
            assert int.from_bytes(data[2:4], "big") == len(data) - 4


@pytest.mark.parametrize("name", RTP)
def test_media_is_rtp_that_counts(name: str) -> None:
    at, second, step = RTP[name]
    ways = zip(*packets(name, "media", 4), strict=True)

    for heads in ([data[at : at + 12] for data in way] for way in ways):
        assert {head[0] >> 6 for head in heads} == {2}
        assert {head[1] for head in heads} == {second}
        assert [int.from_bytes(head[2:4], "big") for head in heads] == [0, 1, 2, 3]
        assert [int.from_bytes(head[4:8], "big") for head in heads] == [0, step, 2 * step, 3 * step]
        assert len({head[8:] for head in heads}) == 1


def test_discords_discovery_is_exact_where_it_needs_no_stamp() -> None:
    ((exact, _),) = packets("discord", "discovery-exact")
    ((stamped, answered),) = packets("discord", "discovery")
    echoes = packets("discord", "echo", 2)

    assert exact[:4].hex() == stamped[:4].hex() == "00010046"
    assert answered[:4].hex() == "00020046"
    assert exact[8:] == bytes(66)
    assert stamped[8:60] == bytes(52)
    assert answered[8:60].rstrip(b"\0") == b"203.0.113.7"
    assert [up.hex() for up, _ in echoes] == ["1337cafe00000000", "1337cafe01000000"]


def test_teams_answers_in_microsofts_dialect() -> None:
    ((asked, answered),) = packets("teams", "allocate")
    reply = decode(answered, padded=False)

    assert asked[20:].hex() == (
        "000f000472c64bc6" "8037000400000002" "8008000400000006"
        "8006000400000001" "0010000400002ee0" "8055000400020002"
    )  # fmt: skip
    assert (kind_of(answered), reply.error_code) == (0x0113, 401)
    assert len((reply.get(0x0009) or b"")[4:]) == 57
    assert len(reply.get(0x0014) or b"") == 20
    assert reply.get(0x0015) == b'"rtcmedia"'


def records(data: bytes) -> list[tuple[int, bytes]]:
    """DTLS records as type and body (RFC 6347 section 4.1)."""
    found, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at + 11 : at + 13], "big")
        assert data[at + 1 : at + 3].hex() in ("feff", "fefd")
        found.append((data[at], data[at + 13 : at + 13 + size]))
        at += 13 + size
    assert at == len(data)
    return found


def message(*datagrams: bytes) -> bytes:
    """The first handshake message of these datagrams, put together from its fragments (RFC 6347 section 4.2.3)."""
    whole = b""
    for _, body in (one for datagram in datagrams for one in records(datagram)):
        at, size = int.from_bytes(body[6:9], "big"), int.from_bytes(body[9:12], "big")
        if body[4:6] == b"\0\0":
            assert (at, size) == (len(whole), len(body) - 12)
            whole += body[12:]
    return whole


def test_the_librarys_hello_is_still_the_librarys() -> None:
    from aiortc import RTCCertificate
    from aiortc.rtcdtlstransport import SRTP_PROFILES
    from OpenSSL import SSL

    context = RTCCertificate.generateCertificate()._create_ssl_context(srtp_profiles=SRTP_PROFILES)
    client = SSL.Connection(context)
    client.set_connect_state()
    with pytest.raises(SSL.WantReadError):
        client.do_handshake()
    real = client.bio_read(2000)
    ((ours, flight),) = packets("dtls12-hello", "hello")

    assert (ours[:27], ours[59:]) == (real[:27], real[59:])
    assert [body[0] for _, body in records(flight)] == [2, 11, 11, 11, 12, 13, 14]


def test_a_hello_that_is_sent_again_has_the_next_record_number() -> None:
    assert [up[5:11].hex() for up, _ in packets("dtls12-hello", "hello", 2)] == [
        "000000000000",
        "000000000001",
    ]


@pytest.mark.parametrize("name", ["dtls13-hello", "meet", "whatsapp-web"])
def test_the_browsers_hello_is_the_one_that_was_measured(name: str) -> None:
    first, second = (packets(name, kind)[0][0] for kind in ("hello-1", "hello-2"))
    body = message(first, second)
    # As DTLS has it, but without the cookie's length, which TLS does not know.
    tls = hello.parse(b"\x01" + (len(body) - 1).to_bytes(3, "big") + body[:35] + body[36:])

    assert len(body) == 1413
    assert tls.version == 0xFEFD
    assert [f"{suite:04x}" for suite in tls.ciphers] == (
        [
            "1301",
            "1302",
            "1303",
            "c02b",
            "c02f",
            "cca9",
            "cca8",
            "c009",
            "c013",
            "c00a",
            "c014",
            "009c",
            "002f",
            "0035",
        ]
    )
    assert {kind for kind, _ in tls.extensions} == {0x0B, 0x17, 0x0A, 0x2D, 0x0E, 0x0D, 0xFF01, 0x2B, 0x33}
    assert (tls.get(0x0A) or b"").hex() == "000811ec001d00170018"
    assert (tls.get(0x0E) or b"").hex() == "000600010008000700"
    assert (tls.get(0x2B) or b"").hex() == "04fefcfefd"
    assert len(tls.get(0x0D) or b"") == 20
    assert (tls.get(0x0D) or b"").hex().endswith("0201")
    shares = tls.get(0x33) or b""
    assert shares[2:6].hex() == "11ec04c0"
    assert shares[1222:1226].hex() == "001d0020"
    assert len(shares) == 1258


def test_a_browser_is_answered_by_a_server_hello() -> None:
    for name, size in (("dtls13-hello", 1174), ("whatsapp-web", 96)):
        answer = packets(name, "hello-1")[0][1]
        assert records(answer)[0][1][0] == 2
        assert len(message(answer)) == size
    rest = packets("dtls13-hello", "hello-2")[0][1]
    assert rest[0] >> 5 == 1
    assert int.from_bytes(rest[3:5], "big") == len(rest) - 5


def test_whatsapp_web_sends_records_that_count() -> None:
    for way in zip(*packets("whatsapp-web", "media", 2), strict=True):
        for count, data in enumerate(way):
            ((kind, body),) = records(data)
            assert (kind, data[3:11].hex()) == (23, f"0001{count:012x}")
            assert body[:8] == data[3:11]


def test_anybody_can_read_the_name_in_the_quic_hello() -> None:
    ((asked, answered),) = packets("quic-initial", "initial")
    said = hello.parse(quic_initial(asked)[4:])

    assert (said.get(0x00) or b"").endswith(b"www.example.com")
    assert (said.get(0x10) or b"").endswith(b"h3")
    assert asked[0] >> 4 == answered[0] >> 4 == 0xC
    assert asked[1:5] == answered[1:5] == b"\0\0\0\1"
    assert (asked[1140] >> 4, answered[176] >> 4) == (0xD, 0xE)
    assert asked[1140 + 23 : 1140 + 25].hex() == f"{0x4000 + len(asked) - 1140 - 25:04x}"
    assert answered[176 + 23 : 176 + 25].hex() == f"{0x4000 + len(answered) - 176 - 25:04x}"


def test_quic_packets_go_to_the_ids_that_were_agreed() -> None:
    ((asked, answered),) = packets("quic-initial", "initial")
    ((up, down),) = packets("quic-initial", "media")

    assert up[1:9] == answered[15:23]
    assert down[1:9] == asked[15:23]
    assert up[0] >> 6 == down[0] >> 6 == 1
