"""Session descriptions for calls without codecs (RFC 8866, RFC 9429): what we offer, what we answer, what we read.

One audio and one video section at most, one codec each, all bundled on one path. aiortc reads; the writing is ours,
because its answers take up what a call without codecs must refuse (data channels, retransmission).
"""

import ipaddress
import re
import secrets
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, cast

from aioice.candidate import Candidate
from aiortc import RTCDtlsParameters, RTCRtpCodecParameters
from aiortc.rtcicetransport import candidate_to_aioice
from aiortc.sdp import MediaDescription, SessionDescription, grouplines, parameters_to_sdp

from probe.failure import Malformed
from probe.webrtc.rtp import Media

Setup = Literal["active", "passive", "actpass"]
Direction = Literal["sendrecv", "sendonly", "recvonly", "inactive"]

_MAX_TEXT = (
    24_000  # characters; a browser's offer has about 7 000, and reading takes the square of the length
)
_MAX_CANDIDATES = 16
_MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
_TOKEN = re.compile(r"[!-~]{1,16}")
_UFRAG, _PASSWORD = (
    re.compile(r"[A-Za-z0-9+/]{4,256}"),
    re.compile(r"[A-Za-z0-9+/]{22,256}"),
)  # RFC 8839 section 5.4
_DIGESTS = ("sha-256", "sha-384", "sha-512")
_SETUP: dict[str | None, Setup] = {"auto": "actpass", "client": "active", "server": "passive"}
_REVERSED: dict[Direction, Direction] = {"sendonly": "recvonly", "recvonly": "sendonly"}
_NOT_MEDIA = ("rtx", "red", "ulpfec", "flexfec-03", "telephone-event", "cn")
_PREFERRED = ("opus", "vp8")


class Section(NamedTuple):
    """An m-line with media on it: `codec` and `parameters` as `rtpmap` and `fmtp` have them."""

    media: Media
    mid: str
    payload_type: int
    codec: str
    clock_rate: int
    parameters: str
    mid_extension: int | None
    pictures: bool  # whether a lost picture may be reported (RFC 4585)
    direction: Direction = "sendrecv"


class Refusal(NamedTuple):
    """An m-line that we do not take up, as it has to be repeated in the answer."""

    kind: str
    profile: str
    formats: str
    mid: str


class Identity(NamedTuple):
    """Whom checks and handshakes are with: ICE's credentials and DTLS's fingerprints."""

    ufrag: str
    password: str
    fingerprints: RTCDtlsParameters
    lite: bool = False


class Theirs(NamedTuple):
    """What the other side said. Candidates are those we could reach: UDP, an address in numbers."""

    lines: tuple[Section | Refusal, ...]
    identity: Identity
    setup: Setup
    candidates: tuple[Candidate, ...]

    @property
    def sections(self) -> tuple[Section, ...]:
        """The lines with media."""
        return tuple(line for line in self.lines if isinstance(line, Section))


# Payload types and codecs as Chromium offers them; payload types are in clear in every packet.
OFFERED = (
    Section("audio", "0", 111, "opus/48000/2", 48000, "minptime=10;useinbandfec=1", 4, False),
    Section("video", "1", 96, "VP8/90000", 90000, "", 4, True),
)


# ---------------------------------------------------------------------- reading


def read_offer(text: str) -> Theirs:
    """An offer as we would answer it. Raises Malformed for what we cannot use."""
    session = _parse(text)
    lines: list[Section | Refusal] = []
    free = {"audio", "video"}
    for media, written in zip(session.media, grouplines(text)[1], strict=True):
        wanted = media.kind in free and (media.port != 0 or "a=bundle-only" in written)
        section = _section(media) if wanted else None
        free.discard(section.media if section else "")
        lines.append(section or _refusal(media))
    offer = _theirs(session, lines)
    if offer.identity.lite:
        raise Malformed("an offer of somebody who does not check paths")
    return offer


