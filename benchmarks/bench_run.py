"""A default run over the shipped catalogue in the lab, against the limits it must keep. Needs root.

clean, 100 ms round trip: duration against 1.5 times the longest single chain; bytes against 2 MB; resident
memory against 100 MB. Every packet to every service dropped: duration against 90 s.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from probe.model import Document
from probe.store import read
from tests.lab.network import Conditions, Network, network

SHIPPED = Path(__file__).parent.parent / "configs"
SECONDS, BYTES, MEMORY = 90.0, 2_000_000, 100_000  # the last in kB
CHAINS = 1.5


def measured(lab: Network) -> tuple[dict[str, Any], Document, int]:
    """One run; its JSON, its document, and the most memory it held (kB)."""
    command = ["ip", "netns", "exec", lab.topology.client, sys.executable, "-m", "probe", "run", "--json"]
    command += ["--agree"]
    command += ["--configs", str(lab.folder / "configs"), "--results", str(lab.results), "--country", "RU"]
    environment = os.environ | {"SSL_CERT_FILE": str(lab.folder / "root.pem")}
    with (lab.folder / "told").open("wb") as out:
        process = subprocess.Popen(command, stdout=out, env=environment)
        _, _, usage = os.wait4(process.pid, 0)
    told = json.loads((lab.folder / "told").read_bytes())
    return told, read(Path(told["file"])).document, usage.ru_maxrss


def longest_chain(document: Document) -> tuple[float, str]:
    """The slowest thing that cannot be done in parallel: a look-up with its listening, or a look-up and a chain."""
    lookups: dict[str, float] = {}
    found = [(0.0, "")]
    for lookup in document.lookups:
        took = sum(o.seconds for o in lookup.observations)
        found.append((took, f"look-up of {lookup.name or 'nothing'} by {lookup.resolver}"))
        for observation in lookup.observations:
            answer = getattr(observation.facts, "answer", None)
            if answer is not None:
                lookups[lookup.name] = min(lookups.get(lookup.name, 99.0), answer.at)
    for measurement in document.measurements:
        for chain in measurement.chains:
            took = sum(o.seconds for o in chain.observations) + lookups.get(chain.host, 0.0)
            found.append((took, f"{measurement.service or 'control'} {measurement.target}"))
    return max(found)


def clean() -> bool:
    with network("crb", Conditions(delay_ms=50), configs=SHIPPED) as lab:
        told, document, memory = measured(lab)
    longest, which = longest_chain(document)
    spent = told["sent"] + told["received"]
    ratio = told["seconds"] / longest
    print(
        f"clean, 100 ms: {told['seconds']:.1f} s for {len(document.measurements)} targets; longest single chain"
        f" {longest:.1f} s ({which}): ratio {ratio:.2f} (limit {CHAINS})"
    )
    print(f"clean, 100 ms: {spent / 1000:.0f} kB, {spent / BYTES:.2f} of the limit of 2 MB")
    print(f"clean, 100 ms: {memory / 1000:.0f} MB resident, {memory / MEMORY:.2f} of the limit of 100 MB")
    return ratio <= CHAINS and spent <= BYTES and memory <= MEMORY


def dropped() -> bool:
    services = [path.stem for path in sorted((SHIPPED / "services").glob("*.toml"))]
    box = [{"do": "drop", "hosts": services}]
    with network("crb", Conditions(delay_ms=50, box=box), configs=SHIPPED) as lab:
        told, _, memory = measured(lab)
    print(
        f"every packet to services dropped: {told['seconds']:.1f} s, {told['seconds'] / SECONDS:.2f} of the limit of"
        f" 90 s ({told['ended']}, {memory / 1000:.0f} MB resident)"
    )
    return bool(told["seconds"] <= SECONDS and memory <= MEMORY)


def main() -> None:
    if os.geteuid() != 0:
        print("needs root for network namespaces: skipped")
        return
    good = [clean(), dropped()]
    raise SystemExit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
