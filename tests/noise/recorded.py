"""A handshake between an open client and a WhatsApp server, recorded in 2025 (test data of whatsapp-rust).

Every value was verified end to end when it was researched. The leaf has expired since, so the clock stands still.
"""

from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from probe.dialogue import Heard
from probe.noise import protobuf
from probe.noise.frames import frame
from probe.noise.handshake import Handshake
from tests.play import play

PATTERN = "Noise_XX_25519_AESGCM_SHA256"
NOW = datetime(2025, 5, 1, tzinfo=UTC)
_hex = bytes.fromhex

ROOT = _hex("142375574d0a587166aae71ebe516437c4a28b73e3695c6ce1f7f9545da8ee6b")
HEADER = _hex("57410603")
CLIENT_PRIVATE = _hex("b8de0b5ebad3e7879fa659c0d27baa6c3e3f32a10f7c4cb2613cb4182fe83047")
CLIENT_PUBLIC = _hex("8537e1daadfb8e9ff8491896f5733008bad4967c2ba97670f69cf3053762ea4d")
SERVER_EPHEMERAL = _hex("27692cf5d6a08e51f2d601f2e475378456bda16f96255c5121d081d0aa4a815d")
SEALED_STATIC = _hex(
    "0addd1ce96c55699824fc20ef2a73928dd8168bc29ef863bdea6dc69002b00054add28f7711e3a7dff984d3f31badaa2"
)
SEALED_CHAIN = _hex(
    "c4f948e737857d6bd675fa0a84f38ed784685b784402da53f972388a8aa3398f01be799862907d43cce7a49858023ec66dc909d1eac2"
    "45f842661360804acf4975801ca0a156f876ba6004cc2f1241f761f753c516cef59fb3c6b95d39ad6d3540caa40b361bfbb7189eaa2d"
    "331e086870f2bd846bc6653cf2887387ba25268c9923dec5ecdc5ee37507680ba6906550f9991f6a60b2dc74803c6df8d6df352f206c"
    "376b0bb3d7d17dca91e3999f73d6dc6469e59281bc18c22fd1e7d85467b3f17fafc141a62c6fd92d364310d5b32493c9f2c77817aa4d"
    "901aef2538858b157d46ea247371a9c2f577171796fa7be059d975dddee115d5aa967602b02a93be36"
)
H_HEADER = "ffff0c9267310966f1311170c04b38c79504285bf5edf763e5c946492a50a755"
H_CLIENT = "86790a969b7100866dfbf74fcfe5a175f8adff7f8c5139f74cd2f14a8fa5f11f"
H_SERVER = "9fd7bf2736e1e5b48b2759fd5806225ccb6822d557579d725459795cdd0885d3"
CK_FIRST = "a505e995a2068e7103a582be6f6ba9d6b447a80db4e679209b2f7cc6da633709"
STATIC = _hex("5854d333d8e13975abd6597bbaddd49d6935ced25c93a44bd3ade508f2bec330")
H_STATIC = "8f29e8901b6ffb3cb393795c023d6d219ceb447dbbbae075533010907cbfbc6c"
CK_SECOND = "5092572187a71abe8044010b9c8419633272b45b2babf4ca316966edc3eb9bde"
H_FINAL = "4a82b448599eb44f85bacedaff0a81820999a87be156b08989c2857b8651d4d2"
LEAF = _hex(
    "0a3308c90210031a205854d333d8e13975abd6597bbaddd49d6935ced25c93a44bd3ade508f2bec33020d08f87bf0628d0c99fc40612"
    "4019cbee71b63bb8048af269f3aa7c13c62a1fd89ac4ef2509d1d78d68267f40393b49a9cc38db05e35a6c5bf3ba6172a4c5325f25f3"
    "63338cf8f3535a4cd95205"
)
INTERMEDIATE = _hex(
    "0a32080310001a201c51a9ac303994c6c8d0b92ea1878a533476599cc599fbea35997d9aa90cce62208091aebe0628ffdeb7dc061240"
    "270f294648539fed4870e25054dd4e95983aba29189c2ba6c8eeda7055555f753740f5ec192ab64c26c26d6ade6d20b9f774aee37120"
    "a6b20395f53c66058507"
)
CHAIN = protobuf.write((1, LEAF), (2, INTERMEDIATE))


def server_hello(
    ephemeral: bytes = SERVER_EPHEMERAL, static: bytes = SEALED_STATIC, chain: bytes = SEALED_CHAIN
) -> bytes:
    """The recorded answer as a frame; parts can be others."""
    return frame(protobuf.write((3, protobuf.write((1, ephemeral), (2, static), (3, chain)))))


def fresh() -> Handshake:
    """The recorded client's side, before its hello."""
    return Handshake(PATTERN, HEADER, X25519PrivateKey.from_private_bytes(CLIENT_PRIVATE))


def played(*answers: bytes | Heard | None, now: datetime = NOW, root: bytes = ROOT) -> Handshake:
    """The recorded client's side with these answers; raises what it raises."""
    handshake = fresh()
    play(handshake.dialogue((root,), now, 9.7), answers)
    return handshake
