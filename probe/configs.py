"""Read a configuration folder whole, or refuse it in one sentence."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from probe.catalogue import Catalogue, Controls, Profiles, Service, Settings
from probe.coherence import check
from probe.media.shape import Shape
from probe.toml_file import ConfigError, read, text

R = TypeVar("R")


def load(folder: Path) -> Catalogue:
    """Read and check `folder`. Raises ConfigError."""
    if not (folder / "probe.toml").is_file():
        raise ConfigError(str(folder), "", "there is no probe.toml in this folder")
    reading = _Reading(folder)
    profiles = folder / "profiles.toml"
    catalogue = Catalogue(
        settings=reading.one("probe.toml", Settings),
        controls=reading.one("controls.toml", Controls).controls,
        services=reading.several("services", Service, "service"),
        anchors={
            path.stem: text(path, reading.seen(path)) for path in sorted((folder / "trust").glob("*.pem"))
        },
        shapes={shape.shape: shape for shape in reading.several("shapes", Shape, "shape")},
        profiles={p.name: p for p in reading.one("profiles.toml", Profiles).profiles}
        if profiles.is_file()
        else {},
        digest=reading.digest.hexdigest()[:16],
    )
    if not catalogue.services:
        raise ConfigError(str(folder / "services"), "", "there is no service here")
    check(catalogue, folder)
    return catalogue


class _Reading:
    """Reads files of one folder; all that was read makes the digest."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.digest = folder, hashlib.sha256()

    def seen(self, path: Path) -> Callable[[bytes], None]:
        return lambda raw: self.digest.update(path.name.encode() + b"\0" + raw + b"\0")

    def one(self, name: str, shape: type[R]) -> R:
        path = self._folder / name
        return read(path, shape, self.seen(path))

    def several(self, folder: str, shape: type[R], key: str) -> tuple[R, ...]:
        """Every file of a folder; each is called as the thing in it."""
        found = []
        for path in sorted((self._folder / folder).glob("*.toml")):
            thing = read(path, shape, self.seen(path))
            if getattr(thing, key) != path.stem:
                name = getattr(thing, key)
                raise ConfigError(str(path), key, f"is {name!r} but the file is called {path.name}")
            found.append(thing)
        return tuple(found)
