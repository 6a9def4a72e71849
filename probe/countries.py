"""What is known of the risk of measuring in a country, from `configs/countries.toml`; not legal advice."""

from datetime import date
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from probe.record import Setting
from probe.toml_file import ConfigError, read


class Words(Setting):
    """The same in another language."""

    name: str
    note: str


class Country(Setting):
    """What a volunteer should know before they measure there, who says so, and how sure that is."""

    country: Annotated[str, Meta(pattern="^[A-Z]{2}$")]
    name: str
    note: str
    source: str
    confidence: Literal["high", "medium", "low"]
    # Not done there unless asked for by name: test calls to the far end of the settings; tests beyond default.
    avoid: tuple[Literal["calls", "extended"], ...] = ()
    words: dict[str, Words] = {}  # by language


class Countries(Setting):
    """configs/countries.toml."""

    checked: date
    countries: tuple[Country, ...]


def load(configs: Path) -> dict[str, Country]:
    """The notes by country code; none where there is no such file. Raises ConfigError."""
    file = configs / "countries.toml"
    if not file.is_file():
        return {}
    found: dict[str, Country] = {}
    for one in read(file, Countries).countries:
        if one.country in found:
            raise ConfigError(str(file), "countries", f"{one.country} is there twice")
        found[one.country] = one
    return found
