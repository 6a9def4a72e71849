"""What one vantage point cannot know: whether what failed there worked elsewhere at that time. Pure expressions.

`unreachable` means that something failed while its network was fine. The same endpoint, tried within half an hour on
another network, settles it: reached there, it is likely blocked here; failing alike on open networks of two more
countries and reached nowhere, it is down. A name that every resolver denies on all of those networks is retired. The
last needs three countries because two may block the same service; between them the verdict stays as it was.

Two networks are told apart by their AS, or by their labels where neither has one; an AS is not told from a label.
"""

from datetime import timedelta

import ibis
from ibis import _
from ibis.expr.types import Table

WITHIN = timedelta(minutes=30)
COUNTRIES = 2  # others, beside one's own, on whose open networks it must fail alike
_ENDPOINT = ["service", "target", "host", "ip", "port"]
_NAME = ["service", "target"]
_ASKED = ["run", "service", "purpose", "family"]
_WHERE = ["target", "host", "ip", "port"]
_BUCKET = int(WITHIN.total_seconds())
REACHED, DOWN, RETIRED = "elsewhere.reached", "elsewhere.down", "elsewhere.retired"
BECAUSE = {
    REACHED: "what fails here was reached on another network within half an hour",
    DOWN: "it failed alike at that time on open networks of at least three countries, and was reached on none",
    RETIRED: "its name exists nowhere any more: resolvers of at least three countries deny it",
}


def settled(verdicts: Table, measurements: Table) -> Table:
    """The verdicts, those that other networks settle replaced; `alone` is the state before."""
    open_runs = _open(verdicts)
    tries = _tries(measurements, open_runs)
    asked = verdicts.filter((_.state == "unreachable") | (_.rule == "dns.nothing")).select(_ASKED)
    failing = _failing_endpoints(measurements)
    endpoints = _asked(asked, failing.filter(~_.nameless))
    names = _asked(asked, failing.filter(_.nameless))
    answers = ibis.union(
        _answered(endpoints, tries, _ENDPOINT, retired=False),
        _answered(names, tries, _NAME, retired=True),
    )
    return _applied(verdicts, _per_verdict(answers))


def _open(verdicts: Table) -> Table:
    """Runs on networks that are not known to interfere with anything."""
    return (
        verdicts.filter(_.family == 0)
        .group_by("run")
        .agg(shut=((_.state == "blocked") | (_.regime != "normal")).sum())
        .select("run", open=_.shut == 0)
    )


def _tries(measurements: Table, open_runs: Table) -> Table:
    """Every endpoint that was tried, with what says where that was."""
    said = (_.outcome != "nothing") | _.nameless
    tried = measurements.filter(_.service != "", _.at == "endpoint", _.network != "", said)
    return (
        tried.left_join(open_runs, "run")
        .drop("run_right")
        .mutate(
            bucket=(_.started.epoch_seconds() / _BUCKET).floor().cast("int64"), open=_.open.fill_null(False)
        )
    )


def _failing_endpoints(measurements: Table) -> Table:
    """Endpoints that failed in a group of which nothing worked: what a sad verdict rests on."""
    own = measurements.filter(_.service != "", _.at == "endpoint", _.network != "")
    works = own.group_by("run", "service", "purpose", "group").agg(works=(_.outcome == "works").sum())
    failed = own.filter((_.outcome == "fails") | (_.nameless & _.denied))
    return (
        failed.left_join(works, ["run", "service", "purpose", "group"])
        .filter(_.works == 0)
        .select("run", "started", "network", "asn", "country", "service", "purpose", "target", "host", "ip", "port",
                "step", "failure", "nameless", endpoint_family=failed.family)
    )  # fmt: skip


def _asked(verdicts: Table, failing: Table) -> Table:
    """What is asked of other networks: one row per verdict and endpoint, in the half hours around it."""
    joined = verdicts.inner_join(failing, ["run", "service", "purpose"])
    joined = joined.filter((_.family == 0) | (_.endpoint_family == 0) | (_.family == _.endpoint_family))
    bucket = (joined.started.epoch_seconds() / _BUCKET).floor().cast("int64")
    asked = joined.select(
        *_ASKED, *_WHERE, "started", "network", "asn", "country", "step", "failure",
        around=ibis.array([bucket - 1, bucket, bucket + 1]),
    )  # fmt: skip
    return asked.mutate(bucket=_.around.unnest()).drop("around")


def _answered(asked: Table, tries: Table, key: list[str], *, retired: bool) -> Table:
    """What other networks say of each endpoint that is asked about."""
    theirs = tries.rename({f"their_{name}": name for name in tries.columns if name not in (*key, "bucket")})
    pairs = asked.inner_join(theirs, [*key, "bucket"])
    pairs = pairs.filter(
        _.network != _.their_network,
        (_.asn > 0) == (_.their_asn > 0),
        (_.started.epoch_seconds() - _.their_started.epoch_seconds()).abs() <= _BUCKET,
    )
    alike = (
        _.their_nameless & _.their_denied
        if retired
        else (_.their_outcome == "fails") & (_.their_step == _.step) & (_.their_failure == _.failure)
    )
    foreign = (_.country != "") & (_.their_country != "") & (_.country != _.their_country)
    found = pairs.group_by(*_ASKED, *_WHERE).agg(
        reached=(_.their_outcome == "works").sum(),
        countries=_.their_country.nunique(where=alike & foreign & _.their_open),
    )
    everything = asked.select(*_ASKED, *_WHERE).distinct()
    return everything.left_join(found, [*_ASKED, *_WHERE]).select(
        *_ASKED,
        reached=_.reached.fill_null(0),
        countries=_.countries.fill_null(0),
        retired=ibis.literal(retired),
    )


def _per_verdict(answers: Table) -> Table:
    """One answer per verdict: reached if one of its endpoints was, down if all of them are."""
    return answers.group_by(_ASKED).agg(
        reached=_.reached.sum(), countries=_.countries.min(), retired=_.retired.cast("int8").max()
    )


def _applied(verdicts: Table, answers: Table) -> Table:
    joined = verdicts.left_join(answers, _ASKED)
    gone = (joined.reached == 0) & (joined.countries >= COUNTRIES)
    said = ibis.cases(
        (joined.reached > 0, REACHED), (gone & (joined.retired > 0), RETIRED), (gone, DOWN), else_=""
    )
    joined = joined.mutate(said=said)
    states = ibis.cases((_.said == REACHED, "likely_blocked"), (_.said != "", "down"), else_=_.state)
    because = ibis.cases(*[(_.said == rule, text) for rule, text in BECAUSE.items()], else_=_.because)
    return joined.mutate(
        alone=_.state,
        state=states,
        mechanism=ibis.ifelse((_.said == DOWN) | (_.said == RETIRED), "", _.mechanism),
        rule=ibis.ifelse(_.said != "", _.said, _.rule),
        because=because,
    ).select(*verdicts.columns, "alone")
