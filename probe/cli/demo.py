"""`probe demo`: the whole chain on loopback."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from probe.cli import Json, app, fail
from probe.language import _

if TYPE_CHECKING:
    from probe.demo.stage import Act


@app.command(
    short_help="Three small networks on this machine, side by side.",
    epilog="Examples:  probe demo  |  probe demo --keep DIR, then probe show --home DIR/calls-filtered",
)
def demo(
    keep: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep configurations and results in this new folder.")
    ] = None,
    json: Json = False,
) -> None:
    """Run the real probe through three small networks on this machine; no internet, no root, half a minute."""
    import asyncio
    import tempfile

    from probe.cli.progress import several
    from probe.demo.stage import perform

    if keep is not None and keep.exists() and any(keep.iterdir()):
        raise fail(_("{folder}: is not empty; --keep wants a new folder").format(folder=keep))
    with tempfile.TemporaryDirectory(prefix="callreach-") as temporary, several(json) as tell:
        acts = asyncio.run(perform(keep or Path(temporary), tell))
    _print(acts, keep, json=json)


def _print(acts: "list[Act]", keep: Path | None, *, json: bool) -> None:
    if json:
        import msgspec

        from probe.cli.report import as_json

        objects = [as_json(act.finished) | {"label": act.network.name} for act in acts]
        sys.stdout.buffer.write(msgspec.json.encode(objects) + b"\n")
        return
    from probe.cli.beside import show_beside

    show_beside([(act.network.name, act.finished.judgement) for act in acts])
    if keep is not None:
        text = _("Kept. Look closer: `probe show --home {folder}`")
        sys.stdout.write(text.format(folder=keep / "calls-filtered") + "\n")
