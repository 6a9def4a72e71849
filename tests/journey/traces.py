"""What must not be found, in all the forms that it could have, and where a protocol cannot do without."""

import base64
import contextlib
import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import zstandard

from tests.lab.packets import TCP, UDP, Packet

_ZSTD = b"\x28\xb5\x2f\xfd"
_BINDING_SUCCESS = b"\x01\x01"
_REFLECTORS_WORD = b"\xff" * 12
_ENCRYPTED = (443, 853, 5223)  # ports on which four bytes mean nothing


@dataclass(frozen=True)
class Trace:
    """One form of one secret."""

    secret: str
    form: str
    octets: bytes

    @property
    def is_short(self) -> bool:
        """Whether chance alone would find it in some megabytes of encrypted bytes."""
        return len(self.octets) < 6


def of_address(ip: str) -> list[Trace]:
    """An address as text, hexadecimal, packed, and as it is turned around for a question to the DNS."""
    address = ipaddress.ip_address(ip)
    reverse = address.reverse_pointer.rpartition(".")[0].rpartition(".")[0]
    labels = b"".join(bytes([len(one)]) + one.encode() for one in reverse.split("."))
    forms = {
        "text": ip.encode(),
        "all digits": address.exploded.encode(),
        "packed": address.packed,
        "hexadecimal": address.packed.hex().encode(),
        "reversed": reverse.encode(),
        "reversed, in the DNS": labels,
        "base64": _whole_base64(address.packed),
    }
    return [Trace(ip, form, octets) for form, octets in forms.items() if len(octets) > 3]


def of_words(name: str, *words: str) -> list[Trace]:
    """A name in the encodings that programs write names in."""
    return [
        Trace(f"{name} {word}", form, octets)
        for word in words
        for form, octets in (
            ("text", word.lower().encode()),
            ("UTF-16", word.lower().encode("utf-16-le")),
            ("hexadecimal", word.encode().hex().encode()),
            ("base64", _whole_base64(word.encode())),
        )
    ]


def of_octets(name: str, octets: bytes) -> list[Trace]:
    """Bytes that are often written as hexadecimal digits."""
    forms = {
        "packed": octets,
        "hexadecimal": octets.hex().encode(),
        "with colons": octets.hex(":").encode(),
        "with hyphens": octets.hex("-").encode(),
    }
    return [Trace(name, form, value) for form, value in forms.items()]


def found(traces: Iterable[Trace], places: Mapping[str, bytes]) -> list[str]:
    """Where any of them is: "place: secret as form". What is compressed is looked into too."""
    hits = []
    opened = {name: [octets, octets.lower(), *_unpacked(octets)] for name, octets in places.items()}
    for trace in traces:
        hits += [
            f"{name}: {trace.secret} as {trace.form}"
            for name, layers in opened.items()
            if any(trace.octets in layer for layer in layers)
        ]
    return hits


def found_on_wire(traces: Iterable[Trace], packets: Iterable[Packet]) -> list[str]:
    """The same for payloads of TCP and UDP, but for what `reason` gives a reason for."""
    hits = set()
    traces = list(traces)
    for packet in packets:
        payload = packet.payload
        if packet.protocol not in (TCP, UDP) or not payload:
            continue
        lower = payload.lower()
        for trace in traces:
            if trace.is_short and packet.remote_port in _ENCRYPTED:
                continue
            if (trace.octets in payload or trace.octets in lower) and not reason(packet, trace):
                way = "to" if packet.up else "from"
                hits.add(
                    f"{way} {packet.remote} port {packet.remote_port}: {trace.secret} as {trace.form}: {payload!r}"
                )
    return sorted(hits)


def reason(packet: Packet, trace: Trace) -> str:
    """Why a protocol itself shows an address here; empty if there is no reason.

    Most answers of STUN and TURN have it XORed (RFC 8489 section 14.2); in that form it is not searched for.
    """
    payload = packet.payload
    if not packet.up and payload[:2] == _BINDING_SUCCESS and trace.form == "packed":
        return "a STUN server's answer to a question without a cookie (RFC 3489 section 11.2.1)"
    if (
        not packet.up
        and packet.protocol == UDP
        and payload[16:28] == _REFLECTORS_WORD
        and trace.form == "packed"
    ):
        return "a reflector's answer, which tells the asker its address, as TCP/IP told it"
    if packet.remote_port == 53 and trace.form == "reversed, in the DNS" and b"\x05cymru\x03com" in payload:
        return "the question whose network an address is, and its echo (docs/safety.md, `network.by`)"
    return ""


def _whole_base64(octets: bytes) -> bytes:
    """The part of its base64 that does not depend on what follows it."""
    return base64.b64encode(octets)[: len(octets) // 3 * 4]


def _unpacked(octets: bytes) -> list[bytes]:
    """Everything that zstd frames in it hold."""
    layers, at = [], octets.find(_ZSTD)
    while at >= 0:
        with contextlib.suppress(zstandard.ZstdError):
            layers.append(zstandard.ZstdDecompressor().decompressobj().decompress(octets[at:]))
        at = octets.find(_ZSTD, at + 1)
    return layers
