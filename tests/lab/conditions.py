"""What is wrong with a network, as data."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(kw_only=True)
class Conditions:
    """What is wrong with a network, in the words of a scenario file."""

    box: list[dict[str, Any]] = field(default_factory=list)
    isp: list[str] = field(default_factory=list)  # nftables rules on forwarded packets, $NAME for addresses
    home: list[str] = field(default_factory=list)
    isp_nat: list[str] = field(default_factory=list)
    net: list[str] = field(default_factory=list)  # nftables rules where packets arrive at servers
    resolver: dict[str, str] = field(default_factory=dict)  # the ISP's policy by name
    without_aaaa: list[str] = field(default_factory=list)  # names that have IPv4 only
    gone: list[str] = field(default_factory=list)  # names that exist nowhere
    down: list[str] = field(default_factory=list)  # hosts whose sockets are closed
    relays_without_tcp: bool = False
    status: dict[str, int] = field(default_factory=dict)
    certificate: dict[str, str] = field(default_factory=dict)
    # How who stands in for a service with a protocol of its own behaves: by service ("telegram"), or by address for one
    # machine of it; "honest" where nothing is said.
    stand_ins: dict[str, str] = field(default_factory=dict)
    relayed: list[str] = field(default_factory=list)  # whose TCP the ISP takes itself and carries on
    rejecting: list[str] = field(default_factory=list)  # hosts that answer each hello with an alert
    client: dict[str, str] = field(default_factory=dict)  # environment
    faketime: str = ""
    leap: str = ""  # what the clock is set to in mid-run
    client_rules: list[str] = field(default_factory=list)  # shell commands in the client's namespace
    midway: list[str] = field(default_factory=list)  # the same, in mid-run
    tunnel: list[str] = field(
        default_factory=list
    )  # what the client's VPN carries: addresses, or "everything"
    nat: str = "plain"  # plain, symmetric, short (forgets flows after five seconds), carrier (a second one)
    nat64: bool = (
        False  # the client has IPv6 only, behind Debian's tayga; names without AAAA get a made-up one
    )
    delay_ms: float = 8.0
    far_end: bool = False  # at https://far.lab.example, and a TURN server beside it: hosts "far" and "turn"
    collector: bool = False  # a name and addresses for one; who wants it starts it
    busy: int = 0  # endless loops that share one processor with the probe while it runs
    nice: int = 0  # of the probe beside these: with three, 10 spoils its media, and 19 stops it altogether
    truth: bool = False  # keep what became of each packet on the box
