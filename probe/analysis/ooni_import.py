"""OONI's measurements as rows. Pure.

OONI tries each target once, without controls, so its anomaly is a failure whose cause is open: `unreachable`, until
somebody reaches the same endpoint elsewhere. What failed because the run was interrupted says nothing. A file does not
say who measured: all measurements of a network count as one vantage point.

Measurements that we exported carry our own observations and verdicts in an annotation, and come back as they were.
"""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from urllib.parse import urlsplit

import msgspec

from probe import rules as rule_table
from probe.analysis import rows as our_rows
from probe.analysis.columns import Rows
from probe.analysis.ooni_failures import from_ooni
from probe.analysis.ooni_format import ANNOTATION, Connect, Exchange, Handshake, OoniMeasurement, Query
from probe.analysis.ooni_tests import STUN, TESTS, verdicts
from probe.analysis.rows import RowError
from probe.model import (
    Chain,
    Document,
    End,
    Judgement,
    Lookup,
    Measurement,
    Observation,
    Run,
    Vantage,
)
from probe.steps import DnsFacts, TcpFacts
from probe.steps.dns import Answer

_MEASUREMENT = msgspec.json.Decoder(OoniMeasurement)
_OURS = msgspec.json.Decoder(Document)
_HTTPS = 443
_LONGEST = 1e6  # seconds; no test takes twelve days
_MOST = 1000  # entries of a list; WhatsApp's test, which has most, makes some dozens


def read(text: bytes) -> OoniMeasurement:
    """One measurement. Raises msgspec.DecodeError."""
    return _MEASUREMENT.decode(text)


def vantage(measurement: OoniMeasurement, folder: str) -> str:
    """Who it counts for: ours as our files do, OONI's as one for each network."""
    if ANNOTATION in (measurement.annotations or {}):
        return our_rows.vantage("", folder)
    return our_rows.sender(f"ooni {measurement.probe_asn}")


def rows(measurement: OoniMeasurement, vantage: str) -> Rows:
    """Its rows. Raises RowError for a test that is not about messengers, and for dates that are none."""
    ours = (measurement.annotations or {}).get(ANNOTATION)
    if isinstance(ours, str):
        return _ours(ours, vantage)
    if measurement.test_name not in (*TESTS, *STUN):
        raise RowError(f"OONI's test {measurement.test_name[:40]} is not about messengers")
    reader = _Reader(measurement)
    document = Document(
        run=reader.run(),
        lookups=tuple(reader.lookups()),
        measurements=tuple(reader.measurements()),
        end=End(ended="complete", seconds=measurement.test_runtime or 0.0, sent=0, received=0),
    )
    judgement = Judgement(rules=rule_table.VERSION, regime="normal", services=verdicts(document))
    return our_rows.rows(document, vantage, source="ooni", judgement=judgement)


def _ours(text: str, vantage: str) -> Rows:
    try:
        document = _OURS.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise RowError(f"its annotation {ANNOTATION!r} is damaged ({error})") from None
    # A part of a run cannot be judged again: its controls, and what else failed, are not in it.
    return our_rows.rows(document, vantage, judgement=document.judgement)


