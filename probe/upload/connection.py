"""HTTP to a collector, for those who send and those who read: TLS or none, a proxy if one is said, bounded answers.

httpx opens the sockets here: nothing is measured there, and a proxy (Tor's, say) is its business.
"""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from probe import __version__
from probe.record import peer_text
from probe.toml_file import ConfigError

if TYPE_CHECKING:
    import httpx

MOST = 64 << 10  # bytes of an answer
_PATIENCE = 60.0  # seconds that a collector's Retry-After is waited out; longer is for the next time


class NotNow(Exception):
    """The collector cannot be had now; trying later may help. The sentence says why."""

    def __init__(self, sentence: str, *, again: float | None = None) -> None:
        super().__init__(sentence)
        self.again = again  # seconds that it asked to wait


class Unreachable(NotNow):
    """Nothing was heard of the collector at all, or what answered is no collector (a sign-in page)."""


@dataclass(frozen=True)
class Answer:
    """An answer that was read to its end."""

    status: int
    raw: bytes
    retry_after: str

    @property
    def told(self) -> dict[str, Any]:
        """Its JSON object; empty where it is none."""
        try:
            told = msgspec.json.decode(self.raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return {}
        return told if isinstance(told, dict) else {}

    @property
    def is_a_word(self) -> bool:
        """Whether it says no as a collector does, and not as a sign-in page, a gateway or a wrong path does."""
        return isinstance(self.told.get("error"), str)

    @property
    def reason(self) -> str:
        """Why, in the collector's words."""
        told = self.told
        words = ": ".join(str(told[name]) for name in ("error", "reason") if told.get(name))
        return peer_text(words, limit=200) or f"answered {self.status}"

    @property
    def again(self) -> float | None:
        """Seconds to wait before it is asked again, if it said so; our clock does not mend in a minute (425)."""
        if self.status == 425:
            return 3600.0
        return float(self.retry_after) if self.retry_after.isdecimal() and len(self.retry_after) < 9 else None


@contextmanager
def connection(url: str, *, anchor: str = "", proxy: str = "") -> Iterator["httpx.Client"]:
    """Towards a collector; `anchor` is the PEM that is trusted for it. Raises ConfigError for what is no address."""
    import httpx
    import stamina.instrumentation

    for name, address, parse in (("collector", url, httpx.URL), ("proxy", proxy, httpx.Proxy)):
        try:
            if address:
                parse(address)
        except (httpx.InvalidURL, ValueError):
            raise ConfigError(name, address.rpartition("@")[2], "is no address that can be used") from None

    stamina.instrumentation.set_on_retry_hooks([])  # it would log to stderr; we say how it ended
    with httpx.Client(
        verify=_trust(anchor) if url.startswith("https:") else False,
        trust_env=False,  # a proxy is said, not found
        proxy=proxy or None,
        timeout=httpx.Timeout(30.0, connect=20.0),
        headers={"User-Agent": f"callreach/{__version__}"},
    ) as http:
        yield http


@contextmanager
def exchange(http: "httpx.Client", request: "httpx.Request", host: str) -> Iterator["httpx.Response"]:
    """An answer whose body is still to be read. Raises Unreachable, from within the block too."""
    import httpx

    try:
        response = http.send(request, stream=True)
        try:
            yield response
        finally:
            response.close()
    except httpx.HTTPError as error:
        raise Unreachable(f"{host}: {peer_text(str(error), limit=120) or type(error).__name__}") from None


def ask(http: "httpx.Client", request: "httpx.Request", host: str, *, most: int = MOST) -> Answer:
    """A whole answer of at most so many bytes. Raises Unreachable."""
    with exchange(http, request, host) as response:
        return whole(response, host, most)


def whole(response: "httpx.Response", host: str, most: int = MOST) -> Answer:
    """An answer with its body, of at most so many bytes. Raises Unreachable."""
    raw = bytearray()
    for chunk in response.iter_bytes():
        raw += chunk
        if len(raw) > most:
            raise Unreachable(f"{host}: what answers there is no collector")
    return Answer(response.status_code, bytes(raw), response.headers.get("retry-after", ""))


def is_safe(url: str) -> bool:
    """Whether what is sent there is protected on its way: TLS, an onion service, or this machine itself."""
    try:
        parts = urlsplit(url)
    except ValueError:  # an address in brackets that is none
        return False
    host = parts.hostname or ""
    return parts.scheme == "https" or host.endswith(".onion") or host in ("127.0.0.1", "::1", "localhost")


def pause(error: Exception) -> bool | float:
    """Whether to try again, and after how long; for stamina."""
    if not isinstance(error, NotNow):
        return False
    if error.again is None:
        return True
    return error.again if error.again <= _PATIENCE else False


def _trust(anchor: str) -> ssl.SSLContext:
    import certifi

    if anchor:
        return ssl.create_default_context(cadata=anchor)
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())  # as for services: an old machine lacks newer authorities
    return context
