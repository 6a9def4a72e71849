"""A live line of what is being measured and how long it can still take."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn
from rich.progress import Progress as Bar

from probe.language import _
from probe.rounds import Progress


@contextmanager
def live() -> Iterator[Callable[[Progress], None]]:
    """Show progress on stderr; gone when the run ends."""
    with Bar(
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task(_("looking at the network"), total=None)

        def tell(progress: Progress) -> None:
            what = _("{what}, at most {seconds} s left").format(
                what=progress.what[:34], seconds=f"{progress.seconds_left:.0f}"
            )
            bar.update(task, completed=progress.done, total=progress.total, description=what)

        yield tell


@contextmanager
def several(quiet: bool) -> Iterator[Callable[[str, Progress], None] | None]:
    """Show the progress of several runs at once on stderr, if somebody is looking."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield None
        return
    with Bar(
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
        console=console,
        transient=True,
    ) as bar:
        tasks: dict[str, TaskID] = {}

        def tell(name: str, progress: Progress) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(name, total=progress.total)
            bar.update(tasks[name], completed=progress.done, description=f"{name}: {progress.what[:34]}")

        yield tell