class _Reader:
    """One measurement as records of ours."""

    def __init__(self, measurement: OoniMeasurement) -> None:
        self._measurement, self._keys = measurement, measurement.test_keys
        self._numbers = count(1)
        try:
            began = datetime.strptime(measurement.measurement_start_time, "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007
        except ValueError:
            raise RowError(f"{measurement.measurement_start_time[:40]!r} is not a time of OONI's") from None
        our_rows.check_clock(began)
        for name in ("queries", "tcp_connect", "tls_handshakes", "requests"):
            if len(getattr(self._keys, name) or ()) > _MOST:
                raise RowError(f"test_keys.{name}: more than {_MOST} entries")
        self._began = began.replace(tzinfo=UTC)
        self._names: dict[str, list[str]] = {}
        for query in self._keys.queries or ():
            for ip in _ips(query):
                names = self._names.setdefault(ip, [])
                if query.hostname not in names:
                    names.append(query.hostname)

    def run(self) -> Run:
        """The run: who, when, where."""
        m = self._measurement
        named = m.measurement_uid or "|".join(
            map(str, (m.report_id, m.input, m.test_name, m.measurement_start_time))
        )
        asn = (m.probe_asn or "").removeprefix("AS")
        country = m.probe_cc or ""
        return Run(
            format=1,
            id="ooni-" + hashlib.sha256(named.encode()).hexdigest()[:16],
            software=f"{m.software_name or 'ooni'} {m.software_version or ''}".strip(),
            started=self._began,
            vantage=Vantage(
                country="" if country == "ZZ" else country,
                asn=int(asn) if asn.isdecimal() and len(asn) < 11 else None,
                as_name=m.probe_network_name or "",
                kind="mobile" if (m.annotations or {}).get("network_type") == "mobile" else "unknown",
            ),
            catalogue="ooni",
        )

    def lookups(self) -> Iterator[Lookup]:
        """What was asked of resolvers."""
        for query in self._keys.queries or ():
            if query.query_type in ("A", "AAAA"):
                yield Lookup(
                    resolver=query.engine or "unknown",
                    name=query.hostname,
                    type=query.query_type,
                    observations=(self._query(query),),
                )

    def measurements(self) -> Iterator[Measurement]:
        """The targets of the test, each with the chains to its hosts."""
        test = TESTS.get(self._measurement.test_name)
        left = self._chains()
        for target in test.targets if test else ():
            own = [chain for chain in left if not target.hosts or chain.host in target.hosts]
            left = [chain for chain in left if chain not in own]
            if own:
                yield Measurement(
                    service=test.service if test else "",
                    target=target.name,
                    purpose=target.purpose,
                    group=target.name,
                    chains=tuple(own),
                )
        if test is None:
            yield self._stun()

    def _stun(self) -> Measurement:
        """A STUN server of nobody's messenger."""
        host, _, port = (self._keys.endpoint or "").rpartition(":")
        observation = self._observation("stun", self._keys.failure, 0.0, 0.0)
        chain = Chain(variant="target", host=host, port=_port(port), observations=(observation,))
        return Measurement(
            service="", target=f"stun {host}", purpose="control", group=host, role="control", chains=(chain,)
        )

    def _chains(self) -> list[Chain]:
        """One chain per connection: TCP, the TLS on it, and what was asked of that host over it."""
        chains: list[Chain] = []
        handshakes = list(self._keys.tls_handshakes or ())
        requests = [(_netloc(one), one) for one in self._keys.requests or ()]
        for connect in self._keys.tcp_connect or ():
            observations = [self._connect(connect)]
            handshake = self._handshake_on(connect, handshakes) if observations[0].failure is None else None
            if handshake is not None:
                handshakes.remove(handshake)
                observations.append(self._handshake(handshake))
            host = self._host(connect, handshake, {one.server_name for one in handshakes}, chains)
            asked = next((one for one in requests if _is_for(one[0], host, connect.port)), None)
            if asked is not None and observations[-1].failure is None:
                requests.remove(asked)
                observations.append(self._observation("http", asked[1].failure, asked[1].t0, asked[1].t))
            chains.append(self._chain(host, connect.ip, connect.port, observations))
        reached = {chain.host for chain in chains}
        for lookup in self.lookups():
            if lookup.name not in reached and lookup.observations[0].failure is not None:
                reached.add(lookup.name)
                chains.append(self._chain(lookup.name, None, 0, list(lookup.observations)))
        return chains

    def _handshake_on(self, connect: Connect, left: list[Handshake]) -> Handshake | None:
        """The handshake on a connection. Older ones say only which name was asked for."""
        port = _port(connect.port)
        where = f"[{connect.ip}]:{port}" if ":" in connect.ip else f"{connect.ip}:{port}"
        names = self._names.get(connect.ip, ()) if connect.port == _HTTPS else ()
        fits = (one for one in left if one.address == where or (not one.address and one.server_name in names))
        return next(fits, None)

    def _host(
        self, connect: Connect, handshake: Handshake | None, later: set[str | None], before: list[Chain]
    ) -> str:
        """Whose connection it is. Where several hosts share an address each has one, in the order of their look-ups."""
        names = self._names.get(connect.ip, [])
        if handshake is not None and handshake.server_name in names:
            return handshake.server_name
        had = {one.host for one in before if (one.ip, one.port) == (connect.ip, _port(connect.port))}
        left = [name for name in names if name not in had and name not in later]
        return next(iter(left or names[-1:]), connect.ip)

    def _chain(self, host: str, ip: str | None, port: int, observations: list[Observation]) -> Chain:
        return Chain(
            variant="target",
            host=host,
            port=_port(port),
            ip=ip,
            family=0 if ip is None else 6 if ":" in ip else 4,
            observations=tuple(observations),
        )

    def _query(self, query: Query) -> Observation:
        facts = DnsFacts(name=query.hostname, type="A+AAAA", answer=Answer(rcode="", records=_ips(query)))
        seen = self._observation("dns", query.failure, query.t0, query.t)
        return msgspec.structs.replace(seen, facts=facts) if query.failure is None else seen

    def _connect(self, connect: Connect) -> Observation:
        failure = connect.status.failure
        said = (
            failure if isinstance(failure, str) else None if connect.status.success else "connection_refused"
        )
        seen = self._observation("tcp", said, connect.t0, connect.t)
        if seen.failure is None and seen.seconds > 0:
            return msgspec.structs.replace(seen, facts=TcpFacts(connect=seen.seconds))
        return seen

    def _handshake(self, handshake: Handshake) -> Observation:
        step = "quic" if handshake.network == "udp" else "tls"
        return self._observation(step, handshake.failure, handshake.t0, handshake.t)

    def _observation(
        self, step: str, failure: str | None, began: float | None, ended: float | None
    ) -> Observation:
        """One step. Older files say only when it ended."""
        ended = ended or 0.0
        for seconds in (ended, began or 0.0):
            if not 0 <= seconds < _LONGEST:
                raise RowError(f"{seconds} seconds is not a time of OONI's")
        seconds = max(0.0, ended - began) if began is not None else 0.0
        at = self._began + timedelta(seconds=ended - seconds)
        return Observation(
            id=next(self._numbers), step=step, at=at, seconds=seconds, failure=from_ooni(failure)
        )


def _ips(query: Query) -> tuple[str, ...]:
    return tuple(ip for answer in query.answers or () if (ip := answer.ipv4 or answer.ipv6))


def _netloc(exchange: Exchange) -> str:
    """Host and port that were asked; empty for what is no URL."""
    try:
        return urlsplit((exchange.request and exchange.request.url) or "").netloc
    except ValueError:
        return ""


def _is_for(netloc: str, host: str, port: int) -> bool:
    name, colon, said = netloc.rpartition(":") if netloc.count(":") == 1 else (netloc, "", "")
    return name == host and (said == str(_port(port)) if colon else port in (80, _HTTPS))


def _port(port: int | str) -> int:
    """A port, or 0 for what is none."""
    if isinstance(port, str):
        port = int(port) if port.isascii() and port.isdecimal() and len(port) < 6 else 0
    return port if 0 < port < 65536 else 0
