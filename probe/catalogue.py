"""What can be measured: services, controls and settings, read from `configs/` or refused in one sentence.

configs/probe.toml            Settings: resolvers, pace, limits, names
configs/controls.toml         Controls: targets whose answer says how the network is
configs/services/*.toml       Service: one messenger each
configs/trust/*.pem           trust anchors that targets name
"""

import hashlib
import ipaddress
import re
import tomllib
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Annotated, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Meta

from probe.model import Purpose
from probe.record import Setting
from probe.steps import AnyStep, Dns, Quic, Tcp, Tls, Turn

Name: TypeAlias = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
Port: TypeAlias = Annotated[int, Meta(ge=0, le=65535)]
# How well a statement is supported: read in source, seen in a capture, reported, inferred, known, unknown.
Support: TypeAlias = Literal["source", "capture", "report", "inferred", "known", "unknown"]
Tier: TypeAlias = Literal["core", "extra", "experimental"]
ControlClass: TypeAlias = Literal["domestic", "foreign-large", "foreign-hosting"]


class ConfigError(Exception):
    """A configuration file is wrong: which file, which key, and why."""

    def __init__(self, file: str, key: str, reason: str) -> None:
        super().__init__(f"{file}: {key}: {reason}" if key else f"{file}: {reason}")
        self.file, self.key, self.reason = file, key, reason


class Evidence(Setting):
    """How we know that the endpoint belongs to the service, and that it answers without an account."""

    host: Support
    reply: Support


class Target(Setting):
    """One thing that can be measured. Its name lasts, its addresses come and go."""

    name: Name
    purpose: Purpose
    steps: Annotated[tuple[AnyStep, ...], Meta(min_length=1)]
    evidence: Evidence
    group: Name | Literal[""] = ""  # one reachable target of a group is enough; empty: a group of its own
    tier: Tier = "core"
    host: str = ""
    port: Port = 0
    addresses: tuple[str, ...] = ()  # tried even if the look-up lies
    source: str = ""  # empty: the service's
    checked: date | None = None  # None: the service's
    note: str = ""


class Control(Target, kw_only=True):
    """A target that only says how the network is."""

    class_: ControlClass = msgspec.field(name="class")
    country: Annotated[str, Meta(pattern=r"^[A-Z]{2}$")] | Literal[""] = ""  # of a domestic control
    # portal: a canary for sign-in pages; load: a body to measure speed by; closed: a port where nobody listens,
    # to learn whether a refusal of UDP (ICMP port unreachable) gets through to us at all.
    role: Literal["control", "portal", "load", "closed"] = "control"


class Service(Setting):
    """A messenger."""

    service: Name
    title: str
    source: str
    checked: date
    targets: Annotated[tuple[Target, ...], Meta(min_length=1)]
    networks: tuple[
        str, ...
    ] = ()  # prefixes the operator publishes; an answer outside is a flag, not a verdict
    vital: tuple[Name, ...] = ()  # groups without which messaging is dead; calls need all of theirs


class Resolver(Setting):
    """Somebody who answers look-ups."""

    name: Name
    over: Literal["system", "udp", "tcp", "tls", "https"]
    host: str = ""
    addresses: tuple[str, ...] = ()
    port: Port = 0
    path: str = "/dns-query"
    scope: Literal["all", "controls"] = "all"  # which names it is asked: all, or those of a few controls
    trust: str = "system"
    operator: str = ""


class Pace(Setting):
    """How much at once."""

    flows: Annotated[int, Meta(ge=1, le=512)] = 96
    per_host: Annotated[int, Meta(ge=1, le=32)] = 4
    gap: Annotated[float, Meta(ge=0, le=10)] = 0.02  # seconds between two flows to one address


class Limits(Setting):
    """When to stop."""

    seconds: Annotated[float, Meta(gt=0, le=3600)] = 85.0
    target_seconds: Annotated[float, Meta(gt=0, le=600)] = 60.0
    bytes: Annotated[int, Meta(gt=0)] = 2_000_000
    addresses: Annotated[int, Meta(ge=1, le=8)] = 2  # per target and family


class Mirror(Setting):
    """A web server that tells visitors their address: a page with a line "ip=ADDRESS"."""

    host: str
    path: str
    port: Port = 443


