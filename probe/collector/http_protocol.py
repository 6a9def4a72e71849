"""HTTP/1.1 by llhttp, at a quarter of what h11 costs a collector, with the limit on a request's head that it lacks."""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from probe.http_server import Patience

_HEAD = 64 << 10  # bytes of request line and headers; what follows in the same read is not counted


class PatientLlhttp(Patience, HttpToolsProtocol):  # type: ignore[misc]
    """For senders that may be slow, endless or wrong."""

    _in_head, _read, _began = True, 0, False

    def data_received(self, data: bytes) -> None:
        """Some bytes."""
        self._began = False
        super().data_received(data)
        if self._in_head and not self._began:
            self._read += len(data)
            if self._read > _HEAD:
                self.transport.abort()

    def on_headers_complete(self) -> None:
        """The head is over."""
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Another may begin, within these bytes already."""
        self._in_head, self._read, self._began = True, 0, True
        super().on_message_complete()
