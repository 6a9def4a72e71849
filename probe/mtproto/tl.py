"""MTProto's unencrypted messages and the TL objects of its key exchange as bytes, both directions; no clock, no socket.

    message              auth_key_id 8, zero | message_id 8 | length 4 | body
    req_pq_multi         be7e8ef1 | nonce 16
    resPQ                05162463 | nonce 16 | server_nonce 16 | pq bytes | 1cb5c415 | count 4 | fingerprints, 8 each
    p_q_inner_data_dc    a9f55f95 | pq, p, q bytes | nonce 16 | server_nonce 16 | new_nonce 32 | dc 4
    req_DH_params        d712e4be | nonce 16 | server_nonce 16 | p, q bytes | fingerprint 8 | encrypted_data bytes
    server_DH_params_ok  d0e8075c | nonce 16 | server_nonce 16 | encrypted_answer bytes
    server_DH_params_fail 79cb045d | nonce 16 | server_nonce 16 | hash 16
    server_DH_inner_data b5890dba | nonce 16 | server_nonce 16 | g 4 | dh_prime, g_a bytes | server_time 4

Numbers are little-endian, except that pq, p, q, dh_prime and g_a are big-endian integers in TL bytes. Source:
Telegram's documentation ("Creating an Authorization Key" and its example), compared with TDLib. Servers send more than
the object; TDLib ignores the rest and so do we.
"""

import struct
from typing import NamedTuple

from probe.failure import Malformed

HEAD = 20  # bytes of a message before its body
NONCE, NEW_NONCE, FINGERPRINT = 16, 32, 8
_REQ_PQ_MULTI = 0xBE7E8EF1
_RES_PQ = 0x05162463
_VECTOR = 0x1CB5C415
_P_Q_INNER_DATA_DC = 0xA9F55F95
_REQ_DH_PARAMS = 0xD712E4BE
_SERVER_DH_PARAMS_OK = 0xD0E8075C
SERVER_DH_PARAMS_FAIL = 0x79CB045D
_SERVER_DH_INNER_DATA = 0xB5890DBA
_MOST_FINGERPRINTS = 64


class ResPQ(NamedTuple):
    """The server's first answer; fingerprints as they are on the wire."""

    nonce: bytes
    server_nonce: bytes
    pq: int
    fingerprints: tuple[bytes, ...]


class InnerData(NamedTuple):
    """What goes to the server inside RSA. `dc` is negative for a media data centre."""

    pq: int
    p: int
    q: int
    nonce: bytes
    server_nonce: bytes
    new_nonce: bytes
    dc: int


class ReqDHParams(NamedTuple):
    """The client's second question."""

    nonce: bytes
    server_nonce: bytes
    p: int
    q: int
    fingerprint: bytes
    encrypted_data: bytes


class ServerDHParams(NamedTuple):
    """The server's second answer, still encrypted."""

    nonce: bytes
    server_nonce: bytes
    encrypted_answer: bytes


class ServerDHInnerData(NamedTuple):
    """What was encrypted in the second answer; `server_time` is Unix time."""

    nonce: bytes
    server_nonce: bytes
    g: int
    dh_prime: bytes
    g_a: bytes
    server_time: int


class Reader:
    """Reads TL values one after another. Raises Malformed "message" where there are too few bytes."""

    def __init__(self, data: bytes) -> None:
        self._data, self.at = data, 0

    def raw(self, size: int) -> bytes:
        """So many bytes as they are."""
        if size > len(self._data) - self.at:
            raise Malformed("the object ends too early", code="message")
        self.at += size
        return self._data[self.at - size : self.at]

    def number(self) -> int:
        """An unsigned 32-bit number: a constructor, a count."""
        return int.from_bytes(self.raw(4), "little")

    def int32(self) -> int:
        """A signed 32-bit number."""
        return int.from_bytes(self.raw(4), "little", signed=True)

    def bytes(self) -> bytes:
        """A TL string: its length in one byte, or in three behind fe, and padding to a multiple of four."""
        first = self.raw(1)[0]
        size, head = (int.from_bytes(self.raw(3), "little"), 4) if first == 254 else (first, 1)
        if first == 255:
            raise Malformed("a string with an impossible length", code="message")
        found = self.raw(size)
        self.raw(-(head + size) % 4)
        return found

    def constructor(self, expected: int) -> None:
        """Raises Malformed where another object begins."""
        if self.number() != expected:
            raise Malformed("another object than the one that answers", code="message")


def pack_bytes(data: bytes) -> bytes:
    """A TL string."""
    head = bytes([len(data)]) if len(data) < 254 else b"\xfe" + len(data).to_bytes(3, "little")
    return head + data + bytes(-(len(head) + len(data)) % 4)


