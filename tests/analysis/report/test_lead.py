"""The first sentence, and why nothing more is said."""

from datetime import timedelta
from typing import Any

from probe.analysis.compare import Entry
from probe.analysis.report.lead import Lead, lead
from probe.analysis.report.words import bare
from tests.analysis.report.build import FIRST, column, comparison, entry, fails


def said(*entries: Entry, claims: Any = ()) -> Lead:
    return lead(comparison(entries), claims, {"paperplane": "PaperPlane"})


def test_a_claim_is_the_first_sentence() -> None:
    found = said(entry(), claims=[fails(), fails(what="works", purpose="messaging", sure="")])

    assert (
        found.first == "Calls on PaperPlane fail on 2 of 3 networks of France since 11 August; messages work."
    )
    assert found.claimed
    assert "Interference is proven: STUN vanishes (stun.dropped.payload)." in found.grounds[0].grounds


def test_without_a_claim_it_says_what_the_runs_saw_and_why_nothing_is_claimed() -> None:
    found = said(
        entry("AS1"),
        entry("AS1", "blocked", purpose="calls"),
        entry("AS2", "blocked", purpose="calls", service="pigeon"),
        entry("AS1", "blocked", purpose="calls", service="pigeon"),
        entry("AS2", purpose="calls", bad=0),
        entry("AS2", bad=0),
    )

    assert (
        bare(found.first)
        == "In these runs calls on Pigeon were blocked on all 2 networks (AS1 Net and AS2 Net)."
    )
    assert [bare(one) for one in found.more] == [
        "In these runs calls on PaperPlane were blocked on 1 of 2 networks (AS1 Net).",
        "Everything else that they could judge worked most of the time.",
    ]
    assert not found.claimed
    assert found.unsure[0].startswith("Nothing is claimed of any network. A claim needs 2 households or more")


def test_what_only_the_last_hours_saw_is_not_said_to_fail() -> None:
    found = said(entry(), entry("AS2", "unreachable", bad=3, since=FIRST + timedelta(days=28)))

    assert bare(found.first) == (
        "In the last hours of these runs, and not in most of all, messages on PaperPlane failed on 1 of 2 networks"
        " (AS2 Net)."
    )


def test_if_nothing_failed_it_says_no_more_than_that_something_answered() -> None:
    assert said(entry(), entry(purpose="calls")).first == (
        "Whatever these runs could judge worked or was answered: 1 network."
    )


def test_if_nothing_could_be_judged_it_says_so() -> None:
    found = said(entry("AS1", "inconclusive", units=0, bad=0))

    assert found.first == "These runs allow no statement about messages or calls."


def test_whoever_measured_alone_is_no_network() -> None:
    found = lead(comparison([entry()], [column("AS1", vantages=1)]), [], {})

    assert found.unsure[1].startswith("Measured from one place alone: 1 of 1 network.")


def test_where_nobody_asked_for_claims_none_are_missing() -> None:
    assert said(entry(), claims=None).unsure[0].startswith("Nobody asked for claims")
