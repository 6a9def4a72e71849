"""Where things are kept: configs, results, and later the queue, keys and consent."""

import os
from pathlib import Path

from probe.toml_file import ConfigError


def home(given: Path | None = None) -> Path:
    """The home: given, PROBE_HOME, the nearest checkout upwards, else the platform's user data folder."""
    if given is not None:
        if not given.is_dir():
            raise ConfigError(str(given), "", "is not a folder, so it cannot be the home")
        return given
    named = os.environ.get("PROBE_HOME")
    if named:
        return Path(named)
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "configs").is_dir() and (folder / "results").is_dir():
            return folder
    from platformdirs import user_data_path

    return user_data_path("callreach")


def configs(where: Path, given: Path | None = None) -> Path:
    """The configs: given, the home's, else those that came with the program."""
    if given is not None:
        return given
    own = where / "configs"
    if (own / "probe.toml").is_file():
        return own
    package = Path(__file__).parent
    shipped = package / "configs"
    return shipped if shipped.is_dir() else package.parent / "configs"


def results(where: Path, given: Path | None = None) -> Path:
    """The folder that runs land in."""
    return given if given is not None else where / "results"
