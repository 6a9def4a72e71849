"""The HTTP side of a collector (docs/upload-protocol.md). Every answer that is no success is a Refusal."""

import asyncio
import hashlib
import math
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from probe.collector.archive import Wish
from probe.collector.document import check
from probe.collector.envelope import deletion, envelope, opened, run_id, verify
from probe.collector.export import Export, pieces
from probe.collector.figures import KIND, Figures
from probe.collector.intake import Intake
from probe.collector.lines import Deleted, Kept, written
from probe.collector.openapi import document as openapi
from probe.collector.protocol import (
    HEALTH,
    METRICS,
    OPENAPI,
    RUNS,
    SEGMENT,
    SEGMENTS,
    Listing,
    Refusal,
    Refused,
)
from probe.collector.rate import Rates
from probe.collector.readers import Readers
from probe.collector.receipts import Receipts
from probe.collector.settings import Limits
from probe.http_server import Outside, application
from probe.upload.signing import RUN, unpadded

_BODY_SECONDS = 60.0
_JSON = "application/json"
_UNREAD = (408, 413)  # what is still to come is not awaited
_PATIENT = 8  # times what is allowed is read, and thrown away: a peer that is still sending hears no answer
_SAFE = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))
_RANGE = re.compile(r"bytes=(\d{1,18})-")
_ONCE = ("callreach-run", "callreach-key", "callreach-signature", "callreach-sent")


@dataclass(frozen=True, kw_only=True)
class Desk:
    """What requests work on. `utc` is the wall clock."""

    limits: Limits
    intake: Intake
    receipts: Receipts
    rates: Rates
    readers: Readers
    export: Export
    figures: Figures
    utc: Callable[[], datetime]


def make_app(desk: Desk, trouble: Callable[[Exception], None]) -> ASGIApp:
    """The application. `trouble` is told of what should not happen."""
    api = _Api(desk)
    routes = [
        Route(RUNS, api.keep, methods=["POST"]),
        Route(f"{RUNS}/{{run}}", api.delete, methods=["DELETE"]),
        Route(f"{RUNS}/{{run}}/receipt", api.receipt, methods=["GET"]),
        Route(SEGMENTS, api.segments, methods=["GET"]),
        Route(f"{SEGMENTS}/{{sha256}}", api.segment, methods=["GET"]),
        Route(HEALTH, api.health, methods=["GET"]),
        Route(METRICS, api.metrics, methods=["GET"]),
        Route(OPENAPI, api.openapi, methods=["GET"]),
    ]
    handlers: Mapping[Any, Any] = {
        Refused: api.refused,
        HTTPException: api.no_such_thing,
        ClientDisconnect: api.gone,
        Exception: api.mistaken,
    }
    return Outside(application(routes, handlers), _SAFE, trouble)


