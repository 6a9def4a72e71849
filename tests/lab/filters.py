"""What the box does to what it reads: names in TLS, QUIC and DNS, and who talked to whom."""

import random

import dns.flags
import dns.message
import dns.rdatatype
import dns.rrset

from probe.failure import Malformed
from probe.stun_message import Attribute, Message, decode, pack_address
from tests.lab import packets
from tests.lab.behaviours import Behaviour, Forge, Matches
from tests.lab.packets import ACK, RST, TCP, UDP, Packet


def reset_both(forge: Forge, packet: Packet) -> None:
    """Forged resets to both sides of the flow of a packet on its way up."""
    sequence, acknowledged = packet.sequence
    back = (packet.ports[1], packet.ports[0])
    said = sequence + len(packet.payload)
    forge(packets.tcp(packet.dst, packet.src, back, (acknowledged, said), RST | ACK, ttl=61), False, 0.0005)
    forge(packets.tcp(packet.src, packet.dst, packet.ports, (sequence, 0), RST), True, 0.0005)


class Name(Behaviour):
    """A TLS hello that names one of `names` triggers `action` on its flow.

    reset: forged resets to both sides; drop: the hello and all after it vanish; drop_reply: everything the
    server says vanishes; cut_data: the client's application data vanishes; ban: a reset, and then nothing
    passes between these two for `seconds`.
    """

    names: tuple[str, ...] = ()
    action: str = "reset"
    seconds: float = 60.0

    def __init__(self, rng: random.Random, forge: Forge, matches: Matches) -> None:
        super().__init__(rng, forge, matches)
        self._marked: set[tuple[str, int, int]] = set()
        self._banned: dict[str, float] = {}

    def see(self, packet: Packet, now: float) -> float | None:
        if self._banned.get(packet.remote, 0.0) > now:
            return None
        if packet.protocol != TCP:
            return 0.0
        is_hello = packet.up and packet.payload[:1] == b"\x16" and packet.payload[5:6] == b"\x01"
        if is_hello and any(name.encode() in packet.payload for name in self.names):
            self._marked.add(packet.flow)
            if self.action in ("reset", "ban"):
                reset_both(self.forge, packet)
                self._banned[packet.remote] = now + (self.seconds if self.action == "ban" else 0.0)
                return None
        return self._marked_flow(packet) if packet.flow in self._marked else 0.0

    def _marked_flow(self, packet: Packet) -> float | None:
        if not packet.payload:
            return 0.0
        match self.action:
            case "drop":
                return None if packet.up else 0.0
            case "drop_reply":
                return 0.0 if packet.up else None
            case "cut_data":
                return None if packet.up and packet.payload[:1] == b"\x17" else 0.0
            case _:
                return 0.0


class QuicName(Behaviour):
    """A QUIC Initial whose decrypted hello names one of `names` makes its flow vanish."""

    names: tuple[str, ...] = ()

    def __init__(self, rng: random.Random, forge: Forge, matches: Matches) -> None:
        super().__init__(rng, forge, matches)
        self._marked: set[tuple[str, int, int]] = set()

    def see(self, packet: Packet, now: float) -> float | None:
        if packet.protocol != UDP:
            return 0.0
        if packet.up and packet.payload[:1] and packet.payload[0] & 0xF0 == 0xC0:
            hello = packets.quic_initial(packet.payload)
            if any(name.encode() in hello for name in self.names):
                self._marked.add(packet.flow)
        return None if packet.flow in self._marked else 0.0


class Hello(Behaviour):
    """TLS hellos that offer more than `ciphers` cipher suites vanish: one program's fingerprint, whatever the name."""

    ciphers: int = 10

    def see(self, packet: Packet, now: float) -> float | None:
        said = packet.payload
        if packet.protocol != TCP or not packet.up or said[:1] != b"\x16" or said[5:6] != b"\x01":
            return 0.0
        at = (
            44 + said[43]
        )  # record and handshake headers, version, random, session id (RFC 8446 section 4.1.2)
        offered = int.from_bytes(said[at : at + 2], "big") // 2
        return None if offered > self.ciphers else 0.0


