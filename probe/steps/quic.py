"""Shake hands with QUIC version 1 and ask one HTTP/3 question (RFC 9000, RFC 9114)."""

from datetime import datetime
from typing import TYPE_CHECKING, Literal

from probe.dialogue import Dialogue, converse, listen, send
from probe.failure import Closed, Malformed, Rejected, Silent, Untrusted
from probe.identity import TRUSTED, Certificate, Identity, certificates, judge
from probe.record import peer_text
from probe.step import Facts, Flow, Step

if TYPE_CHECKING:
    from aioquic.quic.connection import QuicConnection

_PEER = ("192.0.2.1", 443)  # aioquic wants an address for its paths; ours is fixed by the connected socket
_MAX_EVENTS = 256


class QuicFacts(Facts):
    """Session parameters, who the peer showed itself to be, and the HTTP/3 status if one was asked for."""

    version: str
    alpn: str
    sni: str
    cipher: str
    handshake: float  # seconds
    identity: Identity
    chain: tuple[Certificate, ...] = ()
    retry: bool = False
    status: int | None = None
    datagrams_sent: int = 0


class Quic(Step):
    """A QUIC handshake over UDP, and `path` over HTTP/3 unless it is empty."""

    sni: str = "host"  # "host", "none", or another name
    alpn: tuple[str, ...] = ("h3",)
    trust: str = "system"
    pins: tuple[str, ...] = ()
    identity: Literal["required", "recorded"] = "required"
    path: str = ""
    patience: float = 8.0  # seconds to wait for the handshake and for the answer
    seconds: float = 10.0

    async def run(self, flow: Flow) -> QuicFacts:
        """Shake hands. Raises Silent (code: datagrams sent) when nothing at all came back."""
        name = {"host": flow.host, "none": ""}.get(self.sni, self.sni)
        conversation = Conversation(name, self.alpn, self.path, flow.host or name)
        await converse(await flow.udp(), conversation.dialogue(self.patience))
        facts = conversation.facts(self, flow, flow.net.utc())
        if self.identity == "required" and facts.identity not in TRUSTED:
            raise Untrusted(f"the certificate is {facts.identity}", code=facts.identity, partial=facts)
        return facts


class Conversation:
    """One QUIC connection as a dialogue: aioquic keeps the state, the dialogue's answers are its clock."""

    def __init__(self, name: str, alpn: tuple[str, ...], path: str, authority: str) -> None:
        import ssl

        from aioquic.quic.configuration import QuicConfiguration
        from aioquic.quic.connection import QuicConnection

        configuration = QuicConfiguration(
            is_client=True, alpn_protocols=list(alpn), server_name=name or None, verify_mode=ssl.CERT_NONE
        )
        self.connection: QuicConnection = QuicConnection(configuration=configuration)
        self._path, self._authority = path, authority
        self._now = 0.0
        self._heard = 0
        self._sent = 0
        self.handshake: float | None = None
        self.alpn = ""
        self.status: int | None = None
        self._h3: object = None

    def dialogue(self, patience: float) -> Dialogue[None]:
        """Until the handshake (and the answer, if one is wanted) is there."""
        self.connection.connect(_PEER, now=self._now)
        while not self._done():
            yield from self._send_pending()
            if self._now >= patience:
                self._give_up()
            timer = self.connection.get_timer()
            until = min(patience, timer if timer is not None else patience)
            heard = yield from listen(until - self._now)
            self._now = until if heard is None else heard.at
            if heard is not None:
                self._heard += 1
                self._receive(heard.data)
            elif timer is not None and timer <= self._now:
                self.connection.handle_timer(now=self._now)
            self._read_events()
        self.connection.close()
        yield from self._send_pending()

    def _done(self) -> bool:
        return self.handshake is not None and (not self._path or self.status is not None)

    def _send_pending(self) -> Dialogue[None]:
        for data, _ in self.connection.datagrams_to_send(now=self._now):
            self._sent += 1
            self._now = max(self._now, (yield from send(data)))

    def _receive(self, data: bytes) -> None:
        try:
            self.connection.receive_datagram(data, _PEER, now=self._now)
        except Exception as error:  # noqa: BLE001 - aioquic raises many types for hostile bytes
            raise Malformed("the datagram is not acceptable QUIC", code=type(error).__name__) from None

    def _give_up(self) -> None:
        if self.handshake is not None:
            raise TimeoutError
        if self._heard == 0:
            raise Silent("no datagram came back", code=str(self._sent))
        raise TimeoutError

    def _read_events(self) -> None:
        from aioquic.quic import events

        for _ in range(_MAX_EVENTS):
            event = self.connection.next_event()
            match event:
                case None:
                    return
                case events.HandshakeCompleted():
                    self.handshake, self.alpn = self._now, event.alpn_protocol or ""
                    self._ask()
                case events.ConnectionTerminated():
                    self._terminated(event.error_code, event.reason_phrase)
                case _:
                    self._read_http(event)

    def _terminated(self, code: int, reason: str) -> None:
        if self._done():
            return
        # The idle timeout ends the connection from our side, with code 1 and these words.
        if "Idle timeout" in reason:
            self._give_up()
        if code == 0:
            raise Closed("the peer closed the connection")
        raise Rejected("the peer closed the connection with an error", code=f"quic:{code:#x}")

    def _ask(self) -> None:
        if not self._path:
            return
        from aioquic.h3.connection import H3Connection

        h3 = H3Connection(self.connection)
        self._h3 = h3
        stream = self.connection.get_next_available_stream_id()
        headers = [
            (b":method", b"GET"),
            (b":scheme", b"https"),
            (b":authority", self._authority.encode()),
            (b":path", self._path.encode()),
            (b"user-agent", b"Mozilla/5.0"),
        ]
        h3.send_headers(stream, headers, end_stream=True)

    def _read_http(self, event: object) -> None:
        from aioquic.h3.connection import H3Connection
        from aioquic.h3.events import HeadersReceived
        from aioquic.quic.events import QuicEvent

        if not isinstance(self._h3, H3Connection) or not isinstance(event, QuicEvent):
            return
        for answer in self._h3.handle_event(event):
            if isinstance(answer, HeadersReceived):
                status = dict(answer.headers).get(b":status", b"")
                self.status = int(status) if status.isdigit() and len(status) == 3 else 0

    def facts(self, step: Quic, flow: Flow, now: datetime) -> QuicFacts:
        """What was learned of a completed handshake."""
        chain, cipher = _offered(self.connection)
        identity = judge(
            chain, flow.host, trust=step.trust, pins=step.pins, anchors=flow.supplies.anchors, now=now
        )
        return QuicFacts(
            version="1",
            alpn=peer_text(self.alpn),
            sni=step.sni,
            cipher=cipher,
            handshake=round(self.handshake or 0.0, 6),
            identity=identity,
            chain=certificates(chain, keep_der=identity not in TRUSTED),
            retry=bool(self.connection._retry_source_connection_id),
            status=self.status,
            datagrams_sent=self._sent,
        )


def _offered(connection: "QuicConnection") -> tuple[list[bytes], str]:
    """The peer's chain and the cipher; aioquic has no public way to read either."""
    from cryptography.hazmat.primitives.serialization import Encoding

    leaf = connection.tls._peer_certificate
    chain = [] if leaf is None else [leaf, *connection.tls._peer_certificate_chain]
    suite = connection.tls.key_schedule.cipher_suite.name if connection.tls.key_schedule else ""
    return [certificate.public_bytes(Encoding.DER) for certificate in chain], suite
