from datetime import date

import msgspec
import pytest

from probe.catalogue import Catalogue, Control, Evidence, Resolver, Service, Settings, Target
from probe.plan import (
    Address,
    Options,
    addresses,
    domestic_controls,
    first_round,
    is_bogon,
    jobs,
    lookup_legs,
    questions,
    reverse_legs,
)
from probe.steps import Dns, Stun, Tcp

KNOWN = Evidence(host="known", reply="known")
CHAT = Target(name="chat", purpose="messaging", host="chat.example", port=443, steps=(Tcp(),), evidence=KNOWN)
RELAY = Target(
    name="relay", purpose="calls", port=1400, steps=(Stun(),), evidence=KNOWN, tier="extra",
    addresses=("5.5.5.1", "5.5.5.2", "5.5.5.3", "2a03::1"),
)  # fmt: skip
CONTROL = Control(
    name="c",
    purpose="control",
    host="c.example",
    port=443,
    steps=(Tcp(),),
    evidence=KNOWN,
    class_="foreign-large",
)
HOME = Control(
    name="h", purpose="control", host="h.example", port=443, steps=(Tcp(),), evidence=KNOWN, class_="domestic",
    country="RU",
)  # fmt: skip
CATALOGUE = Catalogue(
    settings=Settings(
        innocent_name="www.example.com",
        resolvers=(
            Resolver(name="system", over="system"),
            Resolver(name="udp", over="udp", addresses=("8.8.8.8", "2001:4860:4860::8888")),
            Resolver(name="tls", over="tls", host="r.example", addresses=("9.9.9.9",), scope="controls"),
        ),
    ),
    controls=(CONTROL, HOME),
    services=(
        Service(
            service="one",
            title="One",
            source="x",
            checked=date(2026, 1, 1),
            targets=(CHAT, RELAY),
            vital=("chat",),
        ),
    ),
    anchors={},
    digest="x",
)


def test_targets_and_controls_are_in_one_random_order_that_a_seed_repeats() -> None:
    def order(seed: int) -> list[str]:
        return [
            job.target.name
            for job in jobs(CATALOGUE, CATALOGUE.services, Options(seed=seed, tiers=("core", "extra")))
        ]

    assert order(1) == order(1)
    assert sorted(order(1)) == ["c", "chat", "relay"]
    assert len({tuple(order(seed)) for seed in range(20)}) > 1


def test_only_the_tiers_and_purposes_and_steps_asked_for() -> None:
    def names(**options: object) -> set[str]:
        found = jobs(CATALOGUE, CATALOGUE.services, Options(**options))  # type: ignore[arg-type]
        return {job.target.name for job in found if job.service}

    assert names() == {"chat"}
    assert names(tiers=("core", "extra")) == {"chat", "relay"}
    assert names(tiers=("core", "extra"), only=("calls",)) == {"relay"}
    assert names(tiers=("core", "extra"), only=("tcp",)) == {"chat"}


def test_what_a_target_waits_for_is_asked_too_and_a_reverse_name_only_then() -> None:
    place = Target(
        name="place", purpose="web", host="chat.example", evidence=KNOWN, tier="experimental",
        steps=(Dns(type="PTR", like="edge-{pop}.chat.example"),),
    )  # fmt: skip
    srv = Target(
        name="relays", purpose="web", host="_turn._udp.chat.example", evidence=KNOWN, tier="extra",
        steps=(Dns(type="SRV", like="turn*.chat.example"),),
    )  # fmt: skip
    at = Target(
        name="at", purpose="calls", host="relay-{pop}.chat.example", hosts_from="place", port=1, evidence=KNOWN,
        tier="experimental", steps=(Stun(),),
    )  # fmt: skip
    listed = Target(name="listed", purpose="calls", hosts_from="relays", evidence=KNOWN, steps=(Stun(),))
    one = msgspec.structs.replace(CATALOGUE.services[0], targets=(place, srv, at, listed))

    def names(**options: object) -> set[str]:
        return {job.target.name for job in jobs(CATALOGUE, [one], Options(**options)) if job.service}  # type: ignore[arg-type]

    assert names() == {"listed", "relays"}
    assert names(only=("stun",)) == {"listed", "relays"}
    assert names(tiers=("extra",)) == {"relays"}
    assert names(tiers=("experimental",)) == {"at", "place"}
    assert names(tiers=("experimental",), only=("web",)) == set()
    asked = questions(CATALOGUE, jobs(CATALOGUE, [one], Options(tiers=("core", "experimental"))))
    assert set(asked) - {"c.example"} == {"chat.example"}


