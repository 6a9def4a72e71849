"""Shake hands first, judge the identity afterwards; TLS as a link over the open link."""

from typing import Literal

from probe.record import Record
from probe.step import Facts, Flow, Gift, Need, Step


class Certificate(Record):
    """One certificate the peer offered. `der` (base64) is kept only where it was not trusted."""

    sha256: str
    spki_sha256: str
    subject: str
    issuer: str
    not_before: str
    not_after: str
    der: str = ""


Identity = Literal[
    "verified", "pinned", "unchecked", "expired", "not_yet_valid", "self_signed", "unknown_issuer",
    "name_mismatch", "wrong_pin", "invalid",
]  # fmt: skip


class TlsFacts(Facts):
    """Session parameters, our own hello's digest, and who the peer showed itself to be."""

    version: str
    cipher: str
    alpn: str
    sni: str
    hello_ja4: str
    hello_sha256: str
    identity: Identity
    chain: tuple[Certificate, ...] = ()


class Tls(Step):
    """A TLS handshake on the open stream."""

    sni: str = "host"  # "host", "none", or another name
    alpn: tuple[str, ...] = ("h2", "http/1.1")
    trust: str = "system"  # "system", "any", or a name: configs/trust/<name>.pem
    pins: tuple[str, ...] = ()  # SHA-256 of a SubjectPublicKeyInfo in the chain, hex
    identity: Literal["required", "recorded"] = "required"
    minimum: Literal["1.2", "1.3"] = "1.2"

    @property
    def needs(self) -> Need:
        """An open stream."""
        return "stream"

    @property
    def gives(self) -> Gift:
        """An encrypted stream."""
        return "stream"

    async def run(self, flow: Flow) -> TlsFacts:
        """Shake hands. Raises Untrusted with the facts as `partial` where identity is required."""
        raise NotImplementedError
