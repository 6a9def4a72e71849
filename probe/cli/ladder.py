"""A run's ladders on a terminal: service, purpose, verdict, targets, chains, steps."""

from collections import defaultdict

from rich.console import Console
from rich.text import Text

from probe.cli import words
from probe.cli.report import network_line
from probe.cli.terminal import console
from probe.model import Chain, Document, Judgement, Lookup, Measurement, Verdict
from probe.steps import DnsFacts
from probe.store import Stored
from probe.verdict import judge


def ladders(stored: Stored, services: tuple[str, ...], *, controls: bool) -> None:
    """Print the run, judged by today's rules."""
    document, judgement = stored.document, judge(stored.document)
    out = console()
    run = document.run
    out.print(f"Run {words.plain(run.id)}, {run.started:%Y-%m-%d %H:%M} UTC, {words.plain(run.software)}")
    out.print(network_line(run, judgement))
    for finding in judgement.findings:
        out.print(Text(f"note: {words.plain(finding.because)}", style="yellow"))
    _say_if_thought_again(out, document, judgement)
    for name, verdicts in judgement.services.items():
        if not services or name in services:
            _service(out, document, name, verdicts)
    if controls:
        out.print(Text("\ncontrols", style="bold"))
        for measurement in document.measurements:
            if not measurement.service:
                _target(out, measurement)


def _say_if_thought_again(out: Console, document: Document, judgement: Judgement) -> None:
    then = document.judgement
    if then is None or then.rules == judgement.rules:
        return
    changed = [
        f"{name} {purpose}: {old.state} then, {new.state} now"
        for name, old_verdicts in then.services.items()
        for purpose, old in old_verdicts.items()
        if (new := judgement.services.get(name, {}).get(purpose)) is not None and new.state != old.state
    ]
    if changed:
        out.print(
            f"The rules have changed since (then {then.rules}, now {judgement.rules}): {'; '.join(changed)}"
        )


def _service(out: Console, document: Document, name: str, verdicts: dict[str, Verdict]) -> None:
    mine = [m for m in document.measurements if m.service == name]
    out.print(Text(f"\n{words.plain(name)}", style="bold"))
    for purpose, verdict in verdicts.items():
        targets = [m for m in mine if m.purpose == purpose]
        if not targets and purpose == "web":
            continue
        head = Text(f" {purpose}: ")
        head.append(words.state(purpose, verdict), style=words.COLOURS.get(verdict.state, ""))
        if verdict.state != "reachable":
            head.append(f"  {words.why(verdict)}  (rule {words.plain(verdict.rule)})")
        out.print(head)
        for measurement in targets:
            _target(out, measurement)
    _lookups(out, document, {chain.host for m in mine for chain in m.chains})


def _target(out: Console, measurement: Measurement) -> None:
    ended = "" if measurement.ended == "complete" else f" ({measurement.ended})"
    group = "" if measurement.group == measurement.target else f", group {words.plain(measurement.group)}"
    out.print(f"   {words.plain(measurement.target)}{group}{ended}")
    if not measurement.chains:
        out.print("     nothing was tried: no usable address")
    for chain in measurement.chains:
        out.print(Text(f"     {_chain(chain)}"), soft_wrap=False)


def _chain(chain: Chain) -> str:
    rungs = "; ".join(f"#{o.id} {words.rung(o)}" for o in chain.observations)
    return f"{words.place(chain)}: {rungs}"


def _lookups(out: Console, document: Document, hosts: set[str]) -> None:
    by_name: dict[str, list[Lookup]] = defaultdict(list)
    for lookup in document.lookups:
        if lookup.name in hosts and lookup.observations:
            by_name[lookup.name].append(lookup)
    for name, lookups in sorted(by_name.items()):
        out.print(Text(f"   look-ups of {words.plain(name)}: {'; '.join(map(_said, lookups))}"))


def _said(lookup: Lookup) -> str:
    observation = lookup.observations[-1]
    if isinstance(observation.facts, DnsFacts) and observation.failure is None:
        answers = [observation.facts.answer, *observation.facts.further]
        said = " and then ".join(", ".join(answer.records) or answer.rcode for answer in answers)
    else:
        failure = observation.failure
        code = f" ({failure.code})" if failure and failure.code else ""
        said = f"{words.FAILURES.get(failure.kind, failure.kind) if failure else 'nothing'}{code}"
    return words.plain(f"{lookup.resolver} said {said} #{observation.id}")
