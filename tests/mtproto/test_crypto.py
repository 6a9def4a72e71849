import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.mtproto import crypto, tl
from tests.mtproto import vectors as v

CONFIG_KEY = Path(v.CONFIGS / "trust" / "telegram-config.pem").read_text()


def test_the_known_key_has_the_known_fingerprint() -> None:
    (key,) = crypto.keys(v.TELEGRAM)

    assert key.fingerprint == v.FINGERPRINT
    assert int.from_bytes(key.fingerprint, "little", signed=True) == -3414540481677951611
    assert (key.n.bit_length(), key.e) == (2048, 65537)


def test_several_keys_in_one_file_are_all_taken() -> None:
    both = crypto.keys(v.TELEGRAM + CONFIG_KEY)

    assert both == crypto.keys(v.TELEGRAM) + crypto.keys(CONFIG_KEY)


@pytest.mark.parametrize(
    ("pem", "says"),
    [
        ("", "there is no public key in it"),
        ("# only words\n", "there is no public key in it"),
        (v.TELEGRAM.replace("MIIB", "NIIB"), "its key 1 does not parse"),
        (v.TELEGRAM + v.ED25519, "key 2 is not an RSA key of 2048 bits"),
        (v.TELEGRAM.split("-----END")[0], "there is no public key in it"),
        (v.TELEGRAM.replace("MIIBCgKCAQEA", "MIIBCgKCAQEA\n\xe9"), "its key 1 does not parse"),
        (v.TELEGRAM.replace("RSA PUBLIC", "RSA PRIVATE"), "its key 1 does not parse"),
    ],
)
def test_what_is_no_key_is_one_sentence(pem: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        crypto.keys(pem)


def test_rsa_pad_gives_the_published_bytes() -> None:
    """gotd/td has the same case: 144 times 'a', all random bytes zero."""
    (key,) = crypto.keys(v.TELEGRAM)
    sealed = crypto.rsa_pad(b"a" * 144, key, bytes)

    assert sealed[:32].hex() == "bf68719e836806b040cd261ecaf66eb3c4ba19f3bbea3031b2e6cf29167bab64"
    assert sealed[-16:].hex() == "ecab8711bd269e441b6084f385726ff0"
    assert hashlib.sha256(sealed).hexdigest() == (
        "e7f8903bc62da5a0fd544abd09f2ea52a8af7034d30ae3151c1329a451671321"
    )


def test_more_than_rsa_pad_takes_is_refused() -> None:
    (key,) = crypto.keys(v.TELEGRAM)
    with pytest.raises(ValueError, match="144"):
        crypto.rsa_pad(bytes(145), key)


def test_the_documented_answer_opens() -> None:
    key, iv = crypto.answer_key(v.NEW_NONCE, v.SERVER_NONCE)
    opened = crypto.ige_decrypt(v.ANSWER, key, iv)
    inner, size = tl.read_server_dh_inner_data(opened[20:])

    assert (key, iv) == (v.ANSWER_KEY, v.ANSWER_IV)
    assert size == 564
    assert crypto.digest_fits(opened, size)
    assert (inner.nonce, inner.server_nonce) == (v.NONCE, v.SERVER_NONCE)
    assert (inner.g, inner.server_time) == (3, v.SERVER_TIME)
    assert hashlib.sha256(inner.dh_prime).hexdigest() == (
        "02f85e7687fc6f33ba678226a963b3c8a191b47c890cf30debe17c1d623b5af1"
    )


@pytest.mark.parametrize("bit", [0, 77, 255])
def test_one_wrong_bit_in_the_new_nonce_and_it_does_not(bit: int) -> None:
    wrong = (int.from_bytes(v.NEW_NONCE, "big") ^ (1 << bit)).to_bytes(32, "big")
    opened = crypto.ige_decrypt(v.ANSWER, *crypto.answer_key(wrong, v.SERVER_NONCE))

    assert not crypto.digest_fits(opened, 564)


@given(st.binary(max_size=400), st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_what_is_encrypted_is_decrypted_to_the_same(data: bytes, key: bytes, iv: bytes) -> None:
    whole = data + bytes(-len(data) % 16)

    assert crypto.ige_decrypt(crypto.ige_encrypt(whole, key, iv), key, iv) == whole
    opened = crypto.ige_decrypt(crypto.seal_answer(data, key, iv), key, iv)
    assert crypto.digest_fits(opened, len(data))
    assert opened[20:].startswith(data)
