"""Shake hands with QUIC version 1 and ask one HTTP/3 question (RFC 9000, RFC 9114)."""

from typing import Literal

from probe.step import Facts, Flow, Step
from probe.steps.tls import Certificate, Identity


class QuicFacts(Facts):
    """Session parameters, who the peer showed itself to be, and the HTTP/3 status if one was asked for."""

    version: str
    alpn: str
    sni: str
    cipher: str
    handshake: float  # seconds
    identity: Identity
    chain: tuple[Certificate, ...] = ()
    retry: bool = False
    status: int | None = None
    datagrams_sent: int = 0


class Quic(Step):
    """A QUIC handshake to UDP, and `path` over HTTP/3 unless it is empty."""

    sni: str = "host"  # "host", "none", or another name
    alpn: tuple[str, ...] = ("h3",)
    trust: str = "system"
    pins: tuple[str, ...] = ()
    identity: Literal["required", "recorded"] = "required"
    path: str = ""

    async def run(self, flow: Flow) -> QuicFacts:
        """Shake hands. Raises Silent when nothing at all came back."""
        raise NotImplementedError
