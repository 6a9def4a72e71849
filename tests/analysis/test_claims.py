"""The aggregation scenarios: what is claimed of made-up countries, and nothing else."""

from collections.abc import Callable
from datetime import timedelta

import numpy as np
import pytest

from probe.analysis.claims import Claim
from tests.analysis.build import FIRST, SERVICES, Net, What, claims, day, month, works

THREE = (Net(1), Net(2), Net(3))
ABROAD = (Net(91, "Y"), Net(92, "Z"))
CALM = ("works", "insufficient")


def trouble(found: list[Claim]) -> list[tuple[str, str, str, str, tuple[str, ...], int]]:
    return [(c.what, c.service, c.purpose, c.country, c.networks, c.of) for c in found if c.what not in CALM]


def telegram_calls(condition: Callable[[What], bool], state: str = "blocked") -> Callable[[What], str]:
    return lambda what: (
        state if what.service == "telegram" and what.purpose == "calls" and condition(what) else "reachable"
    )


def test_a_one_network_of_three_blocks() -> None:
    found = claims(month(THREE, telegram_calls(lambda what: what.net.asn == 2)))

    assert trouble(found) == [("fails", "telegram", "calls", "X", ("Net 2",), 3)]
    (fails,) = [c for c in found if c.what == "fails"]
    (rest,) = [c for c in found if c.what == "works" and (c.service, c.purpose) == ("telegram", "calls")]
    assert (fails.sure, fails.cause, fails.mechanism) == ("firm", "interference", "stun.dropped.payload")
    assert fails.since is None
    assert rest.networks == ("Net 1", "Net 3")
    assert len([c for c in found if c.what == "works"]) == 2 * len(SERVICES)


def test_a_where_nothing_is_proven_other_countries_say_whose_doing_it_is() -> None:
    quiet = telegram_calls(lambda what: what.net.asn == 2, "unreachable")

    (alone,) = [c for c in claims(month(THREE, quiet)) if c.what == "fails"]
    (compared,) = [c for c in claims(month((*THREE, *ABROAD), quiet)) if c.what == "fails"]

    assert (alone.cause, compared.cause) == ("open", "works elsewhere")
    assert "cause" in [doubt.about for doubt in alone.against]


def test_one_household_abroad_does_not_say_whose_doing_it_is_however_much_it_measures() -> None:
    abroad = Net(91, "Y")
    forger, honest = abroad.names()
    quiet = telegram_calls(lambda what: what.net.asn == 2 or what.household == honest, "unreachable")
    cells = [c for c in month((*THREE, abroad), quiet) if c.vantage != honest or c.hour.day % 12 == 0]

    (fails,) = [c for c in claims(cells) if c.what == "fails" and c.country == "X"]
    assert forger in {c.vantage for c in cells}
    assert fails.cause == "open"


def test_b_a_national_onset_within_six_hours_is_one_event() -> None:
    onset = {1: day(11), 2: day(11) + 2, 3: day(11) + 6}
    found = claims(
        month(
            (*THREE, *ABROAD),
            telegram_calls(lambda what: what.net.country == "X" and what.hour >= onset[what.net.asn]),
            hours=range(0, day(29), 2),
        )
    )

    assert trouble(found) == [
        ("fails", "telegram", "calls", "X", ("Net 1", "Net 2", "Net 3"), 3),
        ("began", "telegram", "calls", "X", ("Net 1", "Net 2", "Net 3"), 3),
    ]
    for claim in [c for c in found if c.what in ("fails", "began")]:
        assert claim.since is not None
        assert claim.since.after < FIRST + timedelta(hours=onset[1])
        assert claim.since.by >= FIRST + timedelta(hours=onset[3])
        assert claim.since.by - claim.since.after <= timedelta(hours=24)


def test_c_only_mobile_networks_block() -> None:
    nets = (Net(1, kind="mobile"), Net(2, kind="mobile"), Net(2), Net(3, kind="wifi"))

    found = claims(month(nets, telegram_calls(lambda what: what.net.kind == "mobile")))

    networks = ("Net 1", "Net 2 (mobile)")
    assert trouble(found) == [
        ("fails", "telegram", "calls", "X", networks, 4),
        ("differs", "telegram", "calls", "X", networks, 4),
    ]
    assert [c.access for c in found if c.what == "differs"] == ["mobile"]


