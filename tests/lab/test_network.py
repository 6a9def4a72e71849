"""What a scenario's words become, without a network."""

import random
import tomllib
from pathlib import Path

import pytest

from tests.lab.firewall import chain
from tests.lab.kinds import build
from tests.lab.network import _settle_far_end, _shorten
from tests.lab.scenario import CATALOGUES, Scenario, scenarios
from tests.lab.topology import FAR_END, FAR_TURN
from tests.lab.world import World

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


@pytest.mark.parametrize("scenario", scenarios(), ids=lambda scenario: scenario.name)
def test_every_scenario_says_what_can_be_done(scenario: Scenario) -> None:
    for behaviour in scenario.conditions.box:
        build(behaviour, random.Random(0), lambda raw, up, after: None)
    assert scenario.catalogue in CATALOGUES
