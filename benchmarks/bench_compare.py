"""How fast and how light comparing is: `compare` on rows in Parquet, and turning documents into rows.

The peers do less: DuckDB, polars and pandas count observations by service, network and failure, and no more than that,
while ours settles verdicts between networks, counts units, says since when, and shows the layers.

    python benchmarks/bench_compare.py                                  ten million observations, 100,000 documents
    python benchmarks/bench_compare.py --observations 1e6 --documents 2000
    python benchmarks/bench_compare.py --growth                        1, 10, 100 million; 2 GB of disk, no documents
    python benchmarks/bench_compare.py --observations 0                100,000 documents and no more
    python benchmarks/bench_compare.py --claims --documents 0            what claims cost beside the matrix

`make bench` installs polars and pandas (requirements-bench.lock); where they are missing they are not measured.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from priority import ahead
from runs import document

from probe.analysis import parquet, rolling
from probe.analysis.columns import TABLES, schema

MATRIX_SECONDS, MATRIX_BYTES = 3.0, 1e9
DOCUMENTS, DOCUMENT_SECONDS = 100_000, 60.0
SERVICES, NETWORKS, COUNTRIES, VANTAGES, DAYS = 21, 50, 10, 200, 30
PER_RUN = 200  # observations of a default run
STEPS = ("dns", "tcp", "tls", "http", "stun", "turn")
BEGAN = datetime(2026, 11, 1, tzinfo=UTC)
CHUNK = 2_000  # runs at once


def chunk(first: int, runs: int, chance: np.random.Generator) -> dict[str, pa.Table]:
    """Rows of so many runs: a tenth of the verdicts sad, two in a hundred unreachable."""
    network, vantage = chance.integers(NETWORKS, size=runs), chance.integers(VANTAGES, size=runs)
    seconds = chance.integers(DAYS * 86400, size=runs)
    names = pa.array([f"{number:016x}" for number in range(first, first + runs)])
    place = {
        "run": names,
        "started": pa.array(
            np.datetime64(BEGAN.replace(tzinfo=None), "ms") + (seconds * 1000).astype("timedelta64[ms]")
        ),
        "network": pa.array([f"AS{64500 + number}" for number in network]),
        "asn": pa.array(64500 + network),
        "as_name": pa.array([f"Network {number}" for number in network]),
        "country": pa.array([f"{chr(65 + number % COUNTRIES)}A" for number in network]),
        "kind": pa.array(np.where(network % 2, "mobile", "fixed")),
        "label": pa.array([""] * runs),
        "vantage": pa.array([f"v{number:012x}" for number in vantage]),
    }
    return {table: _table(table, place, runs, chance) for table in TABLES}


def _table(table: str, place: dict[str, Any], runs: int, chance: np.random.Generator) -> pa.Table:
    each = {"run": 1, "measurement": SERVICES * 4, "observation": PER_RUN, "verdict": SERVICES * 4}[table]
    rows = runs * each
    index = pa.array(np.repeat(np.arange(runs), each))
    number = np.tile(np.arange(each), runs)
    sad = chance.random(rows)
    service = pa.array([f"service{n:02}" for n in range(SERVICES)]).take(pa.array(number % SERVICES))
    own = {
        "service": service,
        "target": pa.array([f"target{n}" for n in range(4)]).take(pa.array(number // SERVICES % 4)),
        "purpose": pa.array(["messaging", "calls"]).take(pa.array(number // SERVICES % 2)),
        "group": pa.array(["group"] * rows),
        "host": service,
        "ip": pa.array([f"5.5.5.{n}" for n in range(SERVICES)]).take(pa.array(number % SERVICES)),
        "port": pa.array(np.full(rows, 443)),
        "at": pa.array(["endpoint"] * rows),
        "outcome": pa.array(np.where(sad < 0.02, "fails", "works")),
        "step": pa.array(STEPS).take(pa.array(number % len(STEPS))),
        "failure": pa.array(np.where(sad < 0.02, "timeout", "")),
        "variant": pa.array(["target"] * rows),
        "family": pa.array(
            np.where(number // SERVICES < 2, 0, 4) if table == "verdict" else np.full(rows, 4)
        ),
        "state": pa.array(np.select([sad < 0.02, sad < 0.1], ["unreachable", "blocked"], "reachable")),
        "mechanism": pa.array(np.select([sad < 0.02, sad < 0.1], ["tcp.dropped", "tls.reset.name"], "")),
        "rule": pa.array(np.select([sad < 0.02, sad < 0.1], ["other", "tls.name"], "works")),
        "identity": pa.array(["proved"] * rows),
        "regime": pa.array(["normal"] * rows),
        "rtt_ms": pa.array(chance.random(rows) * 100),
        "seconds": pa.array(chance.random(rows)),
    }
    fields = schema(table)
    arrays = []
    for field in fields:
        if field.name in place:
            arrays.append(place[field.name].take(index).cast(field.type))
        elif field.name == "at" and table == "observation":
            arrays.append(place["started"].take(index).cast(field.type))
        elif field.name in own:
            arrays.append(own[field.name].cast(field.type))
        else:
            arrays.append(_empty(field.type, rows))
    return pa.Table.from_arrays(arrays, schema=fields)


def _empty(kind: pa.DataType, rows: int) -> pa.Array:
    if kind == pa.string():
        return pa.array([""] * rows)
    return pa.nulls(rows, kind) if pa.types.is_nested(kind) else pa.array(np.zeros(rows)).cast(kind)


def make_rows(folder: Path, observations: int) -> None:
    chance = np.random.default_rng(1)
    runs = max(1, observations // PER_RUN)
    for first in range(0, runs, CHUNK):
        for table, made in chunk(first, min(CHUNK, runs - first), chance).items():
            parquet.write(made, folder / table / "month=2026-11" / f"{first:08}.parquet")


def alone(code: str, *arguments: Path) -> tuple[float, float, str]:
    """Seconds (without the start of Python), most resident bytes, and what was printed, in a process of its own.

    Linux only: the kernel's high-water mark since that program began; rusage would count what forked it.
    """
    whole = (
        "import sys, time, json, re\n"
        f"{code}\nbegan = time.perf_counter(); said = work(*sys.argv[1:])\n"
        "print(json.dumps([time.perf_counter() - began,"
        " int(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1]) * 1024, said]))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", whole, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    seconds, resident, said = json.loads(done.stdout)
    return seconds, resident, str(said)


OURS = """
from pathlib import Path
from probe.analysis.compare import Ask, compare
from probe.analysis.engine import opened
from probe.analysis.sources import gather
def work(folder, spill):
    made = compare(opened(gather([Path(folder)], Path(spill)).files, Path(spill)), Ask())
    return f"{len(made.entries)} cells, {len(made.layers)} layers, {made.runs} runs"
