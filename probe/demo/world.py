"""The invented services and controls of the demonstration, and what its networks do to them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from probe.demo.path import Drop, is_stun, names, no_interference

Kind = Literal["web", "plain", "relay", "quic"]
SERVICES = ("paperplane", "pigeon", "tincan")
_LOAD = bytes(range(256)) * 192  # 48 KiB


@dataclass(frozen=True)
class Endpoint:
    """One stand-in: the host it is reached under, and how it speaks."""

    host: str
    kind: Kind

    @property
    def service(self) -> str:
        """The service it belongs to, or "" for a control."""
        name = self.host.split(".")[-2]
        return name if name in SERVICES else ""


ENDPOINTS = (
    *(Endpoint(f"chat.{service}.example", "web") for service in SERVICES),
    *(Endpoint(f"relay.{service}.example", "relay") for service in SERVICES),
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
    filtered_relays: tuple[str, ...] = ()  # services whose STUN vanishes
    filtered_names: tuple[str, ...] = ()  # services whose name in a TLS hello is answered by a reset
    denied_names: tuple[str, ...] = ()  # services that its resolver says do not exist

    def interference(self, endpoint: Endpoint) -> Drop:
        """What it does on the way to this endpoint."""
        if endpoint.kind == "relay" and endpoint.service in self.filtered_relays:
            return is_stun
        if endpoint.kind == "web" and self.filtered_names:
            return names(*(f"chat.{service}.example" for service in self.filtered_names))
        return no_interference

    @property
    def denied(self) -> frozenset[str]:
        """The names its resolver denies."""
        return frozenset(f"chat.{service}.example" for service in self.denied_names)


NETWORKS = (
    DemoNetwork("open"),
    DemoNetwork("calls filtered", filtered_relays=("paperplane", "pigeon")),
    DemoNetwork(
        "names and calls",
        filtered_relays=("paperplane", "pigeon"),
        filtered_names=("paperplane",),
        denied_names=("pigeon",),
    ),
)
