"""What a step is and what it works on.

A step is one protocol operation on one endpoint. Its fields are what a person writes in TOML, its facts
are what lands in JSON. `needs` and `gives` let the plan refuse an impossible chain before any packet
leaves: a step that needs a "stream" must follow one that gives a "stream".
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol, TypeAlias

from probe.dialogue import Link
from probe.media.shape import Profile, Shape
from probe.record import Private, Record, Setting

Need: TypeAlias = Literal["address", "stream", "name"]
Gift: TypeAlias = Literal["stream"] | None


class TcpInfo(Record):
    """What the kernel knows of a TCP connection (Linux TCP_INFO): where did it die?

    `acked` and `received` count bytes, SYN included in `acked`; `rtt` and `min_rtt` are seconds.
    """

    acked: int
    received: int
    retransmits: int
    rtt: float
    min_rtt: float | None = None


class SocketLink(Link, Protocol):
    """A link that is a socket of ours."""

    sent: int
    received: int

    def tcp_info(self) -> TcpInfo | None:
        """The kernel's facts, where the platform has them."""
        ...

    def local_port(self) -> int:
        """The source port; it identifies a flow, not a person."""
        ...

    def local_address(self) -> Private:
        """Our own address on this link."""
        ...

    def close(self) -> None:
        """Let go of it, with whatever is unsent."""
        ...


class PacedLink(SocketLink, Protocol):
    """A connected UDP socket for media: sends at once, and stamps what it receives by the kernel's clock."""

    def send_now(self, data: bytes) -> bool:
        """Let a datagram leave now; False if it did not. ICMP errors are counted in `refusals`, not raised."""
        ...

    def on_datagram(self, hear: Callable[[bytes, float], None]) -> None:
        """Call `hear(data, at)` for each datagram until closed; `at` is on the same clock as `now`."""
        ...

    refusals: dict[str, int]


class Net(Protocol):
    """The world, as far as steps may touch it."""

    def now(self) -> float:
        """Seconds on a monotonic clock."""
        ...

    def utc(self) -> datetime:
        """The wall clock, in UTC."""
        ...

    async def dial_tcp(self, ip: str, port: int) -> SocketLink:
        """Connect to one address, once. Raises OSError with its errno."""
        ...

    async def dial_udp(self, ip: str, port: int, *, local_port: int = 0) -> SocketLink:
        """A connected UDP socket, so that ICMP errors arrive as errno."""
        ...

    async def dial_paced(self, ip: str, port: int) -> PacedLink:
        """A UDP socket for paced media."""
        ...

    def source(self, ip: str) -> Private | None:
        """Our own address towards another, None where the system has no way there; nothing is sent."""
        ...

    async def system_lookup(self, name: str) -> list[str]:
        """What the operating system answers for a name, IPv4 and IPv6. Raises socket.gaierror."""
        ...


class Facts(Record, tag_field="step", tag=lambda name: name.removesuffix("Facts").lower()):
    """What a step learned."""


class Proof(Facts):
    """What a step learned that asks the peer to prove its identity in the service's own protocol.

    `stage` says how far it came; "opened": the first bytes were sent, and nothing good came back.
    """

    stage: str
    identity: Literal["proved", "not proved"]


class TurnAccess(Record):
    """A TURN server that takes these credentials; ports, 0 where a transport is not offered."""

    host: str
    username: str
    password: str
    udp: int = 0
    tcp: int = 0
    tls: int = 0


@dataclass(frozen=True, kw_only=True)
class Supplies:
    """What steps use that the catalogue holds: trust anchors (PEM texts), shapes and profiles by name, a TURN server;
    and the key that the operator of the far end gave out."""

    anchors: Mapping[str, str] = field(default_factory=dict)
    shapes: Mapping[str, Shape] = field(default_factory=dict)
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    far_end_key: str = ""
    turn: TurnAccess | None = None


@dataclass(slots=True)
class Flow:
    """One chain in progress on one endpoint: the open link, and what the steps before left for the next."""

    net: Net
    host: str
    ip: str | None
    port: int
    sockets: list[SocketLink] = field(default_factory=list)
    link: Link | None = None
    alpn: str = ""
    # What the http step keeps for the next question on the same connection.
    http: object = None
    supplies: Supplies = field(default_factory=Supplies)
    # Bytes over sockets that are not among these: a call library's.
    sent: int = 0
    received: int = 0
    # Called with the facts so far when a step goes on listening after its answer is good enough to use.
    announce: Callable[[Facts], None] = lambda facts: None
    # What the step under way has learned, for the record of one that ends in an error which carries nothing: a timeout.
    learned: Facts | None = None
    # Addresses of the volunteer that steps saw; they stay in memory and are compared, never written.
    mapped: list[Private] = field(default_factory=list)

    @property
    def address(self) -> str:
        """The endpoint's IP address; a chain that needs one never starts without."""
        if self.ip is None:
            raise ValueError("this step needs an address")
        return self.ip

    def stream(self) -> Link:
        """The open stream."""
        if self.link is None:
            raise ValueError("this step needs an open stream")
        return self.link

    async def udp(self, *, local_port: int = 0) -> SocketLink:
        """A fresh UDP socket towards the endpoint; the flow closes it."""
        link = await self.net.dial_udp(self.address, self.port, local_port=local_port)
        self.sockets.append(link)
        return link

    def close(self) -> None:
        """Close every socket of this flow."""
        for link in self.sockets:
            link.close()


class Step(Setting, tag_field="step", tag=str.lower):
    """One protocol operation. `seconds` is its deadline."""

    seconds: float = 10.0

    @property
    def needs(self) -> Need:
        """What must be there before: an address, an open stream, or only a name."""
        return "address"

    @property
    def gives(self) -> Gift:
        """What is there afterwards."""
        return None

    @property
    def is_counted(self) -> bool:
        """Whether the peer counts who comes how often, so that one address of a family is enough where it succeeds."""
        return False

    @abstractmethod
    async def run(self, flow: Flow) -> Facts:
        """Do it once. Return facts, or raise; a StepError may carry what was learned before."""
        raise TypeError(f"{type(self).__name__} has no run")
