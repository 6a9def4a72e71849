"""Result files as a run leaves them, small."""

from datetime import datetime, timedelta
from pathlib import Path

from probe.model import End, Run, Vantage
from probe.store import Writer
from tests.build import NOON


def run_file(
    folder: Path,
    number: int = 1,
    *,
    asn: int | None = 64500,
    country: str = "ZZ",
    started: datetime | None = None,
    finished: bool = True,
) -> Path:
    """A run of its own, with `number` in its id."""
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(
        format=1,
        id=f"{number:016x}",
        software="callreach 0.1.0",
        started=started or NOON + timedelta(minutes=number),
        vantage=Vantage(country=country, asn=asn),
        catalogue="0" * 16,
    )
    writer = Writer(folder, run)
    if finished:
        writer.append(End(ended="complete", seconds=1.0, sent=10, received=20))
    writer.close()
    return writer.path.rename(folder / f"{run.started:%Y%m%dT%H%M%SZ}_{run.id}.jsonl")