class Network(Setting):
    """How the vantage point's network is named."""

    by: Literal["cymru", "mmdb", "off"] = "cymru"
    zone4: str = "origin.asn.cymru.com"
    zone6: str = "origin6.asn.cymru.com"
    zone_name: str = "asn.cymru.com"
    whoami: str = ""  # a name whose address is that of whoever asked for it
    bypass_tools: tuple[str, ...] = ()  # processes that alter packets on their way out of this machine
    mirror: Mirror | None = None  # asked where STUN, which says the same, is filtered
    mmdb: str = ""


class Settings(Setting):
    """configs/probe.toml."""

    resolvers: Annotated[tuple[Resolver, ...], Meta(min_length=1)]
    innocent_name: str  # what follow-ups say instead of a service's name
    pace: Pace = Pace()
    limits: Limits = Limits()
    network: Network = Network()
    # Addresses to take for public ones although they are not: a lab, an intranet.
    own_networks: tuple[str, ...] = ()


class Controls(Setting):
    """configs/controls.toml."""

    checked: date
    controls: Annotated[tuple[Control, ...], Meta(min_length=1)]


class Catalogue(Setting):
    """Everything in `configs/`."""

    settings: Settings
    controls: tuple[Control, ...]
    services: tuple[Service, ...]
    anchors: dict[str, str]
    digest: str

    def select(self, names: tuple[str, ...]) -> tuple[Service, ...]:
        """The named services, all without a name. Raises ConfigError for a name that does not exist."""
        known = {service.service: service for service in self.services}
        for name in names:
            if name not in known:
                raise ConfigError("services", name, f"there is no such service; there are {', '.join(known)}")
        return tuple(known[name] for name in names) if names else self.services


def load(folder: Path) -> Catalogue:
    """Read and check `folder`. Raises ConfigError."""
    if not (folder / "probe.toml").is_file():
        raise ConfigError(str(folder), "", "there is no probe.toml in this folder")
    digest = hashlib.sha256()
    settings = _read(folder / "probe.toml", Settings, digest)
    controls = _read(folder / "controls.toml", Controls, digest)
    services = []
    for path in sorted((folder / "services").glob("*.toml")):
        service = _read(path, Service, digest)
        if service.service != path.stem:
            raise ConfigError(
                str(path), "service", f"is {service.service!r} but the file is called {path.name}"
            )
        services.append(service)
    if not services:
        raise ConfigError(str(folder / "services"), "", "there is no service here")
    anchors = {path.stem: _text(path, digest) for path in sorted((folder / "trust").glob("*.pem"))}
    catalogue = Catalogue(
        settings=settings,
        controls=controls.controls,
        services=tuple(services),
        anchors=anchors,
        digest=digest.hexdigest()[:16],
    )
    _check(catalogue, folder)
    return catalogue


R = TypeVar("R")


def _text(path: Path, digest: "hashlib._Hash") -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigError(str(path), "", f"cannot be read ({error.strerror})") from None
    digest.update(path.name.encode() + b"\0" + raw + b"\0")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(str(path), "", f"is not UTF-8 text (byte {error.start})") from None


def _read(path: Path, shape: type[R], digest: "hashlib._Hash") -> R:
    try:
        return msgspec.convert(tomllib.loads(_text(path, digest)), shape)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(str(path), "", f"is not TOML: {error}") from None
    except msgspec.ValidationError as error:
        reason, _, where = str(error).partition(" - at `$")
        raise ConfigError(str(path), where.strip("`").lstrip("."), _lower_first(reason)) from None


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


def _check(catalogue: Catalogue, folder: Path) -> None:
    _check_settings(catalogue, str(folder / "probe.toml"))
    _check_targets(catalogue.controls, catalogue, str(folder / "controls.toml"), "controls")
    for service in catalogue.services:
        file = str(folder / "services" / f"{service.service}.toml")
        _check_targets(service.targets, catalogue, file, "targets")
        _check_networks(service.networks, file, "networks")
        _check_date(service.checked, file, "checked")


