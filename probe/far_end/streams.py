"""RTP streams of a call, counted as RFC 3550 counts them: extended numbers (A.1), expected (A.3), jitter (A.8)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from probe.far_end.protocol import Stream

if TYPE_CHECKING:
    from probe.webrtc import Packet

CLOCKS = {"audio": 48_000, "video": 90_000}  # ticks a second: Opus (RFC 7587) and video (RFC 3551)
_MOST = 8  # streams of one call; more are not counted
_HALF = 1 << 15


@dataclass(slots=True)
class _Counted:
    media: str
    first: int
    highest: int  # extended by the turns of the sixteen bits
    transit: float
    received: int = 0
    octets: int = 0
    jitter: float = 0.0  # ticks


class Streams:
    """Every stream of a call, by its SSRC."""

    def __init__(self) -> None:
        self._streams: dict[int, _Counted] = {}

    def hear(self, packet: "Packet") -> None:
        """A packet arrived."""
        clock = CLOCKS.get(packet.media, CLOCKS["video"])
        transit = packet.arrived * clock - packet.timestamp
        stream = self._streams.get(packet.ssrc)
        if stream is None:
            if len(self._streams) >= _MOST:
                return
            stream = _Counted(packet.media, packet.sequence, packet.sequence, transit)
            self._streams[packet.ssrc] = stream
        # The extended number that is nearest to the highest so far; A.1's restart of a source is a new SSRC with us.
        number = stream.highest + (packet.sequence - stream.highest + _HALF) % (1 << 16) - _HALF
        stream.highest, stream.first = max(stream.highest, number), min(stream.first, number)
        # Timestamps turn at 2**32: what is meant is the difference that is near.
        moved = (transit - stream.transit + (1 << 31)) % (1 << 32) - (1 << 31)
        stream.jitter += (abs(moved) - stream.jitter) / 16
        stream.transit = transit
        stream.received += 1
        stream.octets += len(packet.payload)

    def counted(self) -> tuple[Stream, ...]:
        """All of them so far."""
        return tuple(
            Stream(
                media=one.media,
                ssrc=ssrc,
                received=one.received,
                expected=one.highest - one.first + 1,
                jitter=round(one.jitter / CLOCKS.get(one.media, CLOCKS["video"]), 6),
                octets=one.octets,
            )
            for ssrc, one in self._streams.items()
        )
