"""Whether this machine stayed where it was."""

import asyncio
from datetime import UTC, datetime, timedelta

from probe.net import SystemNet
from probe.record import Private
from probe.watch import Watch


class Elsewhere(SystemNet):
    """The real network, but for where this machine is and what its clocks say."""

    address: str | None = "192.168.1.2"
    asleep = 0.0

    def source(self, ip: str) -> Private | None:
        return Private(self.address) if self.address else None

    def utc(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.asleep)


def kinds(watch: Watch) -> list[str]:
    return [disturbance.kind for disturbance in watch.seen]


def test_a_machine_that_stays_is_not_disturbed() -> None:
    watch = Watch(Elsewhere(), ["8.8.8.8"])
    watch.look()

    assert watch.seen == []


def test_another_address_no_way_out_and_a_leaping_clock_are_noticed_once_each() -> None:
    net = Elsewhere()
    watch = Watch(net, ["8.8.8.8"])
    net.address = "10.0.0.7"
    watch.look()
    net.address, net.asleep = None, 3600.0
    watch.look()
    watch.look()

    assert kinds(watch) == ["address_changed", "way_lost", "clock_leapt"]


async def test_it_looks_by_itself() -> None:
    net = Elsewhere()
    watch = Watch(net, ["8.8.8.8"])
    net.address = "10.0.0.7"
    task = asyncio.create_task(watch.keep_looking())
    await asyncio.sleep(0.7)
    task.cancel()

    assert kinds(watch) == ["address_changed"]


def test_a_connection_from_another_address_is_a_detour_over_ipv4_only() -> None:
    watch = Watch(Elsewhere(), ["8.8.8.8"])

    assert watch.is_detour("9.9.9.9", Private("10.8.0.2"))
    assert not watch.is_detour("9.9.9.9", Private("192.168.1.2"))
    assert not watch.is_detour("127.0.0.1", Private("127.0.0.1"))
    assert not watch.is_detour("2600::1", Private("fd00::2"))


def test_the_real_network_knows_its_own_address_and_sends_nothing() -> None:
    assert SystemNet().source("127.0.0.1") == Private("127.0.0.1")
