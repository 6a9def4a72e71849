"""The first two messages of WhatsApp's Noise XX as a dialogue: one hello, one answer, no third message.

    up    header 4 | frame(HandshakeMessage { 2: ClientHello { 1: ephemeral 32 } })                        43 bytes
    down  frame(HandshakeMessage { 3: ServerHello { 1: ephemeral 32, 2: static 48, 3: payload } })

`static` and `payload` are encrypted; the payload holds the certificates. The header is the prologue of the handshake.
Unlike Noise (section 5.3), neither side mixes the empty payload of the first message into the hash. Read in whatsmeow
(2026-08) and checked against a recorded handshake; a client that has no account goes exactly this far.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Literal, TypeAlias

from probe.dialogue import Dialogue, listen, send
from probe.failure import Malformed, Unexpected
from probe.noise import protobuf
from probe.noise.certificates import Chain, problem, read_chain
from probe.noise.frames import FirstFrame, frame
from probe.noise.symmetric import SymmetricState

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

# What was reached: the stream is there; a server hello came; its static key and certificates decrypted; they prove it.
Stage: TypeAlias = Literal["opened", "answered", "decrypted", "proved"]
_CLIENT_HELLO, _SERVER_HELLO = 2, 3
_KEY, _SEALED_KEY, _TAG = 32, 48, 16
# A static key and a ciphertext of the post-quantum patterns that the apps' schema announces.
_EXTENDED = (4, 6)


class Handshake:
    """One handshake with one ephemeral key."""

    def __init__(self, pattern: str, header: bytes, ephemeral: "X25519PrivateKey | None" = None) -> None:
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

        self._ephemeral = ephemeral or X25519PrivateKey.generate()
        self._header = header
        self.state = SymmetricState(pattern, header)
        self.stage: Stage = "opened"
        self.heard = 0
        self.rtt: float | None = None
        self.static = b""
        self.chain: Chain | None = None

    def dialogue(self, roots: Sequence[bytes], now: datetime, patience: float) -> Dialogue[None]:
        """Until the server has proved itself, or failed to.

        Raises TimeoutError after `patience` seconds; Malformed (code: "http", "tls", "frame", "hello", "decrypt",
        "certificate"); Unexpected ("unknown-root", "issuer", "unknown-pattern"); Untrusted ("signature", "static",
        "expired", "not-yet-valid").
        """
        sent = yield from send(self.hello())
        first, at, answer = FirstFrame(), sent, None
        while answer is None:
            heard = yield from listen(patience - at)
            if heard is None:
                raise TimeoutError
            at = heard.at
            self.heard += len(heard.data)
            answer = first.take(heard.data)
        self.rtt = at - sent
        self.read(answer)
        assert self.chain is not None  # or `read` would have raised
        wrong = problem(self.chain, self.static, roots, int(now.timestamp()))
        if wrong is not None:
            raise wrong
        self.stage = "proved"

    def hello(self) -> bytes:
        """The first message, header included."""
        public = self._ephemeral.public_key().public_bytes_raw()
        self.state.mix_hash(public)
        return self._header + frame(protobuf.write((_CLIENT_HELLO, protobuf.write((1, public)))))

    def read(self, answer: bytes) -> None:
        """Take in the second message. Raises Malformed or Unexpected."""
        outer = protobuf.read(answer, code="hello")
        said = protobuf.read(protobuf.blob(outer, _SERVER_HELLO), code="hello")
        ephemeral, static, payload = (protobuf.blob(said, number) for number in (1, 2, 3))
        if len(ephemeral) != _KEY or len(static) != _SEALED_KEY or len(payload) < _TAG:
            if any(protobuf.blob(said, number) for number in _EXTENDED):
                raise Unexpected("the server hello is of another Noise pattern", code="unknown-pattern")
            raise Malformed("a frame, but not a server hello in it", code="hello")
        self.stage = "answered"
        self.state.mix_hash(ephemeral)
        self.state.mix_key(self._shared(ephemeral))
        self.static = self.state.decrypt_and_hash(static, "the static key")
        self.state.mix_key(self._shared(self.static))
        certificates = self.state.decrypt_and_hash(payload, "the certificate chain")
        self.stage = "decrypted"
        self.chain = read_chain(certificates)

    def _shared(self, public: bytes) -> bytes:
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

        try:
            return self._ephemeral.exchange(X25519PublicKey.from_public_bytes(public))
        except ValueError:  # a point of low order, whose secret everybody knows (RFC 7748 section 6.1)
            raise Malformed("a key that nobody who means well sends", code="hello") from None
