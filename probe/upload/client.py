"""One collector, spoken to over HTTP: what is sent, and what its answer means. docs/upload-protocol.md is the contract.

httpx opens the sockets here: an upload measures nothing, and a proxy (Tor's, say) is its business.
"""

import hashlib
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from probe import __version__
from probe.record import peer_text
from probe.upload.keys import Key
from probe.upload.queue import Outcome, Waiting
from probe.upload.signing import DELETE, RECEIPT, RUN, verifies

if TYPE_CHECKING:
    import httpx

    from probe.catalogue import Collector

_MOST = 64 << 10  # bytes of an answer
_PATIENCE = 60.0  # seconds that a collector's Retry-After is waited out; longer is for the next time
_ATTEMPTS, _SECONDS = 6, 120.0  # for one run
_FIRST_WAIT, _LONGEST_WAIT, _JITTER = 0.5, 20.0, 1.0  # seconds between attempts, doubling


class NotNow(Exception):
    """The collector cannot be had now; the run waits on. The sentence says why."""

    def __init__(self, sentence: str, *, again: float | None = None) -> None:
        super().__init__(sentence)
        self.again = again  # seconds that it asked to wait


class Unreachable(NotNow):
    """Nothing was heard of the collector at all, or what answered is no collector (a sign-in page)."""


@dataclass(frozen=True, kw_only=True)
class Client:
    """Speaks to one collector. `utc` is the wall clock."""

    collector: "Collector"
    http: "httpx.Client"
    utc: Callable[[], datetime]

    def request(self, waiting: Waiting) -> "httpx.Request":
        """What leaves for a run, to the byte."""
        headers = {
            "Content-Type": RUN,
            "Content-Encoding": "zstd",
            "Callreach-Run": waiting.run.id,
            "Callreach-Key": waiting.by.key,
            "Callreach-Signature": waiting.by.signature,
            "Callreach-Sent": _rfc3339(self.utc()),
        }
        return self.http.build_request("POST", self._url("v1/runs"), headers=headers, content=waiting.body)

    def send(self, waiting: Waiting) -> Outcome:
        """Send a run until the collector has said its last word on it. Raises NotNow when it did not."""
        import stamina

        for attempt in stamina.retry_context(
            on=_pause,
            attempts=_ATTEMPTS,
            timeout=_SECONDS,
            wait_initial=_FIRST_WAIT,
            wait_max=_LONGEST_WAIT,
            wait_jitter=_JITTER,
        ):
            with attempt:
                return self._outcome(self._ask(self.request(waiting)), waiting)
        raise AssertionError("stamina returns or raises")

    def delete(self, run: str, key: Key) -> str:
        """Ask for a run's deletion; returns what the collector said. Raises NotNow."""
        sent = _rfc3339(self.utc())
        headers = {
            "Callreach-Key": key.public,
            "Callreach-Signature": key.sign(DELETE, f"{run} {sent}".encode()),
            "Callreach-Sent": sent,
        }
        answer = self._ask(self.http.build_request("DELETE", self._url(f"v1/runs/{run}"), headers=headers))
        if answer.status in (200, 202, 204):
            return "deleted"
        if answer.status in (404, 410) and answer.is_a_word:
            return "is not there"
        if 400 <= answer.status < 500 and answer.is_a_word:
            return f"refused: {answer.reason}"
        raise NotNow(f"{self.collector.host}: {answer.reason}", again=answer.again)

    def _url(self, path: str) -> str:
        return f"{self.collector.url.rstrip('/')}/{path}"

    def _ask(self, request: "httpx.Request") -> "_Answer":
        import httpx

        try:
            response = self.http.send(request, stream=True)
            try:
                raw = b""
                for chunk in response.iter_bytes():
                    raw += chunk
                    if len(raw) > _MOST:
                        raise Unreachable(f"{self.collector.host}: what answers there is no collector")
            finally:
                response.close()
        except httpx.HTTPError as error:
            raise Unreachable(f"{self.collector.host}: {_why(error)}") from None
        return _Answer(response.status_code, raw, response.headers.get("retry-after", ""))

    def _outcome(self, answer: "_Answer", waiting: Waiting) -> Outcome:
        if answer.status in (200, 201, 202):
            return self._kept(answer, waiting)
        if 400 <= answer.status < 500 and answer.status not in (408, 425, 429):
            if not answer.is_a_word:  # a sign-in page, a proxy or a wrong path, not a collector's judgement
                raise Unreachable(
                    f"{self.collector.host}: answered {answer.status}, and not as a collector does"
                )
            return self._word(answer, waiting, word="refused", reason=answer.reason)
        raise NotNow(f"{self.collector.host}: {answer.reason}", again=answer.again)

    def _kept(self, answer: "_Answer", waiting: Waiting) -> Outcome:
        told = answer.told
        right = (
            told.get("run") == waiting.run.id
            and told.get("sha256") == hashlib.sha256(waiting.exact).hexdigest()
        )
        if not right:
            raise Unreachable(f"{self.collector.host}: its answer is no receipt for this run")
        pinned = self.collector.key
        if pinned and str(told.get("collector")).rstrip("=") != pinned:
            raise Unreachable(f"{self.collector.host}: its receipt is not of the key that is pinned for it")
        if not _is_signed(told):
            raise Unreachable(f"{self.collector.host}: the signature of its receipt is wrong")
        word: Any = "kept aside" if answer.status == 202 else "kept"
        return self._word(answer, waiting, word=word, verified=bool(pinned))

    def _word(self, answer: "_Answer", waiting: Waiting, **more: Any) -> Outcome:
        return Outcome(
            run=waiting.run.id,
            sha256=hashlib.sha256(waiting.exact).hexdigest(),
            collector=self.collector.host,
            at=self.utc(),
            key=waiting.by.key,
            network=waiting.by.network,
            receipt=answer.raw.decode("utf-8", "replace"),
            **more,
        )


