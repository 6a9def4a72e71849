"""Open a TCP connection: one address, one attempt."""

from probe.step import Facts, Flow, Gift, Step


class TcpFacts(Facts):
    """How long the connection took to open (seconds)."""

    connect: float


class Tcp(Step):
    """Open a TCP connection."""

    seconds: float = 10.0

    @property
    def gives(self) -> Gift:
        """An open stream."""
        return "stream"

    async def run(self, flow: Flow) -> TcpFacts:
        """Connect. Raises OSError with its errno."""
        began = flow.net.now()
        link = await flow.net.dial_tcp(flow.address, flow.port)
        connected = flow.net.now() - began
        flow.sockets.append(link)
        flow.link = link
        return TcpFacts(connect=connected)
