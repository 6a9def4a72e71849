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
    short_help="Three small networks on this machine, side by side, and a report of them.",
    epilog="Examples:  probe demo  |  probe demo --html report.html  |  probe demo --keep DIR, then probe show --home"
    " DIR/calls-filtered",
)
def demo(
    keep: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep configurations and results in this new folder.")
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where the report goes; else into --keep, or a temporary file."),
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
    with tempfile.TemporaryDirectory(prefix="callreach-") as temporary:
        with several(json) as tell:
            acts = asyncio.run(perform(keep or Path(temporary), tell))
        _print(acts, json=json)
        if not json or html is not None:
            finale([act.finished.path for act in acts], html or _page(keep))
    if keep is not None and not json:
        text = _("Kept. Look closer: `probe show --home {folder}`")
        sys.stdout.write(text.format(folder=keep / "calls-filtered") + "\n")


def _page(keep: Path | None) -> Path:
    """Where the report goes if nobody says: into what is kept, else to a file that outlives this program."""
    import tempfile

    if keep is not None:
        return keep / "report.html"
    return Path(tempfile.mkdtemp(prefix="callreach-demo-"), "report.html")


def finale(runs: list[Path], page: Path) -> None:
    """Compare the runs as `probe compare` does; say what the report says first, and where it is."""
    from probe.cli.extra import missing_analysis

    if missing_analysis("the comparison of these networks") is not None:
        return
    from probe.analysis.compare import Ask
    from probe.analysis.report.lead import lead
    from probe.analysis.report.words import bare
    from probe.cli.compare import compared
    from probe.cli.page import write_page
    from probe.cli.terminal import console

    comparison, claimed, gathered, evidence = compared(runs, Ask(), claims=True, page=True)
    assert evidence is not None
    out = console()
    said = lead(comparison, claimed, {})
    out.print()
    out.print(_("Compared (`probe compare`):"), style="bold")
    for sentence in (said.first, *said.more):
        out.print(bare(sentence))
    out.print(said.unsure[0], style="dim")
    write_page(page, comparison, claimed, evidence, gathered)


def _print(acts: "list[Act]", *, json: bool) -> None:
    if json:
        import msgspec

        from probe.cli.report import as_json

        objects = [as_json(act.finished) | {"label": act.network.name} for act in acts]
        sys.stdout.buffer.write(msgspec.json.encode(objects) + b"\n")
        return
    from probe.cli.beside import show_beside

    show_beside([(act.network.name, act.finished.judgement) for act in acts])
