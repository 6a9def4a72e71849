"""A document as rows."""

from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest

from probe.analysis.rows import RowError, rows, sender, vantage
from probe.failure import Kind
from probe.model import Judgement, Verdict
from probe.rules import VERSION
from tests.analysis.runs import answering, reset, run, silent
from tests.build import (
    NOON,
    call_facts,
    chain,
    document,
    looked_up,
    losing,
    measured,
    saw,
    stage,
    tried,
    works,
)


def test_every_row_says_where_and_when_it_is_from() -> None:
    made = rows(
        run(answering(), asn=64500, as_name="Example", country="AA", kind="mobile", label="car"), "v1"
    )
    place = made.run.place

    assert place[1:] == (NOON.replace(tzinfo=None), "AS64500", 64500, "Example", "AA", "mobile", "car", "v1")
    assert {row.place for row in made.measurements} == {row.place for row in made.observations} == {place}
    assert {row.place for row in made.verdicts} == {place}


def test_a_network_without_a_number_goes_by_its_label_and_one_without_either_by_nothing() -> None:
    assert rows(run(answering(), label="office"), "v").run.place.network == "office"
    assert rows(run(answering()), "v").run.place.network == ""


def test_times_are_utc_and_without_a_zone_whatever_zone_they_came_in() -> None:
    teheran = timezone(timedelta(hours=3.5))
    made = rows(run(answering(), started=NOON.astimezone(teheran)), "v")

    assert made.run.place.started == NOON.replace(tzinfo=None)
    assert made.observations[0].at == NOON.replace(tzinfo=None)


def test_every_observation_and_every_look_up_is_a_row() -> None:
    doc = run(answering())
    made = rows(doc, "v")
    ids = [o.id for m in doc.measurements for c in m.chains for o in c.observations]
    ids += [o.id for lookup in doc.lookups for o in lookup.observations]

    assert sorted(row.observation for row in made.observations) == sorted(ids)
    assert {row.host for row in made.observations if row.resolver} == {f"c{n}.example.net" for n in range(4)}


def test_verdicts_are_thought_again_and_the_old_ones_stand_beside_them() -> None:
    doc = run(silent())
    old = Judgement(
        rules=1,
        regime="too_poor",
        services={"paperplane": {"messaging": Verdict(state="blocked", mechanism="old.belief")}},
    )
    made = rows(msgspec.structs.replace(doc, judgement=old), "v")
    verdict = next(v for v in made.verdicts if (v.purpose, v.family) == ("messaging", 0))

    assert (verdict.state, verdict.rules) == ("unreachable", VERSION)
    assert (verdict.state_stored, verdict.mechanism_stored, verdict.rules_stored) == (
        "blocked",
        "old.belief",
        1,
    )
    assert (made.run.regime, made.run.regime_stored) == ("normal", "too_poor")


def test_a_run_that_was_cut_off_has_rows_without_what_was_thought_then() -> None:
    doc = msgspec.structs.replace(run(silent(), judged=False), end=None)
    made = rows(doc, "v")

    assert made.run.ended == ""
    assert {(v.state_stored, v.rules_stored) for v in made.verdicts} == {("", 0)}


def test_each_family_has_a_verdict_row_of_its_own() -> None:
    doc = document(measured(works("tcp", "tls"), chain(saw("tcp", Kind.TIMEOUT), ip="2001:db8::5")))
    states = {v.family: v.state for v in rows(run(doc), "v").verdicts if v.purpose == "messaging"}

    assert set(states) == {0, 4, 6}
    assert states[4] == "reachable"


def test_an_endpoint_is_one_row_with_how_its_own_tries_ended() -> None:
    doc = document(
        measured(
            reset(), reset(), works("tcp", "tls", variant="other_name"), works("tcp", "tls", ip="5.5.5.6")
        )
    )
    ends = {
        r.ip: (r.outcome, r.step, r.failure, r.tries, r.passed)
        for r in rows(run(doc), "v").measurements
        if r.service
    }

    assert ends == {"5.5.5.5": ("fails", "tls", "reset", 2, 0), "5.5.5.6": ("works", "", "", 1, 1)}


def test_what_failed_on_our_side_says_nothing_of_an_endpoint() -> None:
    made = rows(run(document(measured(chain(saw("tcp", Kind.UNSUPPORTED))))), "v")

    assert [row.outcome for row in made.measurements if row.service] == ["nothing"]


def test_what_a_busy_machine_missed_is_no_failure_of_an_endpoint() -> None:
    missed = chain(saw("tcp"), saw("tls", Kind.TIMEOUT, seconds=10.0, late=9.0))
    made = rows(run(document(measured(missed))), "v")

    (row,) = (row for row in made.measurements if row.service)
    assert (row.outcome, row.failure) == ("nothing", "")
    assert {(row.failure, row.code) for row in made.observations if row.failure} == {("unsupported", "busy")}


def test_a_name_is_gone_only_if_all_who_were_asked_deny_it() -> None:
    def denied(*kinds: tuple[str, Kind]) -> bool:
        lookups = [
            looked_up("chat.example.org", f"r{n}", code=code, kind=kind)
            for n, (code, kind) in enumerate(kinds)
        ]
        made = rows(run(document(measured(), lookups=lookups)), "v")
        (row,) = [one for one in made.measurements if one.service]
        assert row.nameless
        return row.denied

    no, silence = ("NXDOMAIN", Kind.REJECTED), ("3", Kind.SILENT)
    assert denied(no, no)
    assert not denied(no, silence)
    assert not denied(silence, silence)


def test_a_call_gives_its_loss_each_way_its_round_trip_and_the_time_it_took_to_set_up() -> None:
    facts = call_facts(stage(up=losing(0.3), down=losing(0.0)))
    doc = document(measured(tried(facts), purpose="calls", at="far-end", target="call", vital=True))
    verdict = next(v for v in rows(run(doc), "v").verdicts if (v.purpose, v.family) == ("calls", 0))

    assert verdict.loss_up == pytest.approx(0.3, abs=0.05)
    assert verdict.loss_down == 0.0
    assert verdict.rtt_ms == pytest.approx(50, abs=1)
    assert verdict.setup_s == 0.5


def test_loss_is_unknown_without_the_far_ends_log() -> None:
    doc = document(
        measured(tried(call_facts(stage(log=False)), "x"), purpose="calls", at="far-end", target="call")
    )
    verdict = next(v for v in rows(run(doc), "v").verdicts if (v.purpose, v.family) == ("calls", 0))

    assert (verdict.loss_up, verdict.loss_down) == (None, None)


def test_numbers_that_no_column_holds_become_none() -> None:
    doc = run(answering(), asn=10**30)

    assert rows(doc, "v").run.place.asn == 0


@pytest.mark.parametrize("year", [1, 1970, 9999])
def test_a_run_from_a_broken_clock_is_refused_by_name(year: int) -> None:
    with pytest.raises(RowError, match="clock is broken"):
        rows(run(answering(), started=datetime(year, 1, 2, tzinfo=UTC), judged=False), "v")


def test_a_vantage_point_is_a_pseudonym_of_label_and_folder_or_of_a_key() -> None:
    assert vantage("home", "/a") == vantage("home", "/a")
    assert len({vantage("home", "/a"), vantage("home", "/b"), vantage("car", "/a"), sender("key")}) == 4
    assert "home" not in vantage("home", "/home/anna")
