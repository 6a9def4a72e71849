"""What one vantage point cannot know: whether what failed there worked elsewhere at that time. Pure expressions.

`unreachable` means that something failed while its network was fine. The same endpoint, tried within half an hour on
another network, settles it: reached there, it is likely blocked here; failing alike on open networks of three more
countries and reached nowhere, it is down. A name that every resolver denies on all of those networks is retired. The
last needs so many countries because two may block the same service, and one may be forged.

Files can be forged, so vantage points vote, each of them once. It was reached if most of those that tried it elsewhere
did; or most of those in other countries, two at least: where a whole country is cut off, its many volunteers would
outvote whoever is outside. What the word of a single one decides is told apart (`elsewhere.once`), and no claim about
a network rests on it (`supported`).

Two networks are told apart by their AS, or by their labels where neither has one; an AS is not told from a label.
"""

from datetime import timedelta

import ibis
from ibis import _
from ibis.expr.types import BooleanValue, IntegerValue, Table

from probe.language import N_

WITHIN = timedelta(minutes=30)
COUNTRIES = 3  # others, beside one's own, on whose open networks it must fail alike
_ENDPOINT = ["service", "target", "host", "ip", "port"]
_NAME = ["service", "target"]
_ASKED = ["run", "service", "purpose", "family"]
_WHERE = ["target", "host", "ip", "port"]
_GROUP = ["run", "service", "purpose", "group"]
_BUCKET = int(WITHIN.total_seconds())
REACHED, ONCE, DOWN, RETIRED = "elsewhere.reached", "elsewhere.once", "elsewhere.down", "elsewhere.retired"
BECAUSE = {
    REACHED: N_("what fails here was reached within half an hour by most who tried it on other networks"),
    ONCE: N_(
        "what fails here was reached within half an hour on another network, by the only one who tried it elsewhere"
    ),
    DOWN: N_(
        "it failed alike at that time on open networks of at least four countries, and was reached on none"
    ),
    RETIRED: N_("its name exists nowhere any more: resolvers of at least four countries deny it"),
}


def settled(verdicts: Table, measurements: Table) -> Table:
    """The verdicts, those that other networks settle replaced; `alone` is the state before."""
    return applied(verdicts, answers(verdicts, measurements))


def supported(verdicts: Table) -> Table:
    """The verdicts as more than one vantage point elsewhere settles them: what claims may rest on."""
    return verdicts.mutate(state=ibis.ifelse(_.rule == ONCE, _.alone, _.state))


def answers(verdicts: Table, measurements: Table) -> Table:
    """The rule by which other networks settle a verdict: one row for each that they do, so few.

    The few that are asked about are found first, and only what was tried at the same endpoints is looked at.
    """
    asked = verdicts.filter(_open_question(verdicts)).select(_ASKED)
    tried = measurements.filter(_.service != "", _.at == "endpoint", _.network != "")
    working = measurements.filter(_["at"] == "endpoint", _.outcome == "works")
    around = _around(asked, _failing(tried, working, asked))
    tries = tried.filter((_.outcome != "nothing") | _.nameless).mutate(bucket=_bucket(tried.started))
    found = ibis.union(
        _pairs(around.filter(~_.retired), tries, _ENDPOINT), _pairs(around.filter(_.retired), tries, _NAME)
    )
    return _per_verdict(_counted(around, _votes(found, _open(verdicts))))


def applied(verdicts: Table, answers: Table) -> Table:
    """The verdicts with these answers."""
    found = verdicts.left_join(answers, _ASKED)
    said = ibis.ifelse(_open_question(found), found.said, ibis.null("string")).fill_null("")
    found = found.mutate(said=said, alone=_.state)
    gone = found.said.isin([DOWN, RETIRED])
    found = found.mutate(
        state=ibis.cases((found.said == "", found.state), (gone, "down"), else_="likely_blocked"),
        mechanism=ibis.ifelse(gone, "", found.mechanism),
        rule=ibis.ifelse(found.said == "", found.rule, found.said),
        because=ibis.cases(
            *[(found.said == rule, text) for rule, text in BECAUSE.items()], else_=found.because
        ),
    )
    return found.select(*verdicts.columns, "alone")


def _open_question(verdicts: Table) -> BooleanValue:
    return (verdicts.state == "unreachable") | (verdicts.rule == "dns.nothing")


def _bucket(started: ibis.expr.types.TimestampValue) -> IntegerValue:
    return (started.epoch_seconds() / _BUCKET).floor().cast("int64")


