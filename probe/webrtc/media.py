"""The packets of a call: SRTP in and out at once, in the socket's callback, and reports about them now and then."""

import asyncio
import contextlib
import random
from collections.abc import Callable, Iterable

import pylibsrtp
from aiortc.rtp import RTCP_PSFB_FIR, RTCP_PSFB_PLI, RtcpPsfbPacket, RtcpSrPacket

from probe.webrtc.rtp import Media, Packet, Stream, read, read_reports
from probe.webrtc.stage import StageFailed

_EARLY = 32  # SRTP packets kept that overtook the end of the handshake
_SOURCES = 8  # SSRCs a peer may use; each costs memory until the end of the call
_RTCP = range(192, 224)  # second byte (RFC 5761 section 4)
_SHORTEST = 12


class Carrier:
    """Encrypts and sends, decrypts and hands over; both only between `begin` and `end`."""

    def __init__(self, *, clock: Callable[[], float], on_packet: Callable[[Packet], None], name: str) -> None:
        self._clock, self._on_packet, self._name = clock, on_packet, name.encode()
        self._streams: dict[Media, Stream] = {}
        self._by_type: dict[int, Stream] = {}
        self._sources: set[bytes] = set()
        self._early: list[tuple[bytes, float]] = []
        self._incoming: pylibsrtp.Session | None = None
        self._outgoing: pylibsrtp.Session | None = None
        self._send_now: Callable[[bytes], None] = _nowhere
        self._timer: asyncio.TimerHandle | None = None
        self._failure: StageFailed | None = None
        self._over = asyncio.Event()

    def agree(self, streams: Iterable[Stream]) -> None:
        """What was negotiated."""
        for stream in streams:
            self._streams[stream.media] = self._by_type[stream.payload_type] = stream

    def begin(
        self,
        incoming: pylibsrtp.Session,
        outgoing: pylibsrtp.Session,
        send_now: Callable[[bytes], None],
    ) -> None:
        """There are keys and a path. What came too early is handed over first, with the time it came."""
        self._incoming, self._outgoing, self._send_now = incoming, outgoing, send_now
        for data, arrived in self._early:
            self._take(data, arrived)
        self._early.clear()
        self._report_later()

    def end(self, failure: StageFailed) -> None:
        """Nothing more goes out or comes in; `failure` is what `send` raises from now on."""
        self._failure = self._failure or failure
        self._over.set()
        self._incoming = self._outgoing = None
        self._early.clear()
        if self._timer is not None:
            self._timer.cancel()

    async def ended(self) -> StageFailed:
        """As `Peer.ended`."""
        await self._over.wait()
        assert self._failure is not None
        return self._failure

    # ------------------------------------------------------------------ out

    def send(self, media: Media, payload: bytes, timestamp: int, marker: bool) -> float:
        """As `Peer.send`."""
        stream = self._streams.get(media)
        if stream is None or not stream.sends:
            raise ValueError(f"the other side wants no {media}")
        at = self._emit(stream.next(payload, timestamp, marker))
        stream.sent(timestamp, len(payload), at)
        return at

    def reflect(self, packet: Packet, payload: bytes) -> float | None:
        """As `Peer.reflect`."""
        stream = self._streams[packet.media]
        if not stream.sends:
            return None
        try:
            at = self._emit(stream.packet(packet.sequence, packet.timestamp, packet.marker, payload))
        except (OSError, ValueError, pylibsrtp.Error):  # too long with our header, or too old for SRTP
            return None
        stream.sent(packet.timestamp, len(payload), at)
        return at

    def _emit(self, packet: bytes) -> float:
        if self._outgoing is None:
            raise self._failure or RuntimeError("the handshake is not complete")
        data = self._outgoing.protect(packet)
        at = self._clock()
        self._send_now(data)
        return at

    # ------------------------------------------------------------------ in

    def hear(self, data: bytes) -> None:
        """A datagram that is SRTP or SRTCP by its first byte."""
        arrived = self._clock()
        if self._incoming is not None:
            self._take(data, arrived)
        elif self._failure is None and len(self._early) < _EARLY:
            self._early.append((data, arrived))

    def _take(self, data: bytes, arrived: float) -> None:
        if self._incoming is None or len(data) < _SHORTEST:
            return
        is_report = data[1] in _RTCP
        source = data[4:8] if is_report else data[8:12]
        if source not in self._sources and len(self._sources) >= _SOURCES:
            return
        try:
            clear = self._incoming.unprotect_rtcp(data) if is_report else self._incoming.unprotect(data)
        except (pylibsrtp.Error, ValueError):  # not the peer's, seen before, or too long
            return
        self._sources.add(source)
        if is_report:
            self._take_reports(clear, arrived)
        else:
            self._take_packet(clear, arrived)

    def _take_packet(self, clear: bytes, arrived: float) -> None:
        found = read(clear)
        stream = None if found is None else self._by_type.get(found.payload_type)
        if found is None or stream is None:
            return
        stream.heard(found)
        marker = bool(found.marker)
        self._on_packet(
            Packet(
                stream.media,
                found.ssrc,
                found.sequence_number,
                found.timestamp,
                marker,
                found.payload,
                arrived,
            )
        )

    # ------------------------------------------------------------------ reports

    def _report_later(self) -> None:
        if self._outgoing is not None:
            # Once a second on average, and not all calls at once (RFC 3550 section 6.3.1).
            self._timer = asyncio.get_running_loop().call_later(0.5 + random.random(), self._report)

    def _report(self) -> None:
        for stream in self._streams.values():
            self._send_report(stream.report(self._clock(), self._name))
        self._report_later()

    def _send_report(self, report: bytes) -> None:
        if self._outgoing is not None and report:
            with contextlib.suppress(OSError, pylibsrtp.Error):
                self._send_now(self._outgoing.protect_rtcp(report))

    def _take_reports(self, clear: bytes, arrived: float) -> None:
        for packet in read_reports(clear):
            if isinstance(packet, RtcpSrPacket):
                for stream in self._streams.values():
                    stream.heard_report(packet, arrived)
            elif isinstance(packet, RtcpPsfbPacket) and packet.fmt in (RTCP_PSFB_PLI, RTCP_PSFB_FIR):
                self._lost_picture(packet.media_ssrc)

    def _lost_picture(self, ssrc: int) -> None:
        """The peer cannot show what we sent back; only it can make a new picture."""
        for stream in self._streams.values():
            if stream.ssrc == ssrc:
                self._send_report(stream.picture_lost())


def _nowhere(data: bytes) -> None:
    raise RuntimeError("there is no path yet")
