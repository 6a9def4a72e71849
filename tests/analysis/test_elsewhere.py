"""What other networks settle."""

from datetime import timedelta
from typing import Any

import pytest

from probe.analysis.elsewhere import (
    COUNTRIES,
    DOWN,
    ONCE,
    REACHED,
    RETIRED,
    WITHIN,
    answers,
    settled,
    supported,
)
from probe.failure import Kind
from probe.model import Document
from tests.analysis import messy
from tests.analysis.runs import answering, asked, reset, run, silent, tabled
from tests.build import NOON, chain, document, looked_up, measured, saw, works


def here(doc: Document, *others: Document, purpose: str = "messaging") -> dict[str, Any]:
    """The verdict of the first run beside the others'."""
    made = tabled([doc, *others])
    found = asked(settled(made.verdict, made.measurement))
    return next(v for v in found if (v["run"], v["purpose"], v["family"]) == (doc.run.id, purpose, 0))


def state(doc: Document, *others: Document) -> str:
    return str(here(doc, *others)["state"])


def gone(**where: Any) -> Document:
    """A run in which every resolver denied the name."""
    lookups = [
        looked_up("chat.example.org", resolver, code="NXDOMAIN") for resolver in ("system", "udp", "doh")
    ]
    return run(document(measured(), lookups=lookups), **where)


HERE = run(silent(), asn=1, country="AA")


def test_one_network_alone_settles_nothing() -> None:
    assert state(run(silent(), asn=1, country="AA")) == "unreachable"


def test_what_another_network_reached_at_that_time_is_likely_blocked_here() -> None:
    verdict = here(run(silent(), asn=1, country="AA"), run(answering(), asn=2, country="BB"))

    assert (verdict["state"], verdict["alone"], verdict["rule"]) == (
        "likely_blocked", "unreachable", "elsewhere.once",
    )  # fmt: skip
    assert verdict["mechanism"] == "tcp.dropped.address"
    assert "the only one who tried it elsewhere" in verdict["because"]


def test_where_several_reached_it_the_word_of_no_single_one_decides() -> None:
    verdict = here(HERE, *(run(answering(), asn=n, country="BB") for n in (2, 3)))

    assert (verdict["state"], verdict["rule"]) == ("likely_blocked", "elsewhere.reached")


def test_one_forged_file_that_says_it_was_reached_moves_nothing_where_others_tried_it_too() -> None:
    others = [run(silent(), asn=2, country="BB"), run(silent(), asn=3, country="CC")]

    assert state(HERE, *others, run(answering(), asn=4, country="DD")) == "unreachable"
    assert state(HERE, others[0], run(answering(), asn=4, country="DD")) == "unreachable"


def test_one_forged_file_that_says_it_failed_moves_nothing_where_two_reached_it() -> None:
    reached = [run(answering(), asn=n, country="BB") for n in (2, 3)]

    assert state(HERE, *reached, run(silent(), asn=4, country="DD")) == "likely_blocked"


def test_a_vantage_point_has_one_vote_however_often_it_measures() -> None:
    forged = [run(answering(), asn=4, country="DD", label="me") for _ in range(9)]
    others = [run(silent(), asn=n, country="BB") for n in (2, 3)]
    docs = [HERE, *others, *forged]
    made = tabled(docs, vantages=["one", "two", "three", *["forger"] * 9])
    found = asked(settled(made.verdict, made.measurement))

    assert [v["state"] for v in found if (v["run"], v["purpose"], v["family"]) == (HERE.run.id, "messaging", 0)] == [
        "unreachable"
    ]  # fmt: skip


def test_a_country_that_is_cut_off_as_a_whole_does_not_outvote_two_who_are_outside() -> None:
    at_home = [run(silent(), asn=n, country="AA") for n in range(10, 16)]

    assert state(HERE, *at_home, run(answering(), asn=2, country="BB")) == "unreachable"
    outside = [run(answering(), asn=n, country="BB") for n in (2, 3)]
    assert state(HERE, *at_home, *outside) == "likely_blocked"


def test_claims_rest_on_no_verdict_that_a_single_vantage_point_elsewhere_settled() -> None:
    def counted(*docs: Document) -> str:
        made = tabled(docs)
        found = asked(supported(settled(made.verdict, made.measurement)))
        return str(
            next(v["state"] for v in found if (v["run"], v["purpose"]) == (docs[0].run.id, "messaging"))
        )

    nameless = gone(asn=1, country="AA")
    reached = [run(answering(), asn=n, country="BB") for n in (2, 3)]
    assert [state(nameless, reached[0]), counted(nameless, reached[0])] == ["likely_blocked", "inconclusive"]
    assert counted(nameless, *reached) == "likely_blocked"


