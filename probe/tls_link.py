"""TLS as a link over a link: memory buffers, no socket."""

import contextlib
import ssl

from probe.dialogue import Link

CHUNK = 16384


class TlsLink:
    """An encrypted stream over another stream. `hello` keeps the first bytes we sent."""

    is_stream = True

    def __init__(self, under: Link, context: ssl.SSLContext, server_name: str | None) -> None:
        self._under, self._back = under, b""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name)
        self.hello = b""

    def now(self) -> float:
        """Seconds on a monotonic clock."""
        return self._under.now()

    def unread(self, data: bytes) -> None:
        """Give back bytes that the next reader should see first."""
        self._back = data + self._back

    async def shake_hands(self) -> None:
        """Complete the handshake. Raises OSError from below, ssl.SSLError from the peer's bytes."""
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await self._flush()
                await self._fill()
            except ssl.SSLError:
                # The alert that OpenSSL wants to send is part of an orderly failure; the failure counts.
                with contextlib.suppress(OSError):
                    await self._flush()
                raise
        await self._flush()

    async def send(self, data: bytes) -> None:
        """Encrypt and send."""
        view = memoryview(data)
        while view:
            view = view[self.tls.write(view) :]
        await self._flush()

    async def receive(self) -> tuple[bytes, int | None]:
        """The next decrypted bytes; empty after the peer's close_notify."""
        if self._back:
            data, self._back = self._back, b""
            return data, None
        while True:
            try:
                return self.tls.read(CHUNK), None
            except ssl.SSLWantReadError:
                await self._flush()
                await self._fill()
            except ssl.SSLZeroReturnError:
                return b"", None

    async def _fill(self) -> None:
        data, _ = await self._under.receive()
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    async def _flush(self) -> None:
        data = self._outgoing.read()
        if data:
            if not self.hello:
                self.hello = data
            await self._under.send(data)
