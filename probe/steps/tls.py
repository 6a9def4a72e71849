"""Shake hands first, judge the identity afterwards; TLS as a link over the open link."""

import ssl
from functools import lru_cache
from typing import Literal

from probe import hello
from probe.failure import Untrusted
from probe.identity import TRUSTED, Certificate, Identity, certificates, covers, judge
from probe.step import Facts, Flow, Gift, Need, Step
from probe.tls_link import TlsLink


class TlsFacts(Facts):
    """Session parameters, our own hello's digests, and who the peer showed itself to be."""

    version: str
    cipher: str
    alpn: str
    sni: str
    hello_ja4: str
    hello_sha256: str
    identity: Identity
    covers_sni: bool = False  # whether the leaf is for the name that was said, whoever signed it
    chain: tuple[Certificate, ...] = ()


class Tls(Step):
    """A TLS handshake on the open stream."""

    sni: str = "host"  # "host", "none", or another name
    alpn: tuple[str, ...] = ("h2", "http/1.1")
    trust: str = "system"  # "system", "any", or a name: configs/trust/<name>.pem
    pins: tuple[str, ...] = ()  # SHA-256 of a SubjectPublicKeyInfo in the chain, hex
    identity: Literal["required", "recorded"] = "required"
    minimum: Literal["1.2", "1.3"] = "1.2"
    # "library": as OpenSSL sends it. "short": fewer cipher suites in another order, so another fingerprint.
    hello: Literal["library", "short"] = "library"

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
        name = {"host": flow.host, "none": ""}.get(self.sni, self.sni)
        link = TlsLink(flow.stream(), _context(self.alpn, self.minimum, self.hello), name or None)
        await link.shake_hands()
        facts = self._facts(flow, link, name)
        if self.identity == "required" and facts.identity not in TRUSTED:
            raise Untrusted(f"the certificate is {facts.identity}", code=facts.identity, partial=facts)
        flow.link, flow.alpn = link, facts.alpn
        return facts

    def _facts(self, flow: Flow, link: TlsLink, name: str) -> TlsFacts:
        chain = _offered(link.tls)
        identity = judge(
            chain,
            flow.host,
            trust=self.trust,
            pins=self.pins,
            anchors=flow.supplies.anchors,
            now=flow.net.utc(),
        )
        said = hello.client_hello(link.hello)
        cipher = link.tls.cipher()
        return TlsFacts(
            version=(link.tls.version() or "").removeprefix("TLSv"),
            cipher=cipher[0] if cipher else "",
            alpn=link.tls.selected_alpn_protocol() or "",
            sni=self.sni,
            hello_ja4=hello.ja4(said),
            hello_sha256=hello.digest(said),
            identity=identity,
            covers_sni=covers(chain, name),
            chain=certificates(chain, keep_der=identity not in TRUSTED),
        )


@lru_cache(maxsize=16)
def _context(alpn: tuple[str, ...], minimum: str, said: str) -> ssl.SSLContext:
    """A context that believes nobody: the identity is judged after the handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3 if minimum == "1.3" else ssl.TLSVersion.TLSv1_2
    if said == "short":
        context.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-GCM-SHA256")
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def _offered(tls: ssl.SSLObject) -> list[bytes]:
    """The chain as the peer offered it. Python 3.13 names this; before, only the object below has it."""
    public = getattr(tls, "get_unverified_chain", None)
    if public is not None:
        return [bytes(der) for der in public()]
    # ENCODING_DER of _ssl is 2.
    offered = tls._sslobj.get_unverified_chain() or []  # type: ignore[attr-defined]
    return [certificate.public_bytes(2) for certificate in offered]
