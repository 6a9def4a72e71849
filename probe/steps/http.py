"""Ask one HTTP question on the very link that was measured: HTTP/1.1 or 2, as ALPN decided."""

import hashlib
import ipaddress
import json
import re
from collections.abc import Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Literal
from urllib.parse import urljoin, urlsplit

from probe.failure import Unexpected
from probe.record import peer_text
from probe.step import Facts, Flow, Need, Step

if TYPE_CHECKING:
    import httpx

_AGENT = "Mozilla/5.0"
_NONE = object()  # no JSON; null is some
_MOST_ADDRESSES = 64
_ADDRESS = re.compile(
    rb"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}(?![\w]|\.\d)|(?:[0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F]{0,4}(?![\w:]|\.\d))"
)


class HttpFacts(Facts):
    """The answer, without its text: a block page likes to print the visitor's address.

    `addresses` are those in the text that lie within prefixes the target names, in order of appearance.
    """

    version: Literal["1.1", "2"]
    status: int
    first_byte: float  # seconds until the answer's head was there
    body_bytes: int
    body_seconds: float
    body_complete: bool
    body_sha256: str
    location_host: str = ""  # where a redirect points, host only
    server: str = ""
    missing_headers: tuple[str, ...] = ()
    clock_ahead: float | None = None  # seconds our clock is ahead of the Date header
    redirects: int = 0
    addresses: tuple[str, ...] = ()


class Http(Step):
    """One request and its answer, the body up to `cap` bytes."""

    method: Literal["GET", "HEAD", "POST"] = "GET"
    path: str = "/"
    headers: dict[str, str] = {}
    expect_status: tuple[int, ...] = ()  # empty: any
    expect_headers: tuple[str, ...] = ()
    expect_sha256: str = ""
    expect_json: bool = False
    expect_keys: tuple[str, ...] = ()  # the body is a JSON object that has these
    cap: int = 16384
    redirects: int = 0
    addresses_within: tuple[str, ...] = ()  # prefixes: addresses of theirs that the text lists are kept

    def __post_init__(self) -> None:
        for prefix in self.addresses_within:
            ipaddress.ip_network(prefix)

    @property
    def needs(self) -> Need:
        """An open stream."""
        return "stream"

    async def run(self, flow: Flow) -> HttpFacts:
        """Ask. Raises Unexpected, with the facts as `partial`, where an expectation is not met."""
        from probe.http_link import exchange

        path, hops = self.path, 0
        while True:
            response, body, complete, times = await exchange(
                flow, self.method, _url(flow, path), headers=self._headers(flow), content=None, cap=self.cap
            )
            location = response.headers.get("location", "")
            if hops >= self.redirects or not _stays(flow, location, response.status_code):
                break
            path, hops = _path(urljoin(_url(flow, path), location)), hops + 1
        facts = self._facts(flow, response, body, complete, times, hops)
        problem = self._problem(facts, body)
        if problem:
            raise Unexpected(problem[1], code=problem[0], partial=facts)
        return facts

    def _headers(self, flow: Flow) -> list[tuple[str, str]]:
        given = {name.lower(): value for name, value in self.headers.items()}
        # Identity: a compressed body could grow without bounds, and digests are taken of what was sent.
        headers = {
            "host": flow.host or flow.address,
            "user-agent": _AGENT,
            "accept": "*/*",
            "accept-encoding": "identity",
        }
        return list((headers | given).items())

    def _facts(
        self,
        flow: Flow,
        response: "httpx.Response",
        body: bytes,
        complete: bool,
        times: tuple[float, float],
        hops: int,
    ) -> HttpFacts:
        head, end = times
        location = response.headers.get("location", "")
        return HttpFacts(
            version="2" if flow.alpn == "h2" else "1.1",
            status=response.status_code,
            first_byte=round(head, 6),
            body_bytes=len(body),
            body_seconds=round(end - head, 6),
            body_complete=complete,
            body_sha256=hashlib.sha256(body).hexdigest(),
            location_host=peer_text(host_of(location)),
            server=peer_text(response.headers.get("server", "")),
            missing_headers=tuple(name for name in self.expect_headers if name not in response.headers),
            clock_ahead=_clock_ahead(flow, response.headers.get("date", "")),
            redirects=hops,
            addresses=addresses_in(body, self.addresses_within),
        )

    def _problem(self, facts: HttpFacts, body: bytes) -> tuple[str, str] | None:
        """What is not as this target gives it: code and words."""
        if self.expect_status and facts.status not in self.expect_status:
            return str(facts.status), "another status than this target gives"
        if facts.missing_headers:
            return "header", "a header that this target gives is missing"
        if self.expect_sha256 and facts.body_sha256 != self.expect_sha256:
            return "digest", "another body than this target gives"
        refused = str(facts.status) if facts.status >= 400 else ""
        said = _json(body) if self.expect_json or self.expect_keys else None
        if said is _NONE:
            return refused or "json", "the body is not JSON"
        if self.expect_keys and not (isinstance(said, dict) and said.keys() >= set(self.expect_keys)):
            return refused or "keys", "the body has not the keys that this target gives"
        return None


def addresses_in(text: bytes, within: Sequence[str]) -> tuple[str, ...]:
    """The addresses in a text of any format that lie in one of these prefixes: at most 64, each once, nothing else."""
    networks = [ipaddress.ip_network(prefix) for prefix in within]
    found: dict[str, None] = {}
    for token in _ADDRESS.finditer(text) if networks else ():
        try:
            address = ipaddress.ip_address(token[0].decode())
        except ValueError:
            continue
        if any(address in network for network in networks):
            found[str(address)] = None
        if len(found) == _MOST_ADDRESSES:
            break
    return tuple(found)


def _url(flow: Flow, path: str) -> str:
    host = flow.host or (f"[{flow.address}]" if ":" in flow.address else flow.address)
    return f"https://{host}{path}"


def host_of(location: str) -> str:
    """The host that a redirect points to, empty for this one."""
    try:
        return urlsplit(location).hostname or ""
    except ValueError:
        return ""


def _path(url: str) -> str:
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _stays(flow: Flow, location: str, status: int) -> bool:
    return status in (301, 302, 303, 307, 308) and bool(location) and host_of(location) in ("", flow.host)


def _clock_ahead(flow: Flow, date: str) -> float | None:
    try:
        sent = parsedate_to_datetime(date)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    sent = sent.replace(tzinfo=UTC) if sent.tzinfo is None else sent
    try:
        return round((flow.net.utc() - sent).total_seconds(), 1)
    except OverflowError:
        return None


def _json(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return _NONE
