"""`far-end.toml`: what a far end listens on, who may come, and how much each may use."""

import ipaddress
from pathlib import Path
from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta

from probe.record import Setting, is_address
from probe.toml_file import ConfigError, read

Port: TypeAlias = Annotated[int, Meta(ge=0, le=65535)]
_LEAST_SECRET = 12  # characters
_EXAMPLE = Path(__file__).with_name("example.toml")


class TurnServer(Setting):
    """A coturn beside the far end, with `use-auth-secret`. Ports: 0 is not offered."""

    host: str
    secret: str
    udp: Port = 3478
    tcp: Port = 3478
    tls: Port = 5349


class Limits(Setting):
    """How much at once, and how much in all."""

    sessions: Annotated[int, Meta(ge=1, le=10_000)] = (
        300  # begun by one client in an hour: a run begins one for each test
    )
    flows: Annotated[int, Meta(ge=0, le=10_000)] = 300  # paced flows at once, of everybody
    calls: Annotated[int, Meta(ge=0, le=1_000)] = 60  # calls at once, of everybody; 0: none are taken
    per_session: Annotated[int, Meta(ge=1, le=1_000)] = 8  # flows and calls at once
    seconds: Annotated[float, Meta(ge=1, le=3600)] = 180.0  # of one flow or call
    octets: Annotated[int, Meta(ge=10_000, le=10**10)] = 20_000_000  # of one session, up


class FarEndSettings(Setting):
    """far-end.toml."""

    listen: Annotated[tuple[str, ...], Meta(min_length=1)]  # ADDRESS:PORT of HTTPS
    certificate: str = (
        ""  # paths of PEM files; none: plain HTTP, on loopback only, behind a proxy of one's own
    )
    key: str = ""
    proxied: bool = False  # the client is the last one that X-Forwarded-For names
    media: tuple[str, ...] = ()  # addresses of UDP and WebRTC; none: all of this machine's
    # Of these addresses, those that are seen as another from outside: a cloud's one-to-one NAT.
    seen_as: dict[str, str] = {}
    udp: tuple[Port, ...] = ()
    tcp: tuple[Port, ...] = ()
    keys: tuple[Annotated[str, Meta(max_length=128)], ...] = ()  # access keys; none: anybody may come
    turn: TurnServer | None = None
    limits: Limits = Limits()


def load(path: Path) -> FarEndSettings:
    """Read and check a file; paths in it are relative to its folder. Raises ConfigError."""
    settings = read(path, FarEndSettings)
    _check(settings, str(path))
    folder = path.parent
    return msgspec.structs.replace(
        settings,
        certificate=str(folder / settings.certificate) if settings.certificate else "",
        key=str(folder / settings.key) if settings.key else "",
    )


def example() -> str:
    """A far-end.toml with everything in it explained."""
    return _EXAMPLE.read_text(encoding="utf-8")


def endpoint(text: str) -> tuple[str, int]:
    """`192.0.2.1:443` or `[2001:db8::1]:443`, taken apart. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise ValueError("is not ADDRESS:PORT")
    bare = host.removeprefix("[").removesuffix("]")
    if (":" in bare) != host.startswith("[") or host.startswith("[") != host.endswith("]"):
        raise ValueError("is not ADDRESS:PORT; an IPv6 address stands in [ ]")
    if not is_address(bare):
        raise ValueError("is not ADDRESS:PORT; host names cannot be listened on")
    return bare, int(port)


def _check(settings: FarEndSettings, file: str) -> None:
    _check_listen(settings, file)
    _check_media(settings, file)
    for index, key in enumerate(settings.keys):
        if len(key) < _LEAST_SECRET:
            raise ConfigError(file, f"keys[{index}]", f"is shorter than {_LEAST_SECRET} characters")
    if settings.turn is not None:
        if not settings.turn.host:
            raise ConfigError(file, "turn.host", "is empty")
        if len(settings.turn.secret) < _LEAST_SECRET:
            raise ConfigError(file, "turn.secret", f"is shorter than {_LEAST_SECRET} characters")


def _check_media(settings: FarEndSettings, file: str) -> None:
    for index, address in enumerate(settings.media):
        reason = _why_no_media(address)
        if reason:
            raise ConfigError(file, f"media[{index}]", f"{address!r} {reason}")
    for address, seen in settings.seen_as.items():
        if not is_address(address) or not is_address(seen) or (":" in address) != (":" in seen):
            raise ConfigError(
                file, f"seen_as.{address!r}", "maps one IP address to another of the same family"
            )
    for name, ports in (("udp", settings.udp), ("tcp", settings.tcp)):
        twice = next((port for port in ports if port and ports.count(port) > 1), None)
        if twice is not None:
            raise ConfigError(file, name, f"the port {twice} is there twice")


def _check_listen(settings: FarEndSettings, file: str) -> None:
    if bool(settings.certificate) != bool(settings.key):
        raise ConfigError(file, "certificate", "certificate and key are needed both, or neither")
    for index, text in enumerate(settings.listen):
        try:
            address, _ = endpoint(text)
        except ValueError as error:
            raise ConfigError(file, f"listen[{index}]", f"{text!r} {error}") from None
        if ipaddress.ip_address(address).is_loopback:
            continue
        if not settings.certificate:
            raise ConfigError(file, f"listen[{index}]", f"{text!r} is not loopback; that needs a certificate")
        if settings.proxied:
            reason = "is not loopback; with `proxied` anybody could say there who they are"
            raise ConfigError(file, f"listen[{index}]", f"{text!r} {reason}")


def _why_no_media(address: str) -> str:
    if not is_address(address):
        return "is not an IP address"
    ip = ipaddress.ip_address(address)
    if ip.is_unspecified:
        # Answers must leave from the address that was spoken to, and a wildcard socket does not know which.
        return "stands for all addresses; name them, or leave `media` out"
    return "is no address of one machine" if ip.is_multicast else ""
