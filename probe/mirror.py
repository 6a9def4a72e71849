"""Learn how the internet sees this machine, to name the network by it, and forget it again.

STUN servers say it in one packet. Where STUN is filtered, which is the very network we are asked about, the
same servers are asked without the magic cookie, and then a web server that tells its visitors their address.
"""

import asyncio
from collections.abc import Coroutine, Sequence

from probe.catalogue import Mirror
from probe.failure import StepError
from probe.record import Private
from probe.step import Flow, Net
from probe.steps import Stun, Tcp, Tls
from probe.steps.stun import Dialect

_TIME = 2.0  # seconds for one question
_GRACE = 0.5  # seconds for the others once one was answered
_CAP = 4096

Server = tuple[str, int]


async def by_stun(net: Net, servers: Sequence[Server], dialect: Dialect = "rfc8489") -> list[Private]:
    """What STUN servers say, all asked at once; empty where none answers."""
    return await _first_of([_stun(net, server, dialect) for server in servers])


async def _first_of(asked: Sequence[Coroutine[None, None, list[Private]]]) -> list[Private]:
    """What the first to answer says, and those that are hardly slower: of two families one may be silent."""
    pending = {asyncio.ensure_future(one) for one in asked}
    found: list[Private] = []
    try:
        while pending:
            done, pending = await asyncio.wait(
                pending, timeout=_GRACE if found else None, return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                break
            found += [seen for one in done for seen in one.result()]
    finally:
        for one in pending:
            one.cancel()
    return found


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
    return await _first_of([_web(net, mirror, ip) for ip in ips])


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
