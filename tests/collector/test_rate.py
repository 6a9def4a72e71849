"""Tokens by key: so many at once, so many again in an hour, and nothing for who holds no key."""

import pytest

from probe.collector import rate
from probe.collector.protocol import Refused
from probe.collector.rate import Rates
from tests.collector.shelf import Clock


def test_tokens_are_used_up_and_come_back_with_time() -> None:
    clock = Clock(0.0)
    rates = Rates(60, clock)
    for _ in range(60):
        rates.take(b"a")
    with pytest.raises(Refused) as caught:
        rates.take(b"a")
    clock.now += 60
    rates.take(b"a")
    with pytest.raises(Refused):
        rates.look(b"a")
    rates.take(b"b")

    assert (caught.value.status, caught.value.retry) == (429, 60)


def test_looking_takes_nothing() -> None:
    rates = Rates(1, Clock(0.0))
    for _ in range(9):
        rates.look(b"a")
    rates.take(b"a")
    with pytest.raises(Refused):
        rates.look(b"a")


def test_memory_is_bounded_and_the_longest_silent_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate, "_BUCKETS", 3)
    rates = Rates(1, Clock(0.0))
    for key in (b"a", b"b", b"c", b"d"):
        rates.take(key)
    rates.look(b"a")
    for key in (b"b", b"c", b"d"):
        with pytest.raises(Refused):
            rates.look(key)
