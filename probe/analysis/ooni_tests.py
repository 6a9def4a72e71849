"""OONI's tests of messengers: what each is about, and what its failures mean to us. Pure."""

from typing import NamedTuple

from probe.model import Document, Measurement, Purpose, Verdict
from probe.reading import failure_of
from probe.rule import ACTION


class Target(NamedTuple):
    """One target of a test: OONI's name for it, its purpose, and its hosts; without hosts, all that are left.

    `any_of`: one host that is reached is enough, otherwise each is needed.
    """

    name: str
    purpose: Purpose
    hosts: tuple[str, ...] = ()
    any_of: bool = False


class Test(NamedTuple):
    """What a test of OONI's is about."""

    service: str
    targets: tuple[Target, ...]


TESTS = {
    "telegram": Test("telegram", (
        Target("web", "web", ("web.telegram.org",)),
        Target("dc_pool", "messaging", any_of=True),
    )),
    "whatsapp": Test("whatsapp", (
        Target("web", "web", ("web.whatsapp.com",)),
        Target("registration", "web", ("v.whatsapp.net",)),
        Target("endpoints", "messaging", any_of=True),
    )),
    "signal": Test("signal", (
        Target("sfu", "calls", ("sfu.voip.signal.org",)),
        Target("uptime", "web", ("uptime.signal.org",)),
        Target("backend", "messaging"),
    )),
    "facebook_messenger": Test("messenger", (
        Target("stun", "calls", ("stun.fbsbx.com",)),
        Target("star", "web", ("star.c10r.facebook.com",)),
        Target("cdn", "web", ("external.xx.fbcdn.net", "scontent.xx.fbcdn.net")),
        Target("api", "messaging"),
    )),
}  # fmt: skip

STUN = ("stunreachability", "stun_reachability")  # the specification has the second


def verdicts(document: Document) -> dict[str, dict[str, Verdict]]:
    """What is thought of each service and purpose, as far as one try without controls allows."""
    found: dict[str, dict[str, Verdict]] = {}
    for measurement in document.measurements:
        test = next((t for t in TESTS.values() if t.service == measurement.service), None)
        if test is None:
            continue
        target = next(t for t in test.targets if t.name == measurement.target)
        verdict = _verdict(measurement, any_of=target.any_of)
        before = found.setdefault(test.service, {}).get(measurement.purpose)
        if before is None or (before.state == "reachable" and verdict.state != "reachable"):
            found[test.service][measurement.purpose] = verdict
    return found


def _verdict(measurement: Measurement, *, any_of: bool) -> Verdict:
    """One target's, by its hosts: reached, not reached by evidence, or not known."""
    works = {c.host for c in measurement.chains if failure_of(c) is None}
    ends = {o.id: o for c in measurement.chains if (o := failure_of(c)) is not None}
    bad = [o for o in ends.values() if o.failure is not None and o.failure.kind.is_evidence]
    missing = {c.host for c in measurement.chains} - works
    evidence = tuple(c.observations[-1].id for c in measurement.chains)
    if works and (any_of or not missing):
        because = "OONI reached it; nobody proved who they are"
        return Verdict(
            state="reachable", rule="ooni.works", because=because, evidence=evidence, identity="not proved"
        )
    if not bad:
        because = "OONI's test was interrupted or failed for a reason of its own"
        return Verdict(state="inconclusive", rule="ooni.ours", because=because, evidence=evidence)
    step, failure = bad[0].step, bad[0].failure
    action = ACTION.get(failure.kind, "failed") if failure else "failed"
    if failure and (step, failure.code) == ("dns", "NXDOMAIN"):
        action = "nxdomain"
    because = f"OONI failed to reach {', '.join(sorted(missing))[:120]}, in one try and without controls"
    return Verdict(
        state="unreachable",
        mechanism=f"{step}.{action}",
        rule="ooni.fails",
        because=because,
        evidence=evidence,
    )
