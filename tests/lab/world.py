"""The internet a catalogue expects: a name server's zone, and who listens where, derived from its targets."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

import msgspec

from probe.catalogue import Catalogue, Control, Target
from probe.record import is_address
from probe.steps import (
    AnyStep,
    Dns,
    Dtls,
    Echo,
    Greeting,
    Http,
    Mtproto,
    Noise,
    Quic,
    Reflector,
    Stun,
    Threema,
    Tls,
    Turn,
    Websocket,
)  # fmt: skip

FOREIGN4, FOREIGN6 = int(ip_address("5.45.64.0")), int(ip_address("2a03:b0c0:1::"))
_WILD, _LISTED_PORT = re.compile(r"\*|\{[a-z]+\}"), 3478
HOME4, HOME6 = int(ip_address("95.213.0.0")), int(ip_address("2a00:bdc0:1::"))


@dataclass(frozen=True)
class Endpoint:
    """One listening socket: how it speaks (web, plain, socket, tcp, relay, relay-tcp, relay-tls, quic, reflector,
    reflector-tcp, echo, dtls, mtproto, noise, threema)."""

    kind: str
    ip: str
    port: int
    host: str
    realm: str = ""
    dialect: str = ""


@dataclass
class Page:
    """What a path answers."""

    status: int = 200
    body: str = "hello"
    headers: dict[str, str] = field(default_factory=dict)
    size: int = 0  # a file of so many bytes instead of `body`


@dataclass
class World:
    """Names, addresses, sockets and pages."""

    zone: dict[str, list[str]] = field(default_factory=dict)
    records: dict[str, list[str]] = field(default_factory=dict)  # of other types, as text
    endpoints: dict[tuple[str, int, str], Endpoint] = field(default_factory=dict)
    pages: dict[str, dict[str, Page]] = field(default_factory=dict)
    sockets: dict[str, dict[str, str]] = field(
        default_factory=dict
    )  # by host and path what a WebSocket says first
    services: dict[str, list[str]] = field(default_factory=dict)  # addresses of each service
    domestic: list[str] = field(default_factory=list)
    families: tuple[int, ...] = (4, 6)
    relays_per_host: int = 1

    def add(self, service: str, target: Target) -> None:
        """Make the internet have this target."""
        if target.hosts_from:  # its hosts are those of its source
            return
        if isinstance(target.steps[0], Dns):
            if not target.steps[0].like:
                self.zone.setdefault(target.host, ["127.0.0.1"])
            return
        home = isinstance(target, Control) and target.class_ == "domestic"
        ips = list(target.addresses)
        if isinstance(target, Control) and target.role == "closed":
            self._named(target, home, fixed=ips)  # the name exists, and nobody listens
            return
        if target.host and not is_address(target.host):
            ips = self._named(target, home, fixed=ips)
        self.services.setdefault(service, []).extend(ips)
        if home:
            self.domestic.extend(ips)
        for ip in ips:
            for endpoint in _endpoints(target, ip):
                key = (ip, endpoint.port, _protocol(endpoint.kind))
                known = self.endpoints.get(key)
                # nginx hands WebSockets on. A relay that speaks DTLS answers STUN too; the other way round it does not.
                if (
                    known is None
                    or endpoint.kind == "web"
                    or (known.realm == "lab.example" and known.kind != "dtls")
                ):
                    self.endpoints[key] = endpoint
        self._serve(target)

    def lead(self, service: str, source: Target, waiting: Sequence[Target]) -> None:
        """Make the internet have what a target lists, for those that wait for it."""
        last = source.steps[-1]
        for number, target in enumerate(waiting, 1):
            if isinstance(last, Http):
                addresses = (*target.addresses, *_relays(last))
                self.add(service, msgspec.structs.replace(target, addresses=addresses))
            elif isinstance(last, Dns):
                host, port = self._listed(source, last, target, number), target.port or _LISTED_PORT
                self.add(service, msgspec.structs.replace(target, host=host, port=port, hosts_from=""))

    def _listed(self, source: Target, step: Dns, target: Target, number: int) -> str:
        """Publish a host of the form, and say which the target's is."""
        word = f"lab{number if step.type == 'SRV' else ''}"  # of a reverse name there is one, for everybody
        name = _WILD.sub(word, step.like)
        if step.type == "SRV":
            self.records.setdefault(source.host, []).append(f"SRV 0 0 {_LISTED_PORT} {name}.")
        else:
            pointers = [ip_address(ip).reverse_pointer for ip in self.zone.get(source.host, ())]
            self.records |= dict.fromkeys(pointers, [f"PTR {name}."])
        return _WILD.sub(word, target.host) or name

    def _serve(self, target: Target) -> None:
        for step in target.steps:
            if isinstance(step, Http):
                self.pages.setdefault(target.host, {})[step.path] = _page(step)
            if isinstance(step, Websocket):
                self.sockets.setdefault(target.host, {})[step.path] = _said(target.steps[-1])

    def _named(self, target: Target, home: bool, *, fixed: list[str]) -> list[str]:
        if target.host not in self.zone:
            several = 2 if any(isinstance(step, Stun | Turn) for step in target.steps) else 1
            self.zone[target.host] = fixed or [ip for n in range(several) for ip in self._fresh(home, n)]
        return self.zone[target.host]

    def _fresh(self, home: bool, offset: int) -> list[str]:
        number = 1 + offset + sum(len(ips) for ips in self.zone.values())
        base4, base6 = (HOME4, HOME6) if home else (FOREIGN4, FOREIGN6)
        both = [str(ip_address(base4 + number)), str(ip_address(base6 + number))]
        return [ip for ip in both if (6 if ":" in ip else 4) in self.families]

    def addresses(self, names: Iterable[str]) -> list[str]:
        """Addresses of hosts, services, or "foreign", "domestic"."""
        found: list[str] = []
        for name in names:
            if name == "domestic":
                found += self.domestic
            elif name == "foreign":
                everybody = {ip for ips in self.services.values() for ip in ips}
                found += sorted(everybody - set(self.domestic))
            elif name in self.services:
                found += self.services[name]
            elif name in self.zone:
                found += self.zone[name]
            else:
                found.append(str(ip_address(name)))
        return list(dict.fromkeys(found))

    def behaviours(self, said: Mapping[str, str]) -> dict[str, str]:
        """How stand-ins behave, by address and, behind a WebSocket, by host."""
        found: dict[str, str] = {}
        for who, how in sorted(said.items(), key=lambda one: one[0] not in self.services):
            hosts = {e.host for e in self.endpoints.values() if e.ip in self.services.get(who, ())}
            found |= dict.fromkeys([*self.addresses([who]), *(hosts & self.sockets.keys())], how)
        return found


