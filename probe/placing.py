"""Test calls: who they go to, which targets are calls, and what they cost. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec

from probe.catalogue import Catalogue, Target
from probe.steps import Call, Media, Tcp, Tls
from probe.steps.signalling import ALPN

_SET_UP = 3.0  # seconds for signalling, opening and the log of one flow


@dataclass(frozen=True, kw_only=True)
class FarEnd:
    """Where test calls go."""

    host: str
    port: int = 443
    key: str = ""
    trust: str = "system"


def far_end(url: str, trust: str) -> FarEnd:
    """A far end by its URL, https://HOST[:PORT][/][#KEY]. Raises ValueError, in words."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 443
    except ValueError:
        raise ValueError("is not a URL") from None
    if parts.scheme != "https" or not host:
        raise ValueError(
            "must begin with https:// and name a host: what is said to a far end must not be read on the way"
        )
    if parts.path not in ("", "/") or parts.query or parts.username:
        raise ValueError("must be no more than https://HOST, a port, and #KEY if its operator gave you one")
    return FarEnd(host=host, port=port, key=parts.fragment, trust=trust)


T = TypeVar("T", bound=Target)


def place(target: T, far: FarEnd | None) -> T | None:
    """The target with its endpoint: one at the far end gets that one's, and its TCP and TLS steps; None without one."""
    if target.at == "endpoint":
        return target
    if far is None:
        return None
    steps = tuple(
        msgspec.structs.replace(step, trust=far.trust) if isinstance(step, Media | Call) else step
        for step in target.steps
    )
    opened = (Tcp(), Tls(alpn=ALPN, trust=far.trust))
    return msgspec.structs.replace(target, host=far.host, port=far.port, steps=(*opened, *steps))


def is_media(target: Target) -> bool:
    """Whether it sends media to the far end."""
    return any(isinstance(step, Media | Call) for step in target.steps)


@dataclass(frozen=True)
class Cost:
    """What media costs: seconds of the run, and bytes of UDP payload each way."""

    seconds: float
    octets: int


def cost(targets: Iterable[Target], catalogue: Catalogue) -> Cost:
    """What the media of these targets costs, if all of it goes through at the first try."""
    alone, together, octets = 0.0, 0.0, 0
    for target in targets:
        for step in target.steps:
            if not isinstance(step, Media | Call):
                continue
            names = step.profiles or (
                catalogue.shapes[step.shape].profiles if isinstance(step, Media) else ()
            )
            profiles = [catalogue.profiles[name] for name in names]
            seconds = sum(profile.seconds for profile in profiles) + _SET_UP
            octets += sum(profile.octets for profile in profiles)
            if isinstance(step, Call):
                alone += seconds
            else:
                together += seconds
    return Cost(alone + together / catalogue.settings.pace.media, octets)
