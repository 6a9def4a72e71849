import asyncio
from pathlib import Path

import pytest

from probe.catalogue import Catalogue, Network, Settings
from probe.mirror import parse
from probe.net import SystemNet
from probe.plan import Options
from probe.record import Private
from probe.vantage import from_database, look, parse_name, parse_origin


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


def test_a_database_that_is_not_there_gives_nothing(tmp_path: Path) -> None:
    assert from_database(tmp_path / "none.mmdb", Private("8.8.8.8")).asn is None
    (tmp_path / "broken.mmdb").write_bytes(b"no database")
    assert from_database(tmp_path / "broken.mmdb", Private("8.8.8.8")).asn is None


@pytest.mark.parametrize(
    ("page", "address"),
    [
        (b"fl=1\nip=8.8.4.4\nts=2\n", "8.8.4.4"),
        (b"ip=2001:4860:4860::8844\r\n", "2001:4860:4860::8844"),
        (b"ip=me\n", None), (b"", None), (b"<html>ip</html>", None), (b"\xff\xfe=1\n", None),
    ],
)  # fmt: skip
def test_a_mirrors_page_gives_an_address_or_nothing(page: bytes, address: str | None) -> None:
    assert parse(page) == ([Private(address)] if address else [])


@pytest.mark.parametrize("said", ["RU", ""])
async def test_what_the_user_says_of_the_country_is_told_before_anything_is_learned(said: str) -> None:
    settings = Settings(resolvers=(), innocent_name="www.example.com", network=Network(by="off"))
    known = Catalogue(settings=settings, controls=(), services=(), anchors={}, digest="0" * 16)
    told: list[str] = []
    looking = asyncio.create_task(look(SystemNet(), known, Options(country=said), told.append))
    await asyncio.sleep(0)

    assert told == [said] * bool(said)
    assert not looking.done()
    assert (await looking).country == said
    assert told == [said] * bool(said)
