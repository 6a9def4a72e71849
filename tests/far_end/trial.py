"""One step of a test call over its own connection to a far end on loopback, as the observer does it."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from probe.catalogue import Pace
from probe.configs import load
from probe.failure import Failure
from probe.media.shape import Profile
from probe.model import Chain, Observation
from probe.net import SystemNet
from probe.observe import Observer
from probe.plan import Address, Leg
from probe.step import Facts, Supplies
from probe.steps import AnyStep, Call, CallFacts, Media, MediaFacts, Tcp, Tls
from probe.steps.signalling import ALPN
from tests.far_end.house import Visitor
from tests.loopback import HERE, ROOT

SHAPES = load(Path(__file__).parent.parent.parent / "configs").shapes


def profile(name: str, every: float, seconds: float, sizes: tuple[int, int] = (60, 120)) -> Profile:
    """Slow enough that a busy machine does not void a test."""
    return Profile(name=name, title="", every=every, sizes=sizes, seconds=seconds, source="")


PROFILES = {
    one.name: one
    for one in (
        profile("few", 0.2, 0.6),
        profile("slow", 0.5, 1.5),
        profile("large", 0.2, 0.6, (900, 1100)),
        profile("many", 0.2, 2.4),  # 12, enough to be cut where 5 and a second are
    )
}
SUPPLIES = Supplies(anchors={"test": ROOT.pem.decode()}, shapes=SHAPES, profiles=PROFILES)
F = TypeVar("F", bound=Facts)


def leg(step: AnyStep, port: int, host: str = HERE) -> Leg:
    """The step after the signalling's connection."""
    opened = (Tcp(), Tls(alpn=ALPN, trust="test"))
    address = Address(ip=HERE, said_by=("x",))
    return Leg(variant="target", address=address, port=port, host=host, steps=(*opened, step))


async def tried(step: AnyStep, port: int, *, host: str = HERE, **supplies: object) -> Observation:
    """What the step saw; or the TCP or TLS step, if it did not come so far."""
    observer = Observer(SystemNet(), Pace(), replace(SUPPLIES, **supplies), max_bytes=1 << 40)  # type: ignore[arg-type]
    chains: list[Chain] = []
    await observer.follow(leg(step, port, host), chains)
    return chains[0].observations[-1]


def facts_of(seen: Observation, kind: type[F]) -> F:
    """Its facts."""
    assert isinstance(seen.facts, kind), seen
    return seen.facts


def failure_of(seen: Observation) -> Failure:
    """Its failure."""
    assert seen.failure is not None, seen
    return seen.failure


M = TypeVar("M", MediaFacts, CallFacts)


def all_arrived(seen: Observation, kind: type[M]) -> M:
    """Its facts, if nothing was lost."""
    assert seen.failure is None, seen.failure
    facts = facts_of(seen, kind)
    assert facts.heard
    for stage in facts.stages:
        assert stage.up is not None
        assert (stage.up.lost, stage.down.lost) == (0, 0)
        assert stage.up.sent == stage.down.arrived > 0
    return facts


def media(shape: str = "random", *profiles: str, **more: object) -> Media:
    """A flow; of the few packets that are enough, if nothing else is said."""
    return Media(shape=shape, profiles=profiles or ("few",), trust="test", **more)  # type: ignore[arg-type]


def call(*profiles: str, **more: object) -> Call:
    """A call, likewise."""
    return Call(profiles=profiles or ("few",), trust="test", **more)  # type: ignore[arg-type]


def https(visitor: Visitor) -> int:
    """The far end's port."""
    return visitor.far_end.listening[0][1]


def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Late packets and second answers are not waited for, and a second of silence is a cut."""
    for step in ("media", "call", "loop", "reflectorloop"):
        monkeypatch.setattr(f"probe.steps.{step}._AFTERWARDS", 0.1)
    monkeypatch.setattr("probe.steps.stun._AFTERWARDS", 0.02)
    monkeypatch.setattr("probe.far_end.talk._DEAD_TAIL", 1.0)
    monkeypatch.setattr("probe.far_end.talk._DEAD_PACKETS", 5)


_CALLS = ("probe/steps", "probe/webrtc", "probe/far_end/client", "aioice", "aiortc")


async def no_call_is_left() -> None:
    """Wait until no task of a call is left, here or at the far end."""

    def left() -> bool:
        places = [task.get_coro().cr_code.co_filename for task in asyncio.all_tasks()]  # type: ignore[union-attr]
        return any(part in place for place in places for part in _CALLS)

    async with asyncio.timeout(5):
        while left():
            await asyncio.sleep(0.02)
