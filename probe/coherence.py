"""What the shape of a configuration cannot say: whether its parts fit each other."""

import ipaddress
import re
from collections.abc import Iterable
from datetime import date
from pathlib import Path

from probe.anchors import x25519_keys
from probe.catalogue import Catalogue, Control, Target
from probe.media.shape import Shape, kinds
from probe.media.template import TemplateError
from probe.mtproto.crypto import keys as rsa_keys
from probe.steps import (
    AnyStep,
    Call,
    Dns,
    Fallback,
    Http,
    Loop,
    Media,
    Mtproto,
    Noise,
    Quic,
    ReflectorLoop,
    Tcp,
    Threema,
    Tls,
    Turn,
    Websocket,
)  # fmt: skip
from probe.steps.dns_names import form
from probe.toml_file import ConfigError


def check(catalogue: Catalogue, folder: Path) -> None:
    """Raise ConfigError for the first thing that does not fit another."""
    _check_settings(catalogue, str(folder / "probe.toml"))
    _check_targets(catalogue.controls, catalogue, str(folder / "controls.toml"), "controls")
    for name, shape in catalogue.shapes.items():
        _check_shape(shape, catalogue, str(folder / "shapes" / f"{name}.toml"))
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
        _check_roots(resolver.trust, catalogue, file, f"{key}.trust")
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
    lists = {
        target.name
        for target in targets
        if any(isinstance(s, Http) and s.addresses_within for s in target.steps)
    }
    for index, target in enumerate(targets):
        where = f"{key}[{index}] ({target.name})"
        _check_place(target, file, where)
        _check_hosts_from(target, targets, file, where)
        plain = re.sub(r"\{[a-z]+\}", "x", target.host) if target.hosts_from else target.host
        if target.host and not _HOST.match(plain):
            raise ConfigError(file, f"{where}.host", f"{target.host!r} is not a host name")
        if (target.purpose == "control") != isinstance(target, Control):
            raise ConfigError(
                file, f"{where}.purpose", "'control' is the purpose of controls, and theirs only"
            )
        _check_addresses(target.addresses, file, f"{where}.addresses")
        if target.addresses_from and target.addresses_from not in lists:
            raise ConfigError(
                file, f"{where}.addresses_from", f"{target.addresses_from!r} lists no addresses"
            )
        if target.checked:
            _check_date(target.checked, file, f"{where}.checked")
        _check_chain(target, catalogue, file, where)


def _check_hosts_from(target: Target, targets: tuple[Target, ...], file: str, where: str) -> None:
    if not target.hosts_from:
        return
    key = f"{where}.hosts_from"
    source = next((t.steps[-1] for t in targets if t.name == target.hosts_from), None)
    if not isinstance(source, Dns) or not source.like:
        raise ConfigError(
            file, key, f"{target.hosts_from!r} lists no hosts: it is no dns step with a form (like)"
        )
    if target.addresses_from or target.addresses:
        raise ConfigError(file, key, "does not go with addresses or addresses_from: the host is looked up")
    if source.type == "SRV" and target.host:
        raise ConfigError(file, f"{where}.host", "comes from hosts_from, so the target has none of its own")
    said, words = re.findall(r"\{([a-z]+)\}", target.host), set(form(source.like).words)
    if source.type == "PTR" and (not said or not set(said) <= words):
        raise ConfigError(file, f"{where}.host", f"needs a word in braces that {source.like!r} has")
    if source.type == "PTR" and any("{" in label for label in target.host.split(".")[-2:]):
        raise ConfigError(file, f"{where}.host", "has a word in braces in its last two labels")


def _check_place(target: Target, file: str, where: str) -> None:
    if target.at != "endpoint" and (target.host or target.addresses or target.port):
        raise ConfigError(
            file, f"{where}.at", "is the far end, so host, addresses and port are not the target's"
        )
    if target.at == "endpoint" and not (
        target.host or target.addresses or target.addresses_from or target.hosts_from
    ):
        raise ConfigError(file, where, "has neither host nor addresses")


def _check_shape(shape: Shape, catalogue: Catalogue, file: str) -> None:
    try:
        kinds(shape)
    except TemplateError as error:
        raise ConfigError(file, "packets", str(error)) from None
    _check_profiles(shape.profiles, catalogue, file, "profiles")


