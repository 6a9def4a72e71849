"""Read a TOML file into a setting, or refuse it in one sentence: which file, which key, and why."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

R = TypeVar("R")


class ConfigError(Exception):
    """A configuration file is wrong: which file, which key, and why."""

    def __init__(self, file: str, key: str, reason: str) -> None:
        super().__init__(f"{file}: {key}: {reason}" if key else f"{file}: {reason}")
        self.file, self.key, self.reason = file, key, reason


def text(path: Path, seen: Callable[[bytes], None] = lambda raw: None) -> str:
    """A file's text; `seen` gets its bytes. Raises ConfigError."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigError(str(path), "", f"cannot be read ({error.strerror})") from None
    seen(raw)
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(str(path), "", f"is not UTF-8 text (byte {error.start})") from None


def read(path: Path, shape: type[R], seen: Callable[[bytes], None] = lambda raw: None) -> R:
    """A file as a setting of this shape. Raises ConfigError."""
    try:
        return msgspec.convert(tomllib.loads(text(path, seen)), shape)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(str(path), "", f"is not TOML: {error}") from None
    except msgspec.ValidationError as error:
        reason, _, where = str(error).partition(" - at `$")
        reason = reason[:1].lower() + reason[1:]
        raise ConfigError(str(path), where.strip("`").lstrip("."), reason) from None
