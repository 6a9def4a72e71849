"""A run as OONI measurements. Pure.

Five of OONI's tests are about messengers; what we measured of the same hosts is written under their keys, in their
words for failures, and our own observations and verdicts of that service travel whole in an annotation. Two differences
are on purpose: what was interrupted or not attempted is null, not blocked, and Telegram's data centres are not sent an
HTTP request, so whether one is answered stays null where connections succeed.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from probe.analysis import ooni_lists
from probe.analysis.ooni_failures import as_ooni
from probe.analysis.ooni_format import ANNOTATION
from probe.analysis.ooni_lists import Dict
from probe.model import Chain, Document, Judgement, Lookup, Measurement, Observation
from probe.reading import OWN, at_step, failure_of, is_evidence
from probe.record import is_address
from probe.steps import StunFacts
from probe.verdict import judge

# The versions of OONI's tests whose keys these are (probe-cli 3.31).
_VERSIONS = {
    "telegram": "0.3.1", "whatsapp": "0.11.0", "signal": "0.2.5", "facebook_messenger": "0.2.1",
    "stunreachability": "0.4.0",
}  # fmt: skip
_SERVICES = {
    "telegram": "telegram",
    "whatsapp": "whatsapp",
    "signal": "signal",
    "messenger": "facebook_messenger",
}
_EXTENSIONS = {"dnst": 0, "httpt": 0, "netevents": 0, "tcpconnect": 0, "tlshandshake": 0}
_SIGNAL = ("cdsi.signal.org", "chat.signal.org", "sfu.voip.signal.org", "storage.signal.org")
_MESSENGER = {
    "b_api": "b-api.facebook.com",
    "b_graph": "b-graph.facebook.com",
    "edge": "edge-mqtt.facebook.com",
    "external_cdn": "external.xx.fbcdn.net",
    "scontent_cdn": "scontent.xx.fbcdn.net",
    "star": "star.c10r.facebook.com",
    "stun": "stun.fbsbx.com",
}


def measurements(document: Document) -> Iterator[Dict]:
    """OONI measurements of a run, ready to be written as JSON lines."""
    judgement = judge(document)
    for service, test in _SERVICES.items():
        tested = [m for m in document.measurements if m.service == service and m.at == "endpoint"]
        if tested:
            part = _part(document, service, judgement, _Seen(document, tested).lookups)
            yield _envelope(part, test, None, _KEYS[test](_Seen(document, tested)))
    yield from _stun(document, judgement)


class _Seen:
    """The own tries of some targets, and the look-ups of their hosts."""

    def __init__(self, document: Document, tested: Sequence[Measurement]) -> None:
        self.began = document.run.started
        self.chains = [c for m in tested for c in m.chains if c.variant in OWN and c.observations]
        hosts = {c.host for m in tested for c in m.chains}
        self.lookups = [one for one in document.lookups if one.name in hosts]

    def of(self, *hosts: str) -> list[Chain]:
        """The tries at these hosts."""
        return [chain for chain in self.chains if chain.host in hosts]

    def connected(self, chains: Iterable[Chain]) -> list[Observation]:
        """Their TCP connections, those that say something about path or peer."""
        found = [o for chain in chains if (o := at_step(chain, "tcp")) is not None]
        return [o for o in found if o.failure is None or is_evidence(o)]

    def lists(self) -> Dict:
        """The lists that all of OONI's tests share."""
        return {
            "queries": [one for lookup in self.lookups for one in ooni_lists.queries(lookup, self.began)],
            "tcp_connect": [one for chain in self.chains for one in ooni_lists.connects(chain, self.began)],
            "tls_handshakes": [
                one for chain in self.chains for one in ooni_lists.handshakes(chain, self.began)
            ],
            "requests": [one for chain in self.chains for one in ooni_lists.requests(chain, self.began)],
            "network_events": [],
        }


def _telegram(seen: _Seen) -> Dict:
    centres = [c for c in seen.chains if is_address(c.host or c.ip or "") or c.host == ""]
    dead = _dead(seen.connected(centres))
    web = _status(seen.of("web.telegram.org"))
    return {
        **_common(),
        **seen.lists(),
        "telegram_tcp_blocking": dead,
        "telegram_http_blocking": dead or None,
        "telegram_web_status": web[0],
        "telegram_web_failure": web[1],
    }


def _whatsapp(seen: _Seen) -> Dict:
    hosts = dict.fromkeys(c.host for c in seen.chains if _is_chat(c.host))
    dead = {host: _dead(seen.connected(seen.of(host))) for host in hosts}
    known = [one for one in dead.values() if one is not None]
    registration, web = _status(seen.of("v.whatsapp.net")), _status(seen.of("web.whatsapp.com"))
    return {
        **_common(),
        **seen.lists(),
        "whatsapp_endpoints_status": None if not known else "blocked" if all(known) else "ok",
        "whatsapp_endpoints_blocked": [host for host, is_dead in dead.items() if is_dead],
        "whatsapp_endpoints_dns_inconsistent": [],
        "registration_server_status": registration[0],
        "registration_server_failure": registration[1],
        "whatsapp_web_status": web[0],
        "whatsapp_web_failure": web[1],
    }


def _is_chat(host: str) -> bool:
    name, _, domain = host.partition(".")
    return domain == "whatsapp.net" and (name == "g" or (name[:1] == "e" and name[1:].isdecimal()))


