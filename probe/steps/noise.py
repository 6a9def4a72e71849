"""Ask a WhatsApp chat server to prove itself on the open stream, as an app that starts does, and stop there.

One hello up, one answer down. The answer is encrypted to our key of this moment with the server's static key, and a
chain of two certificates says whose that is, up to a root that the catalogue holds. The third message, with which an
app would log in or register, is never sent.
"""

from datetime import UTC, datetime
from typing import Annotated, Literal

from msgspec import Meta

from probe.anchors import x25519_keys
from probe.dialogue import converse
from probe.noise.certificates import Certificate
from probe.noise.handshake import Handshake, Stage
from probe.record import Record
from probe.step import Flow, Need, Proof, Step


class NoiseCertificate(Record):
    """A certificate as the server sent it. `skew`: seconds our clock is before its validity (negative) or after it."""

    serial: int
    not_before: str
    not_after: str
    skew: int = 0


class NoiseFacts(Proof):
    """How far it got: "opened" (nothing was answered), "answered" (a server hello), "decrypted", "proved"."""

    stage: Stage
    header: str
    heard: int = 0  # bytes of the answer that came, whole or not
    rtt: float | None = None  # seconds from our hello to the whole answer
    leaf: NoiseCertificate | None = None
    intermediate: NoiseCertificate | None = None


class Noise(Step):
    """WhatsApp's handshake up to the certificates.

    `header` is the four bytes that the stream begins with: 57410603 is a web client's, 57410503 a phone's.
    """

    header: Annotated[str, Meta(pattern=r"^[0-9a-f]{8}$")] = "57410603"
    pattern: Literal["Noise_XX_25519_AESGCM_SHA256"] = "Noise_XX_25519_AESGCM_SHA256"
    trust: str = "whatsapp"  # configs/trust/<name>.pem: X25519 keys, each of them a root

    @property
    def needs(self) -> Need:
        """An open stream."""
        return "stream"

    async def run(self, flow: Flow) -> NoiseFacts:
        """Shake hands as far as the proof. Raises as `probe.noise.handshake` says, with the facts in `flow.learned`."""
        roots = x25519_keys(flow.supplies.anchors[self.trust])
        handshake, now = Handshake(self.pattern, bytes.fromhex(self.header)), flow.net.utc()
        try:
            await converse(flow.stream(), handshake.dialogue(roots, now, self.seconds))
        finally:
            facts = flow.learned = self._facts(handshake, now)
        return facts

    def _facts(self, handshake: Handshake, now: datetime) -> NoiseFacts:
        chain = handshake.chain
        return NoiseFacts(
            stage=handshake.stage,
            header=self.header,
            identity="proved" if handshake.stage == "proved" else "not proved",
            heard=handshake.heard,
            rtt=None if handshake.rtt is None else round(handshake.rtt, 6),
            leaf=_shown(chain.leaf, now) if chain else None,
            intermediate=_shown(chain.intermediate, now) if chain else None,
        )


def _shown(certificate: Certificate, now: datetime) -> NoiseCertificate:
    return NoiseCertificate(
        serial=certificate.serial,
        not_before=_date(certificate.not_before),
        not_after=_date(certificate.not_after),
        skew=certificate.skew(int(now.timestamp())),
    )


def _date(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()
