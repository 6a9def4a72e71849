"""What this project uses of its libraries beyond what they promise: looked for by name, before anything fails oddly."""

import asyncio
import importlib
import inspect
import re
from importlib.metadata import version
from typing import Any

import pytest
from aioice.candidate import Candidate
from aioice.ice import CandidatePair, Connection, StunProtocol
from aioice.turn import TurnClientTcpProtocol, TurnClientUdpProtocol
from aiortc import RTCCertificate, RTCDtlsTransport, RTCIceGatherer, RTCIceTransport
from OpenSSL import SSL

from probe.webrtc import PRIVATE
from probe.webrtc.dtls import Permuted
from probe.webrtc.ice import Agent, Datagrams
from probe.webrtc.relay import OverTcp, OverUdp
from tests.parsing import nothing_collected

OUR_CLASSES = (Agent, Datagrams, OverTcp, OverUdp, Permuted)


def _instance(name: str) -> Any:
    """An object of the class as the library makes it; attributes that are set in `__init__` count too."""
    connection = Connection(ice_controlling=True)
    protocol = StunProtocol(connection)
    candidate = Candidate("1", 1, "udp", 1, "192.0.2.1", 9, "host")
    protocol.local_candidate = candidate
    relay = ("192.0.2.1", 3478), "user", "password", 600, 500
    certificate = RTCCertificate.generateCertificate()
    return {
        "Candidate": candidate,
        "Connection": connection,
        "StunProtocol": protocol,
        "CandidatePair": CandidatePair(protocol, candidate),
        "TurnClientUdpProtocol": TurnClientUdpProtocol(*relay),
        "TurnClientTcpProtocol": TurnClientTcpProtocol(*relay),
        "RTCCertificate": certificate,
        "RTCDtlsTransport": RTCDtlsTransport(RTCIceTransport(RTCIceGatherer([])), [certificate]),
        "Context": SSL.Context(SSL.DTLS_METHOD),
    }.get(name)


@pytest.mark.parametrize("entry", PRIVATE)
async def test_the_libraries_still_have_what_is_used_of_them(entry: str) -> None:
    path, names = entry.split(": ")
    module, _, name = path.rpartition(".")
    kind = getattr(importlib.import_module(module), name)
    made = _instance(name) or kind
    missing = []
    for one in names.split():
        known = hasattr(made, one) or one in getattr(kind, "__annotations__", {})
        # An attribute that is set when a connection is made has nothing but its place in the source.
        if not known and not re.search(rf"self\.{one}\b", source(kind)):
            missing.append(one)

    library = "pyopenssl" if module.startswith("OpenSSL") else module.split(".")[0]
    assert not missing, f"{library} {version(library)}: {path} has no {missing} any more; see probe/webrtc"
    await asyncio.sleep(0)


def source(kind: type) -> str:
    """A class as it was written."""
    with nothing_collected():
        return inspect.getsource(kind)


@pytest.mark.parametrize("ours", OUR_CLASSES, ids=lambda one: one.__name__)
def test_what_is_overridden_is_still_called_in_the_same_way(ours: type) -> None:
    for name, method in vars(ours).items():
        theirs = next((vars(base)[name] for base in ours.__mro__[1:] if name in vars(base)), None)
        if name == "__init__" or not inspect.isfunction(method) or not inspect.isfunction(theirs):
            continue
        base = theirs.__module__.split(".")[0]
        if base not in ("aioice", "aiortc"):
            continue
        expected, got = (list(inspect.signature(one).parameters) for one in (theirs, method))
        assert got == expected, f"{base} {version(base)} calls {ours.__name__}.{name}{tuple(expected)}"


def test_dtls_asks_of_its_transport_what_an_agent_has() -> None:
    asked = set(re.findall(r"self\.transport\.(\w+)", source(RTCDtlsTransport)))

    assert asked == {"_recv", "_send", "role"}, f"aiortc {version('aiortc')} asks for {asked}"


def test_the_pinned_version_is_the_one_that_was_read() -> None:
    assert version("aiortc").startswith("1.16.")