def _failing(tried: Table, working: Table, asked: Table) -> Table:
    """Endpoints that failed in a group of which nothing worked: what a sad verdict rests on."""
    failed = tried.filter(_.outcome != "works", (_.outcome == "fails") | (_.nameless & _.denied))
    failed = failed.select(
        *_GROUP, *_WHERE, "started", "network", "asn", "country", "step", "failure",
        endpoint_family="family", retired="nameless",
    )  # fmt: skip
    failed = failed.semi_join(asked, ["run", "service", "purpose"])
    return failed.anti_join(working.select(_GROUP), _GROUP)


def _around(asked: Table, failing: Table) -> Table:
    """What is asked of other networks: one row per verdict and endpoint, in the half hours around it."""
    joined = asked.inner_join(failing, ["run", "service", "purpose"])
    joined = joined.filter((_.family == 0) | (_.endpoint_family == 0) | (_.family == _.endpoint_family))
    bucket = _bucket(joined.started)
    return joined.mutate(bucket=ibis.array([bucket - 1, bucket, bucket + 1]).unnest())


def _open(verdicts: Table) -> Table:
    """Runs on networks that are not known to interfere with anything."""
    return (
        verdicts.filter(_.family == 0)
        .group_by("run")
        .agg(shut=((_.state == "blocked") | (_.regime != "normal")).sum())
        .filter(_.shut == 0)
        .select(their_run=_.run, their_open=True)
    )


def _pairs(asked: Table, tries: Table, key: list[str]) -> Table:
    """What is asked, beside each try of the same endpoint or name on another network at that time."""
    columns = ["run", "started", "network", "asn", "country", "vantage", "outcome", "step", "failure", "nameless",
               "denied"]  # fmt: skip
    theirs = tries.select(*key, "bucket", **{f"their_{name}": name for name in columns})
    return (
        asked.inner_join(theirs, [*key, "bucket"])
        .filter(
            _.network != _.their_network,
            (_.asn > 0) == (_.their_asn > 0),
            (_.started.epoch_seconds() - _.their_started.epoch_seconds()).abs() <= _BUCKET,
        )
        .drop("bucket")
    )


def _votes(pairs: Table, open_runs: Table) -> Table:
    """What vantage points on other networks say of each endpoint that is asked about, one vote each."""
    pairs = pairs.left_join(open_runs, "their_run")
    alike = ibis.ifelse(
        _.retired,
        _.their_nameless & _.their_denied,
        (_.their_outcome == "fails") & (_.their_step == _.step) & (_.their_failure == _.failure),
    )
    foreign = (_.country != "") & (_.their_country != "") & (_.country != _.their_country)
    return pairs.group_by(*_ASKED, *_WHERE, "retired", "their_vantage").agg(
        reached=(_.their_outcome == "works").sum() > 0,
        abroad=foreign.sum() > 0,
        fails_in=_.their_country.max(where=alike & foreign & _.their_open.notnull()),
    )


def _counted(asked: Table, votes: Table) -> Table:
    """What the votes come to for each endpoint: who reached it, how many of them count, where it fails alike."""
    each = [*_ASKED, *_WHERE, "retired"]
    counted = votes.group_by(each).agg(
        votes=_.count(),
        reached=_.reached.sum(),
        abroad=_.abroad.sum(),
        reached_abroad=(_.reached & _.abroad).sum(),
        countries=_.fails_in.nunique(),
    )
    most = (2 * _.reached > _.votes) | ((_.reached_abroad > 1) & (2 * _.reached_abroad > _.abroad))
    return (
        asked.select(each)
        .distinct()
        .left_join(counted.mutate(most=most), each)
        .select(
            *_ASKED,
            "retired",
            reached=_.reached.fill_null(0),
            witnesses=ibis.ifelse(_.most.fill_null(False), _.reached, 0),
            countries=_.countries.fill_null(0),
        )
    )


def _per_verdict(answers: Table) -> Table:
    """One answer per verdict: reached if one of its endpoints was, down if all of them are."""
    found = answers.group_by(_ASKED).agg(
        reached=_.reached.sum(),
        witnesses=_.witnesses.max(),
        countries=_.countries.min(),
        retired=_.retired.cast("int8").max(),
    )
    gone = (found.reached == 0) & (found.countries >= COUNTRIES)
    said = ibis.cases(
        (found.witnesses > 1, REACHED),
        (found.witnesses > 0, ONCE),
        (gone & (found.retired > 0), RETIRED),
        (gone, DOWN),
        else_="",
    )
    return found.mutate(said=said).filter(_.said != "").select(*_ASKED, "said")
