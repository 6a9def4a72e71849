"""The HTTP side of a far end (docs/far-end.md). Every answer that is no success is a Refusal with one sentence."""

import asyncio
import math
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from probe.far_end import page
from probe.far_end.calls import Setup
from probe.far_end.house import House
from probe.far_end.protocol import (
    CALLS,
    FLOWS,
    KEY_HEADER,
    MAX_REQUEST,
    PING,
    SESSION,
    WHIP,
    Ask,
    NewFlow,
    Refusal,
)
from probe.far_end.tickets import Refused, Session
from probe.http_server import Outside, application
from probe.record import Record
from probe.step import TurnAccess

R = TypeVar("R", bound=Record)
_SDP = "application/sdp"
_BODY_SECONDS = 10.0
_KEY = re.compile(r"[0-9a-f]{32}")
_SAFE = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    # A page of another origin may use the API as anybody may: it needs a token all the same.
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"location, link, retry-after"),
)
_PREFLIGHT = {
    "access-control-allow-methods": "GET, POST, DELETE",
    "access-control-allow-headers": f"authorization, content-type, {KEY_HEADER}",
    "access-control-max-age": "86400",
}


def make_app(house: House, trouble: Callable[[Exception], None]) -> ASGIApp:
    """The application. `trouble` is told of what should not happen."""
    api = _Api(house)
    routes = [
        Route(SESSION, api.session, methods=["POST"]),
        Route(FLOWS, api.new_flow, methods=["POST"]),
        Route(f"{FLOWS}/{{name}}", api.flow, methods=["GET", "DELETE"]),
        Route(WHIP, api.whip, methods=["POST"]),
        Route(f"{CALLS}/{{name}}", api.call, methods=["GET", "DELETE"]),
        Route(PING, api.ping, methods=["GET"]),
        *(Route(path, _static(one), methods=["GET"]) for path, one in page.parts().items()),
    ]
    handlers: Mapping[Any, Any] = {
        Refused: _refused,
        HTTPException: _no_such_thing,
        ClientDisconnect: _gone,
        Exception: _mistaken,
    }
    return Outside(_Preflight(application(routes, handlers)), _SAFE, trouble)


class _Preflight:
    """CORS, and what WHIP wants to be told (RFC 9725 section 4.2): OPTIONS of every path, before anything else."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = _options(scope["path"]) if scope["method"] == "OPTIONS" else self._app
        await app(scope, receive, send)


class _Api:
    """One method for each route. They raise Refused."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def session(self, request: Request) -> Response:
        """POST /v1/session."""
        asked = _read(await _body(request), Ask)
        return _json(self._house.welcome(self._client(request), asked.key), 201)

    async def new_flow(self, request: Request) -> Response:
        """POST /v1/flows."""
        session = self._session(request)
        body = await _body(request)
        made = self._house.flows.make(_read(body, NewFlow), len(body), session)
        return _json(made, 201, {"location": f"{FLOWS}/{made.id}"})

    async def flow(self, request: Request) -> Response:
        """GET and DELETE /v1/flows/NAME."""
        session, end = self._session(request), request.method == "DELETE"
        return _json(self._house.flows.heard(request.path_params["name"], session, end=end))

    async def whip(self, request: Request) -> Response:
        """POST /v1/whip."""
        session = self._session(request)
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _SDP:
            raise Refused(415, f"an offer is {_SDP}")
        setup, key = _setup(request), _key(request)
        try:
            offer = (await _body(request)).decode()
        except UnicodeDecodeError:
            raise Refused(400, "the offer is not UTF-8 text") from None
        name, answer = await self._house.calls.answer(offer, key, setup, session)
        response = Response(answer, 201, {"location": f"{CALLS}/{name}"}, _SDP)
        for link in _links(self._house.turn(session)):
            response.headers.append("link", link)
        return response

    async def call(self, request: Request) -> Response:
        """GET and DELETE /v1/calls/NAME."""
        session, end = self._session(request), request.method == "DELETE"
        return _json(await self._house.calls.heard(request.path_params["name"], session, end=end))

    async def ping(self, request: Request) -> Response:
        """GET /v1/ping."""
        self._session(request)
        return Response(status_code=204)

    def _session(self, request: Request) -> Session:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise Refused(401, "a token is needed: authorization: Bearer TOKEN")
        return self._house.tickets.session(token.strip())

    def _client(self, request: Request) -> str:
        if not self._house.settings.proxied:
            return request.client.host if request.client is not None else ""
        # The last one is what our own proxy has seen; those before are what the client says.
        named = request.headers.getlist("x-forwarded-for") or [""]
        return named[-1].rpartition(",")[2].strip()


async def _body(request: Request) -> bytes:
    pieces = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for piece in request.stream():
                pieces += piece
                if len(pieces) > MAX_REQUEST:
                    raise Refused(413, f"a request has at most {MAX_REQUEST} bytes")
    except TimeoutError:
        raise Refused(408, f"the request did not come within {_BODY_SECONDS:.0f} s") from None
    return bytes(pieces)


def _read(body: bytes, shape: type[R]) -> R:
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError as error:
        raise Refused(400, str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Refused(400, "the request is not JSON") from None


def _setup(request: Request) -> Setup:
    match request.query_params.get("setup"):
        case None:
            return None
        case "active":
            return "active"
        case "passive":
            return "passive"
        case _:
            raise Refused(400, "setup is active or passive")


def _key(request: Request) -> bytes | None:
    text = request.headers.get(KEY_HEADER)
    if text is None:
        return None
    if not _KEY.fullmatch(text):
        raise Refused(400, f"{KEY_HEADER} is 32 lower-case hexadecimal digits")
    return bytes.fromhex(text)


def _links(turn: TurnAccess | None) -> list[str]:
    """The TURN server as RFC 9725 section 4.6 hands it out."""
    if turn is None:
        return []
    host = f"[{turn.host}]" if ":" in turn.host else turn.host
    secret = f'username="{turn.username}"; credential="{turn.password}"; credential-type="password"'
    offered = (
        ("turn", turn.udp, "udp"),
        ("turn", turn.tcp, "tcp"),
        ("turns", turn.tls, "tcp"),
    )
    return [
        f'<{scheme}:{host}:{port}?transport={transport}>; rel="ice-server"; {secret}'
        for scheme, port, transport in offered
        if port
    ]


def _options(path: str) -> Response:
    return Response(status_code=200, headers=_PREFLIGHT | ({"accept-post": _SDP} if path == WHIP else {}))


def _json(record: Record, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(record), status, headers, "application/json")


def _refusal(
    status: int, reason: str, retry: float | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    more = dict(headers or {}) | ({} if retry is None else {"retry-after": str(math.ceil(retry))})
    if status == 401:
        more["www-authenticate"] = "Bearer"
    return _json(Refusal(reason=reason, retry=retry), status, more)


async def _refused(request: Request, error: Refused) -> Response:
    return _refusal(error.status, error.reason, error.retry)


async def _no_such_thing(request: Request, error: HTTPException) -> Response:
    reason = {404: "there is nothing here", 405: "this cannot be done here"}.get(error.status_code, "no")
    return _refusal(error.status_code, reason, headers=error.headers)


async def _mistaken(request: Request, error: Exception) -> Response:
    return _refusal(500, "the far end has made a mistake")


async def _gone(request: Request, error: ClientDisconnect) -> Response:
    return _refusal(400, "the request has no end")


def _static(part: page.Part) -> Callable[[Request], Awaitable[Response]]:
    async def serve(request: Request) -> Response:
        return Response(part.content, 200, page.HEADERS, part.kind)

    return serve
