"""The reader's language: every text that a volunteer reads goes through `_`, to a gettext catalogue."""

import gettext
from functools import lru_cache
from pathlib import Path

_DOMAIN = "callreach"


@lru_cache(maxsize=1)
def _catalogue() -> gettext.NullTranslations:
    """The first catalogue that LANGUAGE, LC_ALL, LC_MESSAGES and LANG ask for; English where there is none."""
    return gettext.translation(_DOMAIN, Path(__file__).parent / "locale", fallback=True)


def language() -> str:
    """The language of the catalogue, as gettext calls it: "ru"; empty for English."""
    return str(_catalogue().info().get("language", ""))


def _(text: str) -> str:
    """The text in the reader's language; as it is where nobody translated it."""
    return _catalogue().gettext(text)


def _n(one: str, several: str, count: int) -> str:
    """The text for this many things, in the reader's language."""
    return _catalogue().ngettext(one, several, count)