@dataclass(frozen=True)
class _Answer:
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
def client(
    collector: "Collector", utc: Callable[[], datetime], *, anchor: str = "", proxy: str = ""
) -> Iterator[Client]:
    """A client for one collector; `anchor` is the PEM of its `trust`. Raises ValueError for a proxy that is none."""
    import httpx
    import stamina.instrumentation

    stamina.instrumentation.set_on_retry_hooks([])  # it would log to stderr; we say how it ended
    with httpx.Client(
        verify=_trust(anchor) if collector.url.startswith("https:") else False,
        trust_env=False,  # a proxy is said, not found
        proxy=proxy or collector.proxy or None,
        timeout=httpx.Timeout(30.0, connect=20.0),
        headers={"User-Agent": f"callreach/{__version__}"},
    ) as http:
        yield Client(collector=collector, http=http, utc=utc)


def is_safe(url: str) -> bool:
    """Whether what is sent there is protected on its way: TLS, an onion service, or this machine itself."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return parts.scheme == "https" or host.endswith(".onion") or host in ("127.0.0.1", "::1", "localhost")


def _trust(anchor: str) -> ssl.SSLContext:
    import certifi

    if anchor:
        return ssl.create_default_context(cadata=anchor)
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())  # as for services: an old machine lacks newer authorities
    return context


def _pause(error: Exception) -> bool | float:
    """Whether to try again, and after how long."""
    if not isinstance(error, NotNow):
        return False
    if error.again is None:
        return True
    return error.again if error.again <= _PATIENCE else False


def _is_signed(told: dict[str, Any]) -> bool:
    """Whether a receipt carries the signature of the key that it names over what it says."""
    signed = {name: value for name, value in told.items() if name != "signature"}
    body = msgspec.json.encode(signed, order="sorted")
    return verifies(str(told.get("collector")), str(told.get("signature", "")), RECEIPT, body)


def _rfc3339(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _why(error: Exception) -> str:
    return peer_text(str(error), limit=120) or type(error).__name__
