"""Where we are: network, country, address families, translation; with nothing personal kept.

The public address is learned by STUN from controls, turned into an AS number by a DNS service or a local
database, and forgotten. Everything happens at once and within a few seconds; what cannot be learned stays
empty and is measured without.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from probe import mirror
from probe.catalogue import Catalogue, Control
from probe.dialogue import converse
from probe.failure import StepError
from probe.machine import home_network
from probe.model import Nat, Vantage
from probe.plan import Options
from probe.record import Private, is_address, peer_text
from probe.step import Flow, Net
from probe.steps import Stun
from probe.steps.dns import Question
from probe.steps.dns import over_udp as dns_over_udp
from probe.steps.stun import binding, over_udp
from probe.stun_message import Attribute

_TIME = 4.0  # seconds for a look-up
_WHOLE = 15.0  # seconds for everything; only where STUN is filtered more than a round trip or two is needed


async def look(net: Net, catalogue: Catalogue, options: Options, tell: Callable[[str], None]) -> Vantage:
    """Describe the vantage point. Never raises for what the network does.

    `tell` gets the country as soon as it is known, and is not called where it stays unknown.
    """
    if options.country:
        tell(options.country)
    seen: list[Private] = []
    networks: list[_Named] = []
    resolver_asns: list[int | None] = []
    translation: list[Nat] = []

    async def name() -> None:
        seen.extend(await _seen_as(net, servers[:6], catalogue, options))
        public = [address for family in (4, 6) for address in seen if address.family == family]
        address = next((a for a in public if a.is_public), None)
        networks.append(origin := await _origin(net, catalogue, options, address))
        if origin.country and not options.country:
            tell(origin.country)
        networks.append(await _named(net, catalogue, options, origin))

    async def name_resolver() -> None:
        resolver_asns.append(await _resolver_asn(net, catalogue, options))

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_WHOLE):
            servers = await _servers(net, catalogue, options)
            by4 = [server for server in servers if _family(server[0]) == 4]
            await asyncio.gather(name(), name_resolver(), _translation(net, by4, translation))
    found = networks[-1] if networks else _Named("", None, "")
    kind, tunnel = home_network(Path("/"), os.environ, catalogue.settings.network.bypass_tools)
    return Vantage(
        country=options.country or found.country,
        asn=found.asn,
        as_name=found.name,
        resolver_asn=resolver_asns[0] if resolver_asns else None,
        kind=options.kind if options.kind != "unknown" else kind,
        families={str(one): one in {address.family for address in seen} for one in options.families}
        if seen
        else {},
        nat=translation[0] if translation else None,
        tunnel=tunnel,
        label=options.label,
    )


def _family(ip: str) -> Literal[4, 6]:
    return 6 if ":" in ip else 4


async def _seen_as(
    net: Net, servers: list[tuple[str, int]], catalogue: Catalogue, options: Options
) -> list[Private]:
    """How the internet sees us, by the first way that gets an answer."""
    found = await mirror.by_stun(net, servers) or await mirror.by_stun(net, servers, "rfc3489")
    web = catalogue.settings.network.mirror
    if not found and web is not None:
        with contextlib.suppress(OSError, TimeoutError, UnicodeError):
            async with asyncio.timeout(_TIME):
                ips = await net.system_lookup(web.host)
            by_family = {_family(ip): ip for ip in reversed(ips) if _family(ip) in options.families}
            found = await mirror.by_web(net, web, list(by_family.values()))
    if not found:  # behind an allowlist only the country's own servers answer
        found = await mirror.by_stun(net, await _servers(net, catalogue, options, domestic=True))
    return found


async def _servers(
    net: Net, catalogue: Catalogue, options: Options, *, domestic: bool = False
) -> list[tuple[str, int]]:
    """Addresses of foreign (or domestic) STUN controls, both families in turn."""
    controls = [
        c
        for c in catalogue.controls
        if isinstance(c.steps[0], Stun)
        and c.role == "control"
        and c.tier in options.tiers
        and (c.class_ == "domestic") == domestic
    ][:4]
    answers = await asyncio.gather(*(_addresses(net, control) for control in controls))
    by_family: dict[int, list[tuple[str, int]]] = {4: [], 6: []}
    for control, ips in zip(controls, answers, strict=True):
        for family in (4, 6):
            ip = next((ip for ip in ips if _family(ip) == family and family in options.families), None)
            if ip is not None:
                by_family[family].append((ip, control.port))
    return [s for pair in zip(by_family[4], by_family[6], strict=False) for s in pair] + [
        s for family in (4, 6) for s in by_family[family][min(len(by_family[4]), len(by_family[6])) :]
    ]


async def _addresses(net: Net, control: Control) -> list[str]:
    found = list(control.addresses)
    if control.host and not is_address(control.host):
        with contextlib.suppress(OSError, TimeoutError, UnicodeError):
            async with asyncio.timeout(_TIME / 2):
                found = await net.system_lookup(control.host) + found
    return found


async def _translation(net: Net, servers: list[tuple[str, int]], into: list[Nat]) -> None:
    """Ask two servers from one local port: the same mapping for both, or another for each (RFC 4787)."""
    if not servers:
        return
    answers: list[Private] = []
    local_port, local = 0, None
    for ip, port in servers[:2]:
        flow = Flow(net=net, host="", ip=ip, port=port)
        try:
            socket = await flow.udp(local_port=local_port)
            local_port, local = socket.local_port(), socket.local_address()
            async with asyncio.timeout(_TIME / 3):
                exchanged = await converse(socket, over_udp(binding("rfc8489"), 2))
            mapped = exchanged.answers[0][0].address(Attribute.XOR_MAPPED_ADDRESS)
            if mapped is None:
                return
            answers.append(Private(*mapped))
        except (OSError, StepError, TimeoutError):
            return
        finally:
            flow.close()
    if answers and local is not None:
        same = len(set(answers)) == 1
        mapping: Literal["endpoint_independent", "endpoint_dependent", "unknown"] = (
            "unknown" if len(answers) < 2 else "endpoint_independent" if same else "endpoint_dependent"
        )
        into.append(Nat(translated=not answers[0].same_host(local), mapping=mapping))


@dataclass(frozen=True)
class _Named:
    """A network's country, AS number and name."""

    country: str
    asn: int | None
    name: str


