"""What the box does to messengers' own protocols, on packets made by hand."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from probe.mtproto.channel import Channel
from probe.noise.handshake import Handshake
from tests.lab import packets
from tests.lab.behaviours import Behaviour
from tests.lab.kinds import build
from tests.lab.openings import protocol
from tests.lab.packets import ACK, FIN, PSH, Packet

CLIENT, SERVER = "85.140.1.2", "5.45.64.1"
TLS = bytes.fromhex("1603010200010001fc0303") + random.Random(3).randbytes(200)


def mtproto(transport: Any) -> bytes:
    """What a client of ours sends first, over this transport."""
    asking = Channel(transport, 2).ask(bytes(40), 5.0)
    sent: bytes = next(asking).data  # type: ignore[union-attr]
    return sent


def noise() -> bytes:
    return Handshake("Noise_XX_25519_AESGCM_SHA256", bytes.fromhex("57410603")).hello()


def up(payload: bytes, *, local: int = 40000) -> Packet:
    return Packet(packets.tcp(CLIENT, SERVER, (local, 443), (7, 9), ACK | PSH, payload), up=True)


def down(payload: bytes = b"answer", *, local: int = 40000) -> Packet:
    return Packet(packets.tcp(SERVER, CLIENT, (443, local), (9, 7), ACK | PSH, payload), up=False)


class Box:
    """A behaviour, and what it forged."""

    def __init__(self, **settings: Any) -> None:
        self.forged: list[tuple[bytes, bool]] = []
        self.behaviour: Behaviour = build(
            {"do": "opening", **settings},
            random.Random(1),
            lambda raw, upwards, after: self.forged.append((raw, upwards)),
        )

    def passes(self, packet: Packet) -> bool:
        return self.behaviour.see(packet, 0.0) is not None


@pytest.mark.parametrize("transport", ["abridged", "intermediate", "padded", "full", "obfuscated2"])
def test_every_form_of_mtproto_is_known_by_its_first_bytes(transport: str) -> None:
    assert protocol(mtproto(transport)) == "mtproto"


def test_noise_and_mtproto_over_http_are_known_and_nothing_else_is() -> None:
    assert protocol(noise()) == "noise"
    assert protocol(b"POST /api HTTP/1.1\r\n") == "mtproto"
    for other in (TLS, b"GET / HTTP/1.1\r\n\r\n", b"\x16", random.Random(2).randbytes(200)):
        assert protocol(other) == ""


def test_a_flow_that_begins_so_is_swallowed_and_others_are_not() -> None:
    box = Box(speaks="mtproto", action="drop")

    assert not box.passes(up(mtproto("obfuscated2")))
    assert not box.passes(up(b"more"))
    assert box.passes(up(TLS, local=40001))
    assert box.passes(up(noise(), local=40002))
    assert box.passes(up(b"", local=40000))  # what the kernel says of itself


def test_only_the_answers_vanish_where_the_reply_is_dropped() -> None:
    box = Box(speaks="noise", action="drop_reply")

    assert box.passes(up(noise()))
    assert not box.passes(down())
    assert not box.passes(Packet(packets.tcp(SERVER, CLIENT, (443, 40000), (9, 7), FIN | ACK), up=False))
    assert box.passes(Packet(packets.tcp(SERVER, CLIENT, (443, 40000), (9, 7), ACK), up=False))
    assert box.passes(down(local=40001))


@pytest.mark.parametrize(("action", "further"), [("cut", False), ("cut_reply", True)])
def test_a_cut_lets_the_first_answer_pass(action: str, further: bool) -> None:
    box = Box(speaks="mtproto", action=action)

    assert box.passes(up(mtproto("full")))
    assert box.passes(down())
    assert box.passes(up(b"the second question")) == further
    assert not box.passes(down())


def test_a_reset_goes_to_both_sides() -> None:
    box = Box(speaks="mtproto", action="reset")

    assert not box.passes(up(mtproto("intermediate")))
    assert sorted(upwards for _, upwards in box.forged) == [False, True]


@pytest.mark.parametrize(
    ("only", "dropped", "spared"),
    [("plain", "intermediate", "obfuscated2"), ("obfuscated", "obfuscated2", "intermediate")],
)
def test_a_filter_may_know_one_form_alone(only: str, dropped: str, spared: str) -> None:
    box = Box(speaks="mtproto", action="drop", only=only)
    make: Callable[[str], bytes] = mtproto

    assert not box.passes(up(make(dropped)))
    assert box.passes(up(make(spared), local=40001))
