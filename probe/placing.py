"""Test calls: who they go to, which targets are calls, and what they cost. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec

from probe.catalogue import Catalogue, Target, Turn
from probe.step import TurnAccess
from probe.steps import AnyStep, Call, Loop, Media, ReflectorLoop, Tcp, Tls
from probe.steps.signalling import ALPN
from probe.steps.turn import credentials

# Media that suffers is tried again in other likenesses: so many times its cost, and so much more, it may take.
_SPARE, _MORE_SECONDS, _MORE_OCTETS = 3.0, 90.0, 2_000_000
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
        host, port = parts.hostname or "", 443 if parts.port is None else parts.port
    except ValueError:
        raise ValueError("is not a URL") from None
    if parts.scheme != "https" or not host:
        raise ValueError(
            "must begin with https:// and name a host: what is said to a far end must not be read on the way"
        )
    if parts.path not in ("", "/") or parts.query or parts.username:
        raise ValueError("must be no more than https://HOST, a port, and #KEY if its operator gave you one")
    if not port:
        raise ValueError("has a port that nobody can listen at")
    return FarEnd(host=host, port=port, key=parts.fragment, trust=trust)


T = TypeVar("T", bound=Target)


def place(target: T, far: FarEnd | None, turn: Turn = Turn()) -> T | None:  # noqa: B008 - frozen
    """The target with its endpoint; None where what it goes to is not there.

    One at the far end gets that one's, and its TCP and TLS steps; one through the TURN server goes there only where
    there is no far end.
    """
    match target.at:
        case "endpoint":
            return target
        case "turn":
            return None if far is not None else _through(target, turn)
        case "far-end" if far is None:
            return None
    assert far is not None
    steps = tuple(
        msgspec.structs.replace(step, trust=far.trust) if isinstance(step, Media | Call) else step
        for step in target.steps
    )
    opened = (Tcp(), Tls(alpn=ALPN, trust=far.trust))
    return msgspec.structs.replace(target, host=far.host, port=far.port, steps=(*opened, *steps))


def _through(target: T, turn: Turn) -> T | None:
    ports = {"udp": turn.udp, "tcp": turn.tcp, "tls": turn.tls}
    over = next((step.over for step in target.steps if isinstance(step, Loop)), "")
    port = ports.get(over, 0)
    return msgspec.structs.replace(target, host=turn.host, port=port) if turn.host and port else None


def turn_server(turn: Turn, now: float) -> TurnAccess | None:
    """The server of the settings with credentials that are good from `now` (Unix time) on."""
    if not turn.host:
        return None
    username, password = credentials(turn.username, turn.password, turn.secret, now)
    return TurnAccess(
        host=turn.host, username=username, password=password, udp=turn.udp, tcp=turn.tcp, tls=turn.tls
    )


def is_media(target: Target) -> bool:
    """Whether it sends media."""
    return any(isinstance(step, Media | Call | Loop | ReflectorLoop) for step in target.steps)


@dataclass(frozen=True)
class Cost:
    """What media costs: seconds of the run, and bytes of UDP payload each way."""

    seconds: float
    octets: int

    @property
    def most_seconds(self) -> float:
        """Of a run, with what has to be asked again."""
        return _MORE_SECONDS + _SPARE * self.seconds if self.octets else 0.0

    @property
    def most_octets(self) -> int:
        """Both ways together, with what has to be asked again."""
        return _MORE_OCTETS + round(_SPARE * 2 * self.octets) if self.octets else 0


def cost(targets: Iterable[Target], catalogue: Catalogue) -> Cost:
    """What the media of these targets costs, if all of it goes through at the first try."""
    alone, together, octets = 0.0, 0.0, 0
    for target in targets:
        for step in target.steps:
            profiles = [catalogue.profiles[name] for name in _profiles(step, catalogue)]
            if not profiles:
                continue
            seconds = sum(profile.seconds for profile in profiles) + _SET_UP
            octets += sum(profile.octets for profile in profiles)
            if isinstance(step, Call | Loop):
                alone += seconds
            else:
                together += seconds
    return Cost(alone + together / catalogue.settings.pace.media, octets)


def _profiles(step: AnyStep, catalogue: Catalogue) -> tuple[str, ...]:
    match step:
        case Media():
            return step.profiles or catalogue.shapes[step.shape].profiles
        case Call() | Loop():
            return step.profiles
        case ReflectorLoop():
            return (step.profile,)
        case _:
            return ()
