"""Documents as rows: what is compared, counted and kept in Parquet. Pure.

A run gives four kinds of rows. Verdicts are thought again with today's rules, and what was thought when
the run was made stands beside them.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime

from probe.analysis.columns import MeasurementRow, ObservationRow, Place, Rows, RunRow, VerdictRow
from probe.analysis.figures import Figures, of_observation, of_purpose
from probe.failure import Failure, Kind
from probe.model import Chain, Document, Judgement, Measurement, Observation, Verdict
from probe.reading import OWN, failure_of, failures, most_common, was_missed
from probe.resolution import resolutions
from probe.verdict import judge

_EPOCH, _EPOCH_UTC = datetime(1970, 1, 1), datetime(1970, 1, 1, tzinfo=UTC)  # noqa: DTZ001
_FIRST, _LAST = datetime(2000, 1, 1), datetime(2100, 1, 1)  # noqa: DTZ001 - both UTC
_MAX, _BYTES = 2**32 - 1, 2**48
_NONE = Figures()
_MISSED = Failure(
    kind=Kind.UNSUPPORTED, code="busy"
)  # this machine did not listen: no failure of the network's
_TEXT = 300  # characters of any text that comes from a file


class RowError(Exception):
    """A document cannot become rows; the sentence says why."""


def vantage(label: str, folder: str) -> str:
    """A pseudonym for whoever made the runs of one label in one folder: files say nothing of it themselves."""
    return "v" + hashlib.sha256(f"{label}\0{folder}".encode()).hexdigest()[:12]


def sender(key: str) -> str:
    """A pseudonym for the key that signed an upload."""
    return "k" + hashlib.sha256(key.encode()).hexdigest()[:12]


def rows(
    document: Document, vantage: str, *, source: str = "callreach", judgement: Judgement | None = None
) -> Rows:
    """The rows of one document. `judgement` is for documents that are not whole, so cannot be judged.

    Raises RowError where it cannot be placed in time or judged.
    """
    try:
        check_clock(document.run.started)
        judgement = judgement or judge(document)
        place = _place(document, vantage)
        return Rows(
            run=_run(place, document, judgement, source),
            measurements=list(_measurements(place, document)),
            observations=list(_observations(place, document)),
            verdicts=list(_verdicts(place, document, judgement)),
        )
    except (AssertionError, LookupError, ValueError, TypeError, ArithmeticError) as error:
        # No run of ours does that: somebody wrote the file by hand.
        raise RowError(f"it contradicts itself and cannot be judged ({type(error).__name__})") from None


def check_clock(started: datetime) -> None:
    """Raises RowError for a time at which nobody measured."""
    if not _FIRST <= _naive(started) <= _LAST:
        raise RowError(f"it says that it began at {started:%Y-%m-%d}: that clock is broken")


def _place(document: Document, vantage: str) -> Place:
    run = document.run
    where = run.vantage
    asn = _number(where.asn)
    return Place(
        run=_text(run.id),
        started=_naive(run.started),
        network=f"AS{asn}" if asn else _text(where.label),
        asn=asn,
        as_name=_text(where.as_name),
        country=_text(where.country)[:2].upper(),
        kind=where.kind,
        label=_text(where.label),
        vantage=vantage,
    )


def _run(place: Place, document: Document, judgement: Judgement, source: str) -> RunRow:
    run, end, stored = document.run, document.end, document.judgement
    return RunRow(
        place,
        source=source,
        software=_text(run.software),
        format=_number(run.format),
        tests=run.tests,
        tunnel=run.vantage.tunnel,
        regime=judgement.regime,
        regime_stored=stored.regime if stored else "",
        rules=_number(judgement.rules),
        rules_stored=_number(stored.rules) if stored else 0,
        ended=end.ended if end else "",
        seconds=end.seconds if end else 0.0,
        sent=_number(end.sent, most=_BYTES) if end else 0,
        received=_number(end.received, most=_BYTES) if end else 0,
        disturbed=bool(end and end.disturbances),
    )


def _measurements(place: Place, document: Document) -> Iterator[MeasurementRow]:
    for measurement in document.measurements:
        own = [c for c in measurement.chains if c.variant in OWN and c.observations]
        endpoints: dict[tuple[str, str, int, int], list[Chain]] = {}
        for chain in own:
            endpoints.setdefault((chain.host, chain.ip or "", chain.port, chain.family), []).append(chain)
        for endpoint, chains in endpoints.items():
            yield _endpoint(place, measurement, endpoint, chains)
        if not own and measurement.service and measurement.ended == "complete":
            denied = _denied(document)
            yield _endpoint(place, measurement, ("", "", 0, 0), [])._replace(nameless=True, denied=denied)


def _endpoint(
    place: Place, measurement: Measurement, endpoint: tuple[str, str, int, int], chains: list[Chain]
) -> MeasurementRow:
    host, ip, port, family = endpoint
    passed = sum(failure_of(chain) is None for chain in chains)
    failed = failures(chains)
    failure = failed[0].failure if failed else None
    return MeasurementRow(
        place,
        service=_text(measurement.service),
        target=_text(measurement.target),
        purpose=measurement.purpose,
        group=_text(measurement.group),
        role=_text(measurement.role),
        at=_text(measurement.at),
        host=_text(host),
        ip=_text(ip),
        port=_number(port),
        family=family,
        outcome="works" if passed else "fails" if failed else "nothing",
        step=_text(most_common([o.step for o in failed])),
        failure=failure.kind if failure else "",
        code=_text(failure.code) if failure else "",
        tries=len(chains),
        passed=passed,
        nameless=False,
        denied=False,
    )


def _denied(document: Document) -> bool:
    """Every name without an address is denied by all who were asked: the names are gone, and the DNS works."""
    without = [name for name in resolutions(document).values() if not name.true_ips | name.system_ips]
    return bool(without) and all(name.gone for name in without)


def _observations(place: Place, document: Document) -> Iterator[ObservationRow]:
    for lookup in document.lookups:
        asked = ("", "", "", "", _text(lookup.resolver), _text(lookup.name), "", 0, 0)
        for observation in lookup.observations:
            yield _observation(place, asked, observation)
    for measurement in document.measurements:
        whose = (_text(measurement.service), _text(measurement.target), measurement.purpose)
        for chain in measurement.chains:
            there = (_text(chain.host), _text(chain.ip or ""), _number(chain.port), chain.family)
            tried = (*whose, chain.variant, "", *there)
            for observation in chain.observations:
                yield _observation(place, tried, observation)


def _observation(
    place: Place, what: tuple[str, str, str, str, str, str, str, int, int], observation: Observation
) -> ObservationRow:
    """One row; `what` are the columns from the service to the family."""
    figures = of_observation(observation)
    failure = _MISSED if was_missed(observation) else observation.failure
    return ObservationRow(  # by position: names take twice the time, and most rows are of this kind
        place,
        *what,
        _number(observation.id),
        _text(observation.step),
        _naive(observation.at),
        observation.seconds,
        _number(observation.sent, most=_BYTES),
        _number(observation.received, most=_BYTES),
        failure.kind if failure else "",
        _text(failure.code) if failure else "",
        figures.rtt_ms,
        figures.loss_up,
        figures.loss_down,
    )


def _verdicts(place: Place, document: Document, judgement: Judgement) -> Iterator[VerdictRow]:
    stored = document.judgement
    tested: dict[tuple[str, str], list[Measurement]] = defaultdict(list)
    for measurement in document.measurements:
        tested[measurement.service, measurement.purpose].append(measurement)
    for service, verdicts in judgement.services.items():
        for purpose, verdict in verdicts.items():
            then = stored.services.get(service, {}).get(purpose) if stored else None
            figures = of_purpose(tested[service, purpose])
            common = (place, _text(service), purpose, judgement, stored)
            yield _verdict(*common, verdict, then, figures=figures)
            for family in ("4", "6"):
                if family in verdict.families:
                    yield _verdict(*common, verdict, then, family=family)


def _verdict(
    place: Place,
    service: str,
    purpose: str,
    judgement: Judgement,
    stored: Judgement | None,
    verdict: Verdict,
    then: Verdict | None,
    *,
    family: str = "",
    figures: Figures = _NONE,
) -> VerdictRow:
    """One row; what is known of a family alone is its state."""
    state = verdict.families[family] if family else verdict.state
    before = then.families.get(family, "") if then and family else then.state if then else ""
    same = not family or state == verdict.state
    return VerdictRow(
        place,
        service=service,
        purpose=purpose,
        family=int(family or 0),
        state=state,
        mechanism=(verdict.mechanism or "") if same else "",
        rule=verdict.rule if same else "",
        because=_text(verdict.because) if same else "",
        identity=verdict.identity,
        evidence=() if family else tuple(map(_number, verdict.evidence)),
        regime=judgement.regime,
        rules=_number(judgement.rules),
        state_stored=before,
        mechanism_stored=_text(then.mechanism or "") if then and not family else "",
        rules_stored=_number(stored.rules) if stored else 0,
        setup_s=figures.setup_s,
        loss_up=figures.loss_up,
        loss_down=figures.loss_down,
        rtt_ms=figures.rtt_ms,
    )


def _naive(at: datetime) -> datetime:
    # Ten times as fast as astimezone and replace.
    return at if at.tzinfo is None else _EPOCH + (at - _EPOCH_UTC)


def _text(text: str) -> str:
    return text[:_TEXT]


def _number(number: int | None, *, most: int = _MAX) -> int:
    """What may be; anything else is no number of ours."""
    return number if number is not None and 0 <= number <= most else 0
