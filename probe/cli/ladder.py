"""A run's ladders on a terminal: service, purpose, verdict, targets, chains, steps."""

from collections import defaultdict

from rich.console import Console
from rich.text import Text

from probe.cli import words
from probe.cli.report import network_line
from probe.cli.terminal import console
from probe.language import _
from probe.model import Chain, Document, Judgement, Lookup, Measurement, Verdict
from probe.steps import DnsFacts
from probe.store import Stored
from probe.verdict import judge


def ladders(stored: Stored, services: tuple[str, ...], *, controls: bool) -> None:
    """Print the run, judged by today's rules."""
    document, judgement = stored.document, judge(stored.document)
    out = console()
    run = document.run
    head = _("Run {run}, {time} UTC, {software}")
    out.print(
        head.format(
            run=words.plain(run.id), time=f"{run.started:%Y-%m-%d %H:%M}", software=words.plain(run.software)
        )
    )
    out.print(network_line(run, judgement))
    for finding in judgement.findings:
        out.print(Text(_("note: {text}").format(text=words.reason(finding.because)), style="yellow"))
    _say_if_thought_again(out, document, judgement)
    for name, verdicts in judgement.services.items():
        if not services or name in services:
            _service(out, document, name, verdicts)
    if controls:
        out.print(Text("\n" + _("controls"), style="bold"))
        for measurement in document.measurements:
            if not measurement.service:
                _target(out, measurement)


def _say_if_thought_again(out: Console, document: Document, judgement: Judgement) -> None:
    then = document.judgement
    if then is None or then.rules == judgement.rules:
        return
    changed = [
        _("{service}, {purpose}: {old} then, {new} now").format(
            service=words.plain(name),
            purpose=words.purpose(purpose),
            old=words.state(purpose, old),
            new=words.state(purpose, new),
        )
        for name, old_verdicts in then.services.items()
        for purpose, old in old_verdicts.items()
        if (new := judgement.services.get(name, {}).get(purpose)) is not None and new.state != old.state
    ]
    if changed:
        text = _("The rules have changed since (then {old}, now {new}): {what}")
        out.print(text.format(old=then.rules, new=judgement.rules, what="; ".join(changed)))


def _service(out: Console, document: Document, name: str, verdicts: dict[str, Verdict]) -> None:
    mine = [m for m in document.measurements if m.service == name]
    out.print(Text(f"\n{words.plain(name)}", style="bold"))
    for purpose, verdict in verdicts.items():
        targets = [m for m in mine if m.purpose == purpose]
        if not targets and purpose == "web":
            continue
        head = Text(f" {words.purpose(purpose)}: ")
        head.append(words.state(purpose, verdict), style=words.COLOURS.get(verdict.state, ""))
        if verdict.state != "reachable":
            rule = _("(rule {rule})").format(rule=words.plain(verdict.rule))
            head.append(f"  {words.why(verdict)}  {rule}")
        out.print(head)
        for measurement in targets:
            _target(out, measurement)
    _lookups(out, document, {chain.host for m in mine for chain in m.chains})


def _target(out: Console, measurement: Measurement) -> None:
    ended = {"complete": "", "interrupted": " (" + _("interrupted") + ")"}.get(
        measurement.ended, " (" + _("its turn did not come, or its time was up") + ")"
    )
    group = ""
    if measurement.group != measurement.target:
        group = ", " + _("group {group}").format(group=words.plain(measurement.group))
    out.print(f"   {words.plain(measurement.target)}{group}{ended}")
    if not measurement.chains:
        out.print("     " + _("nothing was tried: no usable address"))
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
        text = _("look-ups of {name}: {answers}")
        out.print(Text("   " + text.format(name=words.plain(name), answers="; ".join(map(_said, lookups)))))


def _said(lookup: Lookup) -> str:
    observation = lookup.observations[-1]
    if isinstance(observation.facts, DnsFacts) and observation.failure is None:
        answers = [observation.facts.answer, *observation.facts.further]
        told = _(" and then ").join(
            words.plain(", ".join(answer.records) or answer.rcode) for answer in answers
        )
    else:
        told = words.failed(observation.failure) if observation.failure else _("nothing")
    text = _("{resolver} said {answer} #{observation}")
    return text.format(resolver=words.plain(lookup.resolver), answer=told, observation=observation.id)