def _integer(number: int) -> bytes:
    return pack_bytes(number.to_bytes(max(1, (number.bit_length() + 7) // 8), "big"))


def pack_message(body: bytes, message_id: int) -> bytes:
    """An unencrypted message."""
    return bytes(8) + struct.pack("<QI", message_id, len(body)) + body


def read_message(data: bytes) -> bytes:
    """The body of an unencrypted message; what stands behind it is ignored. Raises Malformed."""
    if len(data) < HEAD or data[:8] != bytes(8):
        raise Malformed("not an unencrypted message", code="message")
    (length,) = struct.unpack_from("<I", data, 16)
    return data[HEAD : HEAD + length]


def req_pq_multi(nonce: bytes) -> bytes:
    """The client's first question: 20 bytes."""
    return struct.pack("<I", _REQ_PQ_MULTI) + nonce


def read_req_pq_multi(body: bytes) -> bytes:
    """Its nonce. Raises Malformed."""
    reader = Reader(body)
    reader.constructor(_REQ_PQ_MULTI)
    return reader.raw(NONCE)


def res_pq(answer: ResPQ) -> bytes:
    """The server's first answer."""
    head = struct.pack("<I", _RES_PQ) + answer.nonce + answer.server_nonce + _integer(answer.pq)
    return head + struct.pack("<II", _VECTOR, len(answer.fingerprints)) + b"".join(answer.fingerprints)


def read_res_pq(body: bytes) -> ResPQ:
    """Read a resPQ. Raises Malformed, with code "pq" for a number that is not below 2^63."""
    reader = Reader(body)
    reader.constructor(_RES_PQ)
    nonce, server_nonce, pq = reader.raw(NONCE), reader.raw(NONCE), reader.bytes()
    reader.constructor(_VECTOR)
    count = reader.number()
    if count > _MOST_FINGERPRINTS:
        raise Malformed("more keys than a server has", code="message")
    fingerprints = tuple(reader.raw(FINGERPRINT) for _ in range(count))
    number = int.from_bytes(pq, "big")
    if number >= 1 << 63:
        raise Malformed("a number to factor that is too large", code="pq")
    return ResPQ(nonce, server_nonce, number, fingerprints)


def p_q_inner_data_dc(inner: InnerData) -> bytes:
    """What is encrypted for the server: at most 144 bytes."""
    numbers = _integer(inner.pq) + _integer(inner.p) + _integer(inner.q)
    nonces = inner.nonce + inner.server_nonce + inner.new_nonce
    return struct.pack("<I", _P_Q_INNER_DATA_DC) + numbers + nonces + struct.pack("<i", inner.dc)


def read_p_q_inner_data_dc(data: bytes) -> InnerData:
    """Read what was encrypted for the server. Raises Malformed."""
    reader = Reader(data)
    reader.constructor(_P_Q_INNER_DATA_DC)
    pq, p, q = (int.from_bytes(reader.bytes(), "big") for _ in range(3))
    return InnerData(
        pq, p, q, reader.raw(NONCE), reader.raw(NONCE), reader.raw(NEW_NONCE), reader.int32()
    )  # fmt: skip


def req_dh_params(question: ReqDHParams) -> bytes:
    """The client's second question: 320 bytes."""
    head = struct.pack("<I", _REQ_DH_PARAMS) + question.nonce + question.server_nonce
    numbers = _integer(question.p) + _integer(question.q)
    return head + numbers + question.fingerprint + pack_bytes(question.encrypted_data)


def read_req_dh_params(body: bytes) -> ReqDHParams:
    """Read the client's second question. Raises Malformed."""
    reader = Reader(body)
    reader.constructor(_REQ_DH_PARAMS)
    nonces = reader.raw(NONCE), reader.raw(NONCE)
    p, q = (int.from_bytes(reader.bytes(), "big") for _ in range(2))
    return ReqDHParams(*nonces, p, q, reader.raw(FINGERPRINT), reader.bytes())


def server_dh_params_ok(answer: ServerDHParams) -> bytes:
    """The server's second answer."""
    head = struct.pack("<I", _SERVER_DH_PARAMS_OK) + answer.nonce + answer.server_nonce
    return head + pack_bytes(answer.encrypted_answer)


def read_server_dh_params(body: bytes) -> ServerDHParams | None:
    """Read the server's second answer; None where it is a server_DH_params_fail. Raises Malformed."""
    reader = Reader(body)
    if body[:4] == struct.pack("<I", SERVER_DH_PARAMS_FAIL):
        reader.raw(4 + 3 * NONCE)
        return None
    reader.constructor(_SERVER_DH_PARAMS_OK)
    return ServerDHParams(reader.raw(NONCE), reader.raw(NONCE), reader.bytes())


def server_dh_inner_data(inner: ServerDHInnerData) -> bytes:
    """What the second answer holds: 564 bytes with numbers of 2048 bits."""
    head = struct.pack("<I", _SERVER_DH_INNER_DATA) + inner.nonce + inner.server_nonce
    numbers = struct.pack("<i", inner.g) + pack_bytes(inner.dh_prime) + pack_bytes(inner.g_a)
    return head + numbers + struct.pack("<i", inner.server_time)


def read_server_dh_inner_data(data: bytes) -> tuple[ServerDHInnerData, int]:
    """Read what the second answer holds, and how many bytes of `data` it takes. Raises Malformed."""
    reader = Reader(data)
    reader.constructor(_SERVER_DH_INNER_DATA)
    inner = ServerDHInnerData(
        reader.raw(NONCE), reader.raw(NONCE), reader.int32(), reader.bytes(), reader.bytes(), reader.int32()
    )  # fmt: skip
    return inner, reader.at