def test_another_network_of_the_same_country_will_do_for_that() -> None:
    assert (
        state(run(silent(), asn=1, country="AA"), run(answering(), asn=2, country="AA")) == "likely_blocked"
    )


@pytest.mark.parametrize(
    ("minutes", "expected"), [(30, "likely_blocked"), (-30, "likely_blocked"), (31, "unreachable")]
)
def test_at_that_time_means_within_half_an_hour(minutes: int, expected: str) -> None:
    other = run(answering(), asn=2, country="BB", started=NOON + timedelta(minutes=minutes))

    assert state(run(silent(), asn=1, country="AA"), other) == expected


def test_the_same_network_is_not_another_one() -> None:
    assert state(run(silent(), asn=1, label="a"), run(answering(), asn=1, label="b")) == "unreachable"


def test_a_label_is_not_told_from_a_network_and_two_labels_are_told_from_each_other() -> None:
    assert state(run(silent(), asn=1), run(answering(), label="cafe")) == "unreachable"
    assert state(run(silent(), label="home"), run(answering(), label="cafe")) == "likely_blocked"
    assert state(run(silent(), label="home"), run(answering())) == "unreachable"


def test_another_address_of_the_same_name_is_another_endpoint() -> None:
    assert state(run(silent(), asn=1), run(answering(ip="5.5.5.99"), asn=2)) == "unreachable"


def test_a_verdict_that_was_proven_here_is_left_alone() -> None:
    verdict = here(run(answering(), asn=1, country="AA"), run(silent(), asn=2, country="BB"))

    assert (verdict["state"], verdict["alone"]) == ("reachable", "reachable")


def test_what_fails_alike_in_four_countries_and_is_reached_nowhere_is_down() -> None:
    verdict = here(HERE, *(run(silent(), asn=n, country=c) for n, c in ((2, "BB"), (3, "CC"), (4, "DD"))))

    assert (verdict["state"], verdict["rule"], verdict["mechanism"]) == ("down", "elsewhere.down", "")


def test_two_countries_may_block_the_same_service_and_a_third_be_forged() -> None:
    assert (
        state(HERE, run(silent(), asn=2, country="BB"), run(silent(), asn=3, country="CC")) == "unreachable"
    )
    assert state(run(silent(), asn=1, country="AA"), run(silent(), asn=2, country="BB")) == "unreachable"
    assert state(
        run(silent(), asn=1, country="AA"), run(silent(), asn=2, country="AA"), run(silent(), asn=3, country="AA")
    ) == "unreachable"  # fmt: skip


def test_failing_otherwise_is_not_failing_alike() -> None:
    others = [run(silent(kind=Kind.RESET), asn=n, country=c) for n, c in ((2, "BB"), (3, "CC"), (4, "DD"))]

    assert state(run(silent(), asn=1, country="AA"), *others) == "unreachable"


def test_what_anybody_reached_is_not_down() -> None:
    others = [run(silent(), asn=n, country=c) for n, c in ((2, "BB"), (3, "CC"), (4, "DD"))]

    assert state(HERE, *others, run(answering(), asn=5, country="EE")) == "unreachable"


def test_a_network_that_blocks_something_else_is_no_witness_for_an_outage() -> None:
    names = [
        reset(), reset(), works("tcp", "tls", variant="other_name"), works("tcp", "tls", variant="no_name"),
        works("tcp", "tls", variant="other_to_control", ip="9.9.9.1"),
        chain(saw("tcp"), saw("tls", Kind.RESET), variant="name_to_control", ip="9.9.9.1"),
        works("tcp", "tls", variant="other_to_control", ip="9.9.9.2"),
        chain(saw("tcp"), saw("tls", Kind.RESET), variant="name_to_control", ip="9.9.9.2"),
    ]  # fmt: skip
    censored = document(
        measured(*(chain(saw("tcp", Kind.TIMEOUT)) for _ in range(3))), measured(*names, service="pigeon")
    )
    shut = run(censored, asn=2, country="BB")
    assert shut.judgement is not None
    assert shut.judgement.services["pigeon"]["messaging"].state == "blocked"

    others = [run(silent(), asn=n, country=c) for n, c in ((3, "CC"), (4, "DD"))]
    assert state(HERE, shut, *others) == "unreachable"
    assert state(HERE, *others, run(silent(), asn=5, country="EE")) == "down"


def test_an_endpoint_whose_group_works_in_another_way_is_not_what_a_verdict_rests_on() -> None:
    both = document(
        measured(works("tcp", "tls"), group="chat"),
        measured(
            *(chain(saw("tcp", Kind.TIMEOUT), port=5222) for _ in range(3)), target="chat-5222", group="chat"
        ),
        measured(
            *(chain(saw("tcp", Kind.TIMEOUT), ip="6.6.6.6") for _ in range(3)), target="media", group="media"
        ),
    )
    other = document(measured(works("tcp", port=5222), target="chat-5222", group="chat"))

    assert state(run(both, asn=1), run(other, asn=2)) == "unreachable"


