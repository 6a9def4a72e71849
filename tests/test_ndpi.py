"""What nDPI, an open classifier, takes the shapes for (docs/shapes.md). It is a model of a filter, not the filter."""

import os
import random
import re
import shutil
import struct
import subprocess
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple, TypeAlias, get_args

import pytest

from probe.configs import load
from probe.media.shape import OTHER_PORT, Disguise, Shape, disguised
from tests.lab.packets import udp
from tests.media.on_the_wire import Seen, flow

VERSION = (
    "4.2.0"  # of Debian 12; what another version says is a fact of its own, and docs/shapes.md is to say it
)
CATALOGUE = load(Path(__file__).parent.parent / "configs")
SHAPES = CATALOGUE.shapes
NEUTRAL = "Unknown"
STUN_PORT = 3478  # what is sent there and is nothing else is STUN to nDPI, even without guessing
_RAW_IP = 101  # link type of a capture (pcap-linktype)
_LINE = re.compile(r"(203\.0\.113\.\d+):\d+ \[proto: [\d.]+/([^\]]+)\]")


class Variant(NamedTuple):
    """How a shape is sent: in which disguise, and whether to another port on top of it."""

    disguise: Disguise
    elsewhere: bool = False


VARIANTS = (*(Variant(one) for one in get_args(Disguise)), Variant("random", elsewhere=True))
Ask: TypeAlias = Callable[[Shape], dict[Variant, str]]


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Ask:
    """What nDPI takes every variant of a shape for, by its bytes. Only one version's words are written down."""
    program = shutil.which("ndpiReader")
    found = _run(program, "-h").splitlines()[0].split()[-1] if program else "no ndpiReader (libndpi-bin)"
    if found != VERSION or not program:
        reason = f"needs nDPI {VERSION}, there is {found}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    capture = tmp_path_factory.mktemp("ndpi") / "flows.pcap"

    @cache
    def asked(name: str) -> dict[Variant, str]:
        capture.write_bytes(_pcap(_packets(SHAPES[name])))
        words = dict(_LINE.findall(_run(program, "-d", "-v", "2", "-i", str(capture))))
        return {variant: words[f"203.0.113.{host}"] for host, variant in enumerate(VARIANTS, 1)}

    return lambda shape: asked(shape.shape)


@pytest.fixture(autouse=True)
def _same_bytes_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random bytes now and then look like a protocol."""
    monkeypatch.setattr(os, "urandom", random.Random(1).randbytes)


def _packets(shape: Shape) -> Iterator[bytes]:
    """Each variant is a flow between two addresses of its own, which are for documentation."""
    sizes = CATALOGUE.profiles[shape.profiles[0]].sizes
    for host, (disguise, elsewhere) in enumerate(VARIANTS, 1):
        sent = disguised(shape, disguise)
        port = OTHER_PORT if elsewhere else sent.port
        yield from (_datagram(host, port, seen) for seen in flow(sent, sizes, 40))


def _run(program: str, *arguments: str) -> str:
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False).stdout


def _datagram(host: int, port: int, seen: Seen) -> bytes:
    client, server = (f"198.51.100.{host}", 40000 + host), (f"203.0.113.{host}", port)
    here, there = (client, server) if seen.up else (server, client)
    return udp(here[0], there[0], (here[1], there[1]), seen.data)


def _pcap(packets: Iterable[bytes]) -> bytes:
    """A capture file, a packet each 10 ms (libpcap's savefile format)."""
    parts = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, _RAW_IP)]
    for number, packet in enumerate(packets):
        seconds, hundredths = divmod(number, 100)
        parts.append(struct.pack("<IIII", seconds, 10_000 * hundredths, len(packet), len(packet)) + packet)
    return b"".join(parts)


every_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=lambda one: one.shape)


@every_shape
def test_each_shape_is_taken_for_what_its_file_says(ask: Ask, shape: Shape) -> None:
    assert ask(shape)[Variant("")] == shape.ndpi


@every_shape
def test_random_bytes_are_unknown_but_for_their_port(ask: Ask, shape: Shape) -> None:
    words = ask(shape)

    assert words[Variant("random", elsewhere=True)] == NEUTRAL
    assert words[Variant("random")] == ("STUN" if shape.port == STUN_PORT else NEUTRAL)


@every_shape
def test_a_call_that_is_nobodys_is_taken_for_nobodys(ask: Ask, shape: Shape) -> None:
    assert ask(shape)[Variant("generic")] in ("STUN", "RTP")


@every_shape
def test_bytes_count_on_any_port_except_for_telegrams_reflector(ask: Ask, shape: Shape) -> None:
    bound = shape.shape in ("telegram-reflector", "random")

    assert ask(shape)[Variant("port")] == (NEUTRAL if bound else shape.ndpi)


@every_shape
def test_another_cookie_changes_nothing_for_ndpi(ask: Ask, shape: Shape) -> None:
    """Without the cookie it still takes it for STUN, of the kind of RFC 3489, and reads the attributes."""
    assert ask(shape)[Variant("cookie")] == shape.ndpi
