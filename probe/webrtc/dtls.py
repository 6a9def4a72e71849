"""DTLS-SRTP by aiortc and OpenSSL: which hello is sent, and what was seen of the handshake on the wire."""

import hashlib
import struct
from collections.abc import Iterator
from typing import Any, Literal

from aiortc import RTCCertificate
from OpenSSL import SSL

from probe import hello as hellos
from probe.failure import Malformed, Unsupported
from probe.record import Record

Hello = Literal["library", "permuted"]

# The library's groups are 001d 0017 001e 0018 0019. A filter of 2022 looked for 001d 0017 0018 in a row, which an
# order like a browser's would have. The certificate's own curve (P-256) has to be among them.
_GROUPS = b"P-256:P-384:X25519:P-521:X448"
_SIGNATURES = b"ECDSA+SHA384:ECDSA+SHA256:ed25519:RSA-PSS+SHA384:RSA-PSS+SHA256:RSA+SHA384:RSA+SHA256"

_RECORD, _MESSAGE = 13, 12  # bytes of a record's and of a message's header (RFC 6347 sections 4.1 and 4.2.2)
_ALERT, _HANDSHAKE, _CLIENT_HELLO = 21, 22, 1
_MAX_HELLO, _MAX_PIECES = 1 << 14, 64


class DtlsSeen(Record):
    """What was seen of a DTLS handshake.

    `hello_from`: who sent the ClientHello. `hello_sha256` is over its bytes without record and message headers, so
    both ends have the same if nobody touched it; `hello_digest` over what does not change from run to run (see
    `probe.hello.digest`); `hello_bytes` its length, `hello_datagrams` in how many datagrams it came. `resent` counts
    datagrams of the handshake that we sent again, `heard` the DTLS datagrams that arrived. `alert` is the number of
    the last alert that came in clear (RFC 5246 section 7.2). Version, cipher and SRTP profile are OpenSSL's names, and
    empty until the handshake is complete.
    """

    hello_from: Literal["us", "peer"]
    hello_sha256: str
    hello_digest: str
    hello_bytes: int
    hello_datagrams: int
    resent: int = 0
    heard: int = 0
    alert: int | None = None
    version: str = ""
    cipher: str = ""
    srtp: str = ""


class Permuted(RTCCertificate):
    """A certificate whose handshakes name the same groups and fewer signature algorithms in another order."""

    def _create_ssl_context(self, srtp_profiles: Any) -> SSL.Context:
        context = super()._create_ssl_context(srtp_profiles)
        library: Any = SSL._lib  # type: ignore[attr-defined]
        if not (
            library.SSL_CTX_set1_curves_list(context._context, _GROUPS)
            and library.SSL_CTX_set1_sigalgs_list(context._context, _SIGNATURES)
        ):
            raise Unsupported("this OpenSSL does not know the groups or signatures of the other hello")
        return context


def certificate(hello: Hello) -> RTCCertificate:
    """A new self-signed certificate, and with it the ClientHello that is sent."""
    kind = Permuted if hello == "permuted" else RTCCertificate
    return kind.generateCertificate()


class Watch:
    """Looks on as DTLS datagrams pass: the ClientHello, repetitions, alerts."""

    def __init__(self) -> None:
        self.hello = b""  # without headers, once all of it was seen
        self._from: Literal["us", "peer"] = "us"
        self._pieces: dict[int, bytes] = {}
        self._sent: set[bytes] = set()
        self._resent = self._heard = self._datagrams = 0
        self.alert: int | None = None  # heard in clear

    def sent(self, data: bytes) -> None:
        """One of our datagrams."""
        self._collect(data, "us")
        if data[3:5] == b"\0\0" and data[0] != _ALERT:
            # What the first record holds is not new if type, number and place of the message were there before.
            first = data[:1] + (data[_RECORD : _RECORD + _MESSAGE] if data[0] == _HANDSHAKE else b"")
            self._resent += first in self._sent
            self._sent.add(first)

    def heard(self, data: bytes) -> None:
        """One of the peer's."""
        self._heard += 1
        self._collect(data, "peer")
        if data[0] == _ALERT and data[3:5] == b"\0\0" and len(data) == _RECORD + 2:
            self.alert = data[_RECORD + 1]

    def _collect(self, data: bytes, side: Literal["us", "peer"]) -> None:
        if self.hello:
            return
        before = len(self._pieces)
        for total, offset, piece in _hello_fragments(data):
            if len(self._pieces) < _MAX_PIECES:
                self._from = side
                self._pieces.setdefault(offset, piece)
            self._finish(total)
        self._datagrams += len(self._pieces) > before

    def _finish(self, total: int) -> None:
        whole = b""
        for offset, piece in sorted(self._pieces.items()):
            if offset > len(whole):
                return
            whole = whole[:offset] + piece
        if len(whole) >= total:
            self.hello = whole[:total]

    def seen(self, connection: "SSL.Connection | None") -> DtlsSeen | None:
        """The facts, if there was a ClientHello; `connection` only once its handshake is complete."""
        if not self.hello:
            return None
        return DtlsSeen(
            hello_from=self._from,
            hello_sha256=hashlib.sha256(self.hello).hexdigest(),
            hello_digest=_digest(self.hello),
            hello_bytes=len(self.hello),
            hello_datagrams=self._datagrams,
            resent=self._resent,
            heard=self._heard,
            alert=self.alert,
            version=connection.get_protocol_version_name() if connection else "",
            cipher=(connection.get_cipher_name() or "") if connection else "",
            srtp=connection.get_selected_srtp_profile().decode() if connection else "",
        )


def _hello_fragments(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """The ClientHello's length, and offset and bytes of each piece of it in a datagram."""
    while len(data) >= _RECORD + _MESSAGE and data[0] == _HANDSHAKE and data[3:5] == b"\0\0":
        end = _RECORD + struct.unpack_from("!H", data, 11)[0]
        message, data = data[_RECORD:end], data[end:]
        if len(message) < _MESSAGE or message[0] != _CLIENT_HELLO or message[4:6] != b"\0\0":
            return
        total, offset, size = (int.from_bytes(message[at : at + 3], "big") for at in (1, 6, 9))
        if 0 < total <= _MAX_HELLO and len(message) == _MESSAGE + size:
            yield total, offset, message[_MESSAGE:]


def _digest(hello: bytes) -> str:
    """`probe.hello.digest` of a DTLS ClientHello: TLS has no cookie (RFC 6347 section 4.2.1) after the session id."""
    try:
        cookie = 35 + hello[34]
        body = hello[:cookie] + hello[cookie + 1 + hello[cookie] :]
        return hellos.digest(hellos.parse(bytes([_CLIENT_HELLO]) + len(body).to_bytes(3, "big") + body))
    except (IndexError, Malformed):
        return ""
