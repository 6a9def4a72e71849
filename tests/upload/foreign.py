"""A collector that is not ours: written from docs/upload-protocol.md alone, over plain HTTP on loopback."""

import base64
import contextlib
import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import uvicorn
import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

TYPE = "application/vnd.callreach.run+jsonl"


def unbase64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def pae(type_: str, body: bytes) -> bytes:
    return b" ".join([b"DSSEv1", str(len(type_)).encode(), type_.encode(), str(len(body)).encode(), body])


@dataclass
class Collector:
    """What it holds, how often it was asked, and how it behaves: `answer` may answer before it does."""

    runs: dict[str, bytes] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    posts: Counter[str] = field(default_factory=Counter)
    requests: list[tuple[list[tuple[bytes, bytes]], bytes]] = field(default_factory=list)
    answer: Callable[[str, int], Response | None] = lambda run, times: None
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    lose_answers: bool = False  # keeps the run, and the sender never hears of it
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def pinned(self) -> str:
        return base64.urlsafe_b64encode(self.key.public_key().public_bytes_raw()).rstrip(b"=").decode()

    async def post(self, request: Request) -> Response:
        body, headers = await request.body(), request.headers
        self.requests.append((request.headers.raw, body))
        run = headers["callreach-run"]
        self.posts[run] += 1
        if (said := self.answer(run, self.posts[run])) is not None:
            return said
        exact = zstandard.ZstdDecompressor().decompress(body, max_output_size=4 << 20)
        assert headers["content-type"] == TYPE
        assert headers["content-encoding"] == "zstd"
        public = Ed25519PublicKey.from_public_bytes(unbase64(headers["callreach-key"]))
        public.verify(unbase64(headers["callreach-signature"]), pae(TYPE, exact))
        assert json.loads(exact.split(b"\n")[0])["id"] == run
        known = run in self.runs
        if known and (self.runs[run], self.keys[run]) != (exact, headers["callreach-key"]):
            return JSONResponse({"error": "taken", "reason": "same id, other bytes or key"}, 409)
        self.runs[run], self.keys[run] = exact, headers["callreach-key"]
        if self.lose_answers:
            return Response(status_code=502)
        return JSONResponse(self.receipt(run), 200 if known else 201)

    async def delete(self, request: Request) -> Response:
        run, headers = request.path_params["run"], request.headers
        if run not in self.runs:
            return JSONResponse({"error": "unknown", "reason": "there is no such run"}, 404)
        if headers["callreach-key"] != self.keys[run]:
            return JSONResponse({"error": "key", "reason": "another key sent it"}, 403)
        public = Ed25519PublicKey.from_public_bytes(unbase64(headers["callreach-key"]))
        public.verify(
            unbase64(headers["callreach-signature"]),
            pae("application/vnd.callreach.delete", f"{run} {headers['callreach-sent']}".encode()),
        )
        del self.runs[run]
        return Response(status_code=204)

    def receipt(self, run: str) -> dict[str, str]:
        said = {
            "run": run,
            "sha256": hashlib.sha256(self.runs[run]).hexdigest(),
            "received": "2026-11-25T12:00:00Z",
            "collector": self.pinned,
        }
        signed = json.dumps(said, sort_keys=True, separators=(",", ":")).encode()
        signature = self.key.sign(pae("application/vnd.callreach.receipt+json", signed))
        return said | {"signature": base64.urlsafe_b64encode(signature).rstrip(b"=").decode()}


@contextlib.contextmanager
def collecting() -> Iterator[Collector]:
    """A collector that runs beside the test."""
    collector = Collector()
    routes = [
        Route("/v1/runs", collector.post, methods=["POST"]),
        Route("/v1/runs/{run}", collector.delete, methods=["DELETE"]),
    ]
    config = uvicorn.Config(
        Starlette(routes=routes), host="127.0.0.1", port=0, log_level="critical", lifespan="off"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    collector.port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield collector
    finally:
        server.should_exit = True
        thread.join()


def portal(run: str, times: int) -> Response:
    """What a hotel's sign-in page says to everything."""
    return HTMLResponse("<html>Welcome to our Wi-Fi!</html>")
