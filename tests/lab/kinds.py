"""The words of a scenario file for what the box does."""

import random
from typing import Any

from tests.lab.behaviours import (
    Behaviour,
    BurstLoss,
    Delay,
    Everything,
    Forge,
    Fragments,
    Loss,
    Matches,
    Mtu,
    Police,
    Rate,
)
from tests.lab.call_filters import Dtls, Freeze, Payload, Rtp
from tests.lab.filters import Ban, Datagrams, DnsLie, DnsTrouble, Gateway, Hello, Name, QuicName
from tests.lab.openings import Opening

KINDS: dict[str, type[Behaviour]] = {
    "delay": Delay, "loss": Loss, "burst_loss": BurstLoss, "rate": Rate, "police": Police, "mtu": Mtu,
    "fragments": Fragments, "drop": Everything,
    "name": Name, "quic_name": QuicName, "hello": Hello, "opening": Opening, "ban": Ban, "gateway": Gateway,
    "datagrams": Datagrams,
    "dns_lie": DnsLie, "dns_trouble": DnsTrouble,
    # The same thing twice: `loss` is what a path does, `ratio` what a filter does to whom it picks.
    "ratio": Loss,
    "freeze": Freeze, "payload": Payload, "dtls": Dtls, "rtp": Rtp,
}  # fmt: skip


def build(settings: dict[str, Any], rng: random.Random, forge: Forge) -> Behaviour:
    """A behaviour from its table in a scenario file. Raises KeyError for a word it does not know, ValueError for a
    value that cannot be meant."""
    rest = dict(settings)
    kind = KINDS[rest.pop("do")]
    matching = {
        key: rest.pop(key) for key in ("hosts", "protocol", "direction", "port", "family") if key in rest
    }
    for key in ("hosts", "port"):
        if key in matching:
            matching[key] = tuple(matching[key]) if isinstance(matching[key], list) else (matching[key],)
    behaviour = kind(rng, forge, Matches(**matching))
    for key, value in rest.items():
        if not hasattr(kind, key):
            raise KeyError(f"{kind.__name__} has no {key}")
        setattr(behaviour, key, tuple(value) if isinstance(value, list) else value)
    behaviour.settle()
    return behaviour
