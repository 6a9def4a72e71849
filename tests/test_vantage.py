from pathlib import Path

import pytest

from probe.record import Private
from probe.vantage import from_database, home_network, parse_name, parse_origin


def test_an_origin_record_gives_number_and_country() -> None:
    found = parse_origin("64500 64501 | 192.0.2.0/24 | zz | registry | 2020-01-01")

    assert (found.asn, found.country) == (64500, "ZZ")


@pytest.mark.parametrize("text", ["", "|", "x | y", "AS1 | p | DE", "1|2", "| | |"])
def test_a_record_of_another_shape_gives_nothing(text: str) -> None:
    assert parse_origin(text).asn is None
    assert parse_name(text) == ""


def test_a_name_record_gives_the_name_without_addresses() -> None:
    assert parse_name("64500 | ZZ | reg | 2020-01-01 | NAME - Long name, ZZ") == "NAME - Long name, ZZ"
    assert parse_name("1 | ZZ | reg | d | me 203.0.113.9") == "withheld: it holds an address"


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


def test_a_database_that_is_not_there_gives_nothing(tmp_path: Path) -> None:
    assert from_database(tmp_path / "none.mmdb", Private("8.8.8.8")).asn is None
    (tmp_path / "broken.mmdb").write_bytes(b"no database")
    assert from_database(tmp_path / "broken.mmdb", Private("8.8.8.8")).asn is None
