"""`probe upload`: send what waits, and keep the receipts."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from probe.cli import Configs, Home, Json, Results, app, fail
from probe.language import N_, _, said

if TYPE_CHECKING:
    from probe.upload.deliver import Delivery

# Collectors' words, as receipts keep them.
_WORDS = (N_("kept"), N_("kept aside"), N_("refused"), N_("deleted"))


@app.command(
    short_help="Send results that wait to the collectors you agreed to.",
    epilog="Examples:  probe upload  |  probe upload --dry-run  |  probe upload --list  |"
    "  ALL_PROXY=socks5://127.0.0.1:9050 probe upload  |  probe upload --delete 3f0c9a1d2b4e5f60",
)
def upload(
    runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN]...", help="Files or ids to send; without, all that waits."),
    ] = None,
    to: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="Collectors, instead of those in configs/probe.toml."),
    ] = None,
    key: Annotated[
        str, typer.Option(metavar="KEY", help="The key that the receipts of --to must be signed with.")
    ] = "",
    proxy: Annotated[
        str, typer.Option(metavar="URL", help="socks5://HOST:PORT or http://HOST:PORT.", envvar="ALL_PROXY")
    ] = "",
    everything: Annotated[
        bool, typer.Option("--all", help="Also runs made before you agreed to uploads.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Send nothing: print exactly what would leave.")
    ] = False,
    listing: Annotated[
        bool, typer.Option("--list", help="Send nothing: list what waits and what became of runs.")
    ] = False,
    delete: Annotated[
        bool, typer.Option("--delete", help="Ask the collectors to delete the RUNs that were sent.")
    ] = False,
    agree: Annotated[bool, typer.Option("--agree", help="Agree to this upload, for this once.")] = False,
    json: Json = False,
    configs: Configs = None,
    results: Results = None,
    home: Home = None,
) -> None:
    """Send results that wait, and keep each collector's receipt.

    Nothing is sent before you agreed (`probe consent`), and nothing is lost when it is stopped. --dry-run shows
    every byte. Exit code: 0 nothing waits any more; 1 something waits on, or was refused; 2 wrong usage, no
    collector, no consent.
    """
    from probe import home as homes
    from probe.cli.uploading import Upload
    from probe.cli.uploading import listing as waiting
    from probe.lock import Busy
    from probe.toml_file import ConfigError
    from probe.upload.keys import KeyFileError
    from probe.upload.queue import QueueError

    try:
        where = homes.home(home)
        if listing:
            _list(waiting(where), json=json)
            return
        this = Upload.prepare(
            where, homes.configs(where, configs), homes.results(where, results), to=to, key=key, proxy=proxy
        )
        if dry_run:
            this.show(runs or [], everything=everything, json=json)
            return
        this.require_consent(agree=agree)
        if delete:
            _deleted(this.delete(runs or []), json=json)
            return
        delivery = this.deliver(runs or [], everything=everything, quiet=json)
    except Busy:
        raise fail(_("another upload is under way"), 1) from None
    except (ConfigError, QueueError, KeyFileError) as error:
        raise fail(str(error)) from None
    except OSError as error:
        raise fail(f"{error.filename or where}: {error.strerror}", 1) from None
    _print(delivery, json=json)
    raise typer.Exit(1 if delivery.waiting or delivery.said("refused") else 0)


def _print(delivery: "Delivery", *, json: bool) -> None:
    for problem in delivery.problems:
        sys.stderr.write(f"probe: {said(problem)}\n")
    told = {
        "kept": delivery.said("kept"),
        "kept_aside": delivery.said("kept aside"),
        "refused": delivery.said("refused"),
        "waiting": delivery.waiting,
        "bytes": delivery.octets,
    }
    if json:
        _print_json(told | {"runs": delivery.outcomes})
        return
    counted = [_("{count} kept by collectors").format(count=told["kept"])]
    if told["kept_aside"]:
        counted.append(_("{count} kept aside").format(count=told["kept_aside"]))
    if told["refused"]:
        counted.append(_("{count} refused").format(count=told["refused"]))
    counted.append(_("{count} waiting").format(count=told["waiting"]))
    sys.stdout.write(", ".join(counted) + "\n")


def _list(told: dict[str, Any], *, json: bool) -> None:
    if json:
        _print_json(told)
        return
    for run in told["waiting"]:
        sys.stdout.write(f"{run}  {_('waits')}\n")
    for outcome in told["outcomes"]:
        why = f": {outcome.reason}" if outcome.reason else ""
        signed = ", " + _("receipt verified") if outcome.verified else ""
        at = f"{outcome.at:%Y-%m-%d %H:%M}"
        text = _("{word} by {collector} at {time}")
        told_so = text.format(word=said(outcome.word), collector=outcome.collector, time=at)
        sys.stdout.write(f"{outcome.run}  {told_so}{signed}{why}\n")


def _deleted(told: list[dict[str, str]], *, json: bool) -> None:
    if json:
        _print_json({"runs": told})
    else:
        for one in told:
            sys.stdout.write(f"{one['run']}  {one['collector']}: {said(one['said'])}\n")


def _print_json(told: object) -> None:
    import msgspec

    sys.stdout.buffer.write(msgspec.json.encode(told) + b"\n")
    sys.stdout.flush()
