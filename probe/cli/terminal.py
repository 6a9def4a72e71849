"""The one console: no markup and no emoji in what it prints, because some of it comes from strangers."""

from rich.console import Console


def console() -> Console:
    """A console on stdout, at most 100 columns wide, 80 where nobody says how wide."""
    return Console(width=min(Console().width, 100), highlight=False, markup=False, emoji=False)
