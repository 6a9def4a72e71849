"""What can be measured: services, controls and settings, as people write them in `configs/`.

configs/probe.toml            Settings: resolvers, pace, limits, names
configs/controls.toml         Controls: targets whose answer says how the network is
configs/services/*.toml       Service: one messenger each
configs/shapes/*.toml         Shape: what packets of a call look like
configs/profiles.toml         Profiles: sizes and times of media
configs/trust/*.pem           trust anchors that targets name
"""

from datetime import date
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from probe.media.shape import Profile, Shape
from probe.model import Purpose
from probe.record import Setting
from probe.step import Supplies
from probe.steps import AnyStep
from probe.toml_file import ConfigError

Name: TypeAlias = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
Port: TypeAlias = Annotated[int, Meta(ge=0, le=65535)]
# How well a statement is supported: read in source, seen in a capture, reported, inferred, known, unknown.
Support: TypeAlias = Literal["source", "capture", "report", "inferred", "known", "unknown"]
Tier: TypeAlias = Literal["core", "extra", "experimental"]
ControlClass: TypeAlias = Literal["domestic", "foreign-large", "foreign-hosting"]


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
    # "extended": looks like a call to somebody else's machine, or triggers on purpose; only if the user asks for it.
    tests: Literal["default", "extended"] = "default"
    # Where it is: an endpoint of its own, or the far end, if there is one. Then host, port and the TCP and TLS
    # connection that its signalling goes over are the far end's, and `steps` begin after these.
    # "turn": the TURN server of probe.toml, where there is no far end.
    at: Literal["endpoint", "far-end", "turn"] = "endpoint"
    host: str = ""
    port: Port = 0
    addresses: tuple[str, ...] = ()  # tried even if the look-up lies
    addresses_from: Name | Literal[""] = ""  # another target of the service, whose answer lists addresses
    # Another target of the service, whose look-up has a form (`like`). SRV: its hosts and ports are this target's. PTR:
    # its words in braces stand in `host`.
    hosts_from: Name | Literal[""] = ""
    source: str = ""  # empty: the service's
    checked: date | None = None  # None: the service's
    note: str = ""


class Control(Target, kw_only=True):
    """A target that only says how the network is."""

    class_: ControlClass = msgspec.field(name="class")
    country: Annotated[str, Meta(pattern=r"^[A-Z]{2}$")] | Literal[""] = ""  # of a domestic control
    # portal: a canary for sign-in pages; load: a body to measure speed by; closed: a port where nobody listens,
    # to learn whether a refusal of UDP (ICMP port unreachable) gets through to us at all; media: a flow to the far end
    # that looks like nobody's.
    role: Literal["control", "portal", "load", "closed", "media"] = "control"


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


class FarEnd(Setting):
    """Whom test calls are placed to. `url` may end in #KEY, the access key that its operator gave out."""

    url: str = ""  # empty: nobody; https://HOST[:PORT]
    trust: str = "system"


class Turn(Setting):
    """A TURN server of yours, to place a call to yourself through where there is no far end."""

    host: str = ""  # empty: none
    username: str = ""
    password: str = ""
    secret: str = ""  # instead of a password: time-limited credentials are made from it
    udp: Port = 3478  # 0: not offered
    tcp: Port = 3478
    tls: Port = 5349


class Pace(Setting):
    """How much at once."""

    flows: Annotated[int, Meta(ge=1, le=512)] = 96
    per_host: Annotated[int, Meta(ge=1, le=32)] = 4
    gap: Annotated[float, Meta(ge=0, le=10)] = 0.02  # seconds between two flows to one address
    media: Annotated[int, Meta(ge=1, le=8)] = 3  # paced flows at once; a call with video goes alone


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


class Collector(Setting):
    """Whom results are sent to, once the volunteer agrees."""

    url: Annotated[str, Meta(pattern=r"^https?://[^/?#@\s]+(/[^?#\s]*)?$")]
    key: Annotated[str, Meta(pattern="^([A-Za-z0-9_-]{43})?$")] = (
        ""  # Ed25519, base64url; empty: none is pinned
    )
    trust: str = "system"  # or the name of a file in trust/
    proxy: str = ""  # socks5://HOST:PORT or http://HOST:PORT; empty: ALL_PROXY, if it is set

    @property
    def host(self) -> str:
        """HOST[:PORT], the name under which it is agreed to and its receipts are kept."""
        return self.url.split("/")[2].lower()


class Queue(Setting):
    """How much may wait to be sent before measuring stops; nothing that waits is ever deleted."""

    bytes: Annotated[int, Meta(ge=1_000_000)] = 200_000_000
    free: Annotated[int, Meta(ge=1_000_000)] = 50_000_000  # bytes of the disk that are left alone


class Settings(Setting):
    """configs/probe.toml."""

    resolvers: Annotated[tuple[Resolver, ...], Meta(min_length=1)]
    innocent_name: str  # what follow-ups say instead of a service's name
    pace: Pace = Pace()
    limits: Limits = Limits()
    network: Network = Network()
    far_end: FarEnd = FarEnd()
    turn: Turn = Turn()
    collectors: tuple[Collector, ...] = ()
    queue: Queue = Queue()
    # Addresses to take for public ones although they are not: a lab, an intranet.
    own_networks: tuple[str, ...] = ()


class Controls(Setting):
    """configs/controls.toml."""

    checked: date
    controls: Annotated[tuple[Control, ...], Meta(min_length=1)]


class Profiles(Setting):
    """configs/profiles.toml."""

    profiles: tuple[Profile, ...]


class Catalogue(Setting):
    """Everything in `configs/`."""

    settings: Settings
    controls: tuple[Control, ...]
    services: tuple[Service, ...]
    anchors: dict[str, str]
    digest: str
    shapes: dict[str, Shape] = {}
    profiles: dict[str, Profile] = {}

    @property
    def supplies(self) -> Supplies:
        """What steps use of it."""
        return Supplies(anchors=self.anchors, shapes=self.shapes, profiles=self.profiles)

    def select(self, names: tuple[str, ...]) -> tuple[Service, ...]:
        """The named services, all without a name. Raises ConfigError for a name that does not exist."""
        known = {service.service: service for service in self.services}
        for name in names:
            if name not in known:
                raise ConfigError("services", name, f"there is no such service; there are {', '.join(known)}")
        return tuple(known[name] for name in names) if names else self.services