@pytest.mark.parametrize("many", [24, 4])
def test_d_one_household_that_reports_everything_blocked_moves_nothing(many: int) -> None:
    """Also if it measures six times as often as the others."""
    nets = (Net(1, households=3), Net(2))
    liar = nets[0].names()[0]
    honest = month(nets, works)
    forged = month([Net(1, households=1)], lambda _: "blocked", hours=range(0, day(29), 24 // many))

    found = claims([*(c for c in honest if c.vantage != liar), *forged])

    assert trouble(found) == []
    assert {c.what for c in found} == {"works"}
    assert all(c.networks == ("Net 1", "Net 2") for c in found)
    assert all([(d.about, d.count) for d in c.against] == [("dissent", 1)] for c in found)


def test_d_one_that_reports_one_service_blocked_beside_one_other_leaves_it_open() -> None:
    liar = Net(1).names()[0]

    found = claims(month(THREE, telegram_calls(lambda what: what.household == liar)))

    assert trouble(found) == []
    (open_,) = [c for c in found if c.what == "insufficient"]
    assert (open_.networks, [d.about for d in open_.against]) == (("Net 1",), ["disagree"])


def test_d_one_forger_who_says_that_it_works_does_not_hide_a_block() -> None:
    nets = (Net(1, households=3), Net(2))
    liar = nets[0].names()[0]

    found = claims(month(nets, telegram_calls(lambda what: what.net.asn == 1 and what.household != liar)))

    assert trouble(found) == [("fails", "telegram", "calls", "X", ("Net 1",), 2)]
    (fails,) = [c for c in found if c.what == "fails"]
    assert ("dissent", 1, 3) in [(d.about, d.count, d.of) for d in fails.against]


def test_e_a_worldwide_outage_blames_no_network() -> None:
    out = range(day(11), day(13))
    nets = (*THREE, *ABROAD)

    def state(what: What) -> str:
        return "unreachable" if what.service == "telegram" and what.hour in out else "reachable"

    found = claims(month(nets, state))

    names = tuple(f"Net {net.asn}" for net in nets)
    assert trouble(found) == [
        ("down", "telegram", "calls", "", names, 5),
        ("down", "telegram", "messaging", "", names, 5),
    ]
    for claim in [c for c in found if c.what == "down"]:
        assert claim.cause == "fails everywhere"
        assert claim.since is not None
        assert claim.until is not None
        assert claim.since.by == FIRST + timedelta(hours=day(11))
        assert claim.until.by == FIRST + timedelta(hours=day(13))


def test_e_a_service_that_is_gone_for_good_is_down_and_no_network_is_blamed() -> None:
    found = claims(month((*THREE, *ABROAD), telegram_calls(lambda _: True, "unreachable")))

    assert [(c.what, c.since, c.until) for c in found if c.what not in CALM] == [("down", None, None)]
    assert {d.about for c in found for d in c.against} == {"everywhere"}


@pytest.mark.parametrize(("state", "households"), [("blocked", 2), ("reachable", 3)])
def test_e_one_household_that_measures_much_does_not_make_an_outage_a_countrys_doing(
    state: str, households: int
) -> None:
    """Neither by forged proofs, nor by saying that it works."""
    forger = Net(91, "Y", households=households)
    liar = forger.names()[0]
    gone = month((*THREE, forger), telegram_calls(lambda _: True, "unreachable"))
    forged = month(
        [Net(91, "Y", households=1)], telegram_calls(lambda _: True, state), hours=range(0, day(29)), noise=0
    )

    found = claims([*(c for c in gone if c.vantage != liar), *forged])

    assert [c.what for c in found if c.what not in CALM] == ["down"]


def test_what_one_household_abroad_measures_much_is_not_what_fails_by_itself() -> None:
    abroad = [Net(asn, "Y", households=3) for asn in (91, 92)]
    half = telegram_calls(lambda what: what.net.asn == 1 and what.hour % 12 == 0, "unreachable")
    noisy = {net.names()[0] for net in abroad}
    calm = [c for c in month((*THREE, *abroad), half) if c.vantage not in noisy]
    often = month(
        [Net(net.asn, "Y", households=1) for net in abroad],
        lambda what: (
            "unreachable"
            if what.service == "telegram" and what.purpose == "calls" and what.hour % 2
            else "reachable"
        ),
        hours=range(0, day(29)),
    )

    assert (
        trouble(claims([*calm, *often]))
        == trouble(claims(calm))
        == [("intermittent", "telegram", "calls", "X", ("Net 1",), 3)]
    )


def test_e_what_two_countries_are_proven_to_block_is_not_down() -> None:
    found = claims(month((Net(1), Net(91, "Y")), telegram_calls(lambda _: True)))

    assert [(c.what, c.country, c.cause) for c in found if c.what not in CALM] == [
        ("fails", "X", "interference"),
        ("fails", "Y", "interference"),
    ]


@pytest.mark.parametrize("services", [SERVICES, ("telegram",)])
def test_f_a_slow_drift_of_speed_is_no_claim(services: tuple[str, ...]) -> None:
    def speed(what: What) -> dict[str, float]:
        drift = what.hour / day(29) if what.net.asn == 1 and what.service in services else 0.0
        wobble = 1 + 0.1 * ((what.hour * 7919) % 13 - 6) / 6
        return {
            "setup_s": (0.3 + drift) * wobble,
            "rtt_ms": (40 + 200 * drift) * wobble,
            "loss_up": (0.005 + 0.05 * drift) * wobble,
            "loss_down": (0.005 + 0.05 * drift) * wobble,
        }

    found = claims(month((*THREE, *ABROAD), works, more=speed))

    assert trouble(found) == []


@pytest.mark.parametrize(
    ("metric", "calm", "worse"),
    [("loss_down", 0.01, 0.12), ("loss_up", 0.01, 0.12), ("rtt_ms", 60.0, 300.0), ("setup_s", 0.3, 1.2)],
)
def test_a_service_that_is_held_down_on_one_network_is_degraded_there(
    metric: str, calm: float, worse: float
) -> None:
    random = np.random.default_rng(8)

    def speed(what: What) -> dict[str, float]:
        held = what.net.asn == 1 and what.service == "telegram" and what.purpose == "calls"
        return {metric: (worse if held else calm) * random.lognormal(0, 0.3)}

    found = claims(month((*THREE, *ABROAD), works, more=speed))

    assert trouble(found) == [("degraded", "telegram", "calls", "X", ("Net 1",), 3)]
    (excess,) = next(c for c in found if c.what == "degraded").excess
    truth = worse / calm if metric == "setup_s" else worse - calm
    assert excess.metric == metric
    assert excess.low < 1.1 * truth
    assert excess.high > 0.9 * truth


def test_a_slow_network_and_a_slow_service_are_nobodys_filter() -> None:
    def speed(what: What) -> dict[str, float]:
        return {"rtt_ms": 400.0 + what.hour % 7 if what.net.asn == 1 or what.service == "signal" else 50.0}

    assert trouble(claims(month((*THREE, *ABROAD), works, more=speed))) == []


def test_one_household_whose_calls_lose_much_moves_nothing() -> None:
    liar = Net(1).names()[0]

    def speed(what: What) -> dict[str, float]:
        return {"loss_up": 0.5 if what.household == liar and what.service == "telegram" else 0.01}

    assert trouble(claims(month(THREE, works, more=speed))) == []


def test_h_a_rule_that_is_on_half_of_the_time_comes_and_goes() -> None:
    by_night = telegram_calls(lambda what: what.net.asn == 1 and what.hour % 24 < 12)
    random = np.random.default_rng(3)
    coin = telegram_calls(lambda what: what.net.asn == 1 and random.random() < 0.5)
    by_week = telegram_calls(lambda what: what.net.asn == 1 and (what.hour // 84) % 2 == 0)

    for rule in (by_night, coin, by_week):
        found = claims(month((*THREE, *ABROAD), rule, hours=range(0, day(29), 3)))
        assert trouble(found) == [("intermittent", "telegram", "calls", "X", ("Net 1",), 3)]
        assert found[0].since is None


@pytest.mark.parametrize("staggered", [0, 40])
def test_i_a_change_that_came_with_a_version_of_the_probe_is_not_the_networks(staggered: int) -> None:
    nets = (*THREE, *ABROAD)
    households = [name for net in nets for name in net.names()]
    upgrade = {name: day(11) + staggered * at for at, name in enumerate(households)}
    broken = telegram_calls(lambda what: what.hour >= upgrade[what.household], "unreachable")
    versions = {
        (name, FIRST + timedelta(hours=hour)): "2" if hour >= upgrade[name] else "1"
        for name in households
        for hour in range(0, day(29))
    }
    everything = list(month(nets, broken))

    found = claims(everything, versions=versions)

    assert trouble(found) == []
    doubts = [d for c in found for d in c.against if c.what == "insufficient"]
    assert "version" in {d.about for d in doubts}


def test_i_an_onset_in_the_middle_of_upgrades_is_still_seen() -> None:
    nets = (*THREE, *ABROAD)
    households = [name for net in nets for name in net.names()]
    versions = {
        (name, FIRST + timedelta(hours=hour)): "2" if hour >= day(4) + 48 * at else "1"
        for at, name in enumerate(households)
        for hour in range(0, day(29))
    }
    blocks = telegram_calls(lambda what: what.net.asn == 3 and what.hour >= day(15))

    found = claims(month(nets, blocks), versions=versions)

    assert [(c.what, c.networks) for c in found if c.what not in CALM] == [
        ("fails", ("Net 3",)),
        ("began", ("Net 3",)),
    ]


def test_j_two_days_without_uploads_are_nobodys_doing() -> None:
    hours = [hour for hour in range(0, day(29), 6) if not day(14) <= hour < day(16)]

    calm = claims(month(THREE, works, hours=hours))
    blocked = claims(month(THREE, telegram_calls(lambda what: what.net.asn == 2), hours=hours))

    assert {c.what for c in calm} == {"works"}
    assert trouble(blocked) == [("fails", "telegram", "calls", "X", ("Net 2",), 3)]
    assert [c.since for c in blocked if c.what == "fails"] == [None]


def test_j_a_change_while_nobody_looked_is_dated_no_closer_than_the_gap() -> None:
    hours = [hour for hour in range(0, day(29), 6) if not day(14) <= hour < day(16)]
    blocks = telegram_calls(lambda what: what.net.asn == 2 and what.hour >= day(15))

    found = claims(month(THREE, blocks, hours=hours))

    (fails,) = [c for c in found if c.what == "fails"]
    assert fails.since is not None
    assert fails.since.after <= FIRST + timedelta(hours=day(14) - 6)
    assert fails.since.by >= FIRST + timedelta(hours=day(16))


def test_what_is_over_has_both_its_dates() -> None:
    during = range(day(8), day(12))

    found = claims(month(THREE, telegram_calls(lambda what: what.net.asn == 1 and what.hour in during)))

    assert [(c.what, c.networks) for c in found if c.what not in CALM] == [
        ("began", ("Net 1",)),
        ("ended", ("Net 1",)),
    ]
    (ended,) = [c for c in found if c.what == "ended"]
    assert ended.since is not None
    assert ended.until is not None
    assert ended.since.by == FIRST + timedelta(hours=day(8))
    assert ended.until.by == FIRST + timedelta(hours=day(12))


def test_what_works_but_is_proven_to_be_interfered_with_is_degraded() -> None:
    impaired = telegram_calls(lambda what: what.net.asn == 1, "degraded")

    assert trouble(claims(month(THREE, impaired))) == [("degraded", "telegram", "calls", "X", ("Net 1",), 3)]


def test_a_household_alone_is_too_few() -> None:
    found = claims(month([Net(1, households=1)], telegram_calls(lambda _: True)))

    assert {c.what for c in found} == {"insufficient"}
    assert {d.about for c in found for d in c.against} == {"too_few"}


def test_a_household_on_which_everything_fails_says_nothing_of_a_service() -> None:
    """Its line, its portal, an allowlist: the network is judged then, and not a service."""
    found = claims(month(THREE, lambda what: "unreachable" if what.net.asn == 1 else "reachable"))

    assert trouble(found) == []


def test_nothing_gives_no_claims() -> None:
    assert claims([]) == []
