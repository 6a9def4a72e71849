"""Telegram's own example of a key exchange (documentation, "Auth key generation example"), and what we derived."""

from pathlib import Path

CONFIGS = Path(__file__).parent.parent.parent / "configs"
TELEGRAM = (CONFIGS / "trust" / "telegram.pem").read_text()
# A key of another type.
ED25519 = """-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
"""

REQ_PQ = bytes.fromhex("0000000000000000d4720600503dc56514000000f18e7ebe406709f612fadfbec3f0289d0aa67eef")
# As printed: the declared length is larger, the rest was left out.
RES_PQ = bytes.fromhex(
    "000000000000000001d83175503dc565a800000063241605406709f612fadfbec3f0289d0aa67eef"
    "e11dbc3bc97d91a26154f932af01994308256595edb776679700000015c4b51c03000000a5b7f709"
    "355fc30b216be86c022bb4c385fd64de851d9dd0"
)
NONCE = bytes.fromhex("406709f612fadfbec3f0289d0aa67eef")
SERVER_NONCE = bytes.fromhex("e11dbc3bc97d91a26154f932af019943")
NEW_NONCE = bytes.fromhex("a8bbc849512dac6c67b6efd9157d6ca7377a1776307d84265c6be9bdcf802ac1")
PQ, P, Q = 2694724800268887959, 1513098571, 1780931429
INNER = bytes.fromhex(
    "955ff5a908256595edb7766797000000045a300d4b000000046a26db65000000406709f612fadfbe"
    "c3f0289d0aa67eefe11dbc3bc97d91a26154f932af019943a8bbc849512dac6c67b6efd9157d6ca7"
    "377a1776307d84265c6be9bdcf802ac102000000"
)
ANSWER_KEY = bytes.fromhex("5ea702f743e850f5546e857f08b7d5337bbaedf9b61248751594851be2e8c297")
ANSWER_IV = bytes.fromhex("1cef8e372a63d97ebfa805c0dbb018bc7c1e0931693fbcb1a1afc0c0a8bbc849")
ANSWER = bytes.fromhex(
    "6ad7dd5d8b2526c761abe50e93c82a6f331b1eae0ad011893da976e3771d4aa45209d234fea65642"
    "985386b817bf8980f517f6d32dbeb47e34534556f950ddf960db721a48480231619161112682c604"
    "6d5629c71cd1ec8061dfcdd704703ec7a8aebdcbd159579fc8886d9fa51e009af49b5ab90c7628eb"
    "81c9788a2eb6ac0e757a7debe3d949f80a990bedb4d2dbae43f00328b82f4d8fc83a9b9cfeef467e"
    "1593bb4579ee32412f167a780cfa517650bd0eb51cbfb50e3afe978839466131fcd956711e63614f"
    "006a55ed35ed2b1f833c29f4fd7a84f0c8f1c10dfc1a1aaf9a8a57108decf206e3968406f0fb25e9"
    "22df154f497b51527e4834202fab477a137d0a99d1c347196fba10699f52ea56f01ef93829b310a5"
    "c97db95fd57e64417e526eb920d261157c6e38791bdd5389eeb744e075d952db33a8151207d0ab3c"
    "629e30a723a5205f8fa18398937ed2714a4e76a5f4512508a4be1b4d6ae46fd156c6f06347af5e07"
    "ce49279195133b07cce4bc6775d88f3611180d23c4c70946619ad759ab9f183a385ccf9bf19315fa"
    "dbe8a4fdc748af52df930345909c870de4b48901e9f90e56d74ca534d8e1fe3a35a92a18d676958e"
    "b8fc3d82f9cee308df2a9e4ccd23ff89ea255b9eedbc3378148879666ffc2e19a431cbb57ae1a010"
    "ffe5cb39abf131add9e90bf969a112c435509b78960e0b20031c822190841561e8390446227660bb"
    "accf3d53574bfba33bf476e3bdc9eb680aa2a17fd6756f652725ed0313e5eb0fd6a9c8c949eefbe8"
    "09a89311bf20f40055ca25fd169dc13ee14b315092fde4184638d849682fd862"
)
SERVER_TIME = 1707425105
FINGERPRINT = bytes.fromhex("85fd64de851d9dd0")
# Seed of the obfuscation vectors.
SEED = bytes((7 * i + 3) % 256 for i in range(64))