class Ban(Behaviour):
    """The first datagram to an address passes, and then nothing does between it and the client for `seconds`."""

    seconds: float = 600.0

    def __init__(self, rng: random.Random, forge: Forge, matches: Matches) -> None:
        super().__init__(rng, forge, matches)
        self._until: dict[str, float] = {}

    def see(self, packet: Packet, now: float) -> float | None:
        if self._until.get(packet.remote, 0.0) > now:
            return None
        if packet.up and packet.protocol == UDP:
            self._until[packet.remote] = now + self.seconds
        return 0.0


class Gateway(Behaviour):
    """A home router that meddles with STUN: its answers name the router's own idea of the client's address."""

    address: str = "192.168.77.2"

    def see(self, packet: Packet, now: float) -> float | None:
        if packet.up or packet.protocol != UDP or packet.version != 4:
            return 0.0
        try:
            answer = decode(packet.payload)
        except Malformed:
            return 0.0
        if answer.address(Attribute.XOR_MAPPED_ADDRESS) is None:
            return 0.0
        false = (Attribute.XOR_MAPPED_ADDRESS, pack_address(self.address, 4242, answer.transaction))
        said = Message(answer.method, answer.class_, answer.transaction, (false,)).encode()
        self.forge(packets.udp(packet.src, packet.dst, packet.ports, said), False, 0.0005)
        return None


class Datagrams(Behaviour):
    """UDP datagrams that look like `shape` (stun or quic) vanish."""

    shape: str = "stun"

    def see(self, packet: Packet, now: float) -> float | None:
        if packet.protocol != UDP:
            return 0.0
        payload = packet.payload
        like = {
            "stun": payload[4:8] == b"\x21\x12\xa4\x42",
            "quic": bool(payload) and payload[0] & 0xC0 == 0xC0,
        }
        return None if like[self.shape] else 0.0


class DnsLie(Behaviour):
    """A false answer races the true one; `block` also swallows the question."""

    names: tuple[str, ...] = ()
    answer: str = "10.10.34.36"
    block: bool = False

    def see(self, packet: Packet, now: float) -> float | None:
        if not packet.up or packet.protocol != UDP or packet.ports[1] != 53:
            return 0.0
        query = _query(packet.payload)
        if query is None or query.question[0].name.to_text(omit_final_dot=True) not in self.names:
            return 0.0
        lie = dns.message.make_response(query)
        lie.flags |= dns.flags.RA
        if query.question[0].rdtype == dns.rdatatype.A:
            lie.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", "A", self.answer))
        back = (packet.ports[1], packet.ports[0])
        self.forge(packets.udp(packet.dst, packet.src, back, lie.to_wire(), ttl=117), False, 0.001)
        return None if self.block else 0.0


def _query(payload: bytes) -> dns.message.Message | None:
    try:
        message = dns.message.from_wire(payload)
    except Exception:
        return None
    return message if message.question and not message.flags & dns.flags.QR else None


class DnsTrouble(Behaviour):
    """A name server that is slow, loses the first question of each socket, or is not there over UDP."""

    seconds: float = 0.0
    lose_first: bool = False
    udp_truncates: bool = False

    def __init__(self, rng: random.Random, forge: Forge, matches: Matches) -> None:
        super().__init__(rng, forge, matches)
        self._seen: set[tuple[str, int, bytes]] = set()

    def see(self, packet: Packet, now: float) -> float | None:
        if packet.protocol != UDP or packet.remote_port != 53 or len(packet.payload) < 12:
            return 0.0
        if packet.up:
            key = (packet.src, packet.ports[0], packet.payload[12:])
            if self.lose_first and key not in self._seen:
                self._seen.add(key)
                return None
            if self.udp_truncates:
                self._truncate(packet)
                return None
            return 0.0
        return self.seconds

    def _truncate(self, packet: Packet) -> None:
        query = _query(packet.payload)
        if query is None:
            return
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.TC
        back = (packet.ports[1], packet.ports[0])
        self.forge(packets.udp(packet.dst, packet.src, back, answer.to_wire()), False, 0.001)
