"""The reader's language: every text that a volunteer reads goes through `_`, to a gettext catalogue.

What is kept in files and given to machines stays English; `said` translates it when it is shown.
"""

import gettext
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

_DOMAIN = "callreach"
_LOCALE = Path(__file__).parent / "locale"
ENGLISH = "en"
_FROM_THE_RIGHT = ("ar", "fa")
_FIELD = re.compile(r"\{(\w+)\}")
_COMMAND = re.compile(r"`[^`]+`")
_english = False


@lru_cache(maxsize=1)
def _chosen() -> gettext.NullTranslations:
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
    _chosen.cache_clear()
    _templates.cache_clear()


def _catalogue() -> gettext.NullTranslations:
    return gettext.NullTranslations() if _english else _chosen()


def language() -> str:
    """The language of the catalogue, as gettext calls it: "ru"; empty for English."""
    return str(_catalogue().info().get("language", ""))


@contextmanager
def in_english() -> Iterator[None]:
    """Whatever is said in here is for machines, and the same in every language."""
    global _english
    before, _english = _english, True
    try:
        yield
    finally:
        _english = before


def _(text: str) -> str:
    """The text in the reader's language; as it is where nobody translated it."""
    return _set_apart(text, _catalogue().gettext(text))


def _n(one: str, several: str, count: int) -> str:
    """The text for this many things, in the reader's language."""
    return _set_apart(one if count == 1 else several, _catalogue().ngettext(one, several, count))


def N_(text: str) -> str:  # noqa: N802 - gettext's name for it
    """The text as it is, marked for translators; `_` or `said` translates it where it is shown."""
    return text


def said(sentence: str, *, at_least: int = 10) -> str:
    """An English sentence as a rule or a log keeps it, with its numbers filled in, in the reader's language.

    The catalogue's own texts are the templates it may have been made from; what was filled in may be one again.
    """
    catalogue = _catalogue()
    if type(catalogue) is gettext.NullTranslations or not sentence:
        return sentence
    exact = catalogue.gettext(sentence)
    if exact != sentence:
        return _set_apart(sentence, exact)
    for template, longest, letters in _templates():
        found = (
            _pattern(template).fullmatch(sentence) if longest in sentence and letters >= at_least else None
        )
        if found:
            return _(template).format(
                **{name: _filled_in(value) for name, value in found.groupdict().items()}
            )
    return sentence


def _filled_in(value: str) -> str:
    """A name or number stays as it is; words may be few letters by themselves."""
    return said(value, at_least=5) if " " in value else value


@lru_cache(maxsize=1)
def _templates() -> list[tuple[str, str, int]]:
    """Translated texts with fields, those that say most by themselves first: its longest part, all its letters."""
    texts = [text for text in vars(_chosen()).get("_catalog", {}) if isinstance(text, str)]
    found = []
    for text in texts:
        parts = _FIELD.sub("\0", text).split("\0")
        if len(parts) > 1:
            found.append((text, max(parts, key=len), sum(map(len, parts))))
    return sorted(found, key=lambda template: template[2], reverse=True)


@lru_cache
def _pattern(template: str) -> re.Pattern[str]:
    """What matches every text made from this template."""
    made, seen = "", set()
    for index, part in enumerate(_FIELD.split(template)):
        if index % 2 == 0:
            made += re.escape(part)
        else:
            made += f"(?P={part})" if part in seen else f"(?P<{part}>.*?)"
            seen.add(part)
    return re.compile(made, re.DOTALL)


def _set_apart(text: str, translated: str) -> str:
    """In what is written from the right, keep fields and commands from being reordered with their surroundings."""
    if translated == text or language() not in _FROM_THE_RIGHT:
        return translated
    return _FIELD.sub("\u2068\\g<0>\u2069", _COMMAND.sub("\u2066\\g<0>\u2069", translated))


def apart(text: str) -> str:
    """A cell of a table, kept from changing places with its neighbours where words are written from the right."""
    return f"\u2068{text}\u2069" if text and language() in _FROM_THE_RIGHT else text