def test_a_name_that_nobody_knows_in_four_countries_is_retired_and_not_blocked() -> None:
    verdict = here(*(gone(asn=n, country=c) for n, c in ((1, "AA"), (2, "BB"), (3, "CC"), (4, "DD"))))

    assert (verdict["alone"], verdict["state"], verdict["rule"]) == (
        "inconclusive",
        "down",
        "elsewhere.retired",
    )


def test_a_name_that_is_denied_here_and_leads_somewhere_elsewhere_is_likely_blocked() -> None:
    assert state(gone(asn=1, country="AA"), run(answering(), asn=2, country="BB")) == "likely_blocked"
    assert state(gone(asn=1, country="AA"), gone(asn=2, country="BB")) == "inconclusive"


def test_no_verdict_is_lost_or_doubled() -> None:
    docs = [run(silent(), asn=n, country=c) for n, c in ((1, "AA"), (2, "BB"), (3, "CC"))]
    docs += [run(answering(), asn=n, country="DD") for n in (4, 5, 6)]
    made = tabled(docs)

    assert len(asked(settled(made.verdict, made.measurement))) == len(asked(made.verdict))


def test_what_is_settled_is_what_the_votes_say_when_counted_by_hand() -> None:
    tables = messy.tables(seed=1)
    verdicts = asked(tables.verdict)
    tried = [m for m in asked(tables.measurement) if m["at"] == "endpoint" and m["network"]]
    whole = [v for v in verdicts if v["family"] == 0]
    shut = {v["run"] for v in whole if v["state"] == "blocked" or v["regime"] != "normal"}
    by_hand = {
        (v["run"], v["service"], v["purpose"], v["family"]): _by_hand(
            v, tried, {v["run"] for v in whole} - shut
        )
        for v in verdicts
        if v["state"] == "unreachable" or v["rule"] == "dns.nothing"
    }
    found = asked(answers(tables.verdict, tables.measurement))

    assert {tuple(row.values())[:4]: row["said"] for row in found} == {k: v for k, v in by_hand.items() if v}
    assert set(by_hand.values()) == {REACHED, ONCE, DOWN, RETIRED, ""}


def _by_hand(verdict: dict[str, Any], tried: list[dict[str, Any]], open_runs: set[str]) -> str:
    own = [m for m in tried if all(m[name] == verdict[name] for name in ("run", "service", "purpose"))]
    working = {m["group"] for m in own if m["outcome"] == "works"}
    failing = [
        m
        for m in own
        if m["group"] not in working and (m["outcome"] == "fails" or (m["nameless"] and m["denied"]))
        if 0 in (m["family"], verdict["family"]) or m["family"] == verdict["family"]
    ]
    if not failing:
        return ""
    heard = [_heard(m, tried, open_runs) for m in failing]
    if witnesses := max(witnesses for _, witnesses, _ in heard):
        return REACHED if witnesses > 1 else ONCE
    if any(reached for reached, _, _ in heard) or min(countries for _, _, countries in heard) < COUNTRIES:
        return ""
    return RETIRED if any(m["nameless"] for m in failing) else DOWN


def _heard(mine: dict[str, Any], tried: list[dict[str, Any]], open_runs: set[str]) -> tuple[int, int, int]:
    """Who reached it elsewhere, how many of them count, and in how many other countries it failed alike."""
    same = ("service", "target") if mine["nameless"] else ("service", "target", "host", "ip", "port")
    theirs = [
        t
        for t in tried
        if t["network"] != mine["network"] and (t["asn"] > 0) == (mine["asn"] > 0)
        if t["outcome"] != "nothing" or t["nameless"]
        if abs(t["started"] - mine["started"]) <= WITHIN and all(t[name] == mine[name] for name in same)
    ]
    foreign = [t for t in theirs if t["country"] and mine["country"] and t["country"] != mine["country"]]
    alike: dict[str, str] = {}
    for t in foreign:
        how = t["step"], t["failure"]
        gone = t["nameless"] and t["denied"]
        failed = (
            gone if mine["nameless"] else t["outcome"] == "fails" and how == (mine["step"], mine["failure"])
        )
        if failed and t["run"] in open_runs:
            alike[t["vantage"]] = max(t["country"], alike.get(t["vantage"], ""))
    votes, abroad = {t["vantage"] for t in theirs}, {t["vantage"] for t in foreign}
    reached = {t["vantage"] for t in theirs if t["outcome"] == "works"}
    outside = len(reached & abroad)
    most = 2 * len(reached) > len(votes) or (outside > 1 and 2 * outside > len(abroad))
    return len(reached), len(reached) if most else 0, len(set(alike.values()))
