"""ICE by aioice, and below it one path on which every datagram leaves at once and media is handed over as it arrives.

What aioice does by itself and a measurement cannot use is replaced here, for one agent at a time: its choice of
local addresses, its five seconds for gathering in which every error of a relay is swallowed, its look-ups of
`.local` names, the queue and the task that each received datagram passes, and the task for each datagram sent
through a relay.
"""

import asyncio
import contextlib
import errno
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

from aioice.candidate import Candidate, candidate_foundation, candidate_priority
from aioice.ice import ICE_FAILED, Connection, StunProtocol, get_host_addresses
from aioice.stun import TransactionFailed

from probe.webrtc.dtls import Watch
from probe.webrtc.relay import Client, Relay, RelayTransport, allocate, connect

_WAITING = 64  # DTLS datagrams kept until they are read

Kind = Literal["host", "srflx", "prflx", "relay"]


class Agent(Connection):
    """One ICE agent: the transport below DTLS (`_recv`, `_send` and `role` are what it is asked for), and media's own.

    `on_media` gets every datagram that is SRTP or SRTCP by its first byte (RFC 7983), in the callback of the socket.
    `trouble` is the last error that the operating system reported for our sockets, `gone` whether the last socket is
    closed; `denied` the STUN error code with which the relay refused to reach the other side.
    """

    def __init__(
        self, *, local: Sequence[str], relay: Relay | None, watch: Watch, on_media: Callable[[bytes], None]
    ) -> None:
        super().__init__(ice_controlling=False)
        self.on_media = on_media
        self.trouble: OSError | None = None
        self.denied: int | None = None
        self._watch, self._local, self._relay = watch, tuple(local), relay
        self._said: dict[tuple[str, int], str] = {}
        self._client: Client | None = None
        self.gone = False
        self._errors = 0
        self._ending: asyncio.Task[None] | None = None

    # ------------------------------------------------------------------ candidates

    async def gather_candidates(self) -> None:
        """Bind to the local addresses, or get an address at the relay.

        Raises OSError or ssl.SSLError as they come, and for the relay Rejected (code: its STUN error), Silent or
        Malformed.
        """
        if self._relay is None:
            await self._bind()
        else:
            await self._allocate(self._relay)
        self._local_candidates_end = True

    async def _bind(self) -> None:
        loop = asyncio.get_running_loop()
        for address in self._local or get_host_addresses(use_ipv4=True, use_ipv6=True):
            try:
                _, protocol = await loop.create_datagram_endpoint(
                    lambda: Datagrams(self), local_addr=(address, 0)
                )
            except OSError:
                if self._local:
                    raise
                continue  # an address that is not ready, or just went away
            self._add(protocol, "host")
        if not self._local_candidates:
            raise OSError(errno.ENETUNREACH, "no address to call from")

    async def _allocate(self, relay: Relay) -> None:
        client = self._client = await connect(relay)
        await allocate(client)
        protocol = Datagrams(self)
        protocol.connection_made(RelayTransport(client, protocol.error_received))
        client.receiver = protocol
        self._add(protocol, "relay")

    def _add(self, protocol: "Datagrams", kind: Kind) -> None:
        host, port = protocol.transport.get_extra_info("sockname")[:2]
        # A relayed candidate does not tell where we are (RFC 9429 section 3.5.3).
        nowhere = None if kind == "host" else "0.0.0.0" if "." in host else "::"  # noqa: S104 - a text in SDP
        protocol.local_candidate = Candidate(
            candidate_foundation(kind, "udp", host), 1, "udp", candidate_priority(1, kind), host, port, kind,
            related_address=nowhere, related_port=None if nowhere is None else 9,
        )  # fmt: skip
        self._protocols.append(protocol)
        self._local_candidates.append(protocol.local_candidate)

    def take_offered(self, candidates: Iterable[Candidate]) -> None:
        """What a caller says of itself is noted and not called: its checks show where it is.

        So an offer cannot make us send to an address from which nobody asked, and what cannot be resolved
        (`.local`) costs nothing. A pair is formed for each address that a check comes from (RFC 8445 section 7.3.1.3).
        """
        self._said = {(one.host, one.port): one.type for one in candidates}

    async def take_answered(self, candidates: Iterable[Candidate]) -> None:
        """Whom to send checks to: these and, because it was all in one answer, no others."""
        for one in candidates:
            await self.add_remote_candidate(one)
        await self.add_remote_candidate(None)

    def pair(self) -> tuple[str, str] | None:
        """The types of the nominated pair, ours first."""
        pair = self._nominated.get(1)
        if pair is None:
            return None
        theirs = pair.remote_candidate.type
        return pair.local_candidate.type, self._said.get(pair.remote_addr, theirs)

    # ------------------------------------------------------------------ the path

    @property
    def alive(self) -> bool:
        """Whether there is a path: a pair was nominated, consent has not run out, the socket is open."""
        return bool(self._nominated) and not self.gone

    def protocol_lost(self, protocol: StunProtocol) -> None:
        """A socket is closed, or the connection to the relay is: without another, checks are over."""
        used = [pair.protocol for pair in self._nominated.values()] or self._protocols
        self.gone = self.gone or used == [protocol]
        if self.gone and not self._check_list_done:
            self._check_list_done = True
            self._check_list_state.put_nowait(ICE_FAILED)
        super().protocol_lost(protocol)

    @property
    def role(self) -> str:
        """As aiortc's transports have it."""
        return "controlling" if self.ice_controlling else "controlled"

    def note(self, error: Exception | None) -> None:
        """What went wrong below: the operating system's error, or the relay's."""
        if isinstance(error, OSError):
            self.trouble = error
            self._errors += 1
        elif isinstance(error, TransactionFailed):
            self.denied = error.response.error_code

    def data_received(self, data: bytes, component: int) -> None:
        """A DTLS datagram."""
        self._watch.heard(data)
        if self._queue.qsize() < _WAITING:
            super().data_received(data, component)

    async def _recv(self) -> bytes:
        return await self.recv()

    async def _send(self, data: bytes) -> None:
        self._watch.sent(data)
        if not self._nominated:
            raise ConnectionError("no path")
        with contextlib.suppress(OSError):  # a datagram that did not leave is a lost one; DTLS sends again
            self.send_now(data)

    def send_now(self, data: bytes) -> None:
        """Let a datagram leave now, by the nominated pair. Raises OSError."""
        pair = self._nominated.get(1)
        if pair is None:
            raise self.trouble or ConnectionError("no path")
        errors = self._errors
        pair.protocol.transport.sendto(data, pair.remote_addr)
        if self._errors != errors and self.trouble is not None:
            raise self.trouble

    async def close(self) -> None:
        """Stop checks and consent, give up the allocation, close the sockets; about a second at most.

        It goes on to its end when the caller is cancelled.
        """
        if self._ending is None:
            self._ending = asyncio.ensure_future(self._end())
        await asyncio.shield(self._ending)

    async def _end(self) -> None:
        try:
            await super().close()
        finally:
            if self._client is not None:
                self._client.transport.abort()
            await asyncio.sleep(0)  # what was cancelled or aborted ends in the loop's next round


class Datagrams(StunProtocol):
    """A socket's or a relay's datagrams, told apart by the first byte (RFC 7983); nothing they hold can raise."""

    receiver: Agent

    def datagram_received(self, data: bytes | str, addr: tuple[Any, ...]) -> None:
        """STUN to the agent's checks, DTLS to its queue, SRTP to its owner."""
        assert isinstance(data, bytes)
        first = data[0] if data else 255
        if 127 < first < 192:
            self.receiver.on_media(data)
        elif first < 4:
            with contextlib.suppress(Exception):  # aioice raises many types for hostile bytes
                super().datagram_received(data, addr)
        elif 19 < first < 64:
            self.receiver.data_received(data, 1)

    def error_received(self, exc: Exception) -> None:
        """The operating system or the relay did not send a datagram of ours."""
        self.receiver.note(exc)

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed: by us, or with an error."""
        self.receiver.note(exc)
        super().connection_lost(exc)

    async def close(self) -> None:
        """Close, whatever is unsent."""
        if isinstance(self.transport, RelayTransport):
            await self.transport.leave()
        self.transport.abort()
        await super().close()