def _check_profiles(names: Iterable[str], catalogue: Catalogue, file: str, key: str) -> None:
    for name in names:
        if name not in catalogue.profiles:
            raise ConfigError(file, key, f"there is no profile {name!r} in profiles.toml")


def _check_media(step: Media | Call, catalogue: Catalogue, file: str, key: str) -> None:
    if isinstance(step, Media) and step.shape not in catalogue.shapes:
        raise ConfigError(file, f"{key}.shape", f"there is no shapes/{step.shape}.toml")
    _check_profiles(step.profiles, catalogue, file, f"{key}.profiles")


def _check_chain(target: Target, catalogue: Catalogue, file: str, where: str) -> None:
    stream = target.at == "far-end"
    for index, step in enumerate(target.steps):
        key = f"{where}.steps[{index}]"
        word = type(step).__name__.lower()
        if step.needs == "stream" and not stream:
            raise ConfigError(file, key, f"{word} needs an open stream, and no step before it opens one")
        if (
            step.needs == "address"
            and not isinstance(step, Dns)
            and not target.port
            and target.at == "endpoint"
            and not (target.hosts_from and not target.host)  # an SRV record has the port
        ):
            raise ConfigError(file, f"{where}.port", f"is needed by the step {word}")
        if stream and isinstance(step, Tcp | Quic):
            raise ConfigError(file, key, f"{word} cannot follow a step that opened a stream")
        if isinstance(step, Tls | Quic):
            _check_roots(step.trust, catalogue, file, f"{key}.trust")
            _check_pins(step.pins, file, f"{key}.pins")
            if step.sni == "host" and not (target.host or target.hosts_from):
                raise ConfigError(file, f"{key}.sni", "is 'host', but the target has none")
        _check_step(step, target, catalogue, file, key)
        stream = stream or step.gives == "stream"


def _check_step(step: AnyStep, target: Target, catalogue: Catalogue, file: str, key: str) -> None:
    """What a step itself asks for."""
    if isinstance(step, Media | Call):
        if target.at != "far-end":
            word = type(step).__name__.lower()
            raise ConfigError(file, key, f'{word} goes to the far end: the target wants at = "far-end"')
        _check_media(step, catalogue, file, key)
    if isinstance(step, Loop):
        if target.at != "turn":
            raise ConfigError(file, key, 'loop goes through the TURN server: the target wants at = "turn"')
        _check_profiles(step.profiles, catalogue, file, f"{key}.profiles")
    if isinstance(step, Websocket) and any(isinstance(s, Tls) and "h2" in s.alpn for s in target.steps):
        raise ConfigError(file, key, 'websocket is an upgrade of HTTP/1.1: its tls wants alpn = ["http/1.1"]')
    if isinstance(step, ReflectorLoop):
        _check_profiles((step.profile,), catalogue, file, f"{key}.profile")
    if isinstance(step, Turn) and bool(step.username or step.secret) != bool(step.password or step.secret):
        raise ConfigError(file, key, "a user name needs a password or a secret, and the other way round")
    if isinstance(step, Mtproto | Fallback | Noise | Threema):
        _check_keys(step, catalogue, file, f"{key}.trust")


def _check_trust(trust: str, catalogue: Catalogue, file: str, key: str) -> None:
    if trust not in ("system", "any") and trust not in catalogue.anchors:
        raise ConfigError(file, key, f"there is no trust/{trust}.pem")


def _check_roots(trust: str, catalogue: Catalogue, file: str, key: str) -> None:
    _check_trust(trust, catalogue, file, key)
    if "BEGIN CERTIFICATE" not in catalogue.anchors.get(trust, "BEGIN CERTIFICATE"):
        raise ConfigError(file, key, f"there is no certificate in trust/{trust}.pem")


def _check_keys(
    step: Mtproto | Fallback | Noise | Threema, catalogue: Catalogue, file: str, key: str
) -> None:
    if step.trust not in catalogue.anchors:
        raise ConfigError(file, key, f"there is no trust/{step.trust}.pem")
    read = x25519_keys if isinstance(step, Noise | Threema) else rsa_keys
    try:
        read(catalogue.anchors[step.trust])
    except ValueError as error:
        raise ConfigError(file, key, f"trust/{step.trust}.pem cannot be used: {error}") from None


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


def _unique(names: Iterable[str], file: str, key: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ConfigError(file, key, f"the name {name!r} is there twice")
        seen.add(name)
