"""Shake hands with DTLS 1.2 over UDP as a WebRTC client does, and look at the certificate afterwards.

A call's media begins this way, and filters know the first flight by its bytes. No account is needed: what comes
before it in a call (ICE) is left out, as two open WhatsApp clients do.
"""

from datetime import datetime, timedelta
from typing import Any, Literal

from probe import hello as hellos
from probe.dialogue import Dialogue, converse, listen, send
from probe.failure import Malformed, Silent, StepError, Unsupported, Untrusted
from probe.step import Facts, Flow, Step
from probe.steps.dtls_engine import HELLO_VERIFY, SERVER_HELLO, Engine, as_tls, context, handshake_types
from probe.steps.paced import MARGIN

Reached = Literal["nothing", "hello_verify", "server_hello", "finished"]
# The TLS 1.2 suites of a browser, in its order, so that relays with either kind of key find one.
_CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:"
    "ECDHE-RSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA:"
    "ECDHE-RSA-AES256-SHA:AES128-GCM-SHA256:AES128-SHA:AES256-SHA"
)
_SRTP = "SRTP_AEAD_AES_256_GCM:SRTP_AEAD_AES_128_GCM:SRTP_AES128_CM_SHA1_80"
# Not the order in which the groups 001d 0017 0018 stand next to each other: a filter of 2022 looked for those bytes.
_OTHER_GROUPS = "P-256:P-384:X25519:P-521:X448"
_OTHER_SIGNATURES = "ECDSA+SHA384:ECDSA+SHA256:ed25519:RSA-PSS+SHA384:RSA-PSS+SHA256:RSA+SHA384:RSA+SHA256"
_LIFE = timedelta(days=30)


class DtlsFacts(Facts):
    """How far it went, our own hello, and what the peer showed.

    `flights` counts datagrams sent. `reached` is what the peer's part of the conversation came to; with anything
    less than "finished" the rest is what was known by then. `pinned` says whether the certificate is one of those
    the target names.
    """

    hello_sha256: str
    hello_bytes: int
    flights: int
    reached: Reached
    version: str = ""
    cipher: str = ""
    handshake: float | None = None  # seconds
    certificate_sha256: str = ""
    pinned: bool = False


class Dtls(Step):
    """A DTLS 1.2 handshake with a self-signed certificate, new each time, and an offer of SRTP."""

    fingerprints: tuple[str, ...] = ()  # SHA-256 of the peer's certificate, lower-case hexadecimal
    identity: Literal["required", "recorded"] = "recorded"
    # "library": as OpenSSL sends it. "permuted": groups and signature algorithms in another order.
    hello: Literal["library", "permuted"] = "library"
    seconds: float = 10.0

    def __post_init__(self) -> None:
        for one in self.fingerprints:
            if len(one) != 64 or set(one) - set("0123456789abcdef"):
                raise ValueError(f"{one!r} is not a SHA-256 in lower-case hexadecimal")
        if self.identity == "required" and not self.fingerprints:
            raise ValueError("identity = 'required' needs fingerprints")

    async def run(self, flow: Flow) -> DtlsFacts:
        """Shake hands. Raises Silent (code: datagrams sent, or what was reached), Malformed, Rejected or Untrusted.

        Each of them carries the facts so far as `partial`.
        """
        handshake = Handshake(client_context(self.hello, flow.net.utc()), self.fingerprints)
        try:
            await converse(await flow.udp(), handshake.dialogue(self.seconds - MARGIN))
        except StepError as error:
            error.partial = handshake.facts() if handshake.hello else None
            raise
        facts = handshake.facts()
        if self.identity == "required" and not facts.pinned:
            raise Untrusted("the certificate is not the expected one", code="fingerprint", partial=facts)
        return facts


