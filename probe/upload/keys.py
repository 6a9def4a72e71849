"""Pseudonyms: one Ed25519 key per network, made when it is first needed, thrown away on request.

A network is its AS number and country, as the run says them. Runs from different networks are signed by different
keys, so that signatures do not tell that one person was at both; a run whose network is unknown gets a key of its
own. Nothing of the machine goes into a key.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from probe import durable
from probe.upload.signing import sign, unpadded

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from probe.model import Run


class KeyFileError(Exception):
    """A key cannot be read or kept; the sentence says which and why."""


@dataclass(frozen=True)
class Key:
    """A private key; its name is its network."""

    network: str
    _private: "Ed25519PrivateKey"

    @property
    def public(self) -> str:
        """The raw public key, base64url."""
        return unpadded(self._private.public_key().public_bytes_raw())

    def sign(self, type_: str, body: bytes) -> str:
        """Signature of a body of this type, base64url."""
        return sign(self._private, type_, body)


def network(run: "Run") -> str:
    """What the key of a run is called: "RU-AS64500", or the run's own id where its network is not known."""
    country, asn = run.vantage.country, run.vantage.asn
    country = country if len(country) == 2 and country.isascii() and country.isalpha() else "ZZ"
    return f"{country}-AS{asn}" if asn else f"unknown-{run.id}"


def key(home: Path, name: str) -> Key:
    """The key of a network, made and kept if there is none. Raises KeyFileError."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        load_pem_private_key,
    )

    file = _folder(home) / f"{name}.pem"
    try:
        kept = load_pem_private_key(file.read_bytes(), None)
    except FileNotFoundError:
        made = Ed25519PrivateKey.generate()
        try:
            durable.write(file, made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        except OSError as error:
            raise KeyFileError(f"{file}: cannot be written ({error.strerror})") from None
        return Key(name, made)
    except OSError as error:
        raise KeyFileError(f"{file}: cannot be read ({error.strerror})") from None
    except ValueError:
        kept = None
    if not isinstance(kept, Ed25519PrivateKey):
        raise KeyFileError(
            f"{file}: holds no Ed25519 key; `probe consent forget --network {name}` makes a new one"
        )
    return Key(name, kept)


def networks(home: Path) -> list[str]:
    """The networks that there are keys of."""
    return sorted(file.stem for file in _folder(home).glob("*.pem"))


def forget(home: Path, name: str | None = None) -> list[str]:
    """Throw the key of a network away, or all; returns whose. Raises OSError."""
    gone = [one for one in networks(home) if name in (None, one)]
    for one in gone:
        durable.remove(_folder(home) / f"{one}.pem")
    durable.tidy(_folder(home))
    return gone


def _folder(home: Path) -> Path:
    return home / "keys"
