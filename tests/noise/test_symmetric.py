"""The published vectors of Noise_XX_25519_AESGCM_SHA256, read as the initiator."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from probe.failure import Malformed
from probe.noise.symmetric import SymmetricState

TEXT = (Path(__file__).parent / "flynn.txt").read_text()
VECTORS = [
    dict(line.split("=") for line in block.strip().splitlines()) for block in TEXT.split("\n\n") if block[0] != "#"
]  # fmt: skip


def shared(private: bytes, public: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(public))


@pytest.mark.parametrize("vector", VECTORS, ids=["plain", "payloads", "prologue", "prologue-payloads"])
def test_the_published_vectors_are_read_and_continued(vector: dict[str, str]) -> None:
    values = {key: bytes.fromhex(value) for key, value in vector.items() if key != "handshake"}
    mine, static = values["gen_init_ephemeral"], values["init_static"]
    first, second, third = (values[f"msg_{number}_ciphertext"] for number in range(3))
    state = SymmetricState(vector["handshake"], values.get("prologue", b""))

    state.mix_hash(first[:32])
    state.mix_hash(first[32:])  # Noise hashes the payload of the first message, an empty one, too
    theirs = second[:32]
    state.mix_hash(theirs)
    state.mix_key(shared(mine, theirs))
    their_static = state.decrypt_and_hash(second[32:80], "the static key")
    state.mix_key(shared(mine, their_static))
    payload = state.decrypt_and_hash(second[80:], "the payload")

    assert first[32:] == values["msg_0_payload"]
    assert (
        their_static
        == X25519PrivateKey.from_private_bytes(values["resp_static"]).public_key().public_bytes_raw()
    )
    assert payload == values["msg_1_payload"]

    # What the vector's third message is sealed with is what our state says: key, counter, and hash of all before.
    public = X25519PrivateKey.from_private_bytes(static).public_key().public_bytes_raw()
    sealed = AESGCM(state.key).encrypt(bytes(4) + state.counter.to_bytes(8, "big"), public, state.h)
    assert sealed == third[:48]
    state.mix_hash(sealed)
    state.mix_key(shared(static, theirs))
    assert AESGCM(state.key).encrypt(bytes(12), values["msg_2_payload"], state.h) == third[48:]


def test_a_long_protocol_name_is_hashed() -> None:
    long, short = SymmetricState("Noise_" + "x" * 40, b""), SymmetricState("Noise_XX", b"")

    assert (len(long.ck), len(short.ck)) == (32, 32)
    assert short.ck.rstrip(b"\0") == b"Noise_XX"


def test_a_ciphertext_shorter_than_its_tag_does_not_decrypt() -> None:
    state = SymmetricState("Noise_XX", b"")
    state.mix_key(b"secret")
    for ciphertext in (b"", b"short", bytes(16)):
        with pytest.raises(Malformed) as caught:
            state.decrypt_and_hash(ciphertext, "the static key")
        assert caught.value.code == "decrypt"


# RFC 7748 section 6.1, and the first vectors of section 5.2.
@pytest.mark.parametrize(
    ("scalar", "u", "product"),
    [
        (
            "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
            "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
            "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742",
        ),
        (
            "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
            "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
            "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742",
        ),
        (
            "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
            "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
            "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
        ),
        (
            "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
            "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
            "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
        ),
    ],
)
def test_the_library_has_the_x25519_of_rfc_7748(scalar: str, u: str, product: str) -> None:
    assert shared(bytes.fromhex(scalar), bytes.fromhex(u)).hex() == product
