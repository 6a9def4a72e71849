"""The invented services and controls of the demonstration, and what its networks do to them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from probe.demo.path import (
    AfterPackets,
    AfterType,
    Drop,
    any_of,
    is_reflector_hello,
    is_stun,
    names,
    no_interference,
)

Kind = Literal["web", "plain", "mtproto", "noise", "relay", "dtls", "reflector", "quic"]
STREAMS: tuple[Kind, ...] = ("web", "plain", "mtproto", "noise")
SERVICES = ("paperplane", "pigeon", "tincan")
SEMAPHORE = "semaphore"  # a messenger without calls, whose servers prove themselves in protocols of real ones
FAR_END = "calls.far.example"  # the far end of test calls, which is no service's
_LOAD = bytes(range(256)) * 192  # 48 KiB
_PROBED = 0x0805  # a relay of WhatsApp's answers its client's probe with it; media comes next
_PACKETS = 32  # of which the opening of a call takes a few


@dataclass(frozen=True)
class Endpoint:
    """One stand-in: the host it is reached under, and how it speaks."""

    host: str
    kind: Kind

    @property
    def service(self) -> str:
        """The service it belongs to, or "" for a control."""
        name = self.host.split(".")[-2]
        return name if name in (*SERVICES, SEMAPHORE) else ""


ENDPOINTS = (
    *(Endpoint(f"chat.{service}.example", "web") for service in SERVICES),
    Endpoint("centre.semaphore.example", "mtproto"),
    Endpoint("post.semaphore.example", "noise"),
    Endpoint("relay.paperplane.example", "dtls"),
    Endpoint("relay.pigeon.example", "relay"),
    Endpoint("relay.tincan.example", "reflector"),
    Endpoint("www.large.example", "web"),
    Endpoint("www.hosted.example", "web"),
    Endpoint("www.home.example", "web"),
    Endpoint("canary.large.example", "plain"),
    Endpoint("stun.large.example", "relay"),
    Endpoint("stun.hosted.example", "relay"),
    Endpoint("quic.large.example", "quic"),
)

Page = tuple[int, Mapping[str, str], bytes]


def pages(endpoint: Endpoint) -> dict[str, Page]:
    """What the endpoint's web server has."""
    json = {"content-type": "application/json"}
    return {
        "/": (200, {}, b"hello"),
        "/version": (200, json, b'{"version": 1}'),
        "/canary": (204, {}, b""),
        "/load": (200, {}, _LOAD if endpoint.host == "www.large.example" else b""),
    }


@dataclass(frozen=True)
class DemoNetwork:
    """A network in front of the stand-ins."""

    name: str
    filtered_relays: tuple[str, ...] = ()  # services whose relays' STUN vanishes
    filters_calls: bool = False  # by what they look like, wherever they go
    filtered_names: tuple[str, ...] = ()  # services whose name in a TLS hello is answered by a reset
    denied_names: tuple[str, ...] = ()  # services that its resolver says do not exist
    cut: tuple[str, ...] = ()  # hosts after whose first answer nothing passes any more
    impersonated: tuple[str, ...] = ()  # hosts in whose place somebody else answers

    def resets(self, endpoint: Endpoint) -> Drop:
        """What first bytes of a stream to this endpoint are answered by a reset."""
        if endpoint.kind == "web" and self.filtered_names:
            return names(*(f"chat.{service}.example" for service in self.filtered_names))
        return no_interference

    def drops(self, service: str = "") -> Drop:
        """What vanishes of one flow of datagrams, to a relay of this service or to anybody else."""
        drops: list[Drop] = [is_stun] if service in self.filtered_relays else []
        if self.filters_calls:
            drops += [AfterType(_PROBED), AfterPackets(_PACKETS, is_reflector_hello)]
        return any_of(*drops)

    @property
    def denied(self) -> frozenset[str]:
        """The names its resolver denies."""
        return frozenset(f"chat.{service}.example" for service in self.denied_names)


NETWORKS = (
    DemoNetwork("open"),
    DemoNetwork("calls filtered", filtered_relays=("pigeon",), filters_calls=True),
    DemoNetwork(
        "names and calls",
        filtered_relays=("pigeon",),
        filters_calls=True,
        filtered_names=("paperplane",),
        denied_names=("pigeon",),
        cut=("centre.semaphore.example",),
        impersonated=("post.semaphore.example",),
    ),
)
