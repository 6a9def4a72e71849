"""What a scenario's words become, without a network."""

import random
import tomllib
from ipaddress import ip_address
from pathlib import Path

import pytest

from probe.configs import load
from tests.lab.firewall import chain
from tests.lab.kinds import build
from tests.lab.network import _settle_far_end, _shorten
from tests.lab.scenario import CATALOGUES, Scenario, scenarios
from tests.lab.topology import FAR_END, FAR_TURN
from tests.lab.world import World, of

PROFILES = """
[[profiles]]
name = "voice" # for 30 seconds
every = 0.02
seconds = 30.0
[[profiles]]
name = "short"
seconds = 4
"""


@pytest.mark.parametrize(
    ("factor", "lasting"), [(None, [10.0, 4.0]), (0.5, [15.0, 2.0]), (0.01, [0.5, 0.5]), (1.0, [30.0, 4.0])]
)
def test_media_is_shortened(tmp_path: Path, factor: float | None, lasting: list[float]) -> None:
    (tmp_path / "profiles.toml").write_text(PROFILES)

    _shorten(tmp_path / "profiles.toml", factor)
    read = tomllib.loads((tmp_path / "profiles.toml").read_text())

    assert [profile["seconds"] for profile in read["profiles"]] == lasting
    assert read["profiles"][0]["every"] == 0.02


def test_the_far_end_is_a_host_of_rules_and_of_behaviours_and_is_abroad() -> None:
    world = World()
    _settle_far_end(world)

    assert world.addresses(["far"]) == list(FAR_END)
    assert world.addresses(["turn.lab.example"]) == list(FAR_TURN)
    assert set(world.addresses(["foreign"])) == {*FAR_END, *FAR_TURN}
    rules = chain("forward", ["ip daddr $FAR udp dport 443 drop", "4:ip saddr $FAR+turn drop"], world)
    assert f"ip daddr {{ {FAR_END[0]} }} udp dport 443 drop\nip6 daddr {{ {FAR_END[1]} }} udp dport" in rules
    assert f"ip saddr {{ {FAR_END[0]}, {FAR_TURN[0]} }} drop" in rules
    assert rules.count("saddr") == 1


def test_what_a_service_lists_is_there_for_those_that_wait_for_it() -> None:
    catalogue = load(CATALOGUES["shipped"])
    world = of(catalogue)
    there = {(e.host, e.port) for e in world.endpoints.values()}
    (record,) = world.records["_turn._udp.prod.wire.com"]
    *_, port, host = record.removesuffix(".").split()
    (reverse,) = world.records[ip_address(world.zone["g.whatsapp.net"][0]).reverse_pointer]

    assert host in world.zone
    assert (host, int(port)) in there
    assert reverse == "PTR whatsapp-chatd-lab-shv-lab-lab.facebook.com."
    assert ("edgeray-shv-01-lab.facebook.com", 3478) in there
    assert {f"66.22.192.{n}" for n in (1, 2, 3)} <= {host for host, port in there if port == 50004}
    assert "66.22.192.3" in world.pages["latency.discord.media"]["/rtc"].body


@pytest.mark.parametrize("scenario", scenarios(), ids=lambda scenario: scenario.name)
def test_every_scenario_says_what_can_be_done(scenario: Scenario) -> None:
    for behaviour in scenario.conditions.box:
        build(behaviour, random.Random(0), lambda raw, up, after: None)
    assert scenario.catalogue in CATALOGUES
