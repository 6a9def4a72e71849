"""One step of ours at the lab's far end, in the namespace this runs in, with the shipped shapes and profiles.

python benchmarks/one_step.py SETTINGS.json      prints {"facts": .., "failure": "" or what went wrong}

Settings: the step as in TOML, `ip` of the far end; `imports` true only loads what the step needs, and runs nothing.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from probe.configs import load
from probe.failure import StepError
from probe.net import SystemNet
from probe.record import Record
from probe.step import Flow
from probe.steps import AnyStep, Tcp, Tls
from probe.steps.signalling import ALPN

SHIPPED = Path(__file__).parent.parent / "configs"


async def main(settings: dict[str, Any]) -> None:
    step: Any = msgspec.convert(settings["step"], AnyStep)
    supplies = load(SHIPPED).supplies
    if settings.get("imports"):
        import probe.http_link
        import probe.webrtc  # noqa: F401

        return
    flow = Flow(net=SystemNet(), host=settings["host"], ip=settings["ip"], port=443, supplies=supplies)
    facts: Record | None = None
    failure = ""
    try:
        await Tcp().run(flow)
        await Tls(trust="system", alpn=ALPN).run(flow)
        facts = await step.run(flow)
    except StepError as error:
        facts, failure = error.partial, f"{type(error).__name__} {error.code}: {error.detail}"
    finally:
        flow.close()
    print(msgspec.json.encode({"facts": facts, "failure": failure}).decode())


if __name__ == "__main__":
    asyncio.run(main(json.loads(Path(sys.argv[1]).read_text())))