def of(catalogue: Catalogue) -> World:
    """The world in which everything in the catalogue works."""
    world = World()
    targets: list[tuple[str, Target]] = [("", control) for control in catalogue.controls]
    targets += [(service.service, target) for service in catalogue.services for target in service.targets]
    # A name that is only asked for has what it leads to elsewhere.
    for name, target in sorted(targets, key=lambda one: isinstance(one[1].steps[0], Dns)):
        world.add(name, target)
    for service in catalogue.services:
        for source in service.targets:
            named = [t for t in service.targets if source.name in (t.hosts_from, t.addresses_from)]
            world.lead(service.service, source, named)
    return world


def _protocol(kind: str) -> str:
    return "udp" if kind in ("relay", "quic", "reflector", "echo", "dtls") else "tcp"


def _endpoints(target: Target, ip: str) -> list[Endpoint]:
    last = target.steps[-1]
    realm, dialect = (last.realm or "lab.example", last.dialect) if isinstance(last, Turn) else ("", "")
    kind = _of_a_call(target) or _of_the_web(target)
    found = [Endpoint(kind, ip, target.port, target.host or ip, realm or "lab.example", dialect)]
    if kind == "relay":  # as real relays do, it answers TCP too
        found.append(Endpoint("relay-tcp", ip, target.port, target.host or ip, realm or "lab.example"))
    return found


def _of_a_call(target: Target) -> str:
    """How what calls go through speaks, "" for anything else."""
    first, last = target.steps[0], target.steps[-1]
    alone = len(target.steps) == 1
    match last:
        case Dtls() | Stun(dialect="whatsapp"):
            return "dtls"
        case Stun() | Turn():
            is_tls = any(isinstance(step, Tls) for step in target.steps)
            return "relay" if alone else "relay-tls" if is_tls else "relay-tcp"
        case Reflector():
            return "reflector" if alone else "reflector-tcp"
        case Echo():
            return "echo"
        case _:
            return "quic" if isinstance(first, Quic) else ""


def _of_the_web(target: Target) -> str:
    last = target.steps[-1]
    if any(isinstance(step, Websocket) for step in target.steps):
        return "socket"
    if any(isinstance(step, Tls) for step in target.steps):
        return "web"
    if isinstance(last, Mtproto | Noise | Threema):
        return type(last).__name__.lower()
    return "plain" if isinstance(last, Http) else "tcp"


def _said(last: AnyStep) -> str:
    """What a WebSocket leads to: who stands in behind it, or a text that is said first."""
    match last:
        case Mtproto() | Noise() | Threema():
            return type(last).__name__.lower()
        case Greeting():
            return json.dumps(last.expect_json)
        case _:
            return "hello"


def _relays(step: Http) -> list[str]:
    """Three addresses of each range that a list may name: enough for targets that share it."""
    return [str(ip_network(prefix)[number]) for prefix in step.addresses_within for number in (1, 2, 3)]


def _page(step: Http) -> Page:
    status = step.expect_status[0] if step.expect_status else 200
    page = Page(status=status)
    page.headers = dict.fromkeys(step.expect_headers, "1")
    if step.expect_json or step.expect_keys:
        page.body = "{" + ", ".join(f'\\"{key}\\": 1' for key in step.expect_keys) + "}"
        page.headers["content-type"] = "application/json"
    if step.addresses_within:  # a list of relays
        page.body = "[" + ", ".join(f'\\"{relay}\\"' for relay in _relays(step)) + "]"
    if step.expect_sha256:
        page.body = "success\\n"
    if step.cap >= 32768 and not (step.expect_json or step.addresses_within):
        page.size = step.cap
    return page
