"""What the volunteer agreed to: how far tests may go, whom test calls go to, whom results go to.

One file of the home, `consent.json`. It lists what was agreed to and not a digest of it, so that when the tests
change, only what is new asks for a new word, and can be named.
"""

from datetime import datetime
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import msgspec

from probe import durable, plan
from probe.catalogue import Catalogue
from probe.record import Record, line
from probe.toml_file import ConfigError

WORDING = 1  # raised when the text that is agreed to says something new
Level: TypeAlias = Literal["none", "default", "extended", "all"]
LEVELS: tuple[Level, ...] = get_args(Level)
Tests: TypeAlias = Literal["default", "extended", "all"]
_TIERS = ("core", "extra", "experimental")


class Consent(Record):
    """What was agreed to. `tests` is "none" where only test calls were asked about."""

    tests: Level = "none"
    given: datetime | None = None
    covers: tuple[str, ...] = ()  # see `scope`
    country: str = ""  # where the volunteer said that they measure
    noted: tuple[str, ...] = ()  # countries whose note was shown
    far_ends: tuple[str, ...] = ()  # hosts that test calls may go to
    collectors: tuple[str, ...] = ()  # hosts that results may go to
    uploads_since: datetime | None = None  # runs before were not made to be sent


def path(home: Path) -> Path:
    """Where it is kept."""
    return home / "consent.json"


def read(home: Path) -> Consent:
    """What was agreed to; nothing if there is no file. Raises ConfigError: a damaged consent is none."""
    file = path(home)
    try:
        return msgspec.json.decode(file.read_bytes(), type=Consent)
    except (FileNotFoundError, NotADirectoryError):
        return Consent()
    except OSError as error:
        raise ConfigError(str(file), "", f"cannot be read ({error.strerror})") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ConfigError(
            str(file), "", "is damaged, so it agrees to nothing; delete it and say `probe consent`"
        ) from None


def keep(home: Path, consent: Consent) -> None:
    """Write it down. Raises OSError."""
    durable.write(path(home), line(consent))


def forget(home: Path) -> None:
    """From now on nothing is agreed to. Raises OSError."""
    durable.remove(path(home))


def with_collector(consent: Consent, host: str, now: datetime) -> Consent:
    """The same, and results may go to this host from now on."""
    return msgspec.structs.replace(
        consent,
        collectors=tuple(dict.fromkeys((*consent.collectors, host))),
        uploads_since=consent.uploads_since or now.replace(microsecond=0),
    )


def scope(catalogue: Catalogue, tests: Tests) -> tuple[str, ...]:
    """What these tests are to the volunteer, in words that are compared: whom they touch, how, and who is asked.

    New addresses of a service change nothing of it; a new service, a new kind of step or a new operator does.
    """
    jobs = plan.jobs(catalogue, catalogue.services, plan.Options(tests=tests, tiers=_TIERS))
    found = {f"text {WORDING}", f"network named by {catalogue.settings.network.by}"}
    found |= {f"service {job.service}" for job in jobs if job.service}
    found |= {f"step {step.__struct_config__.tag}" for job in jobs for step in job.target.steps}
    found |= {f"resolver {r.operator or r.name}" for r in catalogue.settings.resolvers}
    return tuple(sorted(found))


def lacking(consent: Consent, catalogue: Catalogue, tests: Tests) -> tuple[str, ...]:
    """What these tests would do that nobody agreed to; empty if they may begin."""
    higher = LEVELS.index(tests) > LEVELS.index(consent.tests)
    new = sorted(set(scope(catalogue, tests)) - set(consent.covers))
    return (f"tests {tests}", *new) if higher else tuple(new)