async def _resolver_asn(net: Net, catalogue: Catalogue, options: Options) -> int | None:
    """The network of the resolver that the system uses: a name that answers with who asked."""
    network = catalogue.settings.network
    if network.by == "off" or not network.whoami:
        return None
    try:
        answers = await net.system_lookup(network.whoami)
        asker = Private(answers[0]) if answers else None
    except (OSError, UnicodeError, ValueError):
        return None
    return (await _origin(net, catalogue, options, asker)).asn


async def _origin(net: Net, catalogue: Catalogue, options: Options, public: Private | None) -> _Named:
    """The country and the AS number of an address; from a database the name too."""
    network = catalogue.settings.network
    if public is None or not public.is_public:
        return _Named("", None, "")
    match network.by:
        case "mmdb":
            return from_database(Path(network.mmdb), public)
        case "cymru":
            name = public.reversed_name(zone4=network.zone4, zone6=network.zone6)
            return parse_origin(await _text(net, _whom_to_ask(catalogue, options), name))
        case _:
            return _Named("", None, "")


async def _named(net: Net, catalogue: Catalogue, options: Options, origin: _Named) -> _Named:
    """The same with the network's name."""
    network = catalogue.settings.network
    if network.by != "cymru" or origin.asn is None:
        return origin
    name = f"AS{origin.asn}.{network.zone_name}"
    described = await _text(net, _whom_to_ask(catalogue, options), name)
    return _Named(origin.country, origin.asn, parse_name(described))


def _whom_to_ask(catalogue: Catalogue, options: Options) -> list[tuple[str, int]]:
    """First whoever serves this machine anyway: the question holds our address, which they know."""
    resolvers = [r for r in catalogue.settings.resolvers if r.over == "udp"]
    return [(ip, 53) for ip in own_resolvers()[:1]] + [
        (ip, r.port or 53) for r in resolvers for ip in r.addresses if _family(ip) in options.families
    ][:3]


def own_resolvers() -> list[str]:
    """The name servers of this machine's configuration; empty where there is none to read."""
    import dns.exception
    import dns.resolver

    try:
        return [server for server in dns.resolver.Resolver().nameservers if isinstance(server, str)]
    except (dns.exception.DNSException, OSError):
        return []


async def _text(net: Net, servers: list[tuple[str, int]], name: str) -> str:
    """The first TXT answer of any of the resolvers. The name holds the address: it is sent, not kept."""
    for ip, port in servers:
        flow = Flow(net=net, host="", ip=ip, port=port)
        try:
            async with asyncio.timeout(_TIME / 3):
                answers, _ = await converse(
                    await flow.udp(), dns_over_udp([Question(name, "TXT", verbatim=True)])
                )
            return answers[0].records[0].strip('"') if answers[0] is not None else ""
        except (OSError, StepError, TimeoutError, IndexError):
            continue
        finally:
            flow.close()
    return ""


def parse_origin(text: str) -> _Named:
    """Read Team Cymru's origin record, "64500 64501 | 192.0.2.0/24 | ZZ | registry | date"."""
    fields = [field.strip() for field in text.split("|")]
    if len(fields) < 3 or not fields[0].split()[:1] or not fields[0].split()[0].isdigit():
        return _Named("", None, "")
    country = fields[2] if len(fields[2]) == 2 and fields[2].isalpha() else ""
    return _Named(country.upper(), int(fields[0].split()[0]), "")


def parse_name(text: str) -> str:
    """Read Team Cymru's AS record, "64500 | ZZ | registry | date | NAME - Long name, ZZ"."""
    fields = [field.strip() for field in text.split("|")]
    return peer_text(fields[4]) if len(fields) >= 5 else ""


def from_database(path: Path, public: Private) -> _Named:
    """Look the address up in a local MMDB file; its keys differ by publisher."""
    try:
        import maxminddb

        with maxminddb.open_database(path) as database:
            entry = database.get(public.open())
    except (ImportError, OSError, ValueError, RuntimeError):  # the last: not a database
        return _Named("", None, "")
    if not isinstance(entry, dict):
        return _Named("", None, "")
    asn = entry.get("autonomous_system_number") or str(entry.get("asn", "")).removeprefix("AS")
    name = entry.get("autonomous_system_organization") or entry.get("as_name") or entry.get("name") or ""
    country = entry.get("country_code") or entry.get("country") or ""
    if isinstance(country, dict):
        country = country.get("iso_code", "")
    return _Named(
        str(country)[:2].upper(), int(str(asn)) if str(asn).isdigit() else None, peer_text(str(name))
    )
