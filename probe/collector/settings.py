"""`collector.toml`: what a collector listens on, where it keeps runs, and how much it takes."""

import ipaddress
import re
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from probe.far_end.settings import endpoint
from probe.record import Setting
from probe.toml_file import ConfigError, read

_EXAMPLE = Path(__file__).with_name("example.toml")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Limits(Setting):
    """How much of one sender, and of all."""

    body: Annotated[int, Meta(ge=1_000, le=1 << 30)] = 512 << 10  # bytes of a run as sent
    document: Annotated[int, Meta(ge=1_000, le=1 << 30)] = 2 << 20  # bytes of a run uncompressed
    hourly: Annotated[int, Meta(ge=1, le=10**9)] = 600  # runs of one key
    connections: Annotated[int, Meta(ge=10, le=100_000)] = 12_000  # at once
    waiting: Annotated[int, Meta(ge=1 << 20, le=1 << 36)] = (
        64 << 20
    )  # bytes in memory of what is not yet kept


class Segments(Setting):
    """When what was written is sealed and compressed."""

    octets: Annotated[int, Meta(ge=1_000, le=1 << 36)] = 256 << 20
    seconds: Annotated[float, Meta(ge=1, le=3600)] = 900.0


class CollectorSettings(Setting):
    """collector.toml."""

    listen: Annotated[tuple[str, ...], Meta(min_length=1)]  # ADDRESS:PORT of plain HTTP, for a reverse proxy
    storage: Annotated[str, Meta(min_length=1)]  # a folder; other collectors may write to the same
    name: str = "collector"  # of this collector among those of a storage
    key: str = ""  # PEM of the key that signs receipts; none: key.pem in the storage, made if it is not there
    readers: tuple[str, ...] = ()  # digests of the tokens of those who may fetch segments; none: nobody may
    free: Annotated[int, Meta(ge=0, le=1 << 50)] = 512 << 20  # bytes of the disk below which nothing is taken
    limits: Limits = Limits()
    segments: Segments = Segments()


def load(path: Path) -> CollectorSettings:
    """Read and check a file; paths in it are relative to its folder. Raises ConfigError."""
    settings = read(path, CollectorSettings)
    for index, text in enumerate(settings.listen):
        reason = _why_not(text)
        if reason:
            raise ConfigError(str(path), f"listen[{index}]", f"{text!r} {reason}")
    if not _NAME.fullmatch(settings.name):
        raise ConfigError(str(path), "name", "is not a word of lower-case letters, digits and hyphens")
    for index, text in enumerate(settings.readers):
        if not _DIGEST.fullmatch(text):
            reason = "is no digest of a token; probe collect --token makes a token and its digest"
            raise ConfigError(str(path), f"readers[{index}]", reason)
    if settings.limits.waiting < 2 * settings.limits.document:
        raise ConfigError(str(path), "limits.waiting", "is less than two runs (limits.document)")
    storage = path.parent / settings.storage
    key = str(path.parent / settings.key) if settings.key else str(storage / "key.pem")
    return msgspec.structs.replace(settings, storage=str(storage), key=key)


def example() -> str:
    """A collector.toml with everything in it explained."""
    return _EXAMPLE.read_text(encoding="utf-8")


def _why_not(text: str) -> str:
    try:
        address, _ = endpoint(text)
    except ValueError as error:
        return str(error)
    if ipaddress.ip_address(address).is_global:
        return "is public, and this is plain HTTP; a reverse proxy has the public address and the certificate"
    return ""
