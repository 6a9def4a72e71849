"""RTP and RTCP of a call without codecs: packets out and in by medium, and the reports that a browser expects.

A stream has one payload type and one SSRC of ours; what comes in is told apart by its payload type alone, so a peer
that changes its SSRC stays in its stream. Payloads are the caller's bytes.
"""

import contextlib
import random
import secrets
import struct
from typing import Literal, NamedTuple

from aiortc.rtcrtpreceiver import StreamStatistics
from aiortc.rtp import (
    RTCP_PSFB_PLI,
    RtcpPacket,
    RtcpPsfbPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpSdesPacket,
    RtcpSenderInfo,
    RtcpSourceInfo,
    RtcpSrPacket,
    RtpPacket,
)

Media = Literal["audio", "video"]

_HEADER = struct.Struct("!BBHLL")
_CNAME = 1  # RFC 3550 section 6.5.1
_ONE_BYTE = 0xBEDE  # RFC 8285 section 4.2


class Packet(NamedTuple):
    """An RTP packet that arrived; `arrived` is in seconds on the peer's clock, read in the socket's callback."""

    media: Media
    ssrc: int
    sequence: int
    timestamp: int
    marker: bool
    payload: bytes
    arrived: float


class Stream:
    """One medium: our packets, the peer's, and the reports about both."""

    def __init__(
        self, media: Media, *, payload_type: int, clock_rate: int, mid: str, mid_extension: int | None,
        sends: bool, ssrc: int,
    ) -> None:  # fmt: skip
        self.media, self.payload_type, self.sends, self.ssrc = media, payload_type, sends, ssrc
        self._extension = b"" if mid_extension is None else _mid_extension(mid_extension, mid)
        self._first = 0x90 if self._extension else 0x80
        # In the lower half: a packet lost at the turn of the numbers would cost the peer SRTP's roll-over count.
        self._sequence = random.randrange(1 << 15)
        self._clock_rate = clock_rate
        self._packets = self._octets = self._last_timestamp = 0
        self._last_sent = 0.0
        self._theirs: StreamStatistics | None = None
        self._their_ssrc = 0
        self._reported: tuple[int, float] | None = None

    # ------------------------------------------------------------------ RTP

    def next(self, payload: bytes, timestamp: int, marker: bool) -> bytes:
        """The next packet of our own."""
        self._sequence = (self._sequence + 1) & 0xFFFF
        return self.packet(self._sequence, timestamp, marker, payload)

    def packet(self, sequence: int, timestamp: int, marker: bool, payload: bytes) -> bytes:
        """A packet under our SSRC (RFC 3550 section 5.1), with the `mid` of its section as browsers send it."""
        kind = self.payload_type | (0x80 if marker else 0)
        header = _HEADER.pack(self._first, kind, sequence, timestamp & 0xFFFFFFFF, self.ssrc)
        return header + self._extension + payload

    def sent(self, timestamp: int, size: int, at: float) -> None:
        """Count a packet that left."""
        self._packets += 1
        self._octets += size
        self._last_timestamp, self._last_sent = timestamp & 0xFFFFFFFF, at

    def heard(self, packet: RtpPacket) -> None:
        """Count a packet that arrived."""
        if self._theirs is None or packet.ssrc != self._their_ssrc:
            self._theirs, self._their_ssrc = StreamStatistics(self._clock_rate), packet.ssrc
            self._reported = None
        self._theirs.add(packet)

    # ------------------------------------------------------------------ RTCP

    def report(self, now: float, cname: bytes) -> bytes:
        """A compound packet about both directions (RFC 3550 section 6.4); times are the call's, not the day's."""
        about = self._reception(now)
        first: RtcpSrPacket | RtcpRrPacket
        if self._packets:
            info = RtcpSenderInfo(
                int(self._last_sent * (1 << 32)) & 0xFFFFFFFFFFFFFFFF, self._last_timestamp,
                self._packets & 0xFFFFFFFF, self._octets & 0xFFFFFFFF,
            )  # fmt: skip
            first = RtcpSrPacket(self.ssrc, info, about)
        else:
            first = RtcpRrPacket(self.ssrc, about)
        return bytes(first) + bytes(RtcpSdesPacket([RtcpSourceInfo(self.ssrc, [(_CNAME, cname)])]))

    def _reception(self, now: float) -> list[RtcpReceiverInfo]:
        theirs = self._theirs
        if theirs is None or theirs.max_seq is None:
            return []
        last, at = self._reported or (0, now)
        delay = int((now - at) * 65536)
        return [
            RtcpReceiverInfo(
                self._their_ssrc, theirs.fraction_lost, theirs.packets_lost,
                (theirs.cycles + theirs.max_seq) & 0xFFFFFFFF, theirs.jitter & 0xFFFFFFFF, last, delay & 0xFFFFFFFF,
            )
        ]  # fmt: skip

    def heard_report(self, packet: RtcpSrPacket, at: float) -> None:
        """Remember the peer's last report, which ours answer."""
        if packet.ssrc == self._their_ssrc:
            self._reported = (packet.sender_info.ntp_timestamp >> 16) & 0xFFFFFFFF, at

    def picture_lost(self) -> bytes:
        """Ask the peer for a whole picture (RFC 4585 section 6.3.1), as it asked us; empty if it sends nothing."""
        return bytes(RtcpPsfbPacket(RTCP_PSFB_PLI, self.ssrc, self._their_ssrc)) if self._theirs else b""


def read(data: bytes) -> RtpPacket | None:
    """An RTP packet, or None for what is none."""
    with contextlib.suppress(ValueError, LookupError, struct.error):
        return RtpPacket.parse(data)
    return None


def read_reports(data: bytes) -> list[object]:
    """The RTCP packets of a compound packet that can be read; none for what is none."""
    with contextlib.suppress(ValueError, LookupError, struct.error):
        return list(RtcpPacket.parse(data))
    return []


def _mid_extension(number: int, mid: str) -> bytes:
    """The section's `mid` as a header extension (RFC 9143 section 15, RFC 8285 section 4.2)."""
    value = mid.encode()
    element = bytes([number << 4 | (len(value) - 1)]) + value
    element += bytes(-len(element) % 4)
    return struct.pack("!HH", _ONE_BYTE, len(element) // 4) + element


def new_ssrc() -> int:
    """A random one."""
    return secrets.randbits(32)
