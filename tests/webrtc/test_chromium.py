"""A real browser calls; run with CALLREACH_CHROMIUM=1 where Chromium is installed (about seven seconds each)."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import pytest

from probe.webrtc import Packet, Peer
from tests.loopback import HERE, stream_server

PAGE = (Path(__file__).parent / "chromium.html").read_bytes()


class FarEnd:
    """A web server with the page, which answers its call and takes in what it saw."""

    def __init__(self, setup: Literal["active", "passive"]) -> None:
        self.seen: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self.reflected: Counter[str] = Counter()
        self.peer = Peer(clock=time.monotonic, on_packet=self._hear, local=(HERE,))
        self._setup = setup

    def _hear(self, packet: Packet) -> None:
        self.reflected[packet.media] += self.peer.reflect(packet) is not None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request on a connection."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        fields = dict(line.lower().split(": ", 1) for line in head.splitlines()[1:] if ": " in line)
        body = (await reader.readexactly(int(fields.get("content-length", 0)))).decode()
        path, answer = head.split()[1], b""
        if path == "/":
            answer = PAGE
        elif path == "/call":
            answer = (await self.peer.answer(body, setup=self._setup)).encode()
        elif path == "/seen":
            self.seen.set_result(json.loads(body))
        lines = [
            "HTTP/1.1 200 OK",
            "content-type: text/html",
            f"content-length: {len(answer)}",
            "connection: close",
        ]
        writer.write("\r\n".join([*lines, "", ""]).encode() + answer)
        await writer.drain()
        if path == "/call":
            await self.peer.ice()
            await self.peer.dtls()


@asynccontextmanager
async def chromium(folder: Path, url: str) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
        "--disable-background-networking", "--disable-component-update", "--allow-loopback-in-peer-connection",
        "--autoplay-policy=no-user-gesture-required", f"--user-data-dir={folder}", url,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        env=dict(os.environ, HOME=str(folder)), start_new_session=True,
    )  # fmt: skip
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # the browser and its helpers, which share a session
        await process.wait()


@pytest.mark.skipif(not os.environ.get("CALLREACH_CHROMIUM"), reason="CALLREACH_CHROMIUM is not set")
@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
@pytest.mark.parametrize("setup", ["passive", "active"])
async def test_a_browser_sees_and_hears_itself(setup: Literal["active", "passive"], tmp_path: Path) -> None:
    far_end = FarEnd(setup)
    async with stream_server(far_end.serve) as port, chromium(tmp_path, f"http://{HERE}:{port}/"):
        async with asyncio.timeout(60):
            result = await far_end.seen
    facts = far_end.peer.dtls_facts
    await far_end.peer.close()

    assert result["state"] == "connected"
    seen = {(one["type"], one.get("kind")): one for one in result["seen"]}
    for kind in ("audio", "video"):
        sent, back = seen["outbound-rtp", kind]["packetsSent"], seen["inbound-rtp", kind]["packetsReceived"]
        assert 30 < back <= sent <= far_end.reflected[kind] + 5
        assert sent - back < 5
        assert "roundTripTime" in seen["remote-inbound-rtp", kind]  # it got receiver reports
    assert seen["inbound-rtp", "video"]["framesDecoded"] > 30
    assert facts is not None
    assert facts.hello_from == ("peer" if setup == "passive" else "us")
