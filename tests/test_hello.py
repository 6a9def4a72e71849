import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.failure import Malformed
from probe.hello import client_hello, digest, ja4, parse


def hello_of(name: str | None, *alpn: str) -> bytes:
    """What OpenSSL says first."""
    outgoing = ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(list(alpn))
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def test_the_fingerprint_says_transport_version_name_and_protocol() -> None:
    assert ja4(client_hello(hello_of("chat.example", "h2", "http/1.1"))).split("_")[0][:4] == "t13d"
    assert ja4(client_hello(hello_of("chat.example", "h2"))).split("_")[0].endswith("h2")
    assert ja4(client_hello(hello_of(None))).split("_")[0][3] == "i"


def test_the_digest_does_not_change_with_keys_random_or_name() -> None:
    first, second = (client_hello(hello_of(name, "h2")) for name in ("chat.example", "other.example"))

    assert first != second
    assert digest(first) == digest(second)
    assert digest(first) != digest(client_hello(hello_of("chat.example", "http/1.1")))


def test_a_hello_over_several_records_is_read_as_one() -> None:
    whole = hello_of("chat.example", "h2")
    message = whole[5:]
    pieces = [message[:100], message[100:300], message[300:]]
    records = b"".join(b"\x16\x03\x01" + len(piece).to_bytes(2, "big") + piece for piece in pieces)

    assert client_hello(records) == client_hello(whole)


@given(st.binary(max_size=300))
def test_no_bytes_whatever_raise_anything_but_malformed(data: bytes) -> None:
    for read in (client_hello, parse):
        try:
            read(data)
        except Malformed:
            continue
