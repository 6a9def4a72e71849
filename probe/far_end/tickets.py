"""Who may use a far end, and how much: tokens, sessions and quotas, all of it in memory.

An address is kept as a keyed hash only, whose key is made anew at each start.
"""

import base64
import binascii
import hmac
import ipaddress
import secrets
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

TOKEN_SECONDS = 1800.0
HOUR = 3600.0
_CLIENTS = 20_000  # whose sessions are counted; of more, those that came longest ago are forgotten
_USED = 20_000  # tokens in use at once
_ID = 12  # bytes
_MAC = 16


class Refused(Exception):
    """A request is refused: HTTP status, one sentence, and after how many seconds to ask again."""

    def __init__(self, status: int, reason: str, retry: float | None = None) -> None:
        super().__init__(reason)
        self.status, self.reason, self.retry = status, reason, retry


@dataclass(slots=True)
class Session:
    """What one token has used: flows and calls under way, and bytes heard."""

    id: str
    expires: float
    octets: int = 0
    live: int = 0


class Tickets:
    """Gives out tokens and knows them again. `clock` gives seconds; `sessions` is how many a client has in an hour."""

    def __init__(self, keys: Sequence[str], sessions: int, clock: Callable[[], float]) -> None:
        self._keys, self._sessions, self._clock = [key.encode() for key in keys], sessions, clock
        self._secret = secrets.token_bytes(32)
        self._begun: dict[bytes, list[float]] = {}
        self._used: dict[str, Session] = {}

    def admit(self, client: str, key: str) -> str:
        """A token for a client, by its address. Raises Refused: over quota, or no key of ours."""
        self._count(self._hashed(client))
        given = key.encode()
        if self._keys and not any(hmac.compare_digest(given, known) for known in self._keys):
            raise Refused(401, "this access key is not known here")
        body = struct.pack("!I", int(self._clock() + TOKEN_SECONDS)) + secrets.token_bytes(_ID)
        return base64.urlsafe_b64encode(body + self._mac(body)).decode()

    def session(self, token: str) -> Session:
        """The session of a token. Raises Refused if it is not ours or no longer good."""
        try:
            raw = base64.urlsafe_b64decode(token.encode())
        except (binascii.Error, ValueError):
            raw = b""
        body, mac = raw[:-_MAC], raw[-_MAC:]
        if len(raw) != 4 + _ID + _MAC or not hmac.compare_digest(mac, self._mac(body)):
            raise Refused(401, "this token was not given out here, or before the last start")
        expires = float(struct.unpack("!I", body[:4])[0])
        if self._clock() >= expires:
            raise Refused(401, "this token has expired")
        name = body[4:].hex()
        if name not in self._used and len(self._used) >= _USED:
            raise Refused(503, "the far end has more guests than it can count", retry=60.0)
        return self._used.setdefault(name, Session(id=name, expires=expires))

    def sweep(self) -> None:
        """Forget what has expired."""
        now = self._clock()
        self._used = {name: one for name, one in self._used.items() if one.expires > now or one.live}
        self._begun = {client: times for client, times in self._begun.items() if times[-1] > now - HOUR}

    def _count(self, client: bytes) -> None:
        now = self._clock()
        times = [at for at in self._begun.pop(client, []) if at > now - HOUR]
        if len(times) >= self._sessions:
            self._begun[client] = times
            raise Refused(
                429, "too many sessions were begun from this address", retry=max(1.0, times[0] + HOUR - now)
            )
        self._begun[client] = [*times, now]
        while len(self._begun) > _CLIENTS:
            del self._begun[next(iter(self._begun))]

    def _hashed(self, client: str) -> bytes:
        return blake2b(_site(client), key=self._secret, digest_size=16, person=b"client").digest()

    def _mac(self, body: bytes) -> bytes:
        return blake2b(body, key=self._secret, digest_size=_MAC, person=b"token").digest()


def _site(client: str) -> bytes:
    """What counts as one client: an IPv4 address, or the /64 of an IPv6 address."""
    try:
        ip = ipaddress.ip_address(client.split("%", 1)[0])
    except ValueError:
        return b""  # nobody in particular: all of these share one quota
    if isinstance(ip, ipaddress.IPv6Address):
        return ip.ipv4_mapped.packed if ip.ipv4_mapped is not None else ip.packed[:8]
    return ip.packed
