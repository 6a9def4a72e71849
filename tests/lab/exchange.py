"""What a lab's run becomes by way of OONI's format: read by OONI's own parser, and back again with its verdicts."""

import json
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
    there, _all = _thought(result)
    back, exchanged = _thought(exported)
    missing = {row for row in there if row.service in exchanged} - set(back)
    found += [f"{row.service} {row.purpose} is not the same after the exchange: {row}" for row in missing]
    if len(back) != len(set(back)) or not set(back) <= set(there):
        found.append("the exchange says of a verdict what the run does not")
    return found


def _thought(path: Path) -> tuple[list[VerdictRow], set[str]]:
    """The rows of verdicts in a file, and the services that were measured.

    Without whose they are, what was thought before, and figures of all measurements, of which a part may be exported.
    """
    rows: list[VerdictRow] = []
    services: set[str] = set()
    for one in documents(path):
        assert isinstance(one, Found), one
        made = one.rows()
        services |= {row.service for row in made.observations if row.service}
        for verdict in made.verdicts:
            place = verdict.place._replace(run="", label="", vantage="")
            row = verdict._replace(place=place, state_stored="", mechanism_stored="", rules_stored=0)
            rows.append(row._replace(setup_s=None, loss_up=None, loss_down=None, rtt_ms=None))
    return rows, services
