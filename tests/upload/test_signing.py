from hypothesis import given
from hypothesis import strategies as st

from probe.upload.signing import padded, pae, unpadded, verifies

# RFC 8032 section 7.1, test 2.
SECRET = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")


def test_the_encoding_is_that_of_dsse() -> None:
    # protocol.md of secure-systems-lab/dsse: the example.
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_lengths_are_in_bytes_and_zero_is_a_length() -> None:
    assert pae("é", b"") == b"DSSEv1 2 \xc3\xa9 0 "


def test_a_signature_holds_for_its_type_and_bytes_alone() -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from probe.upload.signing import sign

    key = Ed25519PrivateKey.from_private_bytes(SECRET)
    public = unpadded(key.public_key().public_bytes_raw())
    assert padded(public).hex() == "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
    signature = sign(key, "a", b"body")

    assert verifies(public, signature, "a", b"body")
    assert not verifies(public, signature, "b", b"body")
    assert not verifies(public, signature, "a", b"bodY")


@given(st.text(), st.text())
def test_what_is_no_key_or_no_signature_verifies_nothing(public: str, signature: str) -> None:
    assert not verifies(public, signature, "a", b"body")


@given(st.binary())
def test_base64url_is_read_back(raw: bytes) -> None:
    assert padded(unpadded(raw)) == raw