def read_answer(text: str, offered: Sequence[Section] = OFFERED) -> Theirs:
    """The answer to our offer. Raises Malformed for what we cannot use."""
    session = _parse(text)
    if [(m.kind, m.rtp.muxId) for m in session.media] != [(one.media, one.mid) for one in offered]:
        raise Malformed("the answer is not one to this offer")
    lines: list[Section | Refusal] = []
    for media, ours in zip(session.media, offered, strict=True):
        theirs = _section(media) if media.port != 0 else None
        if theirs is not None and theirs.payload_type != ours.payload_type:
            raise Malformed("the answer has a codec that was not offered")
        lines.append(theirs or _refusal(media))
    answer = _theirs(session, lines)
    if answer.setup == "actpass":
        raise Malformed("the answer does not say who begins the handshake")
    return answer


def _parse(text: str) -> SessionDescription:
    if len(text) > _MAX_TEXT:
        raise Malformed("a session description of unreasonable length")
    try:
        return SessionDescription.parse(text)
    except Exception as error:  # noqa: BLE001 - aiortc raises many types for hostile text
        raise Malformed("not a session description") from error


def _theirs(session: SessionDescription, lines: Sequence[Section | Refusal]) -> Theirs:
    used = [i for i, line in enumerate(lines) if isinstance(line, Section)]
    if not used:
        raise Malformed("no section for media that we could use")
    sections = [line for line in lines if isinstance(line, Section)]
    mids = {line.mid for line in sections}
    if len(mids) < len(sections) or len({line.payload_type for line in sections}) < len(sections):
        raise Malformed("sections that cannot be told apart")
    bundled = {item for group in session.group if group.semantic == "BUNDLE" for item in group.items}
    if not mids <= bundled:
        raise Malformed("sections that are not bundled on one path")
    first = session.media[used[0]]
    candidates = tuple(_usable(media for media in session.media if media.rtp.muxId in mids))
    identity = _identity(first)
    return Theirs(tuple(lines), identity, _SETUP[identity.fingerprints.role], candidates)


def _identity(media: MediaDescription) -> Identity:
    ufrag, password, lite = (
        (media.ice.usernameFragment or "", media.ice.password or "", media.ice.iceLite)
        if media.ice
        else ("", "", False)
    )
    if not (_UFRAG.fullmatch(ufrag) and _PASSWORD.fullmatch(password)):
        raise Malformed("no ICE credentials")
    if media.dtls is None or not any(f.algorithm.lower() in _DIGESTS for f in media.dtls.fingerprints):
        raise Malformed("no role or no fingerprint of a certificate")
    return Identity(ufrag, password, media.dtls, lite)


def _usable(sections: Iterable[MediaDescription]) -> list[Candidate]:
    found: dict[tuple[str, int], Candidate] = {}
    for one in (one for media in sections for one in media.ice_candidates):
        try:
            host = ipaddress.ip_address(one.ip)
        except ValueError:
            continue  # a `.local` name: nobody but its own network can resolve it
        known = (
            one.protocol.lower() == "udp" and one.component == 1 and one.type in ("host", "srflx", "relay")
        )
        if known and 0 < one.port < 1 << 16 and not (host.is_multicast or host.is_unspecified):
            candidate = candidate_to_aioice(one)
            candidate.host = candidate._network_host = str(host)
            found.setdefault((candidate.host, one.port), candidate)
    return list(found.values())[:_MAX_CANDIDATES]


