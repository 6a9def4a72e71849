"""One collector: what it is sent, and what its answer means. docs/upload-protocol.md is the contract."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from probe.upload.connection import Answer, NotNow, Unreachable, ask, connection, pause
from probe.upload.keys import Key
from probe.upload.queue import Outcome, Waiting
from probe.upload.signing import DELETE, RECEIPT, RUN, verifies

if TYPE_CHECKING:
    import httpx

    from probe.catalogue import Collector

_ATTEMPTS, _SECONDS = 6, 120.0  # for one run
_FIRST_WAIT, _LONGEST_WAIT, _JITTER = 0.5, 20.0, 1.0  # seconds between attempts, doubling


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
            on=pause,
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

    def _ask(self, request: "httpx.Request") -> Answer:
        return ask(self.http, request, self.collector.host)

    def _outcome(self, answer: Answer, waiting: Waiting) -> Outcome:
        if answer.status in (200, 201, 202):
            return self._kept(answer, waiting)
        if 400 <= answer.status < 500 and answer.status not in (408, 425, 429):
            if not answer.is_a_word:  # a sign-in page, a proxy or a wrong path, not a collector's judgement
                raise Unreachable(
                    f"{self.collector.host}: answered {answer.status}, and not as a collector does"
                )
            return self._word(answer, waiting, word="refused", reason=answer.reason)
        raise NotNow(f"{self.collector.host}: {answer.reason}", again=answer.again)

    def _kept(self, answer: Answer, waiting: Waiting) -> Outcome:
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

    def _word(self, answer: Answer, waiting: Waiting, **more: Any) -> Outcome:
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


@contextmanager
def client(
    collector: "Collector", utc: Callable[[], datetime], *, anchor: str = "", proxy: str = ""
) -> Iterator[Client]:
    """A client for one collector; `anchor` is the PEM of its `trust`. Raises ValueError for a proxy that is none."""
    with connection(collector.url, anchor=anchor, proxy=proxy or collector.proxy) as http:
        yield Client(collector=collector, http=http, utc=utc)


def _is_signed(told: dict[str, Any]) -> bool:
    """Whether a receipt carries the signature of the key that it names over what it says."""
    signed = {name: value for name, value in told.items() if name != "signature"}
    body = msgspec.json.encode(signed, order="sorted")
    return verifies(str(told.get("collector")), str(told.get("signature", "")), RECEIPT, body)


def _rfc3339(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
