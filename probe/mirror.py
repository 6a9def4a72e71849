"""Learn how the internet sees this machine, to name the network by it, and forget it again.

STUN servers say it in one packet. Where STUN is filtered, which is the very network we are asked about, the
same servers are asked without the magic cookie, and then a web server that tells its visitors their address.
"""

import asyncio
from collections.abc import Sequence

from probe.catalogue import Mirror
from probe.failure import StepError
from probe.record import Private
from probe.step import Flow, Net
from probe.steps import Stun, Tcp, Tls
from probe.steps.stun import Dialect

_TIME = 2.0  # seconds for one question
_CAP = 4096

Server = tuple[str, int]


async def by_stun(net: Net, servers: Sequence[Server], dialect: Dialect = "rfc8489") -> list[Private]:
    """What STUN servers say, all asked at once; empty where none answers."""
    return [
        seen for found in await asyncio.gather(*(_stun(net, s, dialect) for s in servers)) for seen in found
    ]


async def _stun(net: Net, server: Server, dialect: Dialect) -> list[Private]:
    flow = Flow(net=net, host="", ip=server[0], port=server[1])
    try:
        async with asyncio.timeout(_TIME):
            await Stun(dialect=dialect, transmissions=2).run(flow)
    except (OSError, StepError, TimeoutError):
        return []
    finally:
        flow.close()
    return flow.mapped


async def by_web(net: Net, mirror: Mirror, ips: Sequence[str]) -> list[Private]:
    """What a web server says at these of its addresses: a line "ip=ADDRESS" in its page."""
    return [seen for found in await asyncio.gather(*(_web(net, mirror, ip) for ip in ips)) for seen in found]


async def _web(net: Net, mirror: Mirror, ip: str) -> list[Private]:
    from probe.http_link import exchange

    flow = Flow(net=net, host=mirror.host, ip=ip, port=mirror.port)
    try:
        async with asyncio.timeout(2 * _TIME):
            await Tcp().run(flow)
            await Tls().run(flow)
            url, headers = f"https://{mirror.host}{mirror.path}", [("host", mirror.host)]
            _, body, _, _ = await exchange(flow, "GET", url, headers=headers, content=None, cap=_CAP)
    except (OSError, StepError, TimeoutError):
        return []
    finally:
        flow.close()
    return parse(body)


def parse(page: bytes) -> list[Private]:
    """The address in a page of lines "key=value"; empty if there is none."""
    for line in page.decode("utf-8", "replace").splitlines():
        key, _, value = line.partition("=")
        if key == "ip":
            try:
                return [Private(value.strip())]
            except ValueError:
                return []
    return []
