import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from probe.demo.whatsapp_stand_in import Signer
from probe.noise.xeddsa import verify
from tests.noise import recorded

# The one published vector of libsignal's curve tests (curve25519-java and every port of it).
KEY = bytes.fromhex("ab7e717d4a163b7d9a1d8071dfe9dcf8cdcd1cea3339b6356be84d887e322c64")
MESSAGE = bytes.fromhex("05edce9d9c415ca78cb7252e72c2c4a554d3eb29485a0e1d503118d1a82d99fb4a")
SIGNATURE = bytes.fromhex(
    "5de88ca9a89b4a115da79109c67c9c7464a3e4180274f1cb8c63c2984e286dfb"
    "ede82deb9dcd9fae0bfbb821569b3d9001bd8130cd11d486cef047bd60b86e88"
)
# RFC 8032 section 7.1, TEST 1 to 3 and SHA(abc): secret key, public key, message, signature.
RFC_8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe"
        "24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302a"
        "eeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed2"
        "8dc027beceea1ec40a",
    ),
    (
        "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
        "ec172b93ad5e563f4932c70e1245034c35467ef2efd4d64ebf819683467e2bf2",
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce8"
        "0e2a9ac94fa54ca49f",
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac1"
        "7ad9bef1177331a704",
    ),
]


def test_the_signature_that_libsignal_publishes_is_good_and_no_bit_of_it_can_change() -> None:
    assert verify(KEY, MESSAGE, SIGNATURE)
    assert not verify(KEY, MESSAGE + b"\0", SIGNATURE)
    for bit in range(512):
        changed = bytearray(SIGNATURE)
        changed[bit // 8] ^= 1 << bit % 8
        assert not verify(KEY, MESSAGE, bytes(changed)), bit


def test_the_recorded_chain_is_signed_by_the_shipped_root() -> None:
    details, signature = recorded.INTERMEDIATE[2:52], recorded.INTERMEDIATE[-64:]

    assert verify(recorded.ROOT, details, signature)
    assert verify(details[6:38], recorded.LEAF[2:53], recorded.LEAF[-64:])
    assert not verify(recorded.ROOT, recorded.LEAF[2:53], recorded.LEAF[-64:])


@pytest.mark.parametrize(("secret", "public", "message", "signature"), RFC_8032)
def test_the_signatures_of_rfc_8032_verify_under_the_x25519_form_of_their_keys(
    secret: str, public: str, message: str, signature: str
) -> None:
    signer = Signer(bytes.fromhex(secret))
    sign = bytes.fromhex(public)[-1] & 0x80
    carried = bytes.fromhex(signature)[:-1] + bytes([bytes.fromhex(signature)[-1] | sign])

    assert signer.sign(bytes.fromhex(message)) == carried
    assert verify(signer.public, bytes.fromhex(message), carried)
    # The private half of that X25519 key is the scalar that RFC 8032 makes of the seed.
    scalar = hashlib.sha512(bytes.fromhex(secret)).digest()[:32]
    assert X25519PrivateKey.from_private_bytes(scalar).public_key().public_bytes_raw() == signer.public


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=100))
def test_what_the_stand_in_signs_verifies_under_its_key_and_no_other(seed: bytes, message: bytes) -> None:
    signer = Signer(seed)

    assert verify(signer.public, message, signer.sign(message))
    assert not verify(KEY, message, signer.sign(message))


@given(st.binary(max_size=40), st.binary(max_size=20), st.binary(max_size=70))
def test_no_bytes_whatever_break_the_verifier(key: bytes, message: bytes, signature: bytes) -> None:
    assert not verify(key, message, signature)


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=64, max_size=64))
def test_no_key_whatever_breaks_the_verifier(key: bytes, signature: bytes) -> None:
    assert not verify(key, b"message", signature)


def test_the_point_without_an_inverse_is_no_key() -> None:
    minus_one = ((1 << 255) - 20).to_bytes(32, "little")

    assert not verify(minus_one, MESSAGE, SIGNATURE)