class _Api:
    """One method for each route. They raise Refused."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def keep(self, request: Request) -> Response:
        """POST /v1/runs."""
        began, desk, now = time.monotonic(), self._desk, self._desk.utc()
        held = envelope(_headers(request), now)
        desk.rates.look(held.key)
        body = await self._body(request)
        exact = opened(body, desk.limits.document)
        verify(held, RUN, exact)
        desk.rates.take(held.key)
        aside = check(exact, held.run, now) == "aside"
        kept = Kept(
            run=held.run,
            sha256=hashlib.sha256(exact).hexdigest(),
            received=_time(now),
            key=unpadded(held.key),
            signature=unpadded(held.signature),
            sent=held.sent,
            aside=aside,
            document=exact.decode(),
        )
        wish = Wish(
            run=kept.run, key=kept.key, received=kept.received, line=written(kept), sha256=kept.sha256
        )
        del body, exact, kept
        answer = await desk.intake.grant(wish)
        match answer.word:
            case "new" | "same":
                assert answer.known is not None
                desk.figures.acknowledged(time.monotonic() - began)
                status = 202 if aside else 201 if answer.word == "new" else 200
                receipt = desk.receipts.receipt(wish.run, wish.sha256, answer.known.received)
                return self._answer(status, receipt)
            case "deleted":
                raise Refused(410, "deleted", "this run was deleted at its sender's wish")
            case _:
                raise Refused(409, "taken", "there is a run of this id with other bytes or another key")

    async def delete(self, request: Request) -> Response:
        """DELETE /v1/runs/RUN."""
        now = self._desk.utc()
        held = deletion(_headers(request), request.path_params["run"], now)
        said = Deleted(
            deleted=held.run,
            received=_time(now),
            key=unpadded(held.key),
            signature=unpadded(held.signature),
            sent=held.sent,
        )
        wish = Wish(run=held.run, key=said.key, received=said.received, line=written(said))
        match (await self._desk.intake.grant(wish)).word:
            case "deleted":
                return self._answer(204, b"")
            case "unknown":
                raise Refused(404, "unknown", "there is no run of this id")
            case _:
                raise Refused(403, "key", "another key signed this run")

    async def receipt(self, request: Request) -> Response:
        """GET /v1/runs/RUN/receipt."""
        run = run_id(request.path_params["run"])
        known = await self._desk.intake.find(run)
        if known is None:
            raise Refused(404, "unknown", "there is no run of this id")
        if known.state:
            raise Refused(410, "deleted", "this run was deleted at its sender's wish")
        return self._answer(200, self._desk.receipts.receipt(run, known.sha256, known.received))

    async def segments(self, request: Request) -> Response:
        """GET /v1/segments."""
        self._desk.readers.admit(request.headers.get("authorization", ""))
        listing = Listing(segments=await self._desk.export.list())
        return self._answer(200, msgspec.json.encode(listing))

    async def segment(self, request: Request) -> Response:
        """GET /v1/segments/SHA256, from a place on if that is asked for."""
        self._desk.readers.admit(request.headers.get("authorization", ""))
        sha256 = request.path_params["sha256"]
        file, size = await self._desk.export.open(sha256)
        begin = _begin(request.headers.get("range", ""))
        headers = {
            "accept-ranges": "bytes",
            "etag": f'"{sha256}"',
            "content-length": str(size - (begin or 0)),
        }
        if begin is not None:
            headers["content-range"] = f"bytes {begin}-{size - 1}/{size}"
        if begin is not None and begin >= size:
            file.close()
            raise Refused(416, "range", f"the segment has {size} bytes")
        status = 200 if begin is None else 206
        self._desk.figures.answered(status)
        return StreamingResponse(pieces(file, begin or 0), status, headers, SEGMENT)

    async def health(self, request: Request) -> Response:
        """GET /healthz."""
        await self._desk.intake.check()
        return self._answer(200, b'{"status":"ok"}')

    async def metrics(self, request: Request) -> Response:
        """GET /metrics."""
        return Response(self._desk.figures.text(self._desk.intake.octets), 200, media_type=KIND)

    async def openapi(self, request: Request) -> Response:
        """GET /openapi.json."""
        return self._answer(200, openapi())

    async def _body(self, request: Request) -> bytes:
        """The body, of bounded size and time, and counted while it is held."""
        intake, most = self._desk.intake, self._desk.limits.body
        too_large = Refused(413, "size", f"a run as it is sent has at most {most} bytes")
        said = request.headers.get("content-length", "")
        if said.isdecimal() and int(said[:18]) > most * _PATIENT:
            raise too_large
        pieces, come = bytearray(), 0
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                async for piece in request.stream():
                    come += len(piece)
                    if come > most * _PATIENT:
                        raise too_large
                    if come <= most:
                        intake.hold(len(piece))
                        pieces += piece
        except TimeoutError:
            raise Refused(408, "slow", f"the body did not come within {_BODY_SECONDS:.0f} s") from None
        finally:
            intake.hold(-len(pieces))
        if come > most:
            raise too_large
        return bytes(pieces)

    def _answer(
        self, status: int, body: bytes, error: str = "", headers: Mapping[str, str] | None = None
    ) -> Response:
        self._desk.figures.answered(status, error)
        return Response(body, status, headers, _JSON if body else None)

    def _refusal(self, error: Refused, headers: Mapping[str, str] | None = None) -> Response:
        more = dict(headers or {})
        if error.retry is not None:
            more["retry-after"] = str(math.ceil(error.retry))
        if error.error == "token":
            more["www-authenticate"] = "Bearer"
        if error.status in _UNREAD:
            more["connection"] = "close"
        body = msgspec.json.encode(Refusal(error=error.error, reason=error.reason))
        return self._answer(error.status, body, error.error, more)

    async def refused(self, request: Request, error: Refused) -> Response:
        """What a method raised."""
        return self._refusal(error)

    async def no_such_thing(self, request: Request, error: HTTPException) -> Response:
        """What Starlette says of paths and methods."""
        reason = {404: "there is nothing here", 405: "this cannot be done here"}.get(error.status_code, "no")
        return self._refusal(Refused(error.status_code, "path", reason), error.headers)

    async def gone(self, request: Request, error: ClientDisconnect) -> Response:
        """Nobody reads this."""
        return self._refusal(Refused(400, "envelope", "the request has no end"))

    async def mistaken(self, request: Request, error: Exception) -> Response:
        """What should not happen."""
        return self._refusal(Refused(500, "mistake", "the collector has made a mistake"))


def _headers(request: Request) -> dict[str, str]:
    headers = request.headers
    twice = next((name for name in _ONCE if len(headers.getlist(name)) > 1), None)
    if twice is not None:
        raise Refused(400, "envelope", f"{twice} is there twice")
    return dict(headers)


def _begin(text: str) -> int | None:
    """Where `Range` begins, if it goes to the end; every other kind may be answered by the whole (RFC 9110 14.2)."""
    asked = _RANGE.fullmatch(text)
    return int(asked[1]) if asked else None


def _time(now: datetime) -> str:
    return f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03}Z"
