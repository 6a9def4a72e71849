"""Ask before anything is sent, once; the one place where a volunteer's word is taken."""

import locale
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from probe.cli import fail
from probe.cli.answers import confirmed

if TYPE_CHECKING:
    from probe.catalogue import Catalogue
    from probe.consent import Consent, Tests
    from probe.countries import Country


@dataclass(frozen=True, kw_only=True)
class Asking:
    """What is to be agreed to, and where that is kept."""

    home: Path
    configs: Path
    catalogue: "Catalogue"
    tests: "Tests"
    country: str = ""

    @property
    def collectors(self) -> tuple[str, ...]:
        """The hosts that results would go to."""
        return tuple(collector.host for collector in self.catalogue.settings.collectors)


def required(asking: Asking, *, agree: bool) -> None:
    """Return if these tests are agreed to, asking if need be. Raises typer.Exit if not, and ConfigError.

    `agree` is a word for this once: it is not written down.
    """
    from probe import consent

    kept = consent.read(asking.home)
    lacking = consent.lacking(kept, asking.catalogue, asking.tests)
    if agree:
        show_note(asking, asking.country or kept.country)
        return
    if lacking:
        ask(asking, lacking if kept.tests != "none" and not lacking[0].startswith("tests ") else ())


def ask(asking: Asking, new: Sequence[str] = ()) -> "Consent":
    """Explain, ask, and write the answer down. Raises typer.Exit where it is no, or nobody is there."""
    from probe.cli import consent_words as words

    explain(asking, new)
    if not sys.stdin.isatty():
        raise fail(words.nobody_there_to_agree())
    country = _country(asking)
    show_note(asking, country)
    if not confirmed(words.question(asking.tests)):
        raise fail(words.nothing_was_sent())
    collectors = tuple(host for host in asking.collectors if confirmed(words.question_upload(host)))
    return record(asking, country=country, collectors=collectors)


def explain(asking: Asking, new: Sequence[str] = ()) -> None:
    """Say all that is agreed to, on stderr."""
    from probe.cli import consent_words as words

    sys.stderr.write(words.explanation(asking.catalogue, asking.collectors) + "\n\n")
    if new:
        sys.stderr.write(words.whats_new(new) + "\n\n")


def record(
    asking: Asking, *, country: str, collectors: Sequence[str] = (), far_ends: Sequence[str] = ()
) -> "Consent":
    """Write an agreement down, added to what stood there. Raises typer.Exit where it cannot be written."""
    import msgspec

    from probe import consent
    from probe.net import SystemNet

    kept, now = consent.read(asking.home), SystemNet().utc().replace(microsecond=0)
    level = max(kept.tests, asking.tests, key=consent.LEVELS.index)
    agreed = msgspec.structs.replace(
        kept,
        tests=level,
        given=now,
        covers=tuple(sorted({*kept.covers, *consent.scope(asking.catalogue, asking.tests)})),
        country=country or kept.country,
        noted=tuple(dict.fromkeys((*kept.noted, *([country] if country else [])))),
        far_ends=tuple(dict.fromkeys((*kept.far_ends, *far_ends))),
        collectors=tuple(dict.fromkeys((*kept.collectors, *collectors))),
        uploads_since=kept.uploads_since or (now if collectors else None),
    )
    try:
        consent.keep(asking.home, agreed)
    except OSError as error:
        from probe.cli import consent_words as words

        sys.stderr.write(f"probe: {words.not_written(consent.path(asking.home), str(error.strerror))}\n")
    return agreed


def note_after(home: Path, configs: Path, country: str) -> None:
    """The note of a country that the network itself named, if it was not shown before."""
    import contextlib

    import msgspec

    from probe import consent

    kept = consent.read(home)
    note = advice(configs, country)
    if note is None or country in kept.noted or kept.tests == "none":
        return
    from probe.cli import consent_words as words

    sys.stderr.write("\n" + words.country_note(note) + "\n")
    with contextlib.suppress(OSError):
        consent.keep(home, msgspec.structs.replace(kept, noted=(*kept.noted, country)))


def advice(configs: Path, country: str) -> "Country | None":
    """What is known of a country. Raises ConfigError."""
    from probe import countries

    return countries.load(configs).get(country)


def _country(asking: Asking) -> str:
    """Asked and not measured: before there is an agreement nothing may be sent."""
    from probe.cli import consent_words as words

    if asking.country:
        return asking.country
    while True:
        said: str = typer.prompt(words.question_country(), default=_guess() or "-", err=True).strip().upper()
        if said == "-":
            return ""
        if len(said) == 2 and said.isascii() and said.isalpha():
            return said


def _guess() -> str:
    """The country of the language that the environment names; "" where it names none.

    Python's own word would be "US" wherever that locale is not installed.
    """
    named = next(filter(None, map(os.environ.get, ("LC_ALL", "LC_MESSAGES", "LANG"))), "")
    if not named and sys.platform == "win32":
        named = locale.getlocale()[0] or ""
    code = named.partition("_")[2][:2].upper()
    return code if len(code) == 2 and code.isascii() and code.isalpha() else ""


def show_note(asking: Asking, country: str) -> None:
    """What is known of the country, on stderr. Raises ConfigError."""
    from probe.cli import consent_words as words

    note = advice(asking.configs, country)
    if note is not None:
        sys.stderr.write(words.country_note(note) + "\n\n")
