"""Who a peer showed itself to be, where the handshake alone does not tell."""

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import certifi
import pytest

from probe import identity
from probe.demo.certificates import Authority
from probe.identity import covers, judge
from tests.loopback import ROOT

NOW = datetime(2026, 11, 24, tzinfo=UTC)


@pytest.fixture
def old_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose store holds one root only."""
    (tmp_path / "roots.pem").write_bytes(ROOT.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "roots.pem"))
    identity._store.cache_clear()
    yield
    identity._store.cache_clear()


def der(pem: bytes | str) -> bytes:
    text = pem.decode() if isinstance(pem, bytes) else pem
    return ssl.PEM_cert_to_DER_cert(text[text.index("-----BEGIN") : text.index("-----END") + 25])


def judged(chain: bytes, host: str = "") -> str:
    return judge([chain], host, trust="system", pins=(), anchors={}, now=NOW)


def test_an_authority_newer_than_the_machine_is_known_from_mozillas_list(old_machine: None) -> None:
    newer = Path(certifi.where()).read_text().split("-----BEGIN CERTIFICATE-----")[-1]

    assert judged(der("-----BEGIN CERTIFICATE-----" + newer)) == "verified"


def test_the_machines_own_roots_count_and_strangers_do_not(old_machine: None) -> None:
    assert judged(der(ROOT.issue("chat.example").certificate), "chat.example") == "verified"
    assert (
        judged(der(Authority("Stranger").issue("chat.example").certificate), "chat.example")
        == "unknown_issuer"
    )


def test_a_leaf_covers_its_own_name_whoever_signed_it() -> None:
    leaf = der(Authority("Stranger").issue("chat.example").certificate)

    assert covers([leaf], "chat.example")
    assert not covers([leaf], "other.example")
    assert not covers([leaf], "")
    assert not covers([], "chat.example")
    assert not covers([b"no certificate"], "chat.example")
