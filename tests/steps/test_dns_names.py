import time

import msgspec
import pytest
from hypothesis import strategies as st

from probe.steps import Dns
from probe.steps.dns_names import Form, Listed
from tests.fuzz import fuzz

WIRE, PLACE = Form("turn*.*.prod.wire.com"), Form("whatsapp-chatd-*-shv-*-{pop}.facebook.com")


def test_an_srv_record_of_the_form_is_a_host_and_a_port() -> None:
    assert WIRE.read("10 5 3478 turn01.de.prod.wire.com.", "SRV") == Listed(
        "turn01.de.prod.wire.com", 3478, {}
    )
    assert WIRE.read("0 0 443 TURN02.De.Prod.Wire.Com", "SRV") == Listed("turn02.de.prod.wire.com", 443, {})


@pytest.mark.parametrize(
    ("name", "pop"),
    [
        ("whatsapp-chatd-edge-shv-01-mia3.facebook.com.", "mia3"),
        ("whatsapp-chatd-edge6-shv-02-mrs2.facebook.com", "mrs2"),
    ],
)
def test_a_reverse_name_of_the_form_has_the_word_in_braces(name: str, pop: str) -> None:
    read = PLACE.read(name, "PTR")

    assert read is not None
    assert read.words == {"pop": pop}


@pytest.mark.parametrize(
    "record",
    [
        "10 5 3478 turn01.de.prod.wire.com.evil.example.",  # somebody else's host
        "10 5 3478 evil.example.",
        "10 5 3478 turn01.de.prod.wire.com..",
        "10 5 3478 turn01..prod.wire.com.",
        "10 5 3478 turn01.-de.prod.wire.com.",  # labels that are none
        "10 5 3478 turn01.de-.prod.wire.com.",
        "10 5 3478 turn01.d_e.prod.wire.com.",
        "10 5 3478 turn01.d\\032e.prod.wire.com.",
        "10 5 3478 turn01.dé.prod.wire.com.",
        "10 5 3478 turn" + "1" * 60 + ".de.prod.wire.com.",
        "10 5 3478 192.0.2.1.",  # addresses are no names
        "10 5 3478 .",
        "10 5 0 turn01.de.prod.wire.com.",  # ports where no relay is
        "10 5 22 turn01.de.prod.wire.com.",
        "10 5 25 turn01.de.prod.wire.com.",
        "10 5 65536 turn01.de.prod.wire.com.",
        "10 5 -1 turn01.de.prod.wire.com.",
        "10 5 ٣٤٧٨ turn01.de.prod.wire.com.",
        "10 5 " + "9" * 5000 + " turn01.de.prod.wire.com.",
        "5 3478 turn01.de.prod.wire.com.",
        "10 5 3478 turn01.de.prod.wire.com. more",
        "",
    ],
)
def test_a_record_that_is_not_of_the_form_names_nobody(record: str) -> None:
    assert WIRE.read(record, "SRV") is None


@pytest.mark.parametrize(
    "name",
    [
        "whatsapp-chatd-edge-shv-01-.facebook.com.",
        "mia3.facebook.com.",
        "a.b.example.",
        "{pop}.facebook.com",
        "",
    ],
)
def test_a_reverse_name_of_another_form_has_no_word(name: str) -> None:
    assert PLACE.read(name, "PTR") is None


@pytest.mark.parametrize(
    "text",
    [
        "", "com", "*.com", "facebook.com", "*.*.com", "a.*.com", "a.b{pop}.com", "a..b.com", "A.facebook.com",
        "{pop}-{pop}.facebook.com", "{Pop}.facebook.com", "{}.facebook.com", "a b.facebook.com", "*-*-*-*.facebook.com",
        "{pop.facebook.com", "(a+)+.facebook.com", ".facebook.com", "x.facebook.com.",
    ],
)  # fmt: skip
def test_a_form_that_is_too_wide_or_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="form|labels|word"):
        Form(text)


def test_a_form_goes_with_the_two_kinds_of_record_that_hold_names() -> None:
    with pytest.raises(msgspec.ValidationError, match="SRV or PTR"):
        msgspec.convert({"step": "dns", "type": "TXT", "like": "a.facebook.com"}, Dns)
    with pytest.raises(msgspec.ValidationError, match="plain labels"):
        msgspec.convert({"step": "dns", "type": "PTR", "like": "*.com"}, Dns)


def test_the_longest_names_are_refused_in_no_time() -> None:
    widest = Form("*-*-*a.facebook.com")
    began = time.process_time()
    for name in ("-" * 250, "-" * 63 + ".facebook.com", ("-" * 63 + ".") * 3, "a" * 100_000):
        assert widest.read(name, "PTR") is None

    assert time.process_time() - began < 2


NAMES = st.text(alphabet="turn01.deproswicm-*{}\\ \n", max_size=80)


@fuzz("dns names", st.tuples(NAMES, st.sampled_from(("SRV", "PTR"))))
def test_whatever_is_read_is_a_host_of_the_services_own(example: tuple[str, str]) -> None:
    text, kind = example
    for record in (text, f"1 1 3478 {text}", f"{text}.wire.com", f"1 1 3478 turn{text}.prod.wire.com."):
        read = WIRE.read(record, kind)
        if read is not None:
            assert read.host.endswith(".prod.wire.com")
            assert read.host.count(".") == 4
            assert set(read.host) <= set("abcdefghijklmnopqrstuvwxyz0123456789-.")
