"""A comparison as a file that people can read."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from probe.cli import fail

if TYPE_CHECKING:
    from probe.analysis.claims import Claim
    from probe.analysis.compare import Comparison
    from probe.analysis.report.evidence import Evidence
    from probe.analysis.sources import Gathered


def write_page(
    path: Path,
    comparison: "Comparison",
    claimed: "list[Claim] | None",
    evidence: "Evidence",
    gathered: "Gathered",
) -> None:
    """Write the report, and say on stderr where it is."""
    from probe.analysis.report.page import is_translated, report
    from probe.language import language
    from probe.net import SystemNet

    page = report(comparison, claimed, evidence, gathered, titles=_titles(), made=SystemNet().utc())
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise fail(f"--html: {path} cannot be written: {error.strerror}") from None
    english = "" if is_translated() else f" (in English: it is not translated into {language()!r} yet)"
    sys.stderr.write(f"The report: {path}{english}\n")


def _titles() -> dict[str, str]:
    """Services as people write them, as far as the catalogue knows them."""
    from probe import home
    from probe.configs import load
    from probe.toml_file import ConfigError

    try:
        return {service.service: service.title for service in load(home.configs(home.home())).services}
    except ConfigError:
        return {}  # a catalogue that somebody is working on; runs can be compared all the same
