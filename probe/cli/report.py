"""A finished run as one table or one JSON object."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from probe.cli import media_words, words
from probe.cli.terminal import console
from probe.language import _, apart
from probe.model import End, Judgement, Run, Verdict
from probe.session import Finished


def as_json(finished: Finished) -> dict[str, Any]:
    """The object of DESIGN 5.1, and beside it what the run cost and what is true of the whole network."""
    document, judgement = finished.document, finished.judgement
    vantage, end = document.run.vantage, document.end
    return {
        "run": document.run.id,
        "file": str(finished.path),
        "network": {
            "regime": judgement.regime,
            "asn": vantage.asn,
            "as_name": vantage.as_name,
            "country": vantage.country,
            "kind": vantage.kind,
            "label": vantage.label,
            "families": vantage.families,
            "tunnel": vantage.tunnel,
        },
        "services": [
            {"service": name} | {purpose: verdict_json(verdict) for purpose, verdict in verdicts.items()}
            for name, verdicts in judgement.services.items()
        ],
        "findings": [
            {"rule": f.rule, "because": f.because, "evidence": list(f.evidence)} for f in judgement.findings
        ],
        "media": media_words.as_json(document),
        "ended": end.ended if end else "interrupted",
        "seconds": end.seconds if end else 0.0,
        "sent": end.sent if end else 0,
        "received": end.received if end else 0,
    }


def verdict_json(verdict: Verdict) -> dict[str, Any]:
    """Every key, also those at their defaults: readers should not have to guess."""
    return {
        "state": verdict.state,
        "mechanism": verdict.mechanism,
        "rule": verdict.rule,
        "because": verdict.because,
        "evidence": list(verdict.evidence),
        "families": verdict.families,
        "identity": verdict.identity,
        "partly": list(verdict.partly),
    }


def show_table(finished: Finished) -> None:
    """Print the network, the table, what its words mean, and where the file is, within 80 columns."""
    out = console()
    services = finished.judgement.services
    out.print(network_line(finished.document.run, finished.judgement))
    for finding in finished.judgement.findings:
        out.print(Text(_("note: {text}").format(text=words.reason(finding.because)), style="yellow"))
    out.print(table(services))
    _print_calls(out, finished)
    _print_reasons(out, services)
    end = finished.document.end
    if end is not None:
        out.print(_last_line(end, finished.document.run.id[:8]))
    out.print(Text(str(finished.path), style="dim"), soft_wrap=True)


def _last_line(end: End, run: str) -> str:
    """What it cost, whether it came to its end, and where to read on."""
    if end.ended == "complete":
        text = _("{seconds} s, {kilobytes} kB. Details: `probe show {run}`")
    elif end.ended == "interrupted":
        text = _(
            "{seconds} s, {kilobytes} kB. Stopped early: the rest is not judged. Details: `probe show {run}`"
        )
    else:
        text = _(
            "{seconds} s, {kilobytes} kB. Time was up: the rest is not judged. Details: `probe show {run}`"
        )
    size = f"{(end.sent + end.received) / 1000:.0f}"
    return text.format(seconds=f"{end.seconds:.0f}", kilobytes=size, run=run)


def _print_calls(out: Console, finished: Finished) -> None:
    """The first try of each test call and flow, in numbers."""
    first = [
        (measurement, facts)
        for measurement, chain, facts in media_words.tests(finished.document)
        if chain.variant == "target"
    ]
    if first:
        out.print(Text(_("test calls to the far end"), style="bold"))
    for measurement, facts in first:
        who = words.plain(measurement.service) if measurement.service else _("control")
        out.print(Text(f"  {who}: {media_words.summary(facts)}"))


def _print_reasons(out: Console, services: Mapping[str, Mapping[str, Verdict]]) -> None:
    """Each reason once, below the table."""
    reasons = {
        words.label(verdict): words.reason(verdict.because)
        for verdicts in services.values()
        for purpose, verdict in verdicts.items()
        if purpose in ("messaging", "calls") and verdict.state not in ("reachable", "not_tested")
    }
    for label, because in reasons.items():
        out.print(Text.assemble((label, "bold"), f": {because}"))
    if any(v.state == "reachable" for verdicts in services.values() for v in verdicts.values()):
        called = any(v.rule == "call.works" for verdicts in services.values() for v in verdicts.values())
        out.print(Text(words.footnote(called=called), style="dim"))


def network_line(run: Run, judgement: Judgement) -> str:
    """Where this was measured and how the network is."""
    vantage = run.vantage
    parts = [
        vantage.label,
        f"AS{vantage.asn} {vantage.as_name}".strip() if vantage.asn else "",
        vantage.country,
    ]
    where = words.plain(", ".join(part for part in parts if part)) or _("unknown network")
    condition = _(words.REGIMES[judgement.regime])
    return _("Network: {where}. Condition: {condition}.").format(where=where, condition=condition)


def table(services: Mapping[str, Mapping[str, Verdict]]) -> Table:
    """Service, messages, calls, and why what is sad is sad."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for head in (_("service"), words.purpose("messaging"), words.purpose("calls")):
        made.add_column(apart(head), no_wrap=True)
    made.add_column(apart(_("why")), overflow="fold", style="dim")
    for name, verdicts in services.items():
        messaging, calls = verdicts.get("messaging"), verdicts.get("calls")
        cells = (cell("messaging", messaging), cell("calls", calls))
        made.add_row(apart(words.plain(name)), *cells, Text(apart(_why(verdicts))))
    return made


def cell(purpose: str, verdict: Verdict | None) -> Text:
    """One verdict as a coloured word."""
    style = words.COLOURS.get(verdict.state, "") if verdict else "dim"
    return Text(apart(words.state(purpose, verdict)), style=style)


def _why(verdicts: Mapping[str, Verdict]) -> str:
    """The mechanisms of what does not work; for a service with nothing but a website, how that fared."""
    said = [
        (words.purpose(purpose), verdict)
        for purpose in ("messaging", "calls")
        if (verdict := verdicts.get(purpose)) is not None
    ]
    sad = [(word, verdict) for word, verdict in said if verdict.state not in ("reachable", "not_tested")]
    labels = dict.fromkeys(words.label(verdict) + words.families(verdict) for _, verdict in sad)
    if len(labels) == 1 and len(sad) == 2:
        return next(iter(labels))
    if not sad and all(verdict.state == "not_tested" for _, verdict in said):
        web = verdicts.get("web")
        if web is not None and web.state != "not_tested":
            return _("its website: {state}").format(state=words.state("web", web))
        return words.plain(said[0][1].rule) if said else ""
    return "; ".join(f"{word}: {words.label(verdict)}{words.families(verdict)}" for word, verdict in sad)
