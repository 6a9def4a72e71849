"""What the machine does to its own traffic."""

from pathlib import Path

import pytest

from probe.machine import home_network


def routes(root: Path, *rows: str) -> None:
    (root / "proc/net").mkdir(parents=True)
    head = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n"
    (root / "proc/net/route").write_text(head + "".join(row + "\n" for row in rows))


def device(root: Path, name: str, *, kind: str = "1", **entries: str) -> None:
    folder = root / "sys/class/net" / name
    folder.mkdir(parents=True)
    (folder / "type").write_text(kind + "\n")
    for entry in entries:
        (folder / entry).mkdir()


DEFAULT = "{}\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000"
HALF = "{}\t00000080\t00000000\t0001\t0\t0\t50\t00000080"


def test_a_wireless_default_route_is_wifi(tmp_path: Path) -> None:
    routes(tmp_path, DEFAULT.format("wlan0"))
    device(tmp_path, "wlan0", wireless="")

    assert home_network(tmp_path, {}) == ("wifi", False)


def test_a_tunnel_that_carries_the_default_route_or_half_of_the_internet_is_active(tmp_path: Path) -> None:
    routes(tmp_path, DEFAULT.format("eth0"), HALF.format("wg0"))
    device(tmp_path, "eth0")
    device(tmp_path, "wg0", kind="65534")

    assert home_network(tmp_path, {}) == ("unknown", True)


def test_a_proxy_in_the_environment_counts_as_a_tunnel(tmp_path: Path) -> None:
    routes(tmp_path, DEFAULT.format("eth0"))
    device(tmp_path, "eth0")

    assert home_network(tmp_path, {"ALL_PROXY": "socks5://x"}) == ("unknown", True)
    assert home_network(tmp_path, {}) == ("unknown", False)


def test_a_modem_is_mobile_and_a_system_without_files_is_unknown(tmp_path: Path) -> None:
    assert home_network(tmp_path, {}) == ("unknown", False)
    routes(tmp_path, DEFAULT.format("wwan0"))
    device(tmp_path, "wwan0")

    assert home_network(tmp_path, {})[0] == "mobile"


@pytest.mark.parametrize("kind", ["65534", "768", "778"])
def test_every_kind_of_tunnel_counts(tmp_path: Path, kind: str) -> None:
    routes(tmp_path, DEFAULT.format("x0"))
    device(tmp_path, "x0", kind=kind)

    assert home_network(tmp_path, {}) == ("unknown", True)


def test_a_running_tool_that_alters_packets_counts_as_a_tunnel(tmp_path: Path) -> None:
    routes(tmp_path, DEFAULT.format("eth0"))
    device(tmp_path, "eth0")
    for number, name in (("1", "init"), ("77", "alterpackets-lo")):
        (tmp_path / "proc" / number).mkdir()
        (tmp_path / "proc" / number / "comm").write_text(name + "\n")

    assert home_network(tmp_path, {}, ["alterpackets-long"]) == ("unknown", True)
    assert home_network(tmp_path, {}, ["other"]) == ("unknown", False)
