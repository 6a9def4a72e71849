"""OONI's measurements (data format 0.2.0), as far as we read and write them.

Layout: github.com/ooni/spec, data-formats/df-000 to df-006 and nettests/ts-018, 019, 020, 025 and 029. Every key may be
missing or null in files of others. Times are seconds since `measurement_start_time`.
"""

from typing import Any

from probe.record import Record

ANNOTATION = "callreach"  # under which our own observations and verdicts travel, as the JSON of a document


class Answer(Record):
    """One answer of a query."""

    answer_type: str = ""
    ipv4: str | None = None
    ipv6: str | None = None
    hostname: str | None = None


class Query(Record):
    """One question to one resolver."""

    hostname: str = ""
    query_type: str = ""
    failure: str | None = None
    answers: tuple[Answer, ...] | None = None
    engine: str | None = None
    resolver_address: str | None = None
    t: float | None = None
    t0: float | None = None


class ConnectStatus(Record):
    """How a connection went."""

    success: bool | None = None
    failure: str | bool | None = None


class Connect(Record):
    """One TCP connection."""

    ip: str = ""
    port: int = 0
    status: ConnectStatus = ConnectStatus()
    t: float | None = None
    t0: float | None = None


class Handshake(Record):
    """One TLS (network "tcp") or QUIC ("udp") handshake."""

    network: str | None = None
    address: str | None = None
    server_name: str | None = None
    failure: str | None = None
    t: float | None = None
    t0: float | None = None


class Request(Record):
    """What was asked over HTTP."""

    url: str | None = None
    method: str | None = None


class Response(Record):
    """What was answered."""

    code: int | None = None


class Exchange(Record):
    """One request and its answer."""

    failure: str | None = None
    request: Request | None = None
    response: Response | None = None
    t: float | None = None
    t0: float | None = None


class Keys(Record):
    """What was seen, of any test."""

    queries: tuple[Query, ...] | None = None
    tcp_connect: tuple[Connect, ...] | None = None
    tls_handshakes: tuple[Handshake, ...] | None = None
    requests: tuple[Exchange, ...] | None = None
    endpoint: str | None = None
    failure: str | None = None


class OoniMeasurement(Record):
    """One line of OONI's: the envelope, and `test_keys` as they came."""

    test_name: str
    measurement_start_time: str
    probe_asn: str | None = None
    probe_cc: str | None = None
    probe_network_name: str | None = None
    resolver_asn: str | None = None
    software_name: str | None = None
    software_version: str | None = None
    test_runtime: float | None = None
    input: Any = None
    report_id: str | None = None
    measurement_uid: str | None = None
    annotations: dict[str, Any] | None = None
    test_keys: Keys = Keys()