def _signal(seen: _Seen) -> Dict:
    found = [status for host in _SIGNAL if (status := _status(seen.of(host)))[0] is not None]
    failed = [failure for status, failure in found if status == "blocked"]
    return {
        **_common(),
        **seen.lists(),
        "signal_backend_status": None if not found else "blocked" if failed else "ok",
        "signal_backend_failure": failed[-1] if failed else None,
    }


def _messenger(seen: _Seen) -> Dict:
    keys: Dict = {}
    for name, host in _MESSENGER.items():
        told = [lookup for lookup in seen.lookups if lookup.name == host and lookup.resolver == "system"]
        dead = _dead(seen.connected(seen.of(host)))
        keys[f"facebook_{name}_dns_consistent"] = (
            None if not told else told[0].observations[-1].failure is None
        )
        keys[f"facebook_{name}_reachable"] = None if dead is None else not dead
    said = [value for key, value in keys.items() if key.endswith("consistent") and value is not None]
    reached = [value for key, value in keys.items() if key.endswith("reachable") and value is not None]
    return {
        **_common(),
        **seen.lists(),
        **keys,
        "facebook_dns_blocking": None if not said else not all(said),
        "facebook_tcp_blocking": None if not reached else not all(reached),
    }


_KEYS: dict[str, Callable[[_Seen], Dict]] = {
    "telegram": _telegram, "whatsapp": _whatsapp, "signal": _signal, "facebook_messenger": _messenger,
}  # fmt: skip


def _common() -> Dict:
    return {"agent": "redirect", "failure": None, "failed_operation": None}


def _dead(connected: Sequence[Observation]) -> bool | None:
    """Whether none of these connections opened; None if none was tried."""
    return all(o.failure is not None for o in connected) if connected else None


def _status(chains: Sequence[Chain]) -> tuple[str | None, str | None]:
    """OONI's status of a host and its failure: ok if one try went through, blocked by evidence only."""
    ends = [failure_of(chain) for chain in chains]
    if None in ends:
        return "ok", None
    bad = [o for o in ends if o is not None and is_evidence(o)]
    return ("blocked", as_ooni(bad[-1].step, bad[-1].failure)) if bad else (None, None)


def _stun(document: Document, judgement: Judgement) -> Iterator[Dict]:
    """One measurement for each STUN server of a service. The first of a service carries what is thought of it."""
    said = set(_SERVICES)
    for measurement in document.measurements:
        by_endpoint: dict[tuple[str, int], list[Chain]] = {}
        for chain in measurement.chains:
            if measurement.service and chain.variant in OWN and _is_stun(chain):
                by_endpoint.setdefault((chain.host or chain.ip or "", chain.port), []).append(chain)
        for (host, port), chains in by_endpoint.items():
            seen = _Seen(document, [msgspec.structs.replace(measurement, chains=tuple(chains))])
            service = "" if measurement.service in said else measurement.service
            said.add(measurement.service)
            part = _part(document, service, judgement, seen.lookups, of=[measurement])
            endpoint = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            keys = {
                "endpoint": endpoint,
                "failure": _status(chains)[1],
                "network_events": [],
                "queries": seen.lists()["queries"],
            }
            yield _envelope(part, "stunreachability", f"stun://{endpoint}", keys)


def _is_stun(chain: Chain) -> bool:
    """Whether it was a STUN binding request over UDP; a keep-alive in a STUN header is none."""
    if not chain.observations or chain.observations[0].step != "stun":
        return False
    facts = chain.observations[0].facts
    return not isinstance(facts, StunFacts) or facts.dialect != "whatsapp"


def _part(
    document: Document,
    service: str,
    judgement: Judgement,
    lookups: Sequence[Lookup],
    *,
    of: Sequence[Measurement] | None = None,
) -> Document:
    """What belongs to one service, or to one target, with what is thought of it; without the user's label."""
    run = document.run
    where = msgspec.structs.replace(run.vantage, label="")
    return Document(
        run=msgspec.structs.replace(run, vantage=where),
        lookups=tuple(lookups),
        measurements=tuple(
            of if of is not None else (m for m in document.measurements if m.service == service)
        ),
        judgement=msgspec.structs.replace(
            judgement,
            services={service: judgement.services[service]} if service in judgement.services else {},
        ),
        end=document.end,
    )


def _envelope(part: Document, test: str, asked: str | None, keys: Dict) -> Dict:
    run = part.run
    where, began = run.vantage, f"{run.started:%Y-%m-%d %H:%M:%S}"
    name, _, version = run.software.partition(" ")
    own = msgspec.structs.replace(part, run=msgspec.structs.replace(run, id=f"{run.id} {asked or test}"))
    return {
        "annotations": {ANNOTATION: msgspec.json.encode(own).decode()},
        "data_format_version": "0.2.0",
        "extensions": _EXTENSIONS,
        "input": asked,
        "measurement_start_time": began,
        "probe_asn": f"AS{where.asn or 0}",
        "probe_cc": where.country or "ZZ",
        "probe_ip": "127.0.0.1",
        "probe_network_name": where.as_name,
        "report_id": "",
        "resolver_asn": f"AS{where.resolver_asn or 0}",
        "resolver_ip": "127.0.0.2",
        "resolver_network_name": "",
        "software_name": name or "callreach",
        "software_version": version or "0",
        "test_helpers": {},
        "test_keys": keys,
        "test_name": test,
        "test_runtime": part.end.seconds if part.end else 0.0,
        "test_start_time": began,
        "test_version": _VERSIONS[test],
    }
