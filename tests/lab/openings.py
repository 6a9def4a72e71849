"""What the box does to messengers' own protocols: it reads the first bytes of each TCP flow."""

import random

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from tests.lab.behaviours import Behaviour, Forge, Matches
from tests.lab.filters import reset_both
from tests.lab.packets import TCP, Packet

_PLAIN = (b"\xef\x0a", b"\xee\xee\xee\xee", b"\xdd\xdd\xdd\xdd")
_TAGS = (b"\xef" * 4, b"\xee" * 4, b"\xdd" * 4)
_NOISE = (b"WA\x06\x03", b"WA\x05\x03", b"ED\x00\x01")


def protocol(first: bytes) -> str:
    """Which messenger's protocol a flow begins with, as far as its first bytes tell: "mtproto" or "noise".

    Obfuscated MTProto carries its own keys in the clear (bytes 8 to 55), so whoever knows it can read on.
    """
    if first.startswith(_NOISE):
        return "noise"
    if first.startswith(_PLAIN) or first[4:8] == bytes(4) or first.startswith(b"POST /api"):
        return "mtproto"
    if len(first) < 64:
        return ""
    stream = Cipher(algorithms.AES(first[8:40]), modes.CTR(first[40:56])).encryptor()
    return "mtproto" if stream.update(first[:64])[56:60] in _TAGS else ""


class Opening(Behaviour):
    """A TCP flow that begins as `speaks` does triggers `action`.

    drop: those bytes and all after them vanish; drop_reply: whatever the server says vanishes; reset: forged resets
    to both sides; cut: after the server's first answer nothing passes any more, either way; cut_reply: only the
    server's further answers vanish.
    """

    speaks: str = "mtproto"
    action: str = "drop"
    only: str = (
        ""  # "obfuscated": leave forms alone that are recognised by a fixed prefix; "plain": only those
    )

    def __init__(self, rng: random.Random, forge: Forge, matches: Matches) -> None:
        super().__init__(rng, forge, matches)
        self._marked: dict[tuple[str, int, int], bool] = {}
        self._answered: set[tuple[str, int, int]] = set()

    def see(self, packet: Packet, now: float) -> float | None:
        if packet.protocol != TCP or not (packet.payload or (packet.ends and not packet.up)):
            return 0.0  # what kernels say to each other passes, and only what a server says or how it ends does not
        if packet.flow not in self._marked and packet.up:
            self._marked[packet.flow] = self._is_meant(packet.payload)
            if self._marked[packet.flow] and self.action == "reset":
                reset_both(self.forge, packet)
                return None
        if not self._marked.get(packet.flow):
            return 0.0
        return None if self._is_dropped(packet) else 0.0

    def _is_meant(self, first: bytes) -> bool:
        if protocol(first) != self.speaks:
            return False
        is_plain = first.startswith((*_PLAIN, *_NOISE)) or first[4:8] == bytes(4)
        return not self.only or (self.only == "plain") == is_plain

    def _is_dropped(self, packet: Packet) -> bool:
        answered = packet.flow in self._answered
        if not packet.up and self.action in ("cut", "cut_reply"):
            self._answered.add(packet.flow)
        match self.action:
            case "drop":
                return packet.up
            case "drop_reply":
                return not packet.up
            case "cut":
                return answered
            case "cut_reply":
                return answered and not packet.up
            case _:
                return False
