"""What may be written, and what cannot be."""

import pickle

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.record import Private, Record, line, peer_text


class Note(Record):
    text: str
    where: object = None


def test_an_address_of_the_volunteer_cannot_be_written() -> None:
    with pytest.raises(TypeError):
        line(Note(text="x", where=Private("192.0.2.7", 4000)))
    with pytest.raises(TypeError):
        msgspec.to_builtins(Private("192.0.2.7"))
    with pytest.raises(TypeError):
        pickle.dumps(Private("192.0.2.7"))


def test_an_address_of_the_volunteer_does_not_show_itself() -> None:
    assert "192.0.2.7" not in f"{Private('192.0.2.7')!r} {Private('192.0.2.7')}"


def test_addresses_are_compared_without_being_shown() -> None:
    assert Private("192.0.2.7", 1).same_host(Private("192.0.2.7", 2))
    assert Private("192.0.2.7", 1) != Private("192.0.2.7", 2)


def test_the_reversed_name_is_what_address_services_expect() -> None:
    zones = {"zone4": "origin.example", "zone6": "origin6.example"}

    assert Private("192.0.2.7").reversed_name(**zones) == "7.2.0.192.origin.example"
    assert Private("2001:db8::1").reversed_name(**zones).startswith("1.0.0.0.")
    assert Private("2001:db8::1").reversed_name(**zones).endswith(".8.b.d.0.1.0.0.2.origin6.example")


@pytest.mark.parametrize(
    "text", ["your address is 10.1.2.3", "2001:db8::7 is blocked", "host-10-1-2-3.example", "::ffff:10.1.2.3"]
)
def test_a_peers_words_are_withheld_when_they_hold_an_address(text: str) -> None:
    assert peer_text(text) == "withheld: it holds an address"


def test_a_realm_is_kept() -> None:
    assert peer_text(b"telegram.org") == "telegram.org"


@given(st.binary(max_size=400))
def test_a_peers_words_are_short_and_printable(raw: bytes) -> None:
    text = peer_text(raw)

    assert len(text) <= 80
    assert text.isprintable()


def test_one_record_is_one_line() -> None:
    written = line(Note(text="a\nb"))

    assert written.count(b"\n") == 1
    assert written.endswith(b"\n")
