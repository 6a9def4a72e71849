"""Make a Threema chat server prove that it holds the published key, in one round trip and without an account.

    up    our key 32 | our cookie 16                                                          48 bytes
    down  its cookie 16 | box 64 of: its key of this connection 32 | our cookie 16            80 bytes

The box (X25519, XSalsa20, Poly1305; a NaCl box) is between the server's long-term key and ours of this moment; its
nonce is the server's cookie and the number 1, little-endian, eight bytes. The next message of a client would be its
login; it is never sent. Layout and key: Threema's own protocol libraries.
"""

import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from probe.anchors import x25519_keys
from probe.dialogue import Dialogue, converse, listen, send
from probe.failure import Closed, Malformed, StepError, Unexpected, Unsupported
from probe.step import Flow, Need, Proof, Step

if TYPE_CHECKING:
    from nacl.public import PrivateKey

_COOKIE, _REPLY = 16, 80
_COUNTER = (1).to_bytes(8, "little")


class ThreemaFacts(Proof):
    """How far it got: "opened" (fewer bytes than an answer has came), "answered", "proved" (the box opened)."""

    stage: Literal["opened", "answered", "proved"]
    rtt: float | None = None  # seconds from our hello to the whole answer
    heard: int = 0  # bytes that came, at most one answer's


class Threema(Step):
    """The first message of a chat connection and its answer."""

    trust: str = "threema"  # configs/trust/<name>.pem: X25519 keys, each of them a server's

    @property
    def needs(self) -> Need:
        """An open stream."""
        return "stream"

    async def run(self, flow: Flow) -> ThreemaFacts:
        """Ask. Raises Unsupported without PyNaCl; Closed, Malformed or Unexpected with the facts as `partial`."""
        try:
            from nacl.public import PrivateKey
        except ImportError:
            detail = "this step needs PyNaCl: pip install callreach[threema]"
            raise Unsupported(detail, code="pynacl") from None
        keys = x25519_keys(flow.supplies.anchors[self.trust])
        hello = Hello(keys, PrivateKey.generate(), secrets.token_bytes(_COOKIE))
        try:
            await converse(flow.stream(), hello.dialogue(self.seconds))
        except StepError as error:
            error.partial = hello.facts()
            raise
        finally:
            flow.learned = hello.facts()
        return hello.facts()


class Hello:
    """One hello and what came of it."""

    def __init__(self, keys: Sequence[bytes], secret: "PrivateKey", cookie: bytes) -> None:
        self._keys, self._secret, self._cookie = keys, secret, cookie
        self._heard, self._rtt, self._proved = b"", 0.0, False

    def dialogue(self, patience: float) -> Dialogue[None]:
        """Ask and check. Raises Malformed ("http", "tls", "nonce"), Closed, TimeoutError, and as `opened` does."""
        now = began = yield from send(bytes(self._secret.public_key) + self._cookie)
        while len(self._heard) < _REPLY:
            try:
                heard = yield from listen(began + patience - now)
            except Closed:
                raise _other_protocol(self._heard) or Closed("the stream ended before the answer") from None
            if heard is None:
                raise TimeoutError
            now, self._heard = heard.at, (self._heard + heard.data)[:_REPLY]
            if (other := _other_protocol(self._heard)) is not None:
                raise other
        self._rtt = now - began
        said = opened(self._keys, self._secret, self._heard[:_COOKIE] + _COUNTER, self._heard[_COOKIE:])
        self._proved = said[32:] == self._cookie
        if not self._proved:
            raise Malformed("the box holds another cookie than ours", code="nonce")

    def facts(self) -> ThreemaFacts:
        """What is known by now."""
        whole = len(self._heard) == _REPLY
        return ThreemaFacts(
            stage="proved" if self._proved else "answered" if whole else "opened",
            identity="proved" if self._proved else "not proved",
            rtt=round(self._rtt, 6) if whole else None,
            heard=len(self._heard),
        )


def opened(keys: Sequence[bytes], secret: "PrivateKey", nonce: bytes, box: bytes) -> bytes:
    """What one of these keys put into a box for ours. Raises Unexpected "unknown-key" where none of them did.

    Whether it was an impostor or the service with its next key, one answer cannot tell: both look alike.
    """
    from nacl.exceptions import CryptoError
    from nacl.public import Box, PublicKey

    for key in keys:
        try:
            return Box(secret, PublicKey(key)).decrypt(box, nonce)
        except CryptoError:
            continue
    raise Unexpected("the answer was not made with a key that the catalogue knows", code="unknown-key")


def _other_protocol(heard: bytes) -> Malformed | None:
    """Bytes that a cookie of chance would be once in many billion answers: HTTP, a web page, a TLS record."""
    if heard[:7] in (b"HTTP/1.", b"HTTP/2 ") or heard[:5].lower() in (b"<!doc", b"<html"):
        return Malformed("the answer is HTTP", code="http")
    # A record of TLS 1.0 to 1.2 that is an alert (two bytes) or a server hello (RFC 8446 section 5.1).
    alert = heard[:2] == b"\x15\x03" and heard[3:5] == b"\0\x02"
    hello = heard[:3] == b"\x16\x03\x03" and heard[5:7] == b"\x02\0"
    if alert or hello:
        return Malformed("the answer is TLS", code="tls")
    return None
