"""A way through a TURN server, checked by our own turn step first: the call library hides a server's errors."""

import dataclasses
import ssl
from typing import TYPE_CHECKING

from probe.failure import StepError, Unsupported
from probe.far_end.protocol import Turn as TurnServer
from probe.record import is_address
from probe.step import Flow
from probe.steps.tcp import Tcp
from probe.steps.tls import Tls
from probe.steps.turn import Turn

if TYPE_CHECKING:
    from probe.webrtc import Relay


async def through(flow: Flow, path: str, server: TurnServer | None, trust: str) -> "Relay | None":
    """The relay for a path ("direct": none). Raises Unsupported where there is none, and what the turn step raises,
    with "turn-" before its code: wrong or expired credentials are Rejected with "turn-401"."""
    if path == "direct":
        return None
    over = path.removeprefix("turn-")
    port = {"udp": server.udp, "tcp": server.tcp, "tls": server.tls}[over] if server is not None else 0
    if server is None or not port:
        raise Unsupported(f"the far end has no TURN server over {over.upper()}", code="turn")
    ip = await _address(flow, server.host)
    there = dataclasses.replace(flow, host=server.host, ip=ip, port=port, link=None, alpn="", http=None)
    try:
        if over != "udp":
            await Tcp().run(there)
        if over == "tls":
            await Tls(trust=trust, alpn=()).run(there)
        await Turn(username=server.username, password=server.password).run(there)
    except StepError as error:
        error.code = f"turn-{error.code}" if error.code else "turn"
        error.partial = None
        raise
    from probe.webrtc import Relay

    host = f"[{ip}]" if ":" in ip else ip
    scheme, transport = ("turns", "tcp") if over == "tls" else ("turn", over)
    return Relay(
        url=f"{scheme}:{host}:{port}?transport={transport}",
        username=server.username,
        password=server.password,
        ssl=_context() if over == "tls" else None,
    )


def _context() -> ssl.SSLContext:
    """Believes anybody: who the server is was judged by the tls step a moment ago, by the catalogue's trust."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def _address(flow: Flow, host: str) -> str:
    """The server's address in the family of the call."""
    if is_address(host):
        return host
    family = ":" in flow.address
    try:
        found = [ip for ip in await flow.net.system_lookup(host) if (":" in ip) == family]
    except OSError:
        found = []
    if not found:
        raise Unsupported("the far end's TURN server has no address of this family", code="turn")
    return found[0]
