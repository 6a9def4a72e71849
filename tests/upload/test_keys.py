import stat
from pathlib import Path

import pytest

from probe.model import Run, Vantage
from probe.upload.keys import KeyFileError, forget, key, network, networks
from tests.build import NOON


def run(country: str, asn: int | None, id_: str = "00000000000000aa") -> Run:
    return Run(
        format=1,
        id=id_,
        software="x",
        started=NOON,
        vantage=Vantage(country=country, asn=asn, label="my aunt's Wi-Fi"),
        catalogue="x",
    )


def test_one_network_has_one_key_and_another_network_another(tmp_path: Path) -> None:
    home, away = network(run("RU", 64500)), network(run("RU", 64501))

    assert (home, away) == ("RU-AS64500", "RU-AS64501")
    assert key(tmp_path, home).public == key(tmp_path, home).public
    assert key(tmp_path, home).public != key(tmp_path, away).public
    assert network(run("DE", 64500)) != home


def test_runs_from_unknown_networks_are_not_tied_together() -> None:
    assert network(run("RU", None, "00000000000000aa")) != network(run("RU", None, "00000000000000ab"))


@pytest.mark.parametrize("country", ["", "../..", "RUS", "Р1"])
def test_a_country_that_is_none_leads_out_of_no_folder(country: str) -> None:
    assert network(run(country, 64500)) == "ZZ-AS64500"


def test_a_key_is_for_its_owner_to_read_and_its_name_holds_no_label(tmp_path: Path) -> None:
    key(tmp_path, network(run("RU", 64500)))
    (file,) = (tmp_path / "keys").iterdir()

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert file.name == "RU-AS64500.pem"


def test_a_forgotten_key_is_gone_and_the_next_is_another(tmp_path: Path) -> None:
    before, other = key(tmp_path, "RU-AS1").public, key(tmp_path, "RU-AS2").public

    assert forget(tmp_path, "RU-AS1") == ["RU-AS1"]
    assert networks(tmp_path) == ["RU-AS2"]
    assert key(tmp_path, "RU-AS1").public != before
    assert key(tmp_path, "RU-AS2").public == other
    assert forget(tmp_path) == ["RU-AS1", "RU-AS2"]
    assert networks(tmp_path) == []


def test_a_damaged_key_is_one_sentence_that_says_what_to_do(tmp_path: Path) -> None:
    key(tmp_path, "RU-AS1")
    (tmp_path / "keys" / "RU-AS1.pem").write_bytes(b"\0\0\0")

    with pytest.raises(KeyFileError, match=r"RU-AS1.pem: holds no Ed25519 key; `probe consent forget"):
        key(tmp_path, "RU-AS1")
