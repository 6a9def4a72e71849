"""Fetch Telegram's fallback configuration from one of its public carriers, and check who sealed it and until when.

Apps ask for it when no data centre answers. It is genuine or it is not, whoever delivers it; what it names is help for
people who are cut off, and a public list of that would help whoever cuts them off. So only counts, ports and days are
kept: no address, no secret, no text, and no digest that would tell which configuration it was.
"""

import json
import re
from datetime import UTC, datetime
from typing import Any, Literal

from probe.failure import StepError, Unexpected, Untrusted
from probe.mtproto.crypto import keys
from probe.mtproto.simple_config import Config, read_config, unsealed
from probe.step import Facts, Flow, Need, Step

_CAP = 16384
_TXT = 16
_STRINGS = re.compile(r'"([^"]*)"')
_DAY = 86400


class FallbackFacts(Facts):
    """What the carrier answered, and whether it was Telegram's: `sealed` says nothing about the carrier itself.

    `days_old` and `days_left` are whole days by our clock, `days_left` negative after it expired.
    """

    status: int = 0
    sealed: bool = False
    days_old: int | None = None
    days_left: int | None = None
    rules: int = 0
    endpoints: int = 0
    with_secret: int = 0
    ports: tuple[int, ...] = ()


class Fallback(Step):
    """One question over HTTP on the open stream. `carrier` is the form in which the answer holds the text.

    dns-json: TXT records in a resolver's JSON. json: one string. firestore: a document of Google's Firestore.
    """

    carrier: Literal["dns-json", "json", "firestore"] = "dns-json"
    path: str = ""
    trust: str = "telegram-config"  # configs/trust/<name>.pem

    def __post_init__(self) -> None:
        if not self.path.startswith("/"):
            raise ValueError("path is needed, and begins with /")
        if self.trust in ("system", "any", ""):
            raise ValueError(f"trust {self.trust!r} names no RSA key; the seal needs one of configs/trust")

    @property
    def needs(self) -> Need:
        """An open stream."""
        return "stream"

    async def run(self, flow: Flow) -> FallbackFacts:
        """Ask and check. Raises Unexpected, Malformed or Untrusted, with what was learned as `partial`."""
        from probe.http_link import exchange

        host = flow.host or flow.address
        headers = [
            ("host", host),
            ("user-agent", "Mozilla/5.0"),
            ("accept", "application/dns-json" if self.carrier == "dns-json" else "application/json"),
            ("accept-encoding", "identity"),
        ]
        response, body, complete, _ = await exchange(
            flow, "GET", f"https://measured{self.path}", headers=headers, content=None, cap=_CAP
        )
        facts = FallbackFacts(status=response.status_code)
        try:
            if response.status_code != 200:
                raise Unexpected("another status than this carrier gives", code=str(response.status_code))
            if not complete:
                raise Unexpected("a longer answer than this carrier gives", code="length")
            data = unsealed(carried(self.carrier, body), keys(flow.supplies.anchors[self.trust]))
            facts = FallbackFacts(status=response.status_code, sealed=True)
            config = read_config(data)
            facts = _facts(response.status_code, config, flow.net.utc())
            _check(config, flow.net.utc())
        except StepError as error:
            error.partial = facts
            raise
        return facts


def carried(carrier: str, body: bytes) -> str:
    """The sealed text in a carrier's answer. Raises Unexpected: "json", or a resolver's "NXDOMAIN" and "NODATA"."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        raise Unexpected("the answer is not JSON", code="json") from None
    found = {"dns-json": _from_dns, "json": lambda text: text, "firestore": _from_firestore}[carrier](answer)
    if not isinstance(found, str):
        raise Unexpected("JSON, and not as this carrier gives it", code="json")
    return found


def _from_dns(answer: Any) -> str | None:
    if not isinstance(answer, dict):
        return None
    if answer.get("Status") != 0:
        code = "NXDOMAIN" if answer.get("Status") == 3 else "dns"
        raise Unexpected("the resolver has no answer for the carrier's name", code=code)
    records = answer.get("Answer")
    records = [one for one in records if isinstance(one, dict)] if isinstance(records, list) else []
    texts = [str(one.get("data", "")) for one in records if one.get("type") == _TXT]
    if not texts:
        raise Unexpected("the name has no such record", code="NODATA")
    # A record holds one string or several, in quotation marks or not; the order of records is any, so the apps put the
    # longest first, which a text cut at 255 bytes always begins with.
    strings = [part for text in texts for part in (_STRINGS.findall(text) or [text])]
    return "".join(sorted(strings, key=len, reverse=True))


def _from_firestore(answer: Any) -> Any:
    for key in ("fields", "data", "stringValue"):
        answer = answer.get(key) if isinstance(answer, dict) else None
    return answer


def _facts(status: int, config: Config, now: datetime) -> FallbackFacts:
    endpoints = [endpoint for rule in config.rules for endpoint in rule]
    seconds = int(now.timestamp())
    return FallbackFacts(
        status=status,
        sealed=True,
        days_old=(seconds - config.date) // _DAY,
        days_left=(config.expires - seconds) // _DAY,
        rules=len(config.rules),
        endpoints=len(endpoints),
        with_secret=sum(endpoint.has_secret for endpoint in endpoints),
        ports=tuple(sorted({endpoint.port for endpoint in endpoints})),
    )


def _check(config: Config, now: datetime) -> None:
    if now >= datetime.fromtimestamp(config.expires, UTC):
        raise Untrusted("a genuine configuration that has expired", code="expired")
    if now < datetime.fromtimestamp(config.date, UTC):
        raise Untrusted("a genuine configuration from the future", code="not-yet-valid")
    if not any(config.rules):
        raise Unexpected("a genuine configuration without an endpoint", code="empty")
