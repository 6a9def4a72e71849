"""A way through a TURN server, checked by our own turn step first: the call library hides a server's errors."""

import asyncio
import dataclasses
import ssl
from typing import TYPE_CHECKING

from probe.failure import Rejected, Silent, StepError, Unsupported
from probe.record import is_address
from probe.step import Flow, Step, TurnAccess
from probe.steps.tcp import Tcp
from probe.steps.tls import Tls
from probe.steps.turn import Turn

if TYPE_CHECKING:
    from probe.webrtc import Relay

_LOOKUP, _STEP = 10.0, 12.0  # seconds for a look-up, and for each step on the way to an allocation


async def through(flow: Flow, path: str, server: TurnAccess | None, trust: str) -> "Relay | None":
    """The relay for a path ("direct": none).

    Raises Unsupported where there is none (code "turn"), Silent where it does not answer in time (code "turn"), OSError
    for what the system reports, and else what the tcp, tls and turn steps raise with "turn-" before its code: refused
    credentials are Rejected with "turn-401". coturn answers 401 to credentials that are wrong and to those that have
    expired alike; but time-limited ones carry their end in the user name (draft-uberti-behave-turn-rest section 2.2),
    and where that has passed by our clock the code is "turn-expired".
    """
    if path == "direct":
        return None
    over = path.removeprefix("turn-")
    port = {"udp": server.udp, "tcp": server.tcp, "tls": server.tls}[over] if server is not None else 0
    if server is None or not port:
        raise Unsupported(f"there is no TURN server over {over.upper()}", code="turn")
    ip = flow.address if server.host == flow.host else await _address(flow, server.host)
    there = dataclasses.replace(flow, host=server.host, ip=ip, port=port, link=None, alpn="", http=None)
    steps: list[Step] = [Tcp()] if over != "udp" else []
    steps += [Tls(trust=trust, alpn=())] if over == "tls" else []
    steps.append(Turn(username=server.username, password=server.password))
    try:
        for step in steps:
            async with asyncio.timeout(_STEP):
                await step.run(there)
    except TimeoutError as error:
        if error.errno is not None:
            raise
        raise Silent("the TURN server does not answer", code="turn") from None
    except StepError as error:
        error.code = _code(error, server.username, flow.net.utc().timestamp())
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


def _code(error: StepError, username: str, now: float) -> str:
    if isinstance(error, Silent) or not error.code:
        return "turn"
    if isinstance(error, Rejected) and error.code == "401":
        until = username.partition(":")[0]
        return "turn-expired" if until.isdecimal() and int(until) < now else "turn-401"
    return f"turn-{error.code}"


def _context() -> ssl.SSLContext:
    """Believes anybody: who the server is was judged by the tls step a moment ago, by the catalogue's trust."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def _address(flow: Flow, host: str) -> str:
    """The server's address in the family of the call."""
    family = ":" in flow.address
    try:
        async with asyncio.timeout(_LOOKUP):
            said = [host] if is_address(host) else await flow.net.system_lookup(host)
        found = [ip for ip in said if (":" in ip) == family]
    except (OSError, UnicodeError):
        found = []
    if not found:
        raise Unsupported("the far end's TURN server has no address of this family", code="turn")
    return found[0]
