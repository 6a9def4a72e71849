"""Commands that need packages a volunteer does not install."""

from importlib.util import find_spec
from typing import TYPE_CHECKING

from probe.cli import fail

if TYPE_CHECKING:
    import typer

_ANALYSIS = ("ibis", "duckdb", "pyarrow", "zstandard", "scipy", "jinja2", "matplotlib", "babel")


def missing_analysis(command: str) -> "typer.Exit | None":
    """Say what to install, and what to raise, if the packages for analysis are not there."""
    if all(find_spec(name) for name in _ANALYSIS):
        return None
    return fail(f"{command} needs packages for analysis; install them: pip install 'callreach[analysis]'")
