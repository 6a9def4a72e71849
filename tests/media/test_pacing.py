"""A sender that is punctual, or left waiting by its machine, on a clock of the test's own."""

import asyncio
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.media.pacing import Pacer, Pacing


class Machine:
    """Its clock, and by how much it oversleeps, packet by packet."""

    def __init__(self, *overslept: float) -> None:
        self.time, self.sent = 100.0, list[tuple[int, float]]()
        self._overslept = list(overslept)
        self.sends = 0.0  # seconds that sending takes

    async def sleep(self, seconds: float) -> None:
        self.time += seconds + (self._overslept.pop(0) if self._overslept else 0.0)

    def send(self, index: int) -> float | None:
        self.sent.append((index, self.time))
        self.time += self.sends
        return self.time


def run(
    machine: Machine,
    count: int,
    every: float = 0.02,
    send: Callable[[int], float | None] | None = None,
    go_on: Callable[[], bool] = lambda: True,
) -> tuple[bool, Pacing]:
    """Pace on this machine; whether it came to its end, and the account."""
    pacer = Pacer(lambda: machine.time)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio, "sleep", machine.sleep)
        coroutine = pacer.run(count, every, send or machine.send, go_on)
        try:
            coroutine.send(None)
        except StopIteration as done:
            return bool(done.value), pacer.account()
    raise AssertionError("it waited for something else than the time")


def test_packets_leave_when_they_are_due() -> None:
    machine = Machine()
    done, account = run(machine, 100)

    assert done
    assert [index for index, _ in machine.sent] == list(range(100))
    for index, at in machine.sent:
        assert at == pytest.approx(100 + index * 0.02, abs=0.0006)
    assert (account.packets, account.missed, account.unsent) == (100, 0, 0)
    assert account.late_max <= 0


def test_a_little_oversleeping_does_not_add_up() -> None:
    machine = Machine(*[0.003] * 100)
    _, account = run(machine, 100)

    assert machine.sent[-1][1] == pytest.approx(100 + 99 * 0.02, abs=0.004)
    assert account.late_median == pytest.approx(0.0025, abs=1e-6)
    assert account.missed == 0


def test_what_is_too_late_is_left_out_and_nothing_is_made_up_for_in_a_burst() -> None:
    machine = Machine(*[0.0] * 9, 1.0)
    done, account = run(machine, 100)
    times = [at for _, at in machine.sent]

    assert done
    assert account.missed == pytest.approx(48, abs=1)
    assert account.packets + account.missed == 100
    assert account.late_max <= 2 * 0.02 + 0.001
    for start in times:
        assert sum(start <= at < start + 0.001 for at in times) <= 3


def test_a_packet_that_does_not_leave_is_not_late_and_not_missed() -> None:
    """A refusal that ICMP brought is the network's word; it must not read as a busy machine."""
    machine = Machine()
    _, account = run(machine, 10, send=lambda index: machine.send(index) if index % 2 else None)

    assert (account.packets, account.missed, account.unsent) == (5, 0, 5)


def test_it_ends_when_it_is_told_to_and_says_so() -> None:
    machine = Machine()
    done, account = run(machine, 100, go_on=lambda: machine.time < 100.1)

    assert not done
    assert account.packets == 6


async def test_several_stages_make_one_account() -> None:
    machine, pacer = Machine(), Pacer(time.monotonic)
    for count in (3, 2):
        assert await pacer.run(count, 0.001, machine.send, lambda: True)
    account = pacer.account()

    assert account.packets + account.missed == 5


def test_nothing_sent_is_an_account_of_zeros() -> None:
    assert run(Machine(), 0) == (True, Pacing(packets=0, late_median=0, late_p99=0, late_max=0))


def test_one_late_packet_in_a_hundred_is_not_the_99th_percentile() -> None:
    machine = Machine(*[0.0] * 50, 0.015)
    _, account = run(machine, 100)

    assert account.late_p99 <= 0
    assert account.late_max == pytest.approx(0.0145, abs=1e-6)


@given(
    st.lists(st.sampled_from([0.0, 0.001, 0.02, 0.05, 0.3]), max_size=80),
    st.sampled_from([0.005, 0.02, 0.06]),
    st.sampled_from([0.0, 0.0001, 0.03]),
)
def test_never_more_than_is_due(overslept: list[float], every: float, sends: float) -> None:
    machine = Machine(*overslept)
    machine.sends = sends
    _, account = run(machine, 60, every)

    assert account.packets + account.missed == 60
    for count, (index, at) in enumerate(machine.sent):
        assert (
            count <= index <= (at - 100) / every + 1e-6 + 0.0005 / every
        )  # half a millisecond early at most
        assert at - 100 - index * every <= 2 * every + 1e-9


async def test_it_keeps_time_on_a_real_machine() -> None:
    pacer, sent, began = Pacer(time.monotonic), list[float](), time.monotonic()

    def send(index: int) -> float:
        sent.append(time.monotonic())
        return sent[-1]

    assert await pacer.run(40, 0.005, send, lambda: True)
    for count, at in enumerate(sent):
        assert count <= (at - began) / 0.005 + 1
    account = pacer.account()
    assert account.packets + account.missed == 40
