"""Addresses that a service lists itself, and the targets that wait for them."""

import asyncio
import time
from collections.abc import Callable
from datetime import date, timedelta

import msgspec
import pytest

from probe.catalogue import Catalogue, Evidence, Network, Pace, Resolver, Service, Settings, Target
from probe.demo.stand_ins import Address, Datagrams, WebServer, relay_reply
from probe.lists import Lists
from probe.measure import run
from probe.model import Chain
from probe.net import SystemNet
from probe.plan import Job, Options
from probe.steps import Dns, DnsFacts, Http, HttpFacts, Stun, Tcp
from probe.steps.dns import Answer
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


async def test_targets_that_wait_for_the_same_list_get_a_stretch_of_it_each() -> None:
    page_job, relays = job("list"), [job(f"relay-{n}", of="list") for n in range(3)]
    lists = Lists([relays[0], page_job, *relays[1:]])
    lists.learn(page_job, [page(*LISTED[:9])])
    got = [set((await lists.joined(relay)).target.addresses) for relay in relays]

    assert got == [set(LISTED[:3]), set(LISTED[3:6]), set(LISTED[6:9])]


async def test_of_a_list_that_is_too_short_for_all_everybody_gets_something() -> None:
    page_job, relays = job("list"), [job(f"relay-{n}", of="list") for n in range(3)]
    lists = Lists([page_job, *relays])
    lists.learn(page_job, [page(LISTED[0])])

    assert [(await lists.joined(relay)).target.addresses for relay in relays] == [(LISTED[0],)] * 3


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


def named(
    name: str, host: str = "", *, of: str = "", like: str = "", type_: str = "SRV", port: int = 0
) -> Job:
    """A look-up with a form, or a target that waits for one."""
    step = Dns(type=type_, like=like) if like else Stun()  # type: ignore[arg-type]
    made = Target(
        name=name, purpose="calls", steps=(step,), evidence=PROVED, host=host, hosts_from=of, port=port,
        checked=date(2026, 11, 1),
    )  # fmt: skip
    return Job(service="paperplane", target=made)


def answered(*records: str, kind: str = "SRV") -> Chain:
    facts = DnsFacts(name="x", type=kind, answer=Answer(rcode="NOERROR", records=records))  # type: ignore[arg-type]
    return chain(saw("dns", facts=facts))


SRV = named("relays", "_turn._udp.chat.example", like="turn*.chat.example")
PTR = named("place", "chat.example", like="edge-*-{pop}.chat.example", type_="PTR")


async def test_targets_get_hosts_that_were_listed_each_another() -> None:
    waiting = [named(f"relay-{n}", of="relays") for n in range(4)]
    lists = Lists([SRV, *waiting])
    lists.learn(
        SRV,
        [
            answered("1 1 3478 turn1.chat.example.", "1 1 3479 turn2.chat.example."),
            answered(
                "1 1 3479 turn2.chat.example.", "1 1 443 turn3.chat.example.", "1 1 3478 turn4.evil.example."
            ),
        ],
    )
    got = [(await lists.joined(one)).target for one in waiting]

    assert {(t.host, t.port) for t in got[:3]} == {
        ("turn1.chat.example", 3478), ("turn2.chat.example", 3479), ("turn3.chat.example", 443),
    }  # fmt: skip
    assert (got[3].host, got[3].port) == ("", 0)


async def test_not_every_run_asks_the_same_host_of_a_thousand() -> None:
    drawn = set()
    for _ in range(20):
        one = named("relay", of="relays", port=3478)
        lists = Lists([SRV, one])
        lists.learn(SRV, [answered(*(f"1 1 9999 turn{n}.chat.example." for n in range(1000)))])
        drawn.add(((target := (await lists.joined(one)).target).host, target.port))

    assert len(drawn) > 10
    assert {port for _, port in drawn} == {3478}


async def test_the_word_of_a_reverse_name_stands_in_the_hosts_of_all_that_wait_for_it() -> None:
    hosts = ("relay-01-{pop}.chat.example", "relay-02-{pop}.chat.example")
    waiting = [named(f"relay-{n}", host, of="place", port=3478) for n, host in enumerate(hosts)]
    lists = Lists([*waiting, PTR])
    lists.learn(PTR, [answered("edge-01-mia3.chat.example.", kind="PTR")] * 2)

    assert [(await lists.joined(one)).target.host for one in waiting] == [
        "relay-01-mia3.chat.example", "relay-02-mia3.chat.example",
    ]  # fmt: skip


async def test_the_first_chain_that_lists_something_is_enough() -> None:
    relay = named("relay", of="relays")
    lists = Lists([SRV, relay])
    waiting = asyncio.create_task(lists.joined(relay))
    for chains in ([], [chain(saw("tcp"))], [answered("garbage")]):
        lists.learn(SRV, chains, through=False)
    await asyncio.sleep(0)
    assert not waiting.done()
    lists.learn(SRV, [answered("garbage"), answered("1 1 3478 turn1.chat.example.")], through=False)
    lists.learn(SRV, [answered("1 1 3478 turn2.chat.example.")])

    assert (await waiting).target.host == "turn1.chat.example"


