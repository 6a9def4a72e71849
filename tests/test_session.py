"""A run with test calls from its catalogue to its file: what is kept, what is shown, and how it is stopped.

The far end is at another address than the probe, so that one of them may be in a file and the other must not.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path

import jsonschema
import msgspec
import pytest

from probe.catalogue import Catalogue, Evidence, Network, Pace, Resolver, Service, Settings, Target
from probe.cli.ladder import ladders
from probe.cli.report import as_json, show_table
from probe.net import SystemNet
from probe.placing import FarEnd
from probe.plan import Options, jobs
from probe.session import Finished, session
from probe.steps import AnyStep, Call, CallFacts, Media, MediaFacts
from probe.store import read
from tests.far_end.house import Visitor, far_end
from tests.far_end.trial import PROFILES, SHAPES, https, quick
from tests.loopback import HERE, ROOT

THERE = "127.0.0.2"
SCHEMA = Path(__file__).parent.parent / "results" / "schema.json"
PROVED = Evidence(host="source", reply="source")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)


def target(name: str, step: AnyStep) -> Target:
    return Target(name=name, purpose="calls", at="far-end", steps=(step,), evidence=PROVED)


def catalogue(*targets: Target) -> Catalogue:
    service = Service(service="paperplane", title="", source="", checked=date(2026, 11, 1), targets=targets)
    return Catalogue(
        settings=Settings(
            resolvers=(Resolver(name="system", over="udp", addresses=(THERE,), port=9),),
            innocent_name="www.example.com",
            network=Network(by="off"),
            pace=Pace(gap=0.0),
            own_networks=("127.0.0.0/8",),
        ),
        controls=(),
        services=(service,),
        anchors={"test": ROOT.pem.decode()},
        digest="0" * 16,
        shapes=SHAPES,
        profiles=PROFILES,
    )


@asynccontextmanager
async def elsewhere(folder: Path) -> AsyncIterator[Visitor]:
    certificate, key = ROOT.issue(THERE).write(folder, "far-end")
    settings = {
        "certificate": str(certificate),
        "key": str(key),
        "listen": (f"{THERE}:0",),
        "media": (THERE,),
    }
    async with far_end(**settings) as visitor:  # type: ignore[arg-type]
        yield visitor


async def run(visitor: Visitor, known: Catalogue, folder: Path, first: str) -> Finished:
    """With one target's turn before the others'."""
    far = FarEnd(host=THERE, port=https(visitor), trust="test")
    orders = (Options(families=(4,), far_end=far, seed=seed) for seed in range(100))
    options = next(one for one in orders if jobs(known, known.services, one)[0].target.name == first)
    return await session(known, known.services, options, folder, SystemNet())


async def test_a_run_with_calls_is_kept_by_the_schema_and_shown_in_words_and_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with elsewhere(tmp_path) as visitor:
        (port,) = visitor.far_end.udp
        known = catalogue(
            target("call", Call(profiles=("few",))),
            target("flow", Media(shape="whatsapp-native", port=port, profiles=("few",))),
        )
        finished = await run(visitor, known, tmp_path / "results", "call")
    text = finished.path.read_text()
    schema = json.loads(SCHEMA.read_text())
    for line in text.splitlines():
        jsonschema.validate(json.loads(line), schema)
    stored = read(finished.path)
    facts = {m.target: m.chains[0].observations[-1].facts for m in stored.document.measurements}

    assert stored.problems == ()
    assert THERE in text
    assert HERE not in text
    assert isinstance(facts["call"], CallFacts)
    assert isinstance(facts["flow"], MediaFacts)
    assert all(len(one.stages) == 1 and one.heard for one in facts.values() if one is not None)  # type: ignore[union-attr]

    told = as_json(finished)
    assert {(one["target"], one["variant"]) for one in told["media"]} == {
        ("call", "target"),
        ("flow", "target"),
    }
    assert all(one["stages"][0]["loss_up"] == one["stages"][0]["loss_down"] == 0.0 for one in told["media"])
    assert msgspec.json.encode(told)

    show_table(finished)
    ladders(stored, (), controls=False)
    said = " ".join(capsys.readouterr().out.split())
    assert said.count("direct call, hello from us, media after") == 2
    flow = f"whatsapp-native at UDP {port}: few up 0.0 % lost, down 0.0 % lost"
    assert said.count(flow) == 2


def heard(visitor: Visitor) -> int:
    """Packets of flows and calls that have arrived."""
    house = visitor.far_end.house
    logs = [flow.log for flow in house.flows._flows.values()] + [
        call.log for call in house.calls._calls.values()
    ]
    return sum(log.packets_in for log in logs)


async def test_a_run_that_is_stopped_in_mid_call_keeps_what_it_measured_and_sends_no_more(
    tmp_path: Path,
) -> None:
    async with elsewhere(tmp_path) as visitor:
        (port,) = visitor.far_end.udp
        known = catalogue(
            target("flow", Media(port=port, profiles=("few",))),
            target("call", Call(profiles=("many",))),
        )
        running = asyncio.create_task(run(visitor, known, tmp_path / "results", "flow"))
        async with asyncio.timeout(30):
            while not any(call.log.packets_in > 2 for call in visitor.far_end.house.calls._calls.values()):
                await asyncio.sleep(0.02)
        running.cancel()
        finished = await running
        before = heard(visitor)
        await asyncio.sleep(0.5)
        assert heard(visitor) == before
    end = read(finished.path).document.end
    measured = {m.target: m for m in finished.document.measurements}

    assert end is not None
    assert end.ended == "interrupted"
    assert measured["flow"].ended == "complete"
    assert isinstance(measured["flow"].chains[0].observations[-1].facts, MediaFacts)
    assert measured["call"].ended == "interrupted"
    failure = measured["call"].chains[0].observations[-1].failure
    assert failure is not None
    assert failure.kind == "interrupted"
