import hashlib

from hypothesis import given
from hypothesis import strategies as st

from probe.webrtc.dtls import Watch
from tests.webrtc.calls import a_call

RANDOM = bytes(32)
HELLO = b"\xfe\xfd" + RANDOM + b"\x00\x00" + b"\x00\x04\xc0\x2b\xcc\xa9" + b"\x01\x00" + b"\x00\x00"


def record(body: bytes, *, kind: int = 22, epoch: int = 0, number: int = 0) -> bytes:
    """A DTLS record (RFC 6347 section 4.1)."""
    head = bytes([kind]) + b"\xfe\xfd" + epoch.to_bytes(2, "big") + number.to_bytes(6, "big")
    return head + len(body).to_bytes(2, "big") + body


def piece(hello: bytes, start: int, end: int, *, message: int = 0) -> bytes:
    """A fragment of a ClientHello (RFC 6347 section 4.2.2)."""
    size = len(hello[start:end]).to_bytes(3, "big")
    head = b"\x01" + len(hello).to_bytes(3, "big") + message.to_bytes(2, "big") + start.to_bytes(3, "big")
    return head + size + hello[start:end]


def test_a_hello_in_pieces_is_one_hello_in_whatever_order_they_come() -> None:
    whole, split, late = Watch(), Watch(), Watch()
    whole.heard(record(piece(HELLO, 0, 999)))
    for at in (0, 20, 40):
        split.heard(record(piece(HELLO, at, at + 20)))
        late.heard(record(piece(HELLO, 40 - at, 60 - at)))
    facts = [watch.seen(None) for watch in (whole, split, late)]

    assert [one.hello_datagrams for one in facts if one] == [1, 3, 3]
    assert {one.hello_sha256 for one in facts if one} == {hashlib.sha256(HELLO).hexdigest()}
    assert {one.hello_digest for one in facts if one} != {""}
    assert [one.hello_from for one in facts if one] == ["peer"] * 3


def test_a_piece_that_comes_twice_is_no_second_datagram_of_the_hello() -> None:
    watch = Watch()
    for _ in range(3):
        watch.heard(record(piece(HELLO, 0, 30)))
    assert watch.seen(None) is None
    watch.heard(record(piece(HELLO, 30, 99)))
    facts = watch.seen(None)

    assert facts is not None
    assert (facts.hello_datagrams, facts.heard) == (2, 4)


def test_a_flight_sent_again_is_counted_although_its_records_have_new_numbers() -> None:
    watch = Watch()
    finish = record(b"\x01", kind=20) + record(bytes(40), epoch=1)
    for number in range(3):
        watch.sent(record(piece(HELLO, 0, 999), number=number))
    watch.sent(finish)
    watch.sent(record(b"\x01", kind=20, number=7) + record(bytes(40), epoch=1, number=1))
    watch.sent(record(bytes(40), kind=23, epoch=1))
    watch.sent(record(bytes(40), kind=23, epoch=1))
    facts = watch.seen(None)

    assert facts is not None
    assert (facts.resent, facts.hello_from) == (3, "us")


def test_an_alert_in_clear_is_noted_and_an_encrypted_one_cannot_be() -> None:
    watch = Watch()
    watch.heard(record(bytes(26), kind=21, epoch=1))
    assert watch.alert is None
    watch.heard(record(b"\x02\x28", kind=21))

    assert watch.alert == 40


async def test_what_the_watch_saw_is_what_the_library_sends() -> None:
    """The library's hello as it was captured: suites, groups, SRTP profiles in their order."""
    async with a_call("passive") as call:
        hello = call.caller.hello

    assert bytes.fromhex("c02bcca9c009c00a") in hello
    assert bytes.fromhex("001d0017001e00180019") in hello
    assert bytes.fromhex("0006000800070001") in hello


@given(
    st.lists(st.binary(max_size=60) | st.binary(max_size=40).map(lambda b: record(b"\x01" + b)), max_size=8)
)
def test_no_datagram_whatever_breaks_the_watch(datagrams: list[bytes]) -> None:
    watch = Watch()
    for datagram in datagrams:
        if datagram:
            watch.heard(datagram)
            watch.sent(datagram)
    watch.seen(None)