@pytest.mark.parametrize(
    "chains",
    [
        [],
        [chain(saw("tcp"))],
        [answered()],
        [answered("", "garbage", "1 1 3478 .", "1 1 3478 10.0.0.1.", "1 1 22 turn1.chat.example.")],
        [answered("1 1 3478 turn1.chat.example.evil.example.", "1 1 3478 TURN\\000.chat.example.")],
    ],
)
async def test_a_look_up_that_failed_or_names_nobody_leaves_no_host(chains: list[Chain]) -> None:
    relay, place = named("relay", of="relays"), named("at", "relay-{pop}.chat.example", of="place", port=1)
    lists = Lists([SRV, PTR, relay, place])
    lists.learn(SRV, chains)
    lists.learn(PTR, chains)

    assert (await lists.joined(relay)).target.host == ""
    assert (await lists.joined(place)).target.host == ""


async def test_without_its_source_a_target_has_no_host() -> None:
    place = named("at", "relay-{pop}.chat.example", of="place", port=1)

    assert (await Lists([place]).joined(place)).target.host == ""


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


def zone(records: dict[tuple[str, str], str]) -> Callable[[bytes, Address], bytes]:
    """A name server with one record per name and type."""
    import dns.message
    import dns.rrset

    def reply(data: bytes, sender: Address) -> bytes:
        answer = dns.message.make_response(dns.message.from_wire(data))
        name, kind = answer.question[0].name, dns.rdatatype.to_text(answer.question[0].rdtype)
        text = records.get((name.to_text(omit_final_dot=True), kind))
        if text is not None:
            answer.answer.append(dns.rrset.from_text(name, 60, "IN", kind, text))
        return answer.to_wire()

    return reply


async def discovered(records: dict[tuple[str, str], str], *targets: Target) -> dict[str, tuple[Chain, ...]]:
    """A run over these targets with this name server; own addresses are those of 127.0.0.0/8."""
    async with datagram_server(Datagrams(zone(records))) as names:
        service = Service(
            service="paperplane", title="", source="", checked=date(2026, 11, 1), targets=targets
        )
        settings = Settings(
            resolvers=(Resolver(name="names", over="udp", addresses=(HERE,), port=names),),
            innocent_name="www.example.com",
            network=Network(by="off"),
            pace=Pace(gap=0.0),
            own_networks=("127.0.0.0/8",),
        )
        known = Catalogue(settings=settings, controls=(), services=(service,), anchors={}, digest="0" * 16)
        options = Options(families=(4,), tiers=("core", "experimental"))
        done = await run(known, known.services, options, SystemNet(), lambda line: None)
    return {m.target: m.chains for m in done.measurements}


def relays_and_place(port: int) -> tuple[Target, ...]:
    relay, look_up = named("relay", of="relays").target, SRV.target
    at = named("at", "relay-{pop}.chat.example", of="place", port=port).target
    return (relay, look_up, at, PTR.target)


async def test_a_run_follows_names_to_relays_and_records_where_it_asked() -> None:
    async with datagram_server(Datagrams(relay_reply("x"))) as stun:
        records = {
            ("_turn._udp.chat.example", "SRV"): f"1 1 {stun} turn7.chat.example.",
            ("turn7.chat.example", "A"): HERE,
            ("chat.example", "A"): "127.0.0.9",
            ("9.0.0.127.in-addr.arpa", "PTR"): "edge-01-mia3.chat.example.",
            ("relay-mia3.chat.example", "A"): HERE,
        }
        chains = await discovered(records, *relays_and_place(stun))

    for name, host in (("relay", "turn7.chat.example"), ("at", "relay-mia3.chat.example")):
        (only,) = chains[name]
        assert (only.host, only.port, only.ip) == (host, stun, HERE)
        assert only.observations[-1].failure is None
    (asked,) = chains["place"]
    facts = asked.observations[0].facts
    assert isinstance(facts, DnsFacts)
    assert (facts.name, facts.answer.records) == ("9.0.0.127.in-addr.arpa", ("edge-01-mia3.chat.example.",))
    looked, followed = chains["relays"][0].observations[0], chains["relay"][0].observations[0]
    assert followed.at < looked.at + timedelta(seconds=looked.seconds - 1), "it waited for a second answer"


async def test_names_that_lead_to_private_addresses_or_elsewhere_are_not_followed() -> None:
    records = {
        ("_turn._udp.chat.example", "SRV"): "1 1 3478 turn7.chat.example.",
        ("turn7.chat.example", "A"): "10.0.0.1",
        ("chat.example", "A"): "127.0.0.9",
        ("9.0.0.127.in-addr.arpa", "PTR"): "host-203-0-113-9.provider.example.",
    }
    chains = await discovered(records, *relays_and_place(3478))

    assert chains["relay"] == ()
    assert chains["at"] == ()
    (asked,) = chains["place"]
    facts = asked.observations[0].facts
    assert isinstance(facts, DnsFacts)
    assert facts.answer.records == ("a name of another form",)
