"""How large, fast and light the report of a month of 50 networks is: `probe compare rows/ --html report.html`.

python benchmarks/bench_report.py                       12,000 runs: four households a network, twice a day
python benchmarks/bench_report.py --keep report.html    and look at it
"""

import argparse
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from bench_compare import DAYS, NETWORKS, alone, chunk
from priority import ahead

from probe.analysis import parquet

LIMIT = 5_000_000  # bytes
HOUSEHOLDS, TIMES = 4, 2  # on each network; runs a day
BLOCKED, ON, SINCE = (
    "service05",
    4,
    11,
)  # calls of this service, on so many networks, from this day of the month
CHUNK = 2_000

OURS = """
from datetime import datetime, UTC
from pathlib import Path
from probe.analysis.compare import Ask, claimed, compare
from probe.analysis.engine import opened
from probe.analysis.report.evidence import evidence
from probe.analysis.report.page import report
from probe.analysis.sources import gather
def held():
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1000
def work(folder, spill, page):
    began = time.perf_counter()
    gathered = gather([Path(folder)], Path(spill))
    tables = opened(gathered.files, Path(spill))
    found = compare(tables, Ask())
    claims = claimed(tables, Ask())
    asked, before = time.perf_counter(), held()
    seen = evidence(tables, Ask(), found)
    made = report(found, claims, seen, gathered, titles={}, made=datetime(2026, 12, 1, tzinfo=UTC))
    Path(page).write_text(made, encoding="utf-8")
    return f"{asked - began:.1f} s and {before:.0f} MB of it compare and claim; {found.runs} runs"
"""


def month(folder: Path) -> None:
    """Rows of a month in which one service's calls begin to fail on a few networks, and everything fails at times."""
    chance = np.random.default_rng(1)
    runs = NETWORKS * HOUSEHOLDS * DAYS * TIMES
    for first in range(0, runs, CHUNK):
        count = min(CHUNK, runs - first)
        number = np.arange(first, first + count)
        for name, made in chunk(first, count, chance).items():
            whose = pc.divide(pc.index_in(made["run"], pc.unique(made["run"])), 1).to_numpy()
            table = _placed(made, number[whose])
            parquet.write(
                _troubled(table, chance) if name == "verdict" else table,
                folder / name / "month=2026-11" / f"{first:08}.parquet",
            )


def _placed(made: pa.Table, number: np.ndarray) -> pa.Table:
    """Runs in turn by network, household and half day, instead of anywhere at any time."""
    network, household = number % NETWORKS, number // NETWORKS % HOUSEHOLDS
    hour = number // (NETWORKS * HOUSEHOLDS) * (24 // TIMES) + household
    started = pa.array(np.datetime64("2026-11-01T00:30", "ms") + hour.astype("timedelta64[h]"))
    country = pa.array([f"Q{'MNPQRSTVWX'[n % 10]}" for n in range(NETWORKS)])  # nobody's codes
    placed = {
        "network": pa.array([f"AS{64500 + n}" for n in range(NETWORKS)]).take(pa.array(network)),
        "asn": pa.array(64500 + network),
        "as_name": pa.array([f"Network {n}" for n in range(NETWORKS)]).take(pa.array(network)),
        "country": country.take(pa.array(network)),
        "kind": pa.array(np.where(network % 20 < 10, "mobile", "fixed")),
        "vantage": pa.array([f"v{n:012x}" for n in range(NETWORKS * HOUSEHOLDS)]).take(
            pa.array(network * HOUSEHOLDS + household)
        ),
        "started": started,
    }
    for name, values in placed.items():
        at = made.schema.get_field_index(name)
        made = made.set_column(at, made.schema.field(at), values.cast(made.schema.field(at).type))
    if "at" in made.schema.names and pa.types.is_timestamp(made.schema.field("at").type):
        at = made.schema.get_field_index("at")
        made = made.set_column(at, made.schema.field(at), started.cast(made.schema.field(at).type))
    return made


def _troubled(made: pa.Table, chance: np.random.Generator) -> pa.Table:
    asn, started = made["asn"].to_numpy(), made["started"].to_numpy()
    service, purpose = (np.array(made[name].to_pylist(), dtype=object) for name in ("service", "purpose"))
    network = asn - 64500
    hit = (service == BLOCKED) & (purpose == "calls") & (network % 10 == 0) & (network // 10 < ON)
    hit &= started >= np.datetime64(f"2026-11-{SINCE}")
    sad = chance.random(len(asn))
    states = np.select([hit, sad < 0.02], ["blocked", "unreachable"], "reachable")
    for name, values in (
        ("state", states),
        ("mechanism", np.select([hit, sad < 0.02], ["stun.dropped.payload", "tcp.dropped"], "")),
        ("rule", np.select([hit, sad < 0.02], ["stun.payload", "other"], "works")),
    ):
        made = made.set_column(made.schema.get_field_index(name), name, pa.array(values))
    return made


def main() -> None:
    said = argparse.ArgumentParser(description="How large a month's report is.")
    said.add_argument("--keep", type=Path, help="where the report goes")
    given = said.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        month(Path(folder, "rows"))
        page = Path(folder, "report.html")
        with ahead():
            seconds, resident, what = alone(OURS, Path(folder, "rows"), Path(folder, "spill"), page)
        size = page.stat().st_size
        if given.keep:
            shutil.copy(page, given.keep)
    print(f"a month of {NETWORKS} networks: {seconds:.1f} s ({what}), {resident / 1e6:.0f} MB resident")
    print(f"the report: {size / 1e6:.2f} MB, {size / LIMIT:.2f} of the limit of {LIMIT / 1e6:.0f} MB")
    raise SystemExit(0 if size <= LIMIT else 1)


if __name__ == "__main__":
    main()
