"""Who may fetch segments: whoever has a token whose digest the operator has written into collector.toml."""

import hashlib
import hmac
import secrets
from collections.abc import Sequence

from probe.collector.protocol import Refused


def new_token() -> tuple[str, str]:
    """A read token, and its digest. It is as random as a key, so a plain digest does not give it away."""
    token = secrets.token_urlsafe(32)
    return token, digest(token)


def digest(token: str) -> str:
    """SHA-256 of a token, hexadecimal."""
    return hashlib.sha256(token.encode()).hexdigest()


class Readers:
    """`digests` are of tokens; without any nothing is handed out."""

    def __init__(self, digests: Sequence[str]) -> None:
        self._digests = tuple(digests)

    def admit(self, authorization: str) -> None:
        """Return if this header has a reader's token. Raises Refused (401, 404)."""
        if not self._digests:
            raise Refused(404, "export", "this collector hands out no runs")
        scheme, _, token = authorization.partition(" ")
        given = digest(token.strip())
        # Every digest is compared, each in constant time: how long it takes tells nothing of the token.
        matches = [hmac.compare_digest(given, one) for one in self._digests]
        if scheme.lower() != "bearer" or not any(matches):
            raise Refused(401, "token", "a read token is needed: authorization: Bearer TOKEN")
