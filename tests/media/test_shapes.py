"""The shapes and profiles that ship: what they claim about sizes and bytes, their controls, and what they cost."""

import re
from functools import cache
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.configs import load
from probe.far_end.protocol import MAX_REQUEST, NewFlow, Packets
from probe.media.shape import Disguise, Kind, Profile, Shape, disguised, kinds
from probe.media.template import Template
from probe.record import line
from tests.media.on_the_wire import Ends, flow

ROOT = Path(__file__).parent.parent.parent
CATALOGUE = load(ROOT / "configs")
SHAPES, PROFILES = CATALOGUE.shapes, CATALOGUE.profiles
DISGUISES: tuple[Disguise, ...] = get_args(Disguise)
every_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=lambda one: one.shape)

# Bytes of each packet that comes before or beside media, up and down, as its source has them.
SIZES: dict[str, dict[str, tuple[int, int]]] = {
    "random": {"first": (20, 20)},
    "rtp": {},
    "stun-classic": {"binding": (20, 32)},
    "stun": {"binding": (20, 32)},
    "stun-ice": {"check": (88, 64), "consent": (88, 64)},
    "dtls12-hello": {"hello": (169, 782)},
    "dtls13-hello": {"hello-1": (1200, 1199), "hello-2": (263, 612)},
    "quic-initial": {"initial": (1200, 1200)},
    "whatsapp-native": {
        "allocate": (212, 68), "downlink-probe": (64, 512), "keep-alive": (20, 20), "rtcp": (122, 122),
    },
    "whatsapp-2019": {"allocate": (126, 44), "health": (6, 6)},
    "whatsapp-web": {"hello-1": (1200, 121), "hello-2": (263, 661)},
    "telegram-reflector": {"hello": (40, 64), "check": (120, 88), "ping": (40, 64)},
    "telegram-turn": {
        "binding": (20, 84), "allocate": (28, 92), "allocate-signed": (116, 92), "channel": (128, 60),
    },
    "signal": {"binding": (20, 84), "allocate": (28, 92), "allocate-signed": (116, 92), "channel": (128, 60)},
    "viber": {"binding": (20, 40), "allocate": (28, 84), "allocate-signed": (116, 84), "channel": (128, 52)},
    "messenger": {"allocate": (28, 104), "allocate-signed": (144, 76), "channel": (156, 44)},
    "discord": {"discovery": (74, 74), "discovery-exact": (74, 74), "echo": (8, 8)},
    "meet": {"check": (100, 64), "hello-1": (1200, 1199), "hello-2": (263, 612)},
    "teams": {"allocate": (68, 187), "check": (104, 72)},
}  # fmt: skip


def stages(shape: Shape) -> list[Profile]:
    return [PROFILES[name] for name in shape.profiles]


def test_every_shape_is_described_here() -> None:
    assert set(SHAPES) == set(SIZES)


@every_shape
def test_packets_have_the_sizes_of_their_source(shape: Shape) -> None:
    ends = Ends(shape)
    found = {
        kind.name: tuple(len(seen.data) for seen in ends.exchange(index))
        for index, kind in enumerate(ends.kinds)
        if kind.role != "media"
    }

    assert found == SIZES[shape.shape]


@every_shape
def test_media_has_the_sizes_its_profiles_ask_for(shape: Shape) -> None:
    media = next(kind for kind in kinds(shape) if kind.role == "media")

    for profile in stages(shape):
        assert media.up.minimum <= profile.sizes[0], profile.name


@every_shape
def test_stamps_open_again_where_the_far_end_is_told_to_look(shape: Shape) -> None:
    ends = Ends(shape)
    for index, kind in enumerate(ends.kinds):
        for seen in ends.exchange(index):
            template = kind.up if seen.up else kind.down
            assert template is not None
            if template.stamp_at is None:
                continue
            mark = seen.data[template.stamp_at : template.stamp_at + 12]
            mine, other = (ends.up, ends.down) if seen.up else (ends.down, ends.up)
            assert mine.open(mark) == seen.stamp
            assert other.open(mark) is None


@every_shape
def test_whatever_is_stamped_is_answered_with_a_stamp(shape: Shape) -> None:
    for kind in kinds(shape):
        assert kind.down is not None
        assert (kind.up.stamp_at is None) == (kind.down.stamp_at is None), kind.name


@cache
def kinds_of(name: str, disguise: Disguise) -> tuple[Kind, ...]:
    return kinds(disguised(SHAPES[name], disguise))


@every_shape
@given(wanted=st.integers(57, 1400))
def test_a_disguise_keeps_number_order_and_sizes(shape: Shape, wanted: int) -> None:
    for disguise in DISGUISES:
        for mine, other in zip(kinds_of(shape.shape, ""), kinds_of(shape.shape, disguise), strict=True):
            assert (mine.role, mine.times, mine.every) == (other.role, other.times, other.every)
            assert mine.down is not None
            assert other.down is not None
            for one, two in ((mine.up, other.up), (mine.down, other.down)):
                assert one.sized(wanted) == two.sized(wanted), f"{disguise} {mine.name}"
                assert (one.stamp_at is None) == (two.stamp_at is None), f"{disguise} {mine.name}"


