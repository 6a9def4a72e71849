"""Whom test calls go to, which targets are calls, and what they cost."""

from pathlib import Path

import pytest

from probe.catalogue import Catalogue, Evidence, Target, Turn
from probe.configs import load
from probe.placing import FarEnd, cost, far_end, is_media, place
from probe.steps import AnyStep, Call, Http, Loop, Media, ReflectorLoop, Stun, Tcp, Tls

SHIPPED = load(Path(__file__).parent.parent / "configs")
FAR = FarEnd(host="calls.example.org", port=8443, key="secret", trust="own")


def target(*steps: AnyStep, at: str = "far-end") -> Target:
    where = {"host": "chat.example.org", "port": 443} if at == "endpoint" else {}
    return Target(
        name="look-alike", purpose="calls", at=at, steps=steps, **where,  # type: ignore[arg-type]
        evidence=Evidence(host="source", reply="source"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("url", "host", "port", "key"),
    [
        ("https://calls.example.org", "calls.example.org", 443, ""),
        ("https://Calls.Example.org/", "calls.example.org", 443, ""),
        ("https://calls.example.org:8443", "calls.example.org", 8443, ""),
        ("https://calls.example.org#a-key", "calls.example.org", 443, "a-key"),
        ("https://calls.example.org:8443/#a/key?=", "calls.example.org", 8443, "a/key?="),
        ("https://[2600::5]:8443", "2600::5", 8443, ""),
        ("https://7.7.7.7", "7.7.7.7", 443, ""),
    ],
)  # fmt: skip
def test_a_url_says_whom_and_with_which_key(url: str, host: str, port: int, key: str) -> None:
    assert far_end(url, "own") == FarEnd(host=host, port=port, key=key, trust="own")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://calls.example.org", "must begin with https:// and name a host"),
        ("calls.example.org", "must begin with https:// and name a host"),
        ("https://", "must begin with https:// and name a host"),
        ("wss://calls.example.org", "must begin with https://"),
        ("https://calls.example.org/whip", "no more than https://HOST"),
        ("https://calls.example.org/?key=1", "no more than https://HOST"),
        ("https://me@calls.example.org", "no more than https://HOST"),
        ("https://calls.example.org:99999", "is not a URL"),
        ("https://calls.example.org:https", "is not a URL"),
        ("https://calls.example.org:0", "has a port that nobody can listen at"),
        ("https://[2600::5", "is not a URL"),
    ],
)  # fmt: skip
def test_what_is_no_far_end_is_refused_in_one_sentence(url: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        far_end(url, "system")

    assert "\n" not in str(caught.value)


def test_a_target_at_the_far_end_gets_its_endpoint_and_a_trusted_stream() -> None:
    placed = place(target(Media(shape="rtp")), FAR, Turn())

    assert placed is not None
    assert (placed.host, placed.port) == ("calls.example.org", 8443)
    tcp, tls, media = placed.steps
    assert isinstance(tcp, Tcp)
    assert isinstance(tls, Tls)
    assert (tls.trust, tls.alpn, tls.identity) == ("own", ("http/1.1",), "required")
    assert isinstance(media, Media)
    assert (media.trust, media.shape) == ("own", "rtp")


def test_a_target_at_an_endpoint_stays_where_it_is() -> None:
    one = target(Stun(), at="endpoint")

    assert place(one, FAR, Turn()) is place(one, None, Turn()) is one


def test_without_a_far_end_there_are_no_test_calls() -> None:
    assert place(target(Call()), None, Turn()) is None


def test_what_is_media_is_told_by_its_steps() -> None:
    assert is_media(target(Call()))
    assert is_media(target(Tcp(), Tls(), Media(shape="random")))
    assert not is_media(target(Tcp(), Tls(), Http()))


def paced(catalogue: Catalogue, lanes: int) -> float:
    return sum(catalogue.profiles[name].seconds for name in ("voice", "half")) / lanes


def test_media_costs_its_bytes_and_its_share_of_the_time() -> None:
    control = target(Media(shape="random", profiles=("voice", "half")))
    one, six = cost([control], SHIPPED), cost([control] * 6, SHIPPED)

    assert six.octets == 6 * one.octets == 6 * round((1500 + 250) * 180)
    assert one.seconds == pytest.approx(paced(SHIPPED, 3) + 1.0)
    assert six.seconds == pytest.approx(6 * one.seconds)


def test_a_call_has_the_line_to_itself() -> None:
    profiles = [SHIPPED.profiles[name] for name in Call().profiles]
    found = cost([target(Call())], SHIPPED)

    assert found.seconds == sum(profile.seconds for profile in profiles) + 3.0
    assert found.octets == sum(profile.octets for profile in profiles)


def test_a_shape_brings_the_profiles_that_it_has() -> None:
    shape = SHIPPED.shapes["telegram-reflector"]
    (name,) = shape.profiles

    assert cost([target(Media(shape=shape.shape))], SHIPPED).octets == SHIPPED.profiles[name].octets


def test_what_sends_no_media_costs_none() -> None:
    assert cost([target(Tcp(), Tls(), Http(), at="endpoint")], SHIPPED) == cost([], SHIPPED)
    assert cost([], SHIPPED).octets == 0


def test_a_call_to_ourselves_goes_through_the_turn_server_where_there_is_no_far_end() -> None:
    server = Turn(host="turn.example.org", username="me", password="x", udp=3478, tcp=3479, tls=0)  # noqa: S106
    over_tcp, over_tls = target(Loop(over="tcp"), at="turn"), target(Loop(over="tls"), at="turn")
    placed = place(over_tcp, None, server)

    assert placed is not None
    assert (placed.host, placed.port) == ("turn.example.org", 3479)
    assert place(over_tls, None, server) is None  # not offered
    assert place(over_tcp, FAR, server) is None
    assert place(over_tcp, None, Turn()) is None


def test_every_kind_of_media_is_paid_for() -> None:
    for step in (Loop(), ReflectorLoop()):
        assert is_media(target(step))
        assert cost([target(step)], SHIPPED).octets > 0
