"""What the probe and a far end say to each other over HTTPS (docs/far-end.md). One definition for both ends."""

from typing import Annotated, Literal

from msgspec import Meta

from probe.record import Record
from probe.step import TurnAccess

VERSION = 1
SESSION, FLOWS, CALLS, WHIP, PING = "/v1/session", "/v1/flows", "/v1/calls", "/v1/whip", "/v1/ping"
KEY_HEADER = "callreach-key"  # of a call: the key of its stamps, 32 hexadecimal digits
MAX_REQUEST = 64 * 1024  # bytes of a request's body
MAX_LOG = 1 << 20  # bytes of a log

Key = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}$")]
Text = Annotated[str, Meta(max_length=8192)]


class Ask(Record):
    """POST /v1/session: the access key that the operator gave out; empty where anybody may come."""

    key: Annotated[str, Meta(max_length=128)] = ""


class Most(Record):
    """What one session may use."""

    seconds: float  # of one flow or call
    flows: int  # at once, calls too
    octets: int  # in all, of UDP and TCP payload up


class Welcome(Record):
    """201 to a session: a token for `seconds`, and what there is to talk to."""

    version: int
    software: str
    token: str
    seconds: float
    udp: tuple[int, ...] = ()  # ports at which paced flows are echoed
    tcp: tuple[int, ...] = ()
    webrtc: bool = True
    turn: TurnAccess | None = None
    most: Most = Most(seconds=180.0, flows=8, octets=50_000_000)


class Packets(Record):
    """One kind of packet of a flow: where its stamp is (None: it has none), and the template of its answer."""

    stamp_at: Annotated[int, Meta(ge=0, le=1388)] | None
    down: Text | None  # None: no answer
    least: Annotated[int, Meta(ge=1, le=1400)] = 1  # the least size that such a packet has


class NewFlow(Record):
    """POST /v1/flows."""

    transport: Literal["udp", "tcp"]
    port: Annotated[int, Meta(ge=1, le=65535)]
    key: Key
    packets: Annotated[tuple[Packets, ...], Meta(min_length=1, max_length=16)]


class Made(Record):
    """201 to a flow or call: where its log is."""

    id: str
    seconds: float  # within which the first packet must come


class Heard(Record):
    """GET of a flow or call: what arrived there.

    `numbers` in the order in which they arrived, `at` microseconds of the far end's own clock since the first of
    them, both as differences from the one before (the first number as it is). `mute` are numbers that were heard and
    not answered. A call from a stranger's browser has no stamps: then only `streams` says something.
    """

    numbers: tuple[int, ...] = ()
    at: tuple[int, ...] = ()
    mute: tuple[int, ...] = ()
    octets_in: int = 0
    octets_out: int = 0
    packets_in: int = 0  # everything that arrived on the flow, stamped or not
    proved: bool = False  # whether our word came back
    ended: Literal["", "time", "octets", "unproved", "closed"] = ""
    streams: tuple["Stream", ...] = ()


class Stream(Record):
    """One RTP stream of a call as RFC 3550 appendix A counts it."""

    media: str
    ssrc: int
    received: int
    expected: int
    jitter: float  # seconds
    octets: int  # of RTP payload


class Refusal(Record):
    """Any 4xx or 5xx: one sentence, and after how many seconds it is worth asking again."""

    reason: str
    retry: float | None = None
