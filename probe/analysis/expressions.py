"""The questions, as Ibis expressions from tables of rows to small tables. No engine is named here, and none is asked.

The unit is one vantage point on one network in one hour: however often somebody measures, it counts once an hour,
and as what most of its runs said. `key` is what networks are grouped by.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, TypeAlias, get_args

import ibis
from ibis import _
from ibis.expr.types import StringValue, Table

from probe.analysis.units import METRICS
from probe.model import State

By: TypeAlias = Literal["asn", "country", "label", "kind", "family", "day"]
Step: TypeAlias = Literal["h", "D", "W", "M"]  # in which time is divided
MEDIA = ("media", "call", "loop", "reflectorloop")  # steps that are test calls and flows
STATES: tuple[State, ...] = get_args(State)
# Impaired or worse. Whether that is the network's doing is for the states and the statistics to say.
FAILING: tuple[State, ...] = ("blocked", "likely_blocked", "unreachable", "degraded", "down")
# What claims count as failing: an impaired service still gets through, and its figures speak for themselves.
CUT: tuple[State, ...] = ("blocked", "likely_blocked", "unreachable", "down")
USABLE: tuple[State, ...] = ("reachable", *FAILING)
UNKNOWN = "unknown"
_RANK = 10**9  # more vantage points than there are


def chosen(verdicts: Table, *, by: By, services: Sequence[str] = (), since: datetime | None = None) -> Table:
    """The verdicts asked about, with their `key` and `hour`: families apart only where they are compared."""
    found = verdicts.filter(_.family > 0 if by == "family" else _.family == 0)
    if services:
        found = found.filter(_.service.isin(list(services)))
    if since is not None:
        found = found.filter(_.started >= ibis.literal(since, type="timestamp"))
    return found.mutate(key=_key(found, by), hour=_.started.truncate("h"))


def _key(table: Table, by: By) -> StringValue:
    if by == "family":
        return ibis.literal("IPv") + table.family.cast("string")
    if by == "day":
        return table.started.date().cast("string")
    column = table[{"asn": "network", "country": "country", "label": "label", "kind": "kind"}[by]]
    return ibis.ifelse(column != "", column, UNKNOWN)


def stays(verdicts: Table, runs: Table) -> Table:
    """Where and when each run was made, and in how many copies it is there: one row per key and run.

    Small, and worth keeping for several questions.
    """
    where = ["key", "run", "network", "vantage", "hour", "asn", "as_name", "country"]
    copies = runs.group_by("run").agg(copies=_.count()).select("copies", copied="run")
    found = verdicts.select(*where).distinct()
    return found.left_join(copies, found.run == copies.copied).select(*where, copies=_.copies.fill_null(1))


def units(verdicts: Table, stays: Table, step: Step | None = None) -> Table:
    """Units counted by service, purpose, key and vantage point, and by the time `at` if a step divides it.

    good, bad       units that allow a statement; bad are those that fail in more than half of their runs
    first, last     hours of all units, also of those that allow no statement
    last_good       the last hour of a good unit, where any is good
    failed          the hours of bad units, where any is bad; some twice

    Grouping by hours costs more than all else. Nearly every run is the only one of its hour, so its verdicts are units
    as they are; only those of hours with several runs, or copies of one, are grouped by `shared`.
    """
    hour, usable, failing = ["network", "vantage", "hour"], _.state.isin(USABLE), _.state.isin(FAILING)
    each = ["service", "purpose", "key", "vantage"]
    runs = stays.select(*hour, "run", "copies").distinct()
    several = runs.group_by(hour).agg(copies=_.copies.sum()).filter(_.copies > 1)
    sharing = runs.semi_join(several, hour).select(sharing="run").distinct()
    found = verdicts.left_join(sharing, verdicts.run == sharing.sharing)
    found = found.mutate(
        shared=ibis.ifelse(_.sharing.notnull(), _.hour, ibis.null("timestamp")),
        there=ibis.ifelse(_.sharing.notnull(), _.network, ibis.null("string")),
    )
    if step is not None:
        found, each = found.mutate(at=_.hour.truncate(step)), [*each, "at"]
    counted = found.group_by(*each, "shared", "there").agg(
        usable=_.count(where=usable),
        working=_.count(where=usable & ~failing),
        first=_.hour.min(),
        last=_.hour.max(),
        last_good=_.hour.max(where=usable & ~failing),
        failed=_.hour.collect(where=failing),
    )
    # A difference has a sign; a count of ClickHouse's has none, and would not be of one type with what has.
    counted = counted.mutate(failing=_.usable - _.working)
    most = 2 * _.failing > _.usable
    return counted.select(
        *each, "first", "last", "last_good", "failed",
        good=ibis.ifelse(_.shared.isnull(), _.usable - _.failing, ((_.usable > 0) & ~most).cast("int64")),
        bad=ibis.ifelse(_.shared.isnull(), _.failing, most.cast("int64")),
    )  # fmt: skip


def matrix(units: Table) -> Table:
    """One row per service, purpose and key.

    units, bad      units that allow a statement, and those in which it fails
    vantages        vantage points behind the units; `bad_vantages` behind those in which it fails
    since           the hour from which on it fails in every unit, null if it last worked
    """
    good, bad = _.good > 0, _.bad > 0
    found = units.group_by("service", "purpose", "key").agg(
        units=(_.good + _.bad).sum(),
        bad=_.bad.sum(),
        vantages=_.vantage.nunique(where=good | bad),
        bad_vantages=_.vantage.nunique(where=bad),
        first=_.first.min(),
        last=_.last.max(),
        last_good=_.last_good.max(where=good),
        failed=_.failed.collect(where=bad).flatten(),
    )
    # Of a list, for asking the units once more would cost as much as everything else.
    after = found.failed.filter(lambda hour: hour > found.last_good).mins()
    since = ibis.cases(
        ((_.bad > 0) & _.last_good.isnull(), _.failed.mins()),
        ((_.bad > 0) & (_.failed.maxs() > _.last_good), after),
    )
    return found.mutate(since=since).drop("failed").order_by("service", "purpose", "key")


def reasons(verdicts: Table) -> Table:
    """How often each state was reached by which mechanism and rule: what the cells of the matrix are said to be."""
    return (
        verdicts.group_by("service", "purpose", "key", "state", "mechanism", "rule", "identity")
        .agg(runs=_.count(), because=_.because.max())
        .order_by("service", "purpose", "key", ibis.desc("runs"), "state", "mechanism", "rule", "identity")
    )


def places(stays: Table) -> Table:
    """What is known of each key: the name that most give, countries, vantage points, runs, first and last hour."""
    runs = stays.group_by("key", "run").agg(
        **{name: _[name].max() for name in ("as_name", "asn", "network", "country", "vantage", "hour")}
    )
    found = runs.group_by("key").agg(
        asn=_.asn.max(),
        asns=_.network.nunique(),
        country=_.country.max(),
        countries=_.country.nunique(),
        vantages=_.vantage.nunique(),
        runs=_.count(),
        first=_.hour.min(),
        last=_.hour.max(),
    )
    named = found.left_join(_said_by_most(runs, "as_name", "key"), "key")
    return named.select(*found.columns, as_name=_.as_name.fill_null("")).order_by("key")


def layers(
    observations: Table, *, by: By, services: Sequence[str] = (), since: datetime | None = None
) -> Table:
    """The ladder: per service, purpose, key and step, how often it went through and how it failed otherwise."""
    return (
        own(observations, by=by, services=services, since=since)
        .group_by("service", "purpose", "key", "step", "failure")
        .agg(count=_.count(), seconds=_.seconds.mean())
        .order_by("service", "purpose", "key", "step", "failure")
    )


def own(observations: Table, *, by: By, services: Sequence[str] = (), since: datetime | None = None) -> Table:
    """Steps done as the app does them, once or again, with their `key`; follow-ups and look-ups are not among them."""
    found = observations.filter(_.variant.isin(["target", "again"]), _.service != "")
    if by == "family":
        found = found.filter(_.family > 0)
    if services:
        found = found.filter(_.service.isin(list(services)))
    if since is not None:
        found = found.filter(_.started >= ibis.literal(since, type="timestamp"))
    return found.mutate(key=_key(found, by))


def history(units: Table) -> Table:
    """Over time, of units that are divided by it: those that allow a statement, and those in which it fails."""
    return (
        units.group_by("service", "purpose", "key", "at")
        .agg(units=(_.good + _.bad).sum(), bad=_.bad.sum())
        .filter(_.units > 0)
        .order_by("service", "purpose", "key", "at")
    )


def flows(observations: Table, step: Step) -> Table:
    """Test calls and flows over time, of what `own` gives: shares lost in the mean, the median round trip."""
    return (
        observations.filter(_.step.isin(MEDIA), _.loss_up.notnull() | _.loss_down.notnull())
        .mutate(at=_.started.truncate(step))
        .group_by("key", "service", "at")
        .agg(
            flows=_.count(),
            loss_up=_.loss_up.mean(),
            loss_down=_.loss_down.mean(),
            rtt_ms=_.rtt_ms.median(),
        )
        .order_by("key", "service", "at")
    )


def failures(observations: Table) -> Table:
    """Every way a step failed, of what `own` gives, with the latest time it did as its example."""
    return (
        observations.filter(_.failure != "")
        .group_by("service", "purpose", "key", "step", "failure")
        .agg(
            first=_["at"].min(),
            last=_["at"].max(),
            host=_.host.argmax(_["at"]),
            port=_.port.argmax(_["at"]),
            code=_.code.argmax(_["at"]),
        )
        .order_by("service", "purpose", "key", "step", "failure")
    )


def lent(measurements: Table) -> Table:
    """Hosts that are nobody's but whoever lends them: far ends and TURN servers."""
    return measurements.filter(_["at"] != "endpoint").select("host").distinct()


