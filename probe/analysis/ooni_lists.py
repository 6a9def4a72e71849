"""The lists that OONI's tests share (df-001, 002, 005 and 006), from our observations. Pure."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, TypeAlias

from probe.analysis.ooni_failures import as_ooni
from probe.model import Chain, Lookup, Observation
from probe.record import is_address
from probe.steps import DnsFacts, HttpFacts, QuicFacts, TlsFacts

Dict: TypeAlias = dict[str, Any]


def _times(observation: Observation, began: datetime) -> Dict:
    start = (observation.at - began).total_seconds()
    ended = start + observation.seconds
    return {"t0": round(start, 6), "t": round(ended, 6), "tags": [], "transaction_id": observation.id}


def queries(lookup: Lookup, began: datetime) -> Iterator[Dict]:
    """OONI asks for each family apart, and so are the answers."""
    for observation in lookup.observations:
        facts = observation.facts
        records = facts.answer.records if isinstance(facts, DnsFacts) else ()
        for kind, key in (("A", "ipv4"), ("AAAA", "ipv6")):
            ips = [ip for ip in records if is_address(ip) and (":" in ip) == (kind == "AAAA")]
            if ips or (kind == "A" and observation.failure is not None):
                yield {
                    "answers": [{"answer_type": kind, key: ip, "ttl": None} for ip in ips],
                    "engine": _engine(lookup.resolver),
                    "failure": as_ooni("dns", observation.failure),
                    "hostname": lookup.name,
                    "query_type": kind,
                    "resolver_address": "",
                    "resolver_hostname": None,
                    "resolver_port": None,
                    **_times(observation, began),
                }


def _engine(resolver: str) -> str:
    if resolver == "system":
        return "getaddrinfo"
    return {"https": "doh", "tls": "dot", "udp": "udp"}.get(resolver.rpartition("-")[2], "unknown")


def connects(chain: Chain, began: datetime) -> Iterator[Dict]:
    """The TCP connections of a chain."""
    for observation in chain.observations:
        if observation.step == "tcp":
            failure = as_ooni("tcp", observation.failure)
            yield {
                "ip": chain.ip or "",
                "port": chain.port,
                "status": {"success": failure is None, "failure": failure},
                **_times(observation, began),
            }


def handshakes(chain: Chain, began: datetime) -> Iterator[Dict]:
    """The TLS and QUIC handshakes of a chain."""
    for observation in chain.observations:
        if observation.step in ("tls", "quic"):
            facts = observation.facts
            known = facts if isinstance(facts, TlsFacts | QuicFacts) else None
            yield {
                "address": f"[{chain.ip}]:{chain.port}" if chain.family == 6 else f"{chain.ip}:{chain.port}",
                "cipher_suite": known.cipher if known else "",
                "failure": as_ooni(observation.step, observation.failure),
                "negotiated_protocol": known.alpn if known else "",
                "network": "udp" if observation.step == "quic" else "tcp",
                "no_tls_verify": False,
                "peer_certificates": [
                    {"format": "base64", "data": one.der} for one in (known.chain if known else ()) if one.der
                ],
                "server_name": known.sni if known else chain.host,
                "tls_version": f"TLSv{known.version}" if isinstance(known, TlsFacts) else "",
                **_times(observation, began),
            }


def requests(chain: Chain, began: datetime) -> Iterator[Dict]:
    """What was asked over HTTP. Bodies are never kept; which path was asked is in the catalogue, not in the facts."""
    for observation in chain.observations:
        if observation.step == "http":
            secure = any(o.step == "tls" for o in chain.observations)
            usual = chain.port == (443 if secure else 80)
            facts = observation.facts if isinstance(observation.facts, HttpFacts) else None
            yield {
                "address": f"[{chain.ip}]:{chain.port}" if chain.family == 6 else f"{chain.ip}:{chain.port}",
                "alpn": "h2" if facts and facts.version == "2" else "http/1.1",
                "failure": as_ooni("http", observation.failure),
                "network": "tcp",
                "request": {
                    "body": "",
                    "body_is_truncated": False,
                    "headers": {},
                    "headers_list": [],
                    "method": "GET",
                    "tor": {"exit_ip": None, "exit_name": None, "is_tor": False},
                    "url": f"http{'s' * secure}://{chain.host}{'' if usual else f':{chain.port}'}/",
                    "x_transport": "tcp",
                },
                "response": {
                    "body": "",
                    "body_is_truncated": True,
                    "code": facts.status if facts else 0,
                    "headers": {},
                    "headers_list": [],
                },
                **_times(observation, began),
            }
