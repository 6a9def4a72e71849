"""The reader's language: every text that a volunteer reads goes through `_`, to a gettext catalogue."""

import gettext
import os
from functools import lru_cache
from pathlib import Path

_DOMAIN = "callreach"
_LOCALE = Path(__file__).parent / "locale"
ENGLISH = "en"


@lru_cache(maxsize=1)
def _catalogue() -> gettext.NullTranslations:
    """The first catalogue that LANGUAGE, LC_ALL, LC_MESSAGES and LANG ask for; English where there is none."""
    return gettext.translation(_DOMAIN, _LOCALE, fallback=True)


def languages() -> list[str]:
    """Those in which texts can be read."""
    return sorted(
        [ENGLISH, *(path.parent.parent.name for path in _LOCALE.glob(f"*/LC_MESSAGES/{_DOMAIN}.mo"))]
    )


def speak(language: str) -> None:
    """From now on this language, whatever the environment asked for; also in processes started from here."""
    os.environ["LANGUAGE"] = language
    _catalogue.cache_clear()


def language() -> str:
    """The language of the catalogue, as gettext calls it: "ru"; empty for English."""
    return str(_catalogue().info().get("language", ""))


def _(text: str) -> str:
    """The text in the reader's language; as it is where nobody translated it."""
    return _catalogue().gettext(text)


def _n(one: str, several: str, count: int) -> str:
    """The text for this many things, in the reader's language."""
    return _catalogue().ngettext(one, several, count)