def programs(runs: Table) -> Table:
    """Which programs made how many runs, and the rules that their verdicts were thought with."""
    return (
        runs.group_by("software", "source", "rules_stored")
        .agg(runs=_.count())
        .order_by("software", "source", "rules_stored")
    )


def versions(runs: Table) -> Table:
    """The software of each vantage point and hour; of several in one hour the last by name."""
    return (
        runs.mutate(hour=_.started.truncate("h")).group_by("vantage", "hour").agg(software=_.software.max())
    )


def cells(verdicts: Table, runs: Table) -> Table:
    """What claims count: one row per unit that allows a statement, with everything that the statistics ask of it.

    access      "mobile" or "fixed", which are two networks, for filters tell them apart
    hour        since the epoch
    failing     1 where it does not get through in most of the runs that allow a statement, else 0: batches of
                ClickHouse's hold no booleans
    impaired    1 where it fails in most of them, or works but is proven to be interfered with
    proven      1 where most of them hold an artefact or a contrast of their own
    mechanisms  what runs named, one a line, however often
    software    of the vantage point in that hour, if there is a run that says so
    setup_s ... medians of the unit's runs
    """
    medians: dict[str, Any] = {name: _[name].median() for name in METRICS}
    counted = (
        verdicts.mutate(access=ibis.ifelse(_.kind == "mobile", "mobile", "fixed"))
        .group_by("service", "purpose", "country", "asn", "access", "vantage", "hour")
        .agg(
            usable=_.count(where=_.state.isin(USABLE)),
            cut=_.count(where=_.state.isin(CUT)),
            degraded=_.count(where=_.state == "degraded"),
            blocked=_.count(where=_.state == "blocked"),
            mechanisms=_.mechanism.nullif("").group_concat("\n"),
            **medians,
        )
        .filter(_.usable > 0)
    )
    return counted.left_join(versions(runs), ["vantage", "hour"]).select(
        "service", "purpose", "country", "asn", "access", "vantage",
        hour=(_.hour.epoch_seconds() / 3600).floor().cast("int64"),
        failing=(2 * _.cut > _.usable).cast("int8"),
        impaired=(2 * (_.cut + _.degraded) > _.usable).cast("int8"),
        proven=(2 * _.blocked > _.usable).cast("int8"),
        mechanisms=_.mechanisms.fill_null(""),
        software=_.software.fill_null(""),
        **{name: _[name] for name in METRICS},
    )  # fmt: skip


def names(verdicts: Table) -> Table:
    """What most vantage points call each network of `cells`: an operator by its name, else by their labels."""
    named = verdicts.mutate(name=ibis.ifelse(_.asn > 0, _.as_name, _.label))
    return _said_by_most(named, "name", "country", "asn")


def _said_by_most(table: Table, text: str, *keys: str) -> Table:
    """The text that most vantage points give, each with one vote; of several the smallest. Empty ones say nothing."""
    said = table.filter(_[text] != "").group_by(*keys, text).agg(votes=_.vantage.nunique())
    # The more say it, the smaller the number before it.
    ranked = (_RANK - _.votes).cast("string").lpad(len(str(_RANK)), "0") + _[text]
    return (
        said.group_by(*keys)
        .agg(best=ranked.min())
        .mutate(**{text: _.best.substr(len(str(_RANK)))})
        .drop("best")
    )
