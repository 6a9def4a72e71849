"""What a call looks like on the wire: its shape (payloads) and its profile (sizes and times), as data. Pure."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Meta

from probe.media.stamp import KINDS, SIZE
from probe.media.template import Template, TemplateError
from probe.record import Setting

Name: TypeAlias = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
# What is sent instead of a shape, at the same sizes and times, to learn what of it is minded:
#   random   bytes that no protocol of a call begins with
#   generic  plain STUN, then RTP: a call, but nobody's in particular
#   cookie   the shape with the last byte of STUN's magic cookie changed
#   port     the shape itself, to another port
Disguise: TypeAlias = Literal["", "random", "generic", "cookie", "port"]
OTHER_PORT = 41000
_COOKIE, _NEARLY = "2112a442", "2112a443"
_STUN, _RTP = 20, 12  # bytes of a header


class Profile(Setting):
    """Sizes and times of one stage of a call: a packet every `every` seconds, of `sizes` bytes of UDP payload."""

    name: Name
    title: str
    every: Annotated[float, Meta(ge=0.005, le=5.0)]
    sizes: tuple[Annotated[int, Meta(ge=20, le=1400)], Annotated[int, Meta(ge=20, le=1400)]]
    seconds: Annotated[float, Meta(ge=0.5, le=180.0)]
    source: str

    @property
    def octets(self) -> int:
        """Bytes of UDP payload, each way, that a stage costs."""
        return round(self.seconds / self.every * sum(self.sizes) / 2)


def shortened(profiles: Iterable[Profile], seconds: float) -> list[Profile]:
    """The stages as far as so many seconds go; all of them for 0."""
    found, left = list[Profile](), seconds or float("inf")
    for profile in profiles:
        if left < profile.every:
            break
        found.append(msgspec.structs.replace(profile, seconds=min(profile.seconds, left)))
        left -= profile.seconds
    return found


class Exchange(Setting):
    """A packet and its answer: "same" mirrors it, "none" stays silent."""

    up: str
    down: str = "same"


class Opening(Exchange, kw_only=True):
    """One of the first packets, sent again until it is answered; `times` sends it so often even if it is."""

    name: Name
    times: Annotated[int, Meta(ge=1, le=8)] = 1


class Beside(Exchange, kw_only=True):
    """A packet that goes beside the media every so many seconds."""

    name: Name
    every: Annotated[float, Meta(ge=0.05, le=60.0)]


class Shape(Setting):
    """The payload dialect of a flow. `imitates` names a service, or is empty for one that is nobody's."""

    shape: Name
    title: str
    source: str
    checked: date
    port: Annotated[int, Meta(ge=1, le=65535)]  # where the real one goes
    media: Exchange
    opening: tuple[Opening, ...] = ()
    beside: tuple[Beside, ...] = ()
    profiles: tuple[Name, ...] = ("voice",)
    imitates: Name | Literal[""] = ""
    ndpi: str = ""  # what the open classifier nDPI takes it for; empty: unknown
    note: str = ""


@dataclass(frozen=True)
class Kind:
    """One kind of packet of a shape, ready to be rendered. `every` is 0 for what is not periodic."""

    name: str
    role: Literal["opening", "media", "beside"]
    up: Template
    down: Template | None
    times: int = 1
    every: float = 0.0


def kinds(shape: Shape) -> tuple[Kind, ...]:
    """Every kind of packet, in the order of their indices. Raises TemplateError, naming the packet."""
    found = tuple(_kinds(shape))
    if len(found) > KINDS:
        raise TemplateError(f"has {len(found)} kinds of packets; {KINDS} are possible")
    media = next(kind for kind in found if kind.role == "media")
    if media.up.size is not None or media.up.stamp_at is None:
        raise TemplateError("media: needs a {stamp} and a {fill}")
    if any(kind.role == "opening" and kind.up.stamp_at is None for kind in found):
        raise TemplateError("opening: needs a {stamp}")
    return found


def _kinds(shape: Shape) -> Iterator[Kind]:
    for one in shape.opening:
        yield Kind(one.name, "opening", *_both(one, one.name), times=one.times)
    yield Kind("media", "media", *_both(shape.media, "media"))
    for more in shape.beside:
        yield Kind(more.name, "beside", *_both(more, more.name), every=more.every)


def _both(exchange: Exchange, name: str) -> tuple[Template, Template | None]:
    try:
        up = Template(exchange.up)
        if exchange.down == "none":
            return up, None
        return up, up if exchange.down == "same" else Template(exchange.down)
    except TemplateError as error:
        raise TemplateError(f"{name}: {error}") from None


def disguised(shape: Shape, disguise: Disguise) -> Shape:
    """The shape as one of its controls sends it: same number of packets, same sizes, same times."""
    if disguise in ("", "port"):
        return msgspec.structs.replace(shape, port=OTHER_PORT) if disguise else shape
    change = {"random": _random, "generic": _generic, "cookie": _nearly}[disguise]
    return msgspec.structs.replace(
        shape,
        media=_with(shape.media, change, media=True),
        opening=tuple(_with(one, change) for one in shape.opening),
        beside=tuple(_with(one, change) for one in shape.beside),
    )


def has_cookie(shape: Shape) -> bool:
    """Whether STUN's magic cookie is in any packet that goes up, so that changing it means something."""
    texts = [shape.media.up, *(one.up for one in shape.opening), *(one.up for one in shape.beside)]
    return any(_COOKIE in text.replace(" ", "").lower() for text in texts)


E = TypeVar("E", bound=Exchange)
Change: TypeAlias = Callable[[str, bool, bool], str]  # text, whether it is media, whether it is an answer


def _with(exchange: E, change: Change, *, media: bool = False) -> E:
    down = exchange.down if exchange.down == "none" else change(_answer(exchange), media, True)
    return msgspec.structs.replace(exchange, up=change(exchange.up, media, False), down=down)


def _answer(exchange: Exchange) -> str:
    return exchange.up if exchange.down == "same" else exchange.down


def _random(text: str, media: bool, answer: bool) -> str:
    template = Template(text)
    marked = template.stamp_at is not None
    fill = " {fill}" if template.size is None else ""
    return "{high}" + (" {stamp}" if marked else "") + _filler(template.minimum - 1 - SIZE * marked) + fill


def _generic(text: str, media: bool, answer: bool) -> str:
    """A Binding (RFC 8489), padded to size by PADDING (RFC 5780 section 7.6); for media RTP of Opus' usual type.

    What is shorter than STUN's header is random.
    """
    template = Template(text)
    if media:
        left = _filler(template.minimum - _RTP - SIZE)
        return "80 6f {count16} {clock32:960} {same:ssrc:4} {stamp}" + left + " {fill}"
    rest = template.minimum - _STUN
    if rest < 0:
        return _random(text, media, answer)
    mark = "{stamp}" if template.stamp_at is not None else f"{{random:{SIZE}}}"
    head = f"{'0101' if answer else '0001'} {rest:04x} 2112a442 {mark}"
    return head + (f" 0026 {rest - 4:04x}" + _filler(rest - 4) if rest >= 4 else _filler(rest))


def _filler(size: int) -> str:
    return f" {{random:{size}}}" if size > 0 else ""


def _nearly(text: str, media: bool, answer: bool) -> str:
    """The same bytes, whatever the spaces between them, with another last byte of the cookie."""
    return re.sub(r"\s*".join(_COOKIE), _NEARLY, text, flags=re.IGNORECASE)
