"""Shapes and their controls: same number of packets, same sizes, same answers, other bytes."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.media.shape import (
    OTHER_PORT,
    Beside,
    Disguise,
    Exchange,
    Opening,
    Profile,
    Shape,
    disguised,
    has_cookie,
    kinds,
)
from probe.media.stamp import KINDS
from probe.media.template import Memory, TemplateError

MARK = b"\x11" * 12
STUN = "0001 {rest16} 2112 a442 {stamp} 8022 0004 'call'"


def shape(
    *,
    media: Exchange = Exchange(up="90 78 {count16} {stamp} {fill}"),  # noqa: B008 - frozen
    opening: tuple[Opening, ...] = (
        Opening(name="hello", up=STUN, down="0101 {rest16} 2112a442 {stamp}", times=2),
    ),
    beside: tuple[Beside, ...] = (Beside(name="alive", up="0000", every=2.5),),
) -> Shape:
    return Shape(
        shape="made-up", title="Nobody's", source="a test", checked=date(2026, 1, 1), port=3478, media=media,
        opening=opening, beside=beside,
    )  # fmt: skip


def test_kinds_are_opening_media_and_beside_in_this_order() -> None:
    found = kinds(shape())

    assert [(kind.name, kind.role, kind.times, kind.every) for kind in found] == [
        ("hello", "opening", 2, 0.0),
        ("media", "media", 1, 0.0),
        ("alive", "beside", 1, 2.5),
    ]


def test_an_answer_is_the_mirror_another_packet_or_none() -> None:
    hello, media, alive = kinds(
        shape(beside=(Beside(name="alive", up="00 {stamp}", down="none", every=1.0),))
    )

    assert hello.down is not None
    assert hello.down.text.startswith("0101")
    assert media.down is media.up
    assert alive.down is None


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (shape(media=Exchange(up="{stamp}")), "media: needs a {stamp} and a {fill}"),
        (shape(media=Exchange(up="00 {fill}")), "media: needs a {stamp} and a {fill}"),
        (shape(media=Exchange(up="{stamp} {fill}", down="{what}")), "media: has {what}"),
        (shape(opening=(Opening(name="hello", up="00"),)), "opening: needs a {stamp}"),
        (
            shape(beside=tuple(Beside(name=f"b{n}", up="00", every=1.0) for n in range(KINDS))),
            f"{KINDS} are possible",
        ),
    ],
)
def test_a_shape_that_cannot_be_is_refused_in_words(wrong: Shape, reason: str) -> None:
    with pytest.raises(TemplateError) as caught:
        kinds(wrong)

    assert reason in str(caught.value)


def test_a_profile_says_what_it_costs() -> None:
    voice = Profile(name="voice", title="voice", every=0.02, sizes=(160, 200), seconds=10.0, source="a test")

    assert voice.octets == 500 * 180


def test_the_shape_itself_is_not_changed_and_goes_to_another_port_when_the_port_is_asked_about() -> None:
    plain = shape()

    assert disguised(plain, "") == plain
    assert disguised(plain, "port").port == OTHER_PORT
    assert [kind.up.text for kind in kinds(disguised(plain, "port"))] == [
        kind.up.text for kind in kinds(plain)
    ]


def test_only_the_last_byte_of_the_cookie_changes_wherever_its_spaces_are() -> None:
    nearly = disguised(shape(), "cookie")

    assert nearly.opening[0].up == "0001 {rest16} 2112a443 {stamp} 8022 0004 'call'"
    assert nearly.opening[0].down == "0101 {rest16} 2112a443 {stamp}"
    assert has_cookie(shape())
    assert not has_cookie(nearly)
    assert not has_cookie(shape(opening=()))


templates = st.builds(
    lambda head, body, filled: (
        f"{{random:{head}}} {{stamp}} {{random:{body}}}" + (" {fill}" if filled else "")
    ),
    st.integers(1, 60),
    st.integers(1, 900),
    st.booleans(),
)


@given(templates, templates, st.sampled_from(["random", "generic"]), st.integers(0, 1500))
def test_a_control_has_the_number_the_sizes_and_the_answers_of_what_it_stands_for(
    up: str, down: str, disguise: Disguise, wanted: int
) -> None:
    plain = shape(opening=(Opening(name="hello", up=up, down=down),))
    control = kinds(disguised(plain, disguise))

    for kind, other in zip(kinds(plain), control, strict=True):
        assert (other.name, other.role, other.times, other.every) == (
            kind.name,
            kind.role,
            kind.times,
            kind.every,
        )
        size, other_size = kind.up.sized(wanted), other.up.sized(wanted)
        if kind.up.size is not None:
            assert other_size == max(size, 13 if kind.up.stamp_at is not None else 1)
        assert (other.down is None) == (kind.down is None)
        assert len(other.up.render(Memory(), MARK, wanted)) == other_size


def test_nothing_of_a_random_control_begins_like_a_protocol_of_a_call() -> None:
    for kind in kinds(disguised(shape(), "random")):
        assert kind.up.render(Memory(), MARK, 100)[0] >= 0xC0


def test_a_generic_control_is_plain_stun_and_then_rtp() -> None:
    hello, media, _ = kinds(disguised(shape(), "generic"))
    asked = hello.up.render(Memory(), MARK)
    assert hello.down is not None
    answered = hello.down.render(Memory(), MARK)

    assert asked[:2].hex() == "0001"
    assert answered[:2].hex() == "0101"
    assert asked[4:8] == answered[4:8] == bytes.fromhex("2112a442")
    assert int.from_bytes(asked[2:4], "big") == len(asked) - 20
    assert media.up.render(Memory(), MARK, 160)[:2].hex() == "806f"
