"""DTLS 1.2 without sockets: OpenSSL between two buffers in memory, for either end (RFC 6347).

OpenSSL writes the records of a flight one behind the other; here they become datagrams again. Its timer reads the
machine's clock, so a flight is sent again when `timeout` says so and not when a script's clock does.
"""

import contextlib
import struct
from typing import Any

from probe.failure import Closed, Malformed, Rejected, StepError

CLIENT_HELLO, SERVER_HELLO, HELLO_VERIFY = 1, 2, 3
_HANDSHAKE = 22
_RECORD = 13  # type, version, epoch, sequence number, length (RFC 6347 section 4.1)
_MTU = 1200  # what WebRTC assumes to fit any path
_MAX_DATAGRAM = 16384
_VERSION = 0xFEFD  # DTLS 1.2
_READ = 65536


def context() -> Any:
    """An OpenSSL context for DTLS 1.2 that believes nobody and keeps no tickets."""
    from OpenSSL import SSL

    made = SSL.Context(SSL.DTLS_METHOD)
    made.set_min_proto_version(_VERSION)
    made.set_max_proto_version(_VERSION)
    made.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_QUERY_MTU)
    return made


class Engine:
    """One end of one DTLS connection: datagrams go in, datagrams come out."""

    def __init__(self, made: Any, *, server: bool) -> None:
        from OpenSSL import SSL

        self.tls = SSL.Connection(made, None)
        self.tls.set_ciphertext_mtu(_MTU)
        if server:
            self.tls.set_accept_state()
        else:
            self.tls.set_connect_state()
        self._errors, self._wants, self._ended = SSL.Error, SSL.WantReadError, SSL.ZeroReturnError

    def feed(self, datagram: bytes) -> None:
        """Take in one datagram; call `shake_hands` or `ended` before the next. What no client sends is dropped."""
        if 0 < len(datagram) <= _MAX_DATAGRAM:
            self.tls.bio_write(datagram)

    def shake_hands(self) -> bool:
        """Go on as far as possible; whether the handshake is complete. Raises Rejected, Malformed, Closed."""
        try:
            self.tls.do_handshake()
        except self._wants:
            return False
        except self._errors as error:
            raise _failure(error, self._ended) from None
        return True

    def ended(self) -> bool:
        """After the handshake: read on and drop what is read; whether the peer has ended the connection."""
        try:
            while self.tls.recv(_READ):
                pass
        except self._wants:
            return False
        except self._errors:
            pass
        return True

    def end(self) -> None:
        """Say good-bye; the words come out with `outgoing`."""
        with contextlib.suppress(self._errors):
            self.tls.shutdown()

    def outgoing(self) -> list[bytes]:
        """The datagrams to send now."""
        try:
            return datagrams(self.tls.bio_read(_READ))
        except self._errors:  # nothing to send counts as one of them
            return []

    def timeout(self) -> float | None:
        """Seconds until the last flight is to be sent again; None where nothing is awaited."""
        left: float | None = self.tls.DTLSv1_get_timeout()
        return left

    def expire(self) -> None:
        """Send the last flight again if its time has come. Raises Closed where OpenSSL gives up."""
        try:
            self.tls.DTLSv1_handle_timeout()
        except self._errors:
            raise Closed("OpenSSL asks no more") from None


def _failure(error: Exception, ended: type[Exception]) -> StepError:
    if isinstance(error, ended):
        return Closed("the peer ended the connection during the handshake")
    reasons = [entry[2] for entry in error.args[0]] if error.args and isinstance(error.args[0], list) else []
    reason = str(reasons[-1]).replace(" ", "_") if reasons else ""
    if "alert_" in reason:  # OpenSSL calls a received alert "tlsv1 alert internal error"
        return Rejected("the peer answered with a DTLS alert", code=reason.split("alert_", 1)[1])
    return Malformed("the peer's bytes are not acceptable DTLS", code=reason)


def records(data: bytes) -> list[bytes]:
    """The whole records in a datagram or a flight; what is cut off or does not look like one ends the list."""
    found = []
    while len(data) > _RECORD and data[1] == 0xFE:
        end = _RECORD + struct.unpack_from("!H", data, 11)[0]
        if end > len(data):
            break
        found.append(data[:end])
        data = data[end:]
    return found


def datagrams(flight: bytes) -> list[bytes]:
    """A flight as datagrams: as many whole records in each as fit the path."""
    packed: list[bytes] = []
    for record in records(flight):
        if packed and len(packed[-1]) + len(record) <= _MTU:
            packed[-1] += record
        else:
            packed.append(record)
    return packed


def handshake_types(datagram: bytes) -> set[int]:
    """The types of the handshake messages that a datagram holds in clear (RFC 6347 section 4.2.2)."""
    in_clear = (record for record in records(datagram) if record[0] == _HANDSHAKE and record[3:5] == b"\0\0")
    return {record[_RECORD] for record in in_clear if len(record) > _RECORD}


def as_tls(datagram: bytes) -> bytes:
    """The ClientHello of a datagram as TLS would have it: without fragment fields and cookie. Raises Malformed."""
    message = next(iter(records(datagram)), b"")[_RECORD:]
    body = message[12:]
    try:
        cookie = 35 + body[34]
        body = body[:cookie] + body[cookie + 1 + body[cookie] :]
    except IndexError:
        raise Malformed("a ClientHello that is cut off") from None
    return message[:1] + len(body).to_bytes(3, "big") + body
