"""What the search of the journey finds, so that finding nothing says something."""

import base64
import struct

import pytest
import zstandard

from tests.journey.machine import shown
from tests.journey.traces import Trace, found, found_on_wire, of_address, of_octets, of_words
from tests.lab.packets import Packet

IP4, IP6 = "85.140.1.2", "2a00:1370:1:77::2"


def udp(payload: bytes, *, up: bool, port: int) -> Packet:
    ports = (40000, port) if up else (port, 40000)
    head = (
        b"\x45\0"
        + struct.pack("!H", 28 + len(payload))
        + bytes(5)
        + b"\x11\0\0"
        + bytes([10, 0, 0, 1, 10, 0, 0, 2])
    )
    return Packet(head + struct.pack("!4H", *ports, 8 + len(payload), 0) + payload, up)


@pytest.mark.parametrize(
    "written",
    [
        b"from 85.140.1.2:443", b"\x55\x8c\x01\x02", b"0x558C0102", b"2.1.140.85.in-addr.arpa",
        b"\x012\x011\x03140\x0285",
    ],
)  # fmt: skip
def test_an_address_is_found_in_any_form(written: bytes) -> None:
    assert found(of_address(IP4), {"file": b"before " + written + b" after"}) != []
    assert found(of_address(IP6), {"file": written}) == []


def test_what_is_compressed_is_looked_into() -> None:
    packed = zstandard.ZstdCompressor().compress(
        b"a line\n" * 50 + b'{"host": "Zelyonka"}\n' + b"a line\n" * 50
    )

    assert found(of_words("host", "Zelyonka"), {"queue": b'{"key": 1}\n' + packed}) != []
    assert found(of_words("host", "Zelyonka"), {"body": base64.b64encode(b"Zelyonka")}) != []
    assert found(of_octets("MAC", bytes.fromhex("027aca11beef")), {"log": b"link 02-7A-CA-11-BE-EF"}) != []


def test_a_protocols_own_word_is_told_from_a_leak_by_its_place() -> None:
    address = of_address(IP4)
    binding = b"\x01\x01\x00\x0c" + bytes(16) + b"\0\x01\0\x08\0\x01\x9c\x40\x55\x8c\x01\x02"
    question = b"\x012\x011\x03140\x0285\x06origin\x03asn\x05cymru\x03com\0"

    assert found_on_wire(address, [udp(binding, up=False, port=3478), udp(question, up=True, port=53)]) == []
    assert len(found_on_wire(address, [udp(binding, up=True, port=3478)])) == 1
    assert len(found_on_wire(address, [udp(question, up=True, port=5353)])) == 1
    assert found_on_wire(address, [udp(b"x=85.140.1.2", up=True, port=443)]) != []
    assert found_on_wire([Trace("four", "packed", b"abcd")], [udp(b"..abcd", up=True, port=443)]) == []


def test_a_terminal_shows_what_is_left_after_progress_was_wiped() -> None:
    assert shown("50 %\r\x1b[2K100 %\r\n\x1b[1A\x1b[2Kdone \x1b[1mnow\x1b[0m\r\n$") == "done now\n$"
