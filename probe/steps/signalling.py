"""The signalling of a call test: a session at the far end on the chain's own TCP and TLS connection."""

from probe.far_end.client import FarEnd
from probe.step import Flow
from probe.steps.tcp import Tcp
from probe.steps.tls import Tls

ALPN = ("http/1.1",)


async def greet(flow: Flow, trust: str) -> FarEnd:
    """Begin a session. A second connection, where the first is lost, is made as the chain made the first."""

    async def reopen() -> Flow:
        fresh = Flow(
            net=flow.net,
            host=flow.host,
            ip=flow.ip,
            port=flow.port,
            sockets=flow.sockets,
            supplies=flow.supplies,
        )
        await Tcp().run(fresh)
        await Tls(trust=trust, alpn=ALPN).run(fresh)
        return fresh

    return await FarEnd.greet(flow, reopen)
