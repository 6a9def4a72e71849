"""The nouns that are written to disk. These records are the result format; they generate its schema."""

from datetime import datetime
from typing import Literal, TypeAlias

from probe.failure import Failure
from probe.record import Record
from probe.step import TcpInfo
from probe.steps import AnyFacts

FORMAT = 1

Purpose: TypeAlias = Literal["messaging", "calls", "web", "control"]
# Which question a chain asks. The first is the target itself; the others are follow-ups.
Variant: TypeAlias = Literal[
    "target",           # the target's own steps
    "again",            # the same once more, on a fresh source port
    "other_name",       # an innocent name to the same address
    "no_name",          # no name to the same address
    "other_hello",      # the same name in a TLS hello of another fingerprint
    "name_to_control",  # the same name to a control address (a deliberate trigger)
    "other_to_control", # an innocent name to that control address
    "other_port",       # another port of the same host
    "classic",          # STUN without the magic cookie to the same address
    "tcp",              # does the same address answer TCP at all
    "other_bytes",      # a TLS hello instead of the service's own first bytes, to the same address and port
    "bytes_to_control", # those first bytes to a control address (a deliberate trigger)
    "other_bytes_to_control",  # an HTTP question to that control address
    # Calls and media, to the far end:
    "as_random",        # the same sizes and times in bytes that are nobody's
    "as_generic",       # the same in plain STUN and RTP
    "as_cookie",        # the shape with another last byte of STUN's magic cookie
    "as_stun",          # the STUN of a call's connectivity checks, without the call
    "as_port",          # the shape at another port
    "over_tcp",         # the shape on a TCP stream
    "their_hello",      # the far end sends the DTLS hello
    "by_turn_udp",      # through the TURN server beside the far end, over UDP
    "by_turn_tcp",      # over TCP
    "by_turn_tls",      # over TLS
]  # fmt: skip
State: TypeAlias = Literal[
    "reachable", "degraded", "blocked", "likely_blocked", "unreachable", "down", "inconclusive", "not_tested"
]
Regime: TypeAlias = Literal[
    "normal", "offline", "portal", "no_udp", "allowlist", "foreign_slow", "too_poor", "ipv6_broken",
    "intercepted", "clock_wrong", "tunnelled",
]  # fmt: skip
Ended: TypeAlias = Literal["complete", "deadline", "budget", "interrupted", "not_attempted"]


class Observation(Record):
    """One step done once: when, how long, how many bytes each way, and facts or failure.

    `facts` may stand beside a failure: what was learned before it failed. `id` counts within the run.
    """

    id: int
    step: str
    at: datetime
    seconds: float
    sent: int = 0
    received: int = 0
    source_port: int | None = None
    facts: AnyFacts | None = None
    failure: Failure | None = None
    tcp: TcpInfo | None = None
    late: float = 0.0  # seconds of it in which this machine was too busy to attend


class Chain(Record):
    """A target's steps in order on one endpoint; the first failure ends it."""

    variant: Variant
    host: str
    port: int
    ip: str | None = None
    family: Literal[0, 4, 6] = 0
    said_by: tuple[str, ...] = ()  # which resolvers (or "catalogue") gave this address
    sni: str = ""
    detour: bool = False  # it left this machine by another way than the rest (a split tunnel)
    observations: tuple[Observation, ...] = ()


class Lookup(Record, tag_field="record", tag="lookup"):
    """One question to one resolver."""

    resolver: str
    name: str
    type: str
    observations: tuple[Observation, ...] = ()


class Measurement(Record, tag_field="record", tag="measurement"):
    """All observations of one target in one run."""

    service: str
    target: str
    purpose: Purpose
    group: str
    support: str = "unknown"  # how well it is known that this target answers without an account
    tier: str = "core"
    vital: bool = False  # whether the purpose is dead without this target's group
    control_class: str = ""
    country: str = ""  # of a domestic control
    role: str = ""  # of a control: "control", "portal", "load", "closed" or "media"
    at: str = "endpoint"  # or "far-end"
    chains: tuple[Chain, ...] = ()
    ended: Ended = "complete"


class Nat(Record):
    """What the home network's translation does, from two STUN answers to one socket."""

    translated: bool
    mapping: Literal["endpoint_independent", "endpoint_dependent", "unknown"] = "unknown"


class Vantage(Record):
    """Where a run was taken from, with nothing personal."""

    country: str = ""
    asn: int | None = None
    as_name: str = ""
    resolver_asn: int | None = None
    kind: Literal["mobile", "fixed", "wifi", "other", "unknown"] = "unknown"
    families: dict[str, bool] = {}
    nat: Nat | None = None
    tunnel: bool = False
    label: str = ""
    notes: tuple[str, ...] = ()


class Run(Record, tag_field="record", tag="run"):
    """The first line of a result file."""

    format: int
    id: str
    software: str
    started: datetime
    vantage: Vantage
    catalogue: str  # digest of the catalogue measured from
    tests: Literal["default", "extended", "all"] = "default"
    consent: str = "none"


class Verdict(Record):
    """What the measurements of one purpose mean, by which rule, on which observations."""

    state: State
    mechanism: str | None = None
    rule: str = ""
    because: str = ""
    evidence: tuple[int, ...] = ()
    families: dict[str, State] = {}
    identity: Literal["proved", "not proved", "not asked"] = "not asked"
    partly: tuple[
        str, ...
    ] = ()  # what fails while the rest works: groups of targets, "IPv4", "IPv6", ports ("443")


class Finding(Record):
    """Something true of the whole network."""

    rule: str
    because: str
    evidence: tuple[int, ...] = ()


class Judgement(Record, tag_field="record", tag="judgement"):
    """What was thought of the run when it was made; comparison thinks again."""

    rules: int
    regime: Regime
    findings: tuple[Finding, ...] = ()
    services: dict[str, dict[str, Verdict]] = {}


class Disturbance(Record):
    """Something that happened to this machine while it measured."""

    kind: Literal["address_changed", "way_lost", "clock_leapt"]
    at: datetime


class End(Record, tag_field="record", tag="end"):
    """The last line of a result file."""

    ended: Ended
    seconds: float
    sent: int
    received: int
    disturbances: tuple[Disturbance, ...] = ()


AnyLine: TypeAlias = Run | Lookup | Measurement | Judgement | End


class Document(Record):
    """A whole result file in memory; `end` and `judgement` are missing where a run was cut off."""

    run: Run
    lookups: tuple[Lookup, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    judgement: Judgement | None = None
    end: End | None = None