_NOTHING = re.compile(r"^\{high\}( \{stamp\})?( \{random:\d+\})?( \{fill\})?$")
_ANYBODY = re.compile(
    r"^80 6f \{count16\} \{clock32:960\} \{same:ssrc:4\} \{stamp\}( \{random:\d+\})? \{fill\}$"
    r"|^0[01]01 [0-9a-f]{4} 2112a442 (\{stamp\}|\{random:12\})( 0026 [0-9a-f]{4})?( \{random:\d+\})?$"
)


def texts(shape: Shape) -> list[str]:
    return [t.text for kind in kinds(shape) for t in (kind.up, kind.down) if t is not None]


@every_shape
def test_a_disguise_carries_nothing_of_the_shape(shape: Shape) -> None:
    assert all(_NOTHING.match(text) for text in texts(disguised(shape, "random")))
    for text in texts(disguised(shape, "generic")):
        assert _ANYBODY.match(text) or (Template(text).minimum < 20 and _NOTHING.match(text))
    assert not any("2112a442" in text.replace(" ", "") for text in texts(disguised(shape, "cookie")))
    assert disguised(shape, "port").port != shape.port
    assert texts(disguised(shape, "port")) == texts(shape)


@every_shape
def test_random_packets_begin_with_what_no_call_begins_with(shape: Shape) -> None:
    assert all(seen.data[0] >= 0xC0 for seen in flow(disguised(shape, "random"), (200,), 3))


@every_shape
def test_generic_packets_are_stun_and_rtp(shape: Shape) -> None:
    for seen in flow(disguised(shape, "generic"), (200,), 1):
        if seen.kind.role == "media":
            assert seen.data[0] == 0x80
        elif len(seen.data) >= 20:
            assert seen.data[:2].hex() == ("0001" if seen.up else "0101")
            assert int.from_bytes(seen.data[2:4], "big") == len(seen.data) - 20
            assert seen.data[4:8].hex() == "2112a442"


@every_shape
def test_a_flow_costs_less_than_half_a_megabyte_each_way(shape: Shape) -> None:
    voice = [stage for stage in stages(shape) if stage.name != "video"]
    seconds = sum(stage.seconds for stage in voice)
    cost = sum(stage.octets for stage in voice)
    for kind in kinds(shape):
        times = seconds / kind.every if kind.role == "beside" else 10 if kind.role == "opening" else 0
        cost += round(times * max(kind.up.minimum, kind.down.minimum if kind.down else 0))

    assert cost < 500_000


@every_shape
def test_what_imitates_somebody_is_short_and_long_enough_for_a_freeze_by_packets(shape: Shape) -> None:
    seconds = sum(stage.seconds for stage in stages(shape))
    count = sum(stage.seconds / stage.every for stage in stages(shape))

    assert count > 60
    assert 15 <= seconds <= 20 or not shape.imitates
    assert shape.imitates == "" or shape.imitates in {service.service for service in CATALOGUE.services}


@every_shape
def test_the_far_end_can_answer_every_packet_without_amplifying(shape: Shape) -> None:
    asked = NewFlow(
        transport="udp",
        port=shape.port,
        key="0" * 32,
        packets=tuple(
            Packets(
                stamp_at=kind.up.stamp_at, down=kind.down.text if kind.down else None, least=kind.up.minimum
            )
            for kind in kinds(shape)
        ),
    )
    spent = len(line(asked))

    assert spent < MAX_REQUEST
    assert msgspec.json.decode(line(asked), type=NewFlow) == asked
    for seen in flow(shape, (200,), 10):
        spent += len(seen.data) if seen.up else -len(seen.data)
        assert spent >= 0, seen.kind.name


def test_stages_are_what_freezes_are_known_by() -> None:
    voice, video, half = (PROFILES[name] for name in ("voice", "video", "half"))

    assert (voice.seconds, round(voice.seconds / voice.every)) == (30, 1500)
    assert voice.octets > 64_000
    assert video.octets > 64_000
    assert 300_000 <= 8 * video.octets / video.seconds <= 500_000
    assert half.every == 2 * voice.every
    assert half.sizes == voice.sizes


def test_every_shape_and_profile_has_its_line_in_the_documentation() -> None:
    text = (ROOT / "docs" / "shapes.md").read_text()

    for shape in SHAPES.values():
        assert f"| `{shape.shape}` | {shape.port} | {shape.ndpi} |" in text, shape.shape
    for profile in PROFILES.values():
        assert f"| `{profile.name}` |" in text, profile.name