"""
CLAIMS = """
from pathlib import Path
from probe.analysis.compare import Ask, claimed
from probe.analysis.engine import opened
from probe.analysis.sources import gather
def work(folder, spill):
    return f"{len(claimed(opened(gather([Path(folder)], Path(spill)).files, Path(spill)), Ask()))} claims"
"""
PEERS = {
    "DuckDB": """
import duckdb
def work(folder, spill):
    rows = f"'{folder}/observation/*/*.parquet'"
    return len(duckdb.sql(f"select service, network, failure, count(*) from {rows} group by all").fetchall())
""",
    "polars": """
import polars
def work(folder, spill):
    rows = polars.scan_parquet(f"{folder}/observation/*/*.parquet")
    return rows.group_by("service", "network", "failure").len().collect(engine="streaming").height
""",
    "pandas": """
import pandas
def work(folder, spill):
    keys = ["service", "network", "failure"]
    return len(pandas.read_parquet(f"{folder}/observation", columns=keys).groupby(keys, observed=True).size())
""",
}


def matrix(observations: int, *, claims: bool = False) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        make_rows(Path(folder, "rows"), observations)
        size = sum(path.stat().st_size for path in Path(folder).rglob("*.parquet"))
        print(f"{observations:,} observations, {size / 1e6:.0f} MB of Parquet")
        with ahead():
            seconds, resident, said = min(
                alone(OURS, Path(folder, "rows"), Path(folder, "spill")) for _ in range(2)
            )
        print(f"compare: {seconds:.2f} s, {resident / 1e6:.0f} MB resident ({said})")
        for name, code in PEERS.items():
            try:
                with ahead():
                    theirs, memory, _ = alone(code, Path(folder, "rows"), Path(folder, "spill"))
            except RuntimeError as error:
                absent = "No module named" in str(error)
                print(f"{name}: " + ("is not installed" if absent else f"not measured ({error})"))
                continue
            print(
                f"{name}, a bare group-by: {theirs:.2f} s, {memory / 1e6:.0f} MB;"
                f" ours takes {seconds / theirs:.1f} times as long"
            )
        if claims:
            took, memory, said = alone(CLAIMS, Path(folder, "rows"), Path(folder, "spill"))
            print(f"claims: {took:.1f} s, {memory / 1e6:.0f} MB resident ({said})")
    kept = seconds <= MATRIX_SECONDS and resident <= MATRIX_BYTES
    print(
        f"limits at ten million: {MATRIX_SECONDS} s, {MATRIX_BYTES / 1e6:.0f} MB: {'kept' if kept else 'missed'}"
    )
    return kept or observations != 10_000_000


def write(path: Path, numbers: range) -> None:
    with path.open("wb") as file:
        file.writelines(msgspec.json.encode(document(number)) + b"\n" for number in numbers)


def processor() -> float:
    """Seconds of processor that this process and those it waited for have used."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def conversion(documents: int, files: int = 8) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, f"{part}.jsonl") for part in range(files)]
        with ProcessPoolExecutor() as pool:
            list(pool.map(write, paths, [range(part, documents, files) for part in range(files)]))
        size = sum(path.stat().st_size for path in paths) / documents
        with ahead():
            began, before = time.perf_counter(), processor()
            done = rolling.add(paths, Path(folder, "rows"))
            seconds, used = time.perf_counter() - began, processor() - before
        memory = max(
            resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        )
    assert (done.runs, done.left_out.count) == (documents, 0)
    rate = documents / seconds
    whole = DOCUMENTS / rate
    print(
        f"{documents:,} documents of {size / 1000:.1f} kB to rows: {seconds:.1f} s, {rate:.0f}/s,"
        f" {1000 * used / documents:.2f} ms of processor each, {memory / 1000:.0f} MB resident at most in one process"
    )
    print(
        f"{DOCUMENTS:,} documents {'took' if documents == DOCUMENTS else 'would take at this rate'} {whole:.0f} s"
        f" (limit {DOCUMENT_SECONDS:.0f} s): {'kept' if whole <= DOCUMENT_SECONDS else 'missed'}"
    )
    return whole <= DOCUMENT_SECONDS


def main() -> None:
    said = argparse.ArgumentParser(description="How fast comparing is.")
    said.add_argument("--observations", type=lambda text: int(float(text)), default=10_000_000)
    said.add_argument("--documents", type=lambda text: int(float(text)), default=DOCUMENTS)
    said.add_argument(
        "--growth", action="store_true", help="compare 1, 10 and 100 million observations, and no more"
    )
    said.add_argument("--claims", action="store_true", help="measure the claims too")
    given = said.parse_args()
    works: list[Callable[[], bool]] = [
        lambda: not given.documents or conversion(given.documents),
        lambda: not given.observations or matrix(given.observations, claims=given.claims),
    ]
    if given.growth:
        works = [lambda size=size: matrix(size) for size in (10**6, 10**7, 10**8)]  # type: ignore[misc]
    kept = [work() for work in works]
    raise SystemExit(0 if all(kept) else 1)


if __name__ == "__main__":
    main()
