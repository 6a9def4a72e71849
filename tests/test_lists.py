"""Addresses that a service lists itself, and the targets that wait for them."""

import asyncio
import time
from datetime import date

import msgspec
import pytest

from probe.catalogue import Catalogue, Evidence, Network, Pace, Resolver, Service, Settings, Target
from probe.demo.stand_ins import Datagrams, WebServer, relay_reply
from probe.lists import Lists
from probe.measure import run
from probe.model import Chain
from probe.net import SystemNet
from probe.plan import Job, Options
from probe.steps import Http, HttpFacts, Stun, Tcp
from tests.build import FACTS, chain, saw
from tests.loopback import HERE, datagram_server, stream_server

PROVED = Evidence(host="source", reply="source")
LISTED = tuple(f"192.0.2.{number}" for number in range(1, 21))


def job(name: str, *addresses: str, of: str = "", service: str = "paperplane") -> Job:
    step = Stun() if of else Http()
    made = Target(
        name=name,
        purpose="calls",
        steps=(step,),
        evidence=PROVED,
        addresses=addresses,
        addresses_from=of,
        checked=date(2026, 11, 1),
    )
    return Job(service=service, target=made)


def page(*addresses: str) -> Chain:
    facts = FACTS["http"]
    assert isinstance(facts, HttpFacts)
    return chain(saw("tcp"), saw("http", facts=msgspec.structs.replace(facts, addresses=addresses)))


async def test_a_target_gets_some_of_the_addresses_that_another_listed_after_its_own() -> None:
    page_job, relay = job("list"), job("relay", "192.0.2.99", of="list")
    lists = Lists([page_job, relay])
    waiting = asyncio.create_task(lists.joined(relay))
    await asyncio.sleep(0)
    assert not waiting.done()
    lists.learn(page_job, [page(*LISTED[:10]), page(*LISTED)])
    own, *some = (await waiting).target.addresses

    assert own == "192.0.2.99"
    assert len(some) == len(set(some)) == 6
    assert set(some) <= set(LISTED)
    assert (await lists.joined(relay)).target.addresses[0] == own


async def test_not_every_run_asks_the_same_machines() -> None:
    page_job, relay = job("list"), job("relay", of="list")
    lists = Lists([page_job, relay])
    lists.learn(page_job, [page(*LISTED)])
    drawn = {frozenset((await lists.joined(relay)).target.addresses) for _ in range(20)}

    assert len(drawn) > 1


async def test_a_list_that_failed_or_is_short_leaves_what_there_is() -> None:
    failed, short = job("list"), job("list", service="pigeon")
    one, other = job("relay", "192.0.2.99", of="list"), job("relay", of="list", service="pigeon")
    lists = Lists([failed, short, one, other])
    lists.learn(failed, [chain(saw("tcp"))])
    lists.learn(short, [page("192.0.2.1", "192.0.2.2", "192.0.2.1")])
    lists.learn(short, [page("192.0.2.3")])  # it is heard once

    assert (await lists.joined(one)).target.addresses == ("192.0.2.99",)
    assert sorted((await lists.joined(other)).target.addresses) == ["192.0.2.1", "192.0.2.2"]


async def test_nobody_waits_for_a_list_that_is_not_asked_for_or_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("probe.lists._WAIT", 0.05)
    other, plain = job("relay", "192.0.2.99", of="list"), job("chat")
    assert (await Lists([other]).joined(other)) is other
    assert (await Lists([plain]).joined(plain)) is plain

    slow = Lists([job("list"), other])
    assert (await slow.joined(other)).target.addresses == ("192.0.2.99",)
    waiting = asyncio.create_task(slow.joined(other))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    slow.learn(job("list"), [page("192.0.2.1")])
    assert (await slow.joined(other)).target.addresses == ("192.0.2.99", "192.0.2.1")


async def test_a_target_that_waits_for_a_list_gets_it_when_the_list_is_read() -> None:
    """Not when the one who listed is through with it: that one waits for its siblings, and these for the list."""
    page = WebServer({"/list": (200, {}, b"relays: 127.0.0.1")})
    async with stream_server(page.serve) as web, datagram_server(Datagrams(relay_reply("x"))) as stun:
        steps = (Tcp(), Http(path="/list", addresses_within=("127.0.0.0/8",)))
        listing = Target(name="list", purpose="messaging", host=HERE, port=web, steps=steps, evidence=PROVED)
        relay = Target(
            name="relay", purpose="calls", port=stun, steps=(Stun(),), evidence=PROVED, addresses_from="list"
        )
        service = Service(
            service="paperplane", title="", source="", checked=date(2026, 11, 1), targets=(listing, relay)
        )
        settings = Settings(
            resolvers=(Resolver(name="system", over="udp", addresses=(HERE,), port=9),),
            innocent_name="www.example.com",
            network=Network(by="off"),
            pace=Pace(gap=0.0),
            own_networks=("127.0.0.0/8",),
        )
        known = Catalogue(settings=settings, controls=(), services=(service,), anchors={}, digest="0" * 16)
        began = time.monotonic()
        done = await run(known, known.services, Options(families=(4,)), SystemNet(), lambda line: None)
    chains = {m.target: m.chains for m in done.measurements}

    assert [chain.ip for chain in chains["relay"]][:1] == [HERE]
    assert time.monotonic() - began < 10
