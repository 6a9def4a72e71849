"""Comparisons for the tests of reports, made by hand: what is foreign in them is what a test wants it to be."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from probe.analysis.claims import Claim, Doubt, Numbers, Span
from probe.analysis.compare import Column, Comparison, Entry, Layer
from probe.analysis.lines import LeftOut
from probe.analysis.report.evidence import Evidence, Failed, Flow, Point, Program
from probe.analysis.report.page import report
from probe.analysis.sources import Gathered, LeftOuts
from probe.analysis.statistics import jeffreys
from probe.model import State

FIRST = datetime(2026, 8, 1, tzinfo=UTC)
MADE = datetime(2026, 9, 1, 12, tzinfo=UTC)
WORKS = Entry(
    service="paperplane", purpose="messaging", key="AS1", state="reachable", mechanism="", rule="works", because="",
    identity="proved", units=40, bad=1, low=0.0027, high=0.1108, vantages=3, bad_vantages=1, runs=50, first=FIRST,
    last=FIRST + timedelta(days=28), since=None, enough=True, states={"reachable": 50},
)  # fmt: skip


def column(key: str, name: str = "", **more: object) -> Column:
    whole = Column(
        key=key, name=name or f"{key} Net", country="FR", networks=1, vantages=3, runs=50, first=FIRST,
        last=FIRST + timedelta(days=28),
    )  # fmt: skip
    return replace(whole, **more)


def entry(key: str = "AS1", state: State = "reachable", **more: object) -> Entry:
    """One that works, or fails in all of its hours."""
    failing = {} if state == "reachable" else {"bad": 40, "rule": "stun.payload", "bad_vantages": 3}
    made = replace(WORKS, key=key, state=state, **(failing | more))
    low, high = jeffreys(made.bad, made.units) if made.units else (None, None)
    return replace(made, low=low, high=high)


def comparison(
    entries: Sequence[Entry], columns: Sequence[Column] = (), layers: Sequence[Layer] = ()
) -> Comparison:
    keys = dict.fromkeys(one.key for one in entries)
    columns = columns or [column(key) for key in keys]
    return Comparison(
        by="asn", columns=tuple(columns), entries=tuple(entries), layers=tuple(layers), runs=50 * len(columns)
    )


NOTHING = Evidence(step="D", points=(), flows=(), failures=(), programs=(), rules=4)


def page(
    found: Comparison,
    claims: Sequence[Claim] | None = (),
    evidence: Evidence = NOTHING,
    gathered: Gathered | None = None,
) -> str:
    return report(found, claims, evidence, gathered or Gathered({}, LeftOuts()), titles={}, made=MADE)


def foreign(text: str) -> str:
    """The page of a comparison in which every text that comes from elsewhere is this one."""
    entries = [
        entry(text, "blocked", service=text, purpose="calls", mechanism=text, rule=text, because=text),
        entry("AS1", service=text, identity=text),
    ]
    found = comparison(
        entries,
        [column(text, text, country=text), column("AS1", f"AS1 {text}")],
        [
            Layer(service=text, purpose="calls", key=text, step=text, failure=text, count=3, seconds=1.0),
            Layer(service=text, purpose="calls", key=text, step=text, failure="", count=3, seconds=1.0),
        ],
    )
    times = [FIRST + timedelta(days=n) for n in range(3)]
    evidence = Evidence(
        step="D",
        points=tuple(
            Point(service=text, purpose="calls", key=text, at=at, units=4, bad=n) for n, at in enumerate(times)
        ),
        flows=tuple(
            Flow(key=text, service=text, at=at, flows=1, loss_up=0.1, loss_down=None, rtt_ms=9.0) for at in times
        ),
        failures=(
            Failed(
                service=text, purpose="calls", key=text, step=text, failure=text, first=times[0], last=times[1],
                host=text, port=443, code=text,
            ),
        ),
        programs=(Program(software=text, source=text, rules_stored=2, runs=9),),
        rules=4,
    )  # fmt: skip
    gathered = Gathered({}, LeftOuts(2, [LeftOut(f"folder/{text}", 3, text)]), twice=1)
    return page(
        found, [fails(service=text, country=text, mechanism=text, networks=(text,))], evidence, gathered
    )


def fails(**more: object) -> Claim:
    claim = Claim(
        what="fails",
        service="paperplane",
        purpose="calls",
        country="FR",
        networks=("AS1 Net", "AS2 Net"),
        of=3,
        since=Span(after=FIRST + timedelta(days=9, hours=22), by=FIRST + timedelta(days=10, hours=4)),
        sure="firm",
        cause="interference",
        mechanism="stun.dropped.payload",
        numbers=Numbers(failing=310, of=320, households=7, share=0.96, low=0.9, high=1, p=1e-9),
        against=(Doubt(about="works_on", count=1),),
    )
    return replace(claim, **more)


def month(networks: int = 3) -> str:
    """The page of a month in which calls fail on all networks but the last, from a day on."""
    keys = [f"AS{n}" for n in range(1, networks + 1)]
    blocked = {
        "purpose": "calls", "mechanism": "stun.dropped.payload", "bad": 28, "since": FIRST + timedelta(days=10),
    }  # fmt: skip
    entries = [entry(key) for key in keys]
    entries += [entry(key, "blocked", **blocked) for key in keys[:-1]]
    entries += [entry(keys[-1], purpose="calls", rule="call.works", enough=False, units=2, bad=0, vantages=1)]
    layers = [
        Layer(
            service="paperplane", purpose="calls", key=key, step=step, failure=failure, count=9, seconds=0.04
        )
        for key in keys
        for step, failure in (("stun", "timeout"), ("stun", ""), ("call", "silent"))
    ]
    times = [FIRST + timedelta(days=n) for n in range(28)]
    evidence = Evidence(
        step="D",
        points=tuple(
            Point(
                service="paperplane", purpose="calls", key=key, at=at, units=4, bad=4 * (key != keys[-1] and n >= 10)
            )
            for key in keys
            for n, at in enumerate(times)
        ),
        flows=tuple(
            Flow(key=key, service="paperplane", at=at, flows=2, loss_up=n / 100, loss_down=0.01, rtt_ms=60 + n)
            for key in keys
            for n, at in enumerate(times)
        ),
        failures=tuple(
            Failed(
                service="paperplane", purpose="calls", key=key, step=step, failure=failure, first=times[10],
                last=times[20], host=host, port=3478, code="",
            )
            for key in keys
            for step, failure, host in (("stun", "timeout", "relay.paperplane.example"), ("call", "silent", ""))
        ),
        programs=(Program(software="callreach 0.1.0", source="callreach", rules_stored=3, runs=150),),
        rules=4,
    )  # fmt: skip
    claims = [fails(networks=tuple(f"{key} Net" for key in keys[:-1]), of=networks)]
    gathered = Gathered({}, LeftOuts(1, [LeftOut("folder/noise.jsonl", 0, "is not JSON")]))
    return page(comparison(entries, layers=layers), claims, evidence, gathered)
