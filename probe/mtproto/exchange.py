"""The key exchange up to the proof of identity: what to say next, and what the answers mean. No transport, no clock.

req_pq_multi -> resPQ -> req_DH_params -> server_DH_params_ok, and no further: no authorization key is made.

Why it proves who answered: the second answer is encrypted with a key that depends on `new_nonce`, and new_nonce left
this machine only inside RSA_PAD. Whoever makes an answer that decrypts to our nonces with the right SHA-1 has read it,
so holds the private key. Nonces are fresh, so an older answer does not fit. (Telegram's documentation, "Creating an
Authorization Key", steps 1 to 5.)
"""

import secrets
from collections.abc import Sequence
from typing import Literal, TypeAlias

from probe.failure import Malformed, Rejected, Unexpected, Untrusted
from probe.mtproto import crypto, tl
from probe.mtproto.crypto import Draw, Key

# opened: nothing valid yet. spoke: a resPQ to our nonce, which anybody can echo. offered: it names a key that we know.
Stage: TypeAlias = Literal["opened", "spoke", "offered", "proved"]


class Exchange:
    """One exchange with one server. `dc` is negative for a media data centre."""

    def __init__(self, keys: Sequence[Key], dc: int, draw: Draw = secrets.token_bytes) -> None:
        self.stage: Stage = "opened"
        self.offered: tuple[bytes, ...] = ()  # fingerprints, as on the wire
        self.key: Key | None = None
        self.server_time: int | None = None
        self._keys = {key.fingerprint: key for key in keys}
        self._dc, self._draw = dc, draw
        self._nonce = draw(tl.NONCE)
        self._new_nonce = draw(tl.NEW_NONCE)
        self._res = tl.ResPQ(b"", b"", 0, ())

    def req_pq(self) -> bytes:
        """The first question's body."""
        return tl.req_pq_multi(self._nonce)

    def take_res_pq(self, message: bytes) -> int:
        """The first answer: the number to factor. Raises Malformed, or Unexpected where no key of ours is offered."""
        res = tl.read_res_pq(tl.read_message(message))
        if res.nonce != self._nonce:
            raise Malformed("the answer to another question", code="nonce")
        self._res, self.offered, self.stage = res, res.fingerprints, "spoke"
        self.key = next((self._keys[one] for one in res.fingerprints if one in self._keys), None)
        if self.key is None:
            raise Unexpected("the server offers no key that the catalogue knows", code="unknown-key")
        self.stage = "offered"
        return res.pq

    def req_dh(self, p: int, q: int) -> bytes:
        """The second question's body; p and q are the factors, the smaller first."""
        assert self.key is not None
        nonce, server_nonce = self._nonce, self._res.server_nonce
        inner = tl.InnerData(self._res.pq, p, q, nonce, server_nonce, self._new_nonce, self._dc)
        sealed = crypto.rsa_pad(tl.p_q_inner_data_dc(inner), self.key, self._draw)
        return tl.req_dh_params(tl.ReqDHParams(nonce, server_nonce, p, q, self.key.fingerprint, sealed))

    def take_dh(self, message: bytes) -> None:
        """The second answer. Raises Malformed, Rejected, or Untrusted "impostor" where it does not prove the key."""
        answer = tl.read_server_dh_params(tl.read_message(message))
        if answer is None:
            raise Rejected("the server refuses the exchange", code="dh-fail")
        if (answer.nonce, answer.server_nonce) != (self._nonce, self._res.server_nonce):
            raise Malformed("the answer to another question", code="nonce")
        inner = self._opened(answer.encrypted_answer)
        if inner is None or (inner.nonce, inner.server_nonce) != (self._nonce, self._res.server_nonce):
            raise Untrusted("the server cannot use the key that it offered", code="impostor")
        self.server_time, self.stage = inner.server_time, "proved"

    def _opened(self, sealed: bytes) -> tl.ServerDHInnerData | None:
        if len(sealed) % crypto.BLOCK:
            raise Malformed("an encrypted answer that is not of whole blocks", code="message")
        opened = crypto.ige_decrypt(sealed, *crypto.answer_key(self._new_nonce, self._res.server_nonce))
        try:
            inner, size = tl.read_server_dh_inner_data(opened[20:])
        except Malformed:
            return None
        return inner if crypto.digest_fits(opened, size) else None
