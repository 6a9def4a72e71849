"""Dates and numbers as the reader's language writes them. Times are UTC."""

from datetime import datetime

from probe.language import language


def locale() -> str:
    """The reader's locale, as CLDR calls it. Days stand before months in our English."""
    return language() or "en_GB"


def day(moment: datetime) -> str:
    """Day and month: "11 August"."""
    return _skeleton("MMMMd", moment)


def short_day(moment: datetime) -> str:
    """Day and month where there is little room: "11 Aug"."""
    return _skeleton("MMMd", moment)


def whole_day(moment: datetime) -> str:
    """Day, month and year: "11 August 2026"."""
    from babel.dates import format_date

    return str(format_date(moment, "long", locale=locale()))


def minute(moment: datetime) -> str:
    """Day and time to the minute: "11 August 2026, 18:05 UTC"."""
    return f"{whole_day(moment)}, {moment:%H:%M} UTC"


def number(value: float, *, digits: int = 0) -> str:
    """Grouped, with the language's own decimal sign."""
    from babel.numbers import format_decimal

    return str(format_decimal(round(value, digits), locale=locale(), format=None))


def _skeleton(skeleton: str, moment: datetime) -> str:
    from babel.dates import format_skeleton

    return str(format_skeleton(skeleton, moment, locale=locale()))
