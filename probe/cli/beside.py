"""Several networks side by side, and in words how they differ."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from probe.cli import words
from probe.cli.report import cell
from probe.cli.terminal import console
from probe.language import _, apart
from probe.model import Judgement, Purpose, Verdict
from probe.words import mechanism

_PURPOSES: tuple[Purpose, ...] = ("messaging", "calls")


def show_beside(networks: Sequence[tuple[str, Judgement]]) -> None:
    """Print one table per network next to each other, then the differences."""
    out = console()
    grid = Table.grid(padding=(0, 2))
    grid.add_row(
        *(_table(name, judgement, first=not index) for index, (name, judgement) in enumerate(networks))
    )
    out.print(grid)
    out.print()
    for sentence in differences(networks):
        out.print(sentence)


def _table(name: str, judgement: Judgement, *, first: bool) -> Table:
    made = Table(
        title=name, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim"
    )
    if first:
        made.add_column(apart(_("service")), no_wrap=True)
    for purpose in _PURPOSES:
        made.add_column(apart(words.purpose(purpose)), no_wrap=True)
    for service, verdicts in judgement.services.items():
        cells = [cell(purpose, verdicts.get(purpose)) for purpose in _PURPOSES]
        made.add_row(*([Text(apart(words.plain(service)))] if first else []), *cells)
    return made


def differences(networks: Sequence[tuple[str, Judgement]]) -> list[str]:
    """One sentence for each service and purpose that does not fare alike everywhere."""
    sentences = []
    services = dict.fromkeys(service for _, judgement in networks for service in judgement.services)
    for service in services:
        for purpose in _PURPOSES:
            found = [
                (name, verdict)
                for name, judgement in networks
                if (verdict := judgement.services.get(service, {}).get(purpose)) is not None
            ]
            if len({verdict.state for _, verdict in found}) > 1:
                sentences.append(
                    _("{service}, {purpose}: {fates}.").format(
                        service=words.plain(service),
                        purpose=words.purpose(purpose),
                        fates=_fates(purpose, found),
                    )
                )
    return sentences or [_("No difference between these networks.")]


def _fates(purpose: str, found: Sequence[tuple[str, Verdict]]) -> str:
    by_fate: dict[str, list[str]] = {}
    for name, verdict in found:
        how = f" ({mechanism(verdict.mechanism, verdict.because)})" if verdict.mechanism else ""
        by_fate.setdefault(f"{words.state(purpose, verdict)}{how}", []).append(f'"{words.plain(name)}"')
    return "; ".join(
        _("{fate} on {networks}").format(fate=fate, networks=_(" and ").join(names))
        for fate, names in by_fate.items()
    )
