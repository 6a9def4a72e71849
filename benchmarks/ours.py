"""Our half of bench_blackbox: the same probes, by our steps, in the namespace this runs in.

python benchmarks/ours.py SETTINGS.json      prints {"cpu": seconds per probe, "seconds": {kind: [..]}}
"""

import asyncio
import json
import resource
import sys
from pathlib import Path
from typing import Any

from probe.catalogue import Pace
from probe.model import Chain
from probe.net import SystemNet
from probe.observe import Observer
from probe.plan import Address, Leg
from probe.step import Supplies
from probe.steps import AnyStep, Dns, Http, Tcp, Tls

CHAINS: dict[str, tuple[AnyStep, ...]] = {
    "dns": (Dns(type="A", linger=0.0),),
    "tcp": (Tcp(),),
    "tls": (Tcp(), Tls(alpn=("http/1.1",))),
    "http": (Tcp(), Tls(alpn=("http/1.1",)), Http()),
}


async def main(settings: dict[str, Any]) -> None:
    observer = Observer(SystemNet(), Pace(flows=64, per_host=32, gap=0.0), Supplies(), max_bytes=10**9)
    seconds: dict[str, list[float]] = {}
    await _round(observer, settings, "http", 3, [])  # imports and roots are loaded once, as in a run
    began = _cpu()
    for kind in CHAINS:
        await _round(observer, settings, kind, settings["count"], seconds.setdefault(kind, []))
    cpu = (_cpu() - began) / (settings["count"] * len(CHAINS))
    print(json.dumps({"cpu": cpu, "seconds": seconds}))


async def _round(
    observer: Observer, settings: dict[str, Any], kind: str, count: int, into: list[float]
) -> None:
    ip, port = settings[kind]
    leg = Leg(
        variant="target",
        address=Address(ip=ip, said_by=()),
        port=port,
        host=settings["host"],
        steps=CHAINS[kind],
    )
    for _ in range(count):
        chains: list[Chain] = []
        await observer.follow(leg, chains)
        if chains[0].observations[-1].failure is not None:
            raise RuntimeError(f"{kind}: {chains[0].observations[-1].failure}")
        into.append(sum(o.seconds for o in chains[0].observations))


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    asyncio.run(main(json.loads(Path(sys.argv[1]).read_text())))
