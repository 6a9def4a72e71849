"""HTTP on a link that is already open: httpx asks, httpcore frames, and our link carries and counts.

Nothing is decompressed, nothing is followed, and a body is read no further than its cap.
"""

import importlib.util
import ssl
import sys
from collections.abc import AsyncIterator, Iterable
from typing import Any

import httpcore

from probe.dialogue import Link
from probe.failure import Closed, Malformed, Rejected
from probe.step import Flow

# Where click is installed httpx loads its own command line, and rich with it: a tenth of a second that nobody here
# uses. A name that is None cannot be imported, and httpx takes that as it takes a missing click.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
# httpcore asks with every lock which library runs it, by importing this one, which is seldom there: no more looking
# for it in every folder, hundreds of times.
if importlib.util.find_spec("sniffio") is None:
    sys.modules["sniffio"] = None  # type: ignore[assignment]

import httpx  # noqa: E402


class _Stream(httpcore.AsyncNetworkStream):
    """Our link, as httpcore wants it. Errors pass unwrapped, because errno is the finding."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        data, _ = await self._link.receive()
        self._link.unread(data[max_bytes:])
        return data[:max_bytes]

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        if buffer:
            await self._link.send(buffer)

    async def aclose(self) -> None:
        """The flow closes its sockets."""

    def get_extra_info(self, info: str) -> Any:
        return None


class LinkTransport(httpx.AsyncBaseTransport):
    """One HTTP connection on one open link; HTTP/2 carries several requests at once."""

    def __init__(self, link: Link, *, http2: bool) -> None:
        origin = httpcore.Origin(b"https", b"measured", 443)
        stream = _Stream(link)
        self._connection: httpcore.AsyncHTTP2Connection | httpcore.AsyncHTTP11Connection = (
            httpcore.AsyncHTTP2Connection(origin, stream)
            if http2
            else httpcore.AsyncHTTP11Connection(origin, stream)
        )
        # httpcore compares the request's origin with the connection's; ours is whatever the link leads to.
        self._connection.can_handle_request = lambda origin: True  # type: ignore[method-assign]
        self._connection._origin = origin

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request on the link."""
        assert isinstance(request.stream, httpx.AsyncByteStream)
        asked = httpcore.Request(
            method=request.method,
            url=httpcore.URL(scheme=b"https", host=b"measured", port=443, target=request.url.raw_path),
            headers=request.headers.raw,
            content=request.stream,
        )
        answer = await self._connection.handle_async_request(asked)
        return httpx.Response(
            status_code=answer.status,
            headers=answer.headers,
            stream=_Body(answer.stream),
            extensions=answer.extensions,
        )


class _Body(httpx.AsyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


def connection(flow: Flow) -> LinkTransport:
    """The flow's one HTTP connection, made on first use. Copies of a flow made later share it."""
    if not isinstance(flow.http, LinkTransport):
        flow.http = LinkTransport(flow.stream(), http2=flow.alpn == "h2")
    return flow.http


async def exchange(
    flow: Flow, method: str, url: str, *, headers: Iterable[tuple[str, str]], content: bytes | None, cap: int
) -> tuple[httpx.Response, bytes, bool, tuple[float, float]]:
    """Ask once on the flow's open link.

    Returns the response, at most `cap` bytes of its body, whether that was all, and the seconds until the
    head and until the end. Raises OSError, Closed, Malformed or Rejected.
    """
    transport = connection(flow)
    request = httpx.Request(method, url, headers=list(headers), content=content)
    began = flow.net.now()
    try:
        response = await transport.handle_async_request(request)
        head = flow.net.now() - began
        body, complete = await _capped(response, cap)
    except httpcore.RemoteProtocolError as error:
        raise _remote_failure(error) from error
    except (httpcore.ConnectionNotAvailable, httpcore.LocalProtocolError) as error:
        raise Malformed("the connection cannot carry another question") from error
    except (httpcore.NetworkError, httpcore.TimeoutException) as error:
        raise _beneath(error) from error
    return response, body, complete, (head, flow.net.now() - began)


async def _capped(response: httpx.Response, cap: int) -> tuple[bytes, bool]:
    body = bytearray()
    parts = response.aiter_raw()
    async for part in parts:
        body += part
        if len(body) > cap:
            return bytes(body[:cap]), False
    return bytes(body), True


def _remote_failure(error: httpcore.RemoteProtocolError) -> Exception:
    text = str(error)
    if "disconnected without sending" in text or "peer closed connection" in text:
        return Closed("the connection ended before the answer did")
    if "ConnectionTerminated" in text or "StreamReset" in text:
        return Rejected("the peer refused the request in HTTP/2", code=_h2_code(text))
    return Malformed("the answer is not HTTP")


def _h2_code(text: str) -> str:
    _, found, rest = text.partition("error_code:")
    return f"h2:{rest.split(',')[0].split('>')[0].strip()}" if found else "h2"


def _beneath(error: BaseException) -> BaseException:
    """The operating system's own error beneath a library's."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError | ssl.SSLError):
            return cause
        cause = cause.__cause__ or cause.__context__
    return Closed("the connection failed")
