"""The collector's own key, and what it signs."""

import contextlib
import os
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from probe.collector.protocol import Receipt
from probe.toml_file import ConfigError
from probe.upload.signing import RECEIPT, sign, unpadded


class Receipts:
    """Signs receipts; the same run has the same receipt for ever, as Ed25519 has no randomness in it."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = unpadded(key.public_key().public_bytes_raw())

    def receipt(self, run: str, sha256: str, received: str) -> bytes:
        """A receipt as JSON."""
        made = Receipt(collector=self.public, received=received, run=run, sha256=sha256)
        signature = sign(self._key, RECEIPT, msgspec.json.encode(made))
        return msgspec.json.encode(msgspec.structs.replace(made, signature=signature))


def load(file: Path) -> Receipts:
    """The key in a PEM file, made if there is none; of two who make it at once, one wins. Raises ConfigError."""
    try:
        if not file.exists():
            _make(file)
        key = load_pem_private_key(file.read_bytes(), None)
    except OSError as error:
        raise ConfigError(str(file), "", f"cannot be read or made ({error.strerror})") from None
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(str(file), "", "holds no Ed25519 key in PEM")
    return Receipts(key)


def _make(file: Path) -> None:
    made = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    begun = file.with_name(f"{file.name}.{os.getpid()}.{os.urandom(4).hex()}")
    descriptor = os.open(begun, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, made)
        os.fsync(descriptor)
        with contextlib.suppress(FileExistsError):
            os.link(begun, file)  # unlike a rename it never replaces
    finally:
        os.close(descriptor)
        os.unlink(begun)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
