"""What a run has to do with the queue: whether there is room for it, and joining it when it is done."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from probe.cli import fail
from probe.language import _

if TYPE_CHECKING:
    from probe.catalogue import Catalogue


def refuse_if_full(home: Path, catalogue: "Catalogue") -> None:
    """Measure nothing that could not be kept. Raises typer.Exit (1); what waits is never deleted to make room."""
    from probe.upload.room import shortage

    if sentence := shortage(home, catalogue.settings.queue):
        raise fail(sentence, 1)


def queue_up(home: Path, path: Path, *, quiet: bool) -> None:
    """Queue a finished run if the volunteer agreed to uploads; say so on stderr, and where that fails."""
    from probe import consent
    from probe.toml_file import ConfigError
    from probe.upload.keys import KeyFileError
    from probe.upload.queue import Queue, QueueError

    try:
        if not consent.read(home).collectors:
            return
        run = Queue(home).add(path)
        if not quiet:
            told = _(
                "this run waits to be sent: `probe upload --dry-run {run}` shows every byte, `probe upload` sends it"
            )
            sys.stderr.write(f"probe: {told.format(run=run)}\n")
    except (ConfigError, QueueError, KeyFileError) as error:
        sys.stderr.write(f"probe: {error}\n")