def _check_settings(catalogue: Catalogue, file: str) -> None:
    _check_networks(catalogue.settings.own_networks, file, "own_networks")
    if not _HOST.match(catalogue.settings.innocent_name):
        raise ConfigError(file, "innocent_name", "is not a host name")
    _unique((r.name for r in catalogue.settings.resolvers), file, "resolvers")
    for index, resolver in enumerate(catalogue.settings.resolvers):
        key = f"resolvers[{index}]"
        _check_addresses(resolver.addresses, file, f"{key}.addresses")
        _check_trust(resolver.trust, catalogue, file, f"{key}.trust")
        if resolver.over != "system" and not resolver.addresses:
            raise ConfigError(file, f"{key}.addresses", "is needed: a resolver is reached by address")
        if resolver.over in ("tls", "https") and not resolver.host:
            raise ConfigError(file, f"{key}.host", "is needed: it is the name the certificate must show")
    network = catalogue.settings.network
    if network.by == "mmdb" and not Path(network.mmdb).is_file():
        raise ConfigError(
            file, "network.mmdb", f"there is no file {network.mmdb!r}; network.by 'mmdb' needs one"
        )


_HOST = re.compile(r"^(?=.{1,253}$)([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*[A-Za-z0-9_-]{1,63}$")


def _check_targets(targets: tuple[Target, ...], catalogue: Catalogue, file: str, key: str) -> None:
    _unique((target.name for target in targets), file, key)
    for index, target in enumerate(targets):
        where = f"{key}[{index}] ({target.name})"
        if not target.host and not target.addresses:
            raise ConfigError(file, where, "has neither host nor addresses")
        if target.host and not _HOST.match(target.host):
            raise ConfigError(file, f"{where}.host", f"{target.host!r} is not a host name")
        if (target.purpose == "control") != isinstance(target, Control):
            raise ConfigError(
                file, f"{where}.purpose", "'control' is the purpose of controls, and theirs only"
            )
        _check_addresses(target.addresses, file, f"{where}.addresses")
        if target.checked:
            _check_date(target.checked, file, f"{where}.checked")
        _check_chain(target, catalogue, file, where)


def _check_chain(target: Target, catalogue: Catalogue, file: str, where: str) -> None:
    stream = False
    for index, step in enumerate(target.steps):
        key = f"{where}.steps[{index}]"
        word = type(step).__name__.lower()
        if step.needs == "stream" and not stream:
            raise ConfigError(file, key, f"{word} needs an open stream, and no step before it opens one")
        if step.needs == "address" and not isinstance(step, Dns) and not target.port:
            raise ConfigError(file, f"{where}.port", f"is needed by the step {word}")
        if stream and isinstance(step, Tcp | Quic):
            raise ConfigError(file, key, f"{word} cannot follow a step that opened a stream")
        if isinstance(step, Tls | Quic):
            _check_trust(step.trust, catalogue, file, f"{key}.trust")
            _check_pins(step.pins, file, f"{key}.pins")
            if step.sni == "host" and not target.host:
                raise ConfigError(file, f"{key}.sni", "is 'host', but the target has none")
        if isinstance(step, Turn) and bool(step.username or step.secret) != bool(
            step.password or step.secret
        ):
            raise ConfigError(file, key, "a user name needs a password or a secret, and the other way round")
        stream = stream or step.gives == "stream"


def _check_trust(trust: str, catalogue: Catalogue, file: str, key: str) -> None:
    if trust not in ("system", "any") and trust not in catalogue.anchors:
        raise ConfigError(file, key, f"there is no trust/{trust}.pem")


def _check_pins(pins: tuple[str, ...], file: str, key: str) -> None:
    for pin in pins:
        if not re.fullmatch(r"[0-9a-f]{64}", pin):
            raise ConfigError(file, key, f"{pin!r} is not a SHA-256 in lower-case hexadecimal")


def _check_addresses(addresses: tuple[str, ...], file: str, key: str) -> None:
    for address in addresses:
        try:
            ipaddress.ip_address(address)
        except ValueError:
            raise ConfigError(file, key, f"{address!r} is not an IP address") from None


def _check_networks(networks: tuple[str, ...], file: str, key: str) -> None:
    for network in networks:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            raise ConfigError(file, key, str(error)) from None


def _check_date(day: date, file: str, key: str) -> None:
    if not date(2020, 1, 1) <= day <= date(2100, 1, 1):
        raise ConfigError(file, key, f"{day} is not a plausible date of a check")


def _unique(names: Iterator[str], file: str, key: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ConfigError(file, key, f"the name {name!r} is there twice")
        seen.add(name)
