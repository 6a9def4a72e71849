"""A default run over the shipped catalogue in the lab, against the limits it must keep. Needs root.

clean, 100 ms round trip: duration against 1.5 times the longest single chain; bytes against 2 MB; resident
memory against 100 MB. Every packet to every service dropped: duration against 90 s. The processor's time of both runs
is printed beside, start and imports included, for machines that have little of it; it has no limit.
"""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from probe.configs import load
from probe.model import Chain, Document
from probe.steps import DnsFacts
from probe.store import read
from tests.lab.network import Conditions, Network, network

SHIPPED = Path(__file__).parent.parent / "configs"
SECONDS, BYTES, MEMORY = 90.0, 2_000_000, 100_000  # the last in kB
CHAINS = 1.5


def measured(lab: Network) -> tuple[dict[str, Any], Document, resource.struct_rusage]:
    """One run; its JSON, its document, and what it took of the machine."""
    command = ["ip", "netns", "exec", lab.topology.client, sys.executable, "-m", "probe", "run", "--json"]
    command += ["--agree"]
    command += ["--configs", str(lab.folder / "configs"), "--results", str(lab.results), "--country", "RU"]
    environment = os.environ | {"SSL_CERT_FILE": str(lab.folder / "root.pem")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # installed modules are compiled once, not in every run
    with (lab.folder / "told").open("wb") as out:
        process = subprocess.Popen(command, stdout=out, env=environment)
        _, _, usage = os.wait4(process.pid, 0)
    told = json.loads((lab.folder / "told").read_bytes())
    return told, read(Path(told["file"])).document, usage


def processor(usage: resource.struct_rusage) -> str:
    """What a run took of one core."""
    return f"{usage.ru_utime + usage.ru_stime:.1f} s of a processor"


def longest_chain(document: Document) -> tuple[float, str]:
    """The slowest thing that cannot be done in parallel, of what the run itself measured.

    A look-up with its listening, or a chain. Before both comes what they could not begin without: before a chain the
    first answer for its name; before either, for a name or address that a service lists itself, the first chain of
    the target that listed it, up to its answer (`hosts_from`, `addresses_from`). A resolver's first answer ends the
    wait for it, not its listening. No pace is counted, nor anything that only our own limits or our processor delay.
    """
    answered = _first_answers(document)
    listed = _listed_at(document, answered)
    found = [(0.0, "")]
    for lookup in document.lookups:
        took = sum(o.seconds for o in lookup.observations) + listed.get(lookup.name, 0.0)
        found.append((took, f"look-up of {lookup.name or 'nothing'} by {lookup.resolver}"))
    for measurement in document.measurements:
        for chain in measurement.chains:
            before = listed.get(chain.host or chain.ip or "", 0.0) + answered.get(chain.host, 0.0)
            took = sum(o.seconds for o in chain.observations) + before
            found.append((took, f"{measurement.service or 'control'} {measurement.target}"))
    return max(found)


def _first_answers(document: Document) -> dict[str, float]:
    """By name, how long the quickest resolver took to answer."""
    first: dict[str, float] = {}
    for lookup in document.lookups:
        for observation in lookup.observations:
            if isinstance(observation.facts, DnsFacts):
                at = observation.facts.answer.at
                first[lookup.name] = min(first.get(lookup.name, at), at)
    return first


def _listed_at(document: Document, answered: Mapping[str, float]) -> dict[str, float]:
    """By host or address that was listed by a target of its service, how long that took at least."""
    chains = {(m.service, m.target): m.chains for m in document.measurements}
    listed: dict[str, float] = {}
    for service in load(SHIPPED).services:
        for target in service.targets:
            source = chains.get((service.service, target.hosts_from or target.addresses_from), ())
            took = [_until_answer(chain) + answered.get(chain.host, 0.0) for chain in source]
            for chain in chains.get((service.service, target.name), ()) if took else ():
                if target.hosts_from or chain.ip not in target.addresses:
                    listed[chain.host or chain.ip or ""] = min(took)
    return listed


def _until_answer(chain: Chain) -> float:
    last = chain.observations[-1]
    heard = last.facts.answer.at if isinstance(last.facts, DnsFacts) else last.seconds
    return sum(o.seconds for o in chain.observations[:-1]) + heard


def clean() -> bool:
    with network("crb", Conditions(delay_ms=50), configs=SHIPPED) as lab:
        told, document, usage = measured(lab)
    memory = usage.ru_maxrss
    longest, which = longest_chain(document)
    spent = told["sent"] + told["received"]
    ratio = told["seconds"] / longest
    print(
        f"clean, 100 ms: {told['seconds']:.1f} s for {len(document.measurements)} targets; longest single chain"
        f" {longest:.1f} s ({which}): ratio {ratio:.2f} (limit {CHAINS})"
    )
    print(f"clean, 100 ms: {spent / 1000:.0f} kB, {spent / BYTES:.2f} of the limit of 2 MB")
    print(f"clean, 100 ms: {memory / 1000:.0f} MB resident, {memory / MEMORY:.2f} of the limit of 100 MB")
    print(f"clean, 100 ms: {processor(usage)}")
    return ratio <= CHAINS and spent <= BYTES and memory <= MEMORY


def dropped() -> bool:
    services = [path.stem for path in sorted((SHIPPED / "services").glob("*.toml"))]
    box = [{"do": "drop", "hosts": services}]
    with network("crb", Conditions(delay_ms=50, box=box), configs=SHIPPED) as lab:
        told, _, usage = measured(lab)
    memory = usage.ru_maxrss
    print(
        f"every packet to services dropped: {told['seconds']:.1f} s, {told['seconds'] / SECONDS:.2f} of the limit of"
        f" 90 s ({told['ended']}, {memory / 1000:.0f} MB resident, {processor(usage)})"
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
