"""The two certificates behind WhatsApp's static key, and what must hold for them to prove it.

    CertChain { 1: leaf, 2: intermediate }            certificate { 1: details, 2: signature of the details, 64 }
    details { 1: serial u32, 2: issuer's serial u32, 3: key 32, 4: not before u64, 5: not after u64 }    Unix seconds

Layout and checks as whatsmeow has them (2026-08), which checks everything; read in a recorded handshake as well.
"""

from collections.abc import Sequence
from typing import NamedTuple

from probe.failure import Malformed, StepError, Unexpected, Untrusted
from probe.noise import protobuf, xeddsa

_CODE = "certificate"
_ROOT_SERIAL = 0
_LAST = 253402300799  # the last second that a date can name, 9999-12-31


class Certificate(NamedTuple):
    """One certificate: its signed bytes, the signature, and what the signed bytes say."""

    details: bytes
    signature: bytes
    serial: int
    issuer: int
    key: bytes
    not_before: int
    not_after: int

    def skew(self, now: int) -> int:
        """Seconds that `now` is before the validity (negative) or after it (positive); 0 within."""
        return min(0, now - self.not_before) or max(0, now - self.not_after)


class Chain(NamedTuple):
    """What a server shows."""

    leaf: Certificate
    intermediate: Certificate


def read_chain(payload: bytes) -> Chain:
    """Raises Malformed, code "certificate"."""
    fields = protobuf.read(payload, code=_CODE)
    return Chain(_read(protobuf.blob(fields, 1)), _read(protobuf.blob(fields, 2)))


def _read(data: bytes) -> Certificate:
    fields = protobuf.read(data, code=_CODE)
    details = protobuf.blob(fields, 1)
    said = protobuf.read(details, code=_CODE)
    key, signature = protobuf.blob(said, 3), protobuf.blob(fields, 2)
    if len(key) != xeddsa.KEY or len(signature) != xeddsa.SIGNATURE:
        raise Malformed("the certificates are missing, or not as this service has them", code=_CODE)
    return Certificate(
        details=details,
        signature=signature,
        serial=protobuf.integer(said, 1, bits=32),
        issuer=protobuf.integer(said, 2, bits=32),
        key=key,
        not_before=min(protobuf.integer(said, 4, bits=64), _LAST),
        not_after=min(protobuf.integer(said, 5, bits=64), _LAST),
    )


def problem(chain: Chain, static: bytes, roots: Sequence[bytes], now: int) -> StepError | None:
    """Why the chain does not prove that `static` is the service's; None if it does.

    A root that nobody knows comes first, whatever else is wrong: it may be a new one, and then nothing below it says
    anything. Dates come last: an old chain that somebody replays is first of all another key's.
    """
    leaf, intermediate = chain
    if not any(xeddsa.verify(root, intermediate.details, intermediate.signature) for root in roots):
        return Unexpected(
            "the certificates end at a root that the catalogue does not know", code="unknown-root"
        )
    if not xeddsa.verify(intermediate.key, leaf.details, leaf.signature):
        return Untrusted("the leaf was not signed by the intermediate that it came with", code="signature")
    if intermediate.issuer != _ROOT_SERIAL or leaf.issuer != intermediate.serial:
        # Both signatures are genuine, so the service itself numbers its issuers in another way.
        return Unexpected("the certificates name other issuers than they have", code="issuer")
    if leaf.key != static:
        return Untrusted("the certificates are for another key than the handshake's", code="static")
    skews = [one.skew(now) for one in chain]
    if any(skew > 0 for skew in skews):
        return Untrusted("a certificate has expired", code="expired")
    if any(skew < 0 for skew in skews):
        return Untrusted("a certificate is not valid yet", code="not-yet-valid")
    return None
