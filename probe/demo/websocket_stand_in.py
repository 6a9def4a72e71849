"""The server side of a WebSocket: what another stand-in serves on a stream, served through messages."""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.utilities import ProtocolError, RemoteProtocolError

Serve: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
_PATIENCE = 20.0


class WebSocketServer:
    """By path what a WebSocket leads to: a text that is said first, or somebody who serves the stream of its messages.

    The first subprotocol that is offered is taken. Every other path is a 404.
    """

    def __init__(self, paths: Mapping[str, Serve | str]) -> None:
        self._paths = paths

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one upgrade, then serve until either side ends."""
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._serve(reader, writer)
        except (OSError, TimeoutError, ssl.SSLError, ProtocolError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(OSError, ssl.SSLError):
                await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = WSConnection(ConnectionType.SERVER)
        request = await _request(connection, reader, writer)
        found = self._paths.get(request.target) if request is not None else None
        if request is None or found is None:
            if request is not None:
                writer.write(connection.send(RejectConnection(status_code=404)))
            return
        chosen = request.subprotocols[0] if request.subprotocols else None
        writer.write(connection.send(AcceptConnection(subprotocol=chosen)))
        if isinstance(found, str):
            writer.write(connection.send(TextMessage(data=found)))
        inner = asyncio.StreamReader()
        serving = (
            None
            if isinstance(found, str)
            else asyncio.ensure_future(found(inner, _writer(connection, writer)))
        )
        try:
            while True:
                _feed(connection, inner, writer)
                await writer.drain()
                data = await reader.read(65536)
                if not data or inner.at_eof():
                    break
                connection.receive_data(data)
        finally:
            inner.feed_eof()
            if serving is not None:
                serving.cancel()
                await asyncio.gather(serving, return_exceptions=True)


async def _request(
    connection: WSConnection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> Request | None:
    while data := await reader.read(65536):
        try:
            connection.receive_data(data)
        except RemoteProtocolError as error:  # a question that asks for no upgrade
            if isinstance(error.event_hint, RejectConnection):
                writer.write(connection.send(error.event_hint))
            return None
        for event in connection.events():
            if isinstance(event, Request):
                return event
    return None


def _feed(connection: WSConnection, inner: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    for event in connection.events():
        match event:
            case BytesMessage():
                inner.feed_data(event.data)
            case TextMessage():
                inner.feed_data(event.data.encode())
            case Ping() | CloseConnection():
                writer.write(connection.send(event.response()))
        if isinstance(event, CloseConnection):
            inner.feed_eof()


def _writer(connection: WSConnection, under: asyncio.StreamWriter) -> asyncio.StreamWriter:
    loop = asyncio.get_running_loop()
    protocol = asyncio.StreamReaderProtocol(asyncio.StreamReader())
    return asyncio.StreamWriter(_Messages(connection, under), protocol, None, loop)


class _Messages(asyncio.Transport):
    """Where a stand-in writes: each write is one message."""

    def __init__(self, connection: WSConnection, under: asyncio.StreamWriter) -> None:
        super().__init__()
        self._connection, self._under, self._closing = connection, under, False

    def write(self, data: Any) -> None:
        if not self._closing:
            self._under.write(self._connection.send(BytesMessage(data=bytes(data))))

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            with contextlib.suppress(ProtocolError):
                self._under.write(self._connection.send(CloseConnection(code=1000)))
            self._under.close()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._under.get_extra_info(name, default)