class Handshake:
    """One handshake as a dialogue: OpenSSL keeps the state, the dialogue's answers are the time it took."""

    def __init__(self, made: Any, fingerprints: tuple[str, ...] = ()) -> None:
        self.hello = b""
        self._engine = Engine(made, server=False)
        self._fingerprints = fingerprints
        self._reached: Reached = "nothing"
        self._finished: float | None = None
        self._now = 0.0
        self._sent = self._heard = 0

    def dialogue(self, patience: float) -> Dialogue[None]:
        """Until the handshake is complete, or the peer's part of it goes wrong, or patience ends."""
        while not (yield from self._go_on()):
            if self._now >= patience:
                self._give_up()
            timer = self._engine.timeout()
            wait = min(patience - self._now, patience if timer is None else timer)
            heard = yield from listen(wait)
            self._now = self._now + wait if heard is None else heard.at
            if heard is None:
                self._engine.expire()
            else:
                self._take(heard.data)
        self._reached, self._finished = "finished", self._now
        self._engine.end()
        yield from self._send_pending()

    def _go_on(self) -> Dialogue[bool]:
        done, failed = False, None
        try:
            done = self._engine.shake_hands()
        except StepError as error:
            failed = error
        yield from self._send_pending()  # OpenSSL tells the peer, too, why it stops
        if failed is not None:
            raise failed
        return done

    def _send_pending(self) -> Dialogue[None]:
        for datagram in self._engine.outgoing():
            self.hello = self.hello or datagram
            self._sent += 1
            self._now = max(self._now, (yield from send(datagram)))

    def _take(self, datagram: bytes) -> None:
        self._heard += 1
        types = handshake_types(datagram)
        if SERVER_HELLO in types:
            self._reached = "server_hello"
        elif HELLO_VERIFY in types and self._reached == "nothing":
            self._reached = "hello_verify"
        self._engine.feed(datagram)

    def _give_up(self) -> None:
        if self._heard == 0:
            raise Silent("no datagram came back", code=str(self._sent))
        if self._reached == "nothing":
            raise Malformed("what came back is not DTLS", code="nothing")
        raise Silent("the handshake began and was not finished", code=self._reached)

    def facts(self) -> DtlsFacts:
        """What was learned so far, once the hello is sent."""
        tls = self._engine.tls
        certificate = tls.get_peer_certificate()  # a peer may show what cryptography refuses to read
        shown = certificate.digest("sha256").decode().replace(":", "").lower() if certificate else ""
        cipher = tls.get_cipher_name()
        return DtlsFacts(
            hello_sha256=hellos.digest(hellos.parse(as_tls(self.hello))),
            hello_bytes=len(self.hello),
            flights=self._sent,
            reached=self._reached,
            version=tls.get_protocol_version_name().removeprefix("DTLSv") if cipher else "",
            cipher=cipher or "",
            handshake=None if self._finished is None else round(self._finished, 6),
            certificate_sha256=shown,
            pinned=shown in self._fingerprints,
        )


def client_context(hello: Literal["library", "permuted"], now: datetime) -> Any:
    """A context with a certificate made for this one handshake. Raises Unsupported."""
    made = context()
    made.set_cipher_list(_CIPHERS.encode())
    made.set_tlsext_use_srtp(_SRTP.encode())
    if hello == "permuted":
        _permute(made)
    certificate, key = _own_certificate(now)
    made.use_certificate(certificate)
    made.use_privatekey(key)
    return made


def _permute(made: Any) -> None:
    """pyOpenSSL has no words for this; the functions are in cryptography's bindings."""
    from cryptography.hazmat.bindings.openssl.binding import Binding

    lib = Binding().lib
    groups = lib.SSL_CTX_set1_curves_list(made._context, _OTHER_GROUPS.encode())
    signatures = lib.SSL_CTX_set1_sigalgs_list(made._context, _OTHER_SIGNATURES.encode())
    if groups != 1 or signatures != 1:
        raise Unsupported("this OpenSSL takes no other order of groups and signature algorithms")


def _own_certificate(now: datetime) -> tuple[Any, Any]:
    """Self-signed, as WebRTC has it: what it proves is only that both ends of a call mean the same flow."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "WebRTC")])
    made = x509.CertificateBuilder(
        issuer_name=name,
        subject_name=name,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now - timedelta(days=1),
        not_valid_after=now + _LIFE,
    )
    return made.sign(key, hashes.SHA256()), key