def test_a_reverse_name_is_asked_for_the_address_that_the_name_has() -> None:
    place = Target(
        name="place", purpose="web", host="chat.example", evidence=KNOWN,
        steps=(Dns(type="PTR", like="edge-{pop}.chat.example"),),
    )  # fmt: skip
    four, six = Address(ip="5.6.7.8", said_by=("system",)), Address(ip="2a03::1", said_by=("udp",))
    resolvers = CATALOGUE.settings.resolvers
    legs = [leg for a in (four, six) for leg in reverse_legs(place, [a, four], resolvers, (4, 6))]

    assert [(leg.address.ip, leg.port, leg.host) for leg in legs] == [("8.8.8.8", 53, "chat.example")] * 2
    assert [step.name for leg in legs for step in leg.steps if isinstance(step, Dns)] == [
        "8.7.6.5.in-addr.arpa", "1" + ".0" * 27 + ".3.0.a.2.ip6.arpa",
    ]  # fmt: skip
    assert reverse_legs(place, [], resolvers, (4, 6)) == []


def test_a_call_needs_all_its_groups_and_messaging_those_the_service_names() -> None:
    found = jobs(CATALOGUE, CATALOGUE.services, Options(tiers=("core", "extra")))

    assert {job.target.name for job in found if job.vital} == {"chat", "relay"}


def test_domestic_controls_join_when_the_country_is_known() -> None:
    assert [job.target.name for job in domestic_controls(CATALOGUE, Options(), "RU")] == ["h"]
    assert domestic_controls(CATALOGUE, Options(), "DE") == []


def test_the_controls_of_every_country_join_when_nobody_says_which_it_is() -> None:
    assert [job.target.name for job in domestic_controls(CATALOGUE, Options(), "")] == ["h"]


def test_every_name_is_asked_once_and_some_resolvers_only_for_controls() -> None:
    asked = questions(CATALOGUE, jobs(CATALOGUE, CATALOGUE.services, Options()))

    assert {name: [q.resolver.name for q in some] for name, some in asked.items()} == {
        "chat.example": ["system", "udp"],
        "c.example": ["system", "udp", "tls"],
    }


def test_one_address_is_enough_where_the_system_and_another_agree() -> None:
    said = {"system": ["5.5.5.5", "5.5.5.6"], "udp": ["5.5.5.6", "5.5.5.5"]}
    found = addresses(CHAT, said, CATALOGUE, Options())

    assert len(found.first) == 1
    assert set(found.first[0].said_by) == {"system", "udp"}
    assert len(found.spare) == 1


def test_where_resolvers_disagree_both_are_tried() -> None:
    found = addresses(CHAT, {"system": ["5.5.5.5"], "udp": ["6.6.6.6"]}, CATALOGUE, Options())

    assert [(a.ip, a.said_by) for a in found.first] == [("5.5.5.5", ("system",)), ("6.6.6.6", ("udp",))]


def test_addresses_of_the_catalogue_are_capped_per_family() -> None:
    found = addresses(RELAY, {}, CATALOGUE, Options(seed=3))

    assert [a.family for a in found.first] == [4, 4, 6]
    assert [a.family for a in found.spare] == [4]
    assert all(a.said_by == ("catalogue",) for a in found.first)
    assert [a.family for a in addresses(RELAY, {}, CATALOGUE, Options(families=(6,))).first] == [6]


def test_an_address_no_service_can_have_is_never_connected_to() -> None:
    found = addresses(CHAT, {"system": ["10.10.34.36", "127.0.0.1", "::"]}, CATALOGUE, Options())

    assert found.first == ()


@pytest.mark.parametrize(
    ("ip", "bogon"),
    [
        ("10.0.0.1", True), ("127.0.0.1", True), ("0.0.0.0", True), ("192.0.2.1", True), ("::1", True),
        ("fe80::1", True), ("::ffff:10.0.0.1", True), ("100.64.0.1", True), ("8.8.8.8", False),
        ("2a03:2880::1", False), ("64:ff9b::808:808", False),
    ],
)  # fmt: skip
def test_bogons_are_known(ip: str, bogon: bool) -> None:
    assert is_bogon(ip, ()) is bogon


def test_an_own_network_is_taken_for_a_public_one() -> None:
    assert not is_bogon("127.0.0.1", ("127.0.0.0/8",))


def test_a_leg_per_address_and_a_leg_per_plain_resolver() -> None:
    found = addresses(CHAT, {"system": ["5.5.5.5"], "udp": ["5.5.5.5", "2a03::5"]}, CATALOGUE, Options())
    legs = first_round(CHAT, found.first)
    assert [(leg.address.ip, leg.port, leg.variant) for leg in legs] == [
        ("5.5.5.5", 443, "target"), ("2a03::5", 443, "target"),
    ]  # fmt: skip

    name = Target(name="n", purpose="web", host="n.example", steps=(Dns(type="A"),), evidence=KNOWN)
    asked = lookup_legs(name, CATALOGUE.settings.resolvers, (4, 6))
    assert [(leg.address.ip, leg.port, leg.host) for leg in asked] == [("8.8.8.8", 53, "n.example")]