def _section(media: MediaDescription) -> Section | None:
    """The section as we would use it; None if it has no codec for us."""
    if not media.rtcp_mux:
        raise Malformed("RTP and RTCP are not multiplexed")
    if not _TOKEN.fullmatch(media.rtp.muxId):
        raise Malformed("a section without a name")
    codec = _codec(media)
    if codec is None:
        return None
    numbers = [one.id for one in media.rtp.headerExtensions if one.uri == _MID and 0 < one.id < 15]
    direction = cast(Direction, media.direction or "sendrecv")
    return Section(
        cast(Media, media.kind),
        media.rtp.muxId,
        cast(int, codec.payloadType),
        str(codec),
        codec.clockRate,
        parameters_to_sdp(codec.parameters),
        numbers[0] if numbers else None,
        any((one.type, one.parameter) == ("nack", "pli") for one in codec.rtcpFeedback),
        _REVERSED.get(direction, direction),
    )


def _codec(media: MediaDescription) -> RTCRtpCodecParameters | None:
    """Opus and VP8 before others; any codec will do, as none is run."""
    usable = [
        codec
        for codec in media.rtp.codecs
        if codec.payloadType in media.fmt
        and _is_payload_type(codec.payloadType)
        and codec.name.lower() not in _NOT_MEDIA
        and 1000 <= codec.clockRate <= 1_000_000
    ]
    usable.sort(key=lambda codec: codec.name.lower() not in _PREFERRED)
    return usable[0] if usable else None


def _is_payload_type(number: int | None) -> bool:
    """Whether it cannot be taken for RTCP (RFC 5761 section 4)."""
    return number is not None and (0 <= number < 64 or 96 <= number < 128)


def _refusal(media: MediaDescription) -> Refusal:
    mid = media.rtp.muxId
    return Refusal(
        media.kind, media.profile, " ".join(map(str, media.fmt)), mid if _TOKEN.fullmatch(mid) else ""
    )


# ---------------------------------------------------------------------- writing


def write(
    lines: Sequence[Section | Refusal], identity: Identity, setup: Setup, candidates: Iterable[Candidate],
    ssrcs: dict[Media, int], cname: str,
) -> str:  # fmt: skip
    """An offer or an answer, with all candidates in the first section that has media."""
    mids = [line.mid for line in lines if isinstance(line, Section)]
    written = [
        "v=0",
        f"o=- {secrets.randbits(62)} 2 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        f"a=group:BUNDLE {' '.join(mids)}",
        "a=msid-semantic: WMS *",
    ]
    for line in lines:
        if isinstance(line, Refusal):
            written += [f"m={line.kind} 0 {line.profile} {line.formats}", "c=IN IP4 0.0.0.0", "a=inactive"]
            written += [f"a=mid:{line.mid}"] if line.mid else []
            continue
        written += _media_lines(line, ssrcs[line.media], cname)
        written += [f"a=ice-ufrag:{identity.ufrag}", f"a=ice-pwd:{identity.password}"]
        written += [
            f"a=fingerprint:{one.algorithm} {one.value}" for one in identity.fingerprints.fingerprints
        ]
        written += [f"a=setup:{setup}"]
        if line.mid == mids[0]:
            written += [f"a=candidate:{one.to_sdp()}" for one in candidates] + ["a=end-of-candidates"]
    return "\r\n".join(written) + "\r\n"


def _media_lines(section: Section, ssrc: int, cname: str) -> list[str]:
    number = section.payload_type
    lines = [
        f"m={section.media} 9 UDP/TLS/RTP/SAVPF {number}",
        "c=IN IP4 0.0.0.0",
        "a=rtcp:9 IN IP4 0.0.0.0",
        "a=rtcp-mux",
        f"a=mid:{section.mid}",
        f"a={section.direction}",
        f"a=rtpmap:{number} {section.codec}",
    ]
    if section.parameters:
        lines.append(f"a=fmtp:{number} {section.parameters}")
    if section.pictures:
        lines.append(f"a=rtcp-fb:{number} nack pli")
    if section.mid_extension is not None:
        lines.append(f"a=extmap:{section.mid_extension} {_MID}")
    if section.direction in ("sendrecv", "sendonly"):
        lines += [f"a=msid:{cname} {section.media}", f"a=ssrc:{ssrc} cname:{cname}"]
    return lines
