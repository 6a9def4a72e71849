"""The collector's key is made once and kept, whoever comes at the same time."""

import stat
import threading
from pathlib import Path

import msgspec
import pytest

from probe.collector.protocol import Receipt
from probe.collector.receipts import load
from probe.toml_file import ConfigError
from probe.upload.signing import RECEIPT, verifies


def test_a_receipt_is_signed_over_its_other_fields_in_alphabetical_order(tmp_path: Path) -> None:
    receipts = load(tmp_path / "key.pem")
    raw = receipts.receipt("aa", "0" * 64, "2026-11-25T04:10:37.000Z")
    made = msgspec.json.decode(raw, type=Receipt)
    said = f'"collector":"{receipts.public}","received":"2026-11-25T04:10:37.000Z","run":"aa","sha256":"{"0" * 64}"'
    signed = f"{{{said}}}"

    assert verifies(receipts.public, made.signature, RECEIPT, signed.encode())
    assert raw == load(tmp_path / "key.pem").receipt("aa", "0" * 64, "2026-11-25T04:10:37.000Z")


def test_of_many_who_make_it_at_once_one_wins_and_nobody_else_may_read_it(tmp_path: Path) -> None:
    keys: list[str] = []
    threads = [threading.Thread(target=lambda: keys.append(load(tmp_path / "k").public)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(keys) == 8
    assert len(set(keys)) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["k"]
    assert stat.S_IMODE((tmp_path / "k").stat().st_mode) == 0o600


def test_a_file_that_is_no_key_is_said(tmp_path: Path) -> None:
    (tmp_path / "k").write_text("-----BEGIN PRIVATE KEY-----\n")

    with pytest.raises(ConfigError, match="holds no Ed25519 key"):
        load(tmp_path / "k")
