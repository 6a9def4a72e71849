"""What a lab's run becomes by way of OONI's format: read by OONI's own parser, and back again with its verdicts."""

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec

from probe.analysis.columns import VerdictRow
from probe.analysis.documents import Found, documents
from probe.analysis.ooni_export import measurements
from probe.store import read
from tests.ooni_parser import lost


def damage(result: Path, folder: Path) -> list[str]:
    """What a result file loses on the way to OONI's format and back, one sentence each; the export is put in `folder`.

    What `probe compare` says rests on the rows of verdicts and on nothing else, unless other networks are beside it.
    """
    document = read(result).document
    lines = [msgspec.json.encode(one) for one in measurements(document)]
    found = [
        f"OONI's parser loses {', '.join(sorted(gone))} of {one['input'] or one['test_name']}"
        for one in map(json.loads, lines)
        if (gone := lost(one))
    ]
    exported = folder / f"{result.stem}.ooni.jsonl"
    exported.write_bytes(b"\n".join(lines))
    there, back = set(_verdicts(result)), list(_verdicts(exported))
    exchanged = {m.service for m in document.measurements} & {row.service for row in back}
    missing = {row for row in there if row.service in exchanged} - set(back)
    found += [f"{row.service} {row.purpose} is not the same after the exchange: {row}" for row in missing]
    if len(back) != len(set(back)) or not set(back) <= there:
        found.append("the exchange says of a verdict what the run does not")
    return found


def _verdicts(path: Path) -> Iterator[VerdictRow]:
    """The rows of verdicts in a file, but for whose they are, what was thought before, and figures of the whole run."""
    for one in documents(path):
        assert isinstance(one, Found), one
        for row in one.rows().verdicts:
            place = row.place._replace(run="", label="", vantage="")
            stored = {"state_stored": "", "mechanism_stored": "", "rules_stored": 0}
            figures = {"setup_s": None, "loss_up": None, "loss_down": None, "rtt_ms": None}
            yield row._replace(place=place, **stored, **figures)
