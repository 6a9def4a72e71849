"""Test calls: whom they go to, what they cost, and whether the user agreed, once for each far end."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from probe.cli import fail
from probe.cli.answers import confirmed
from probe.language import _, language

if TYPE_CHECKING:
    from collections.abc import Sequence

    from probe.catalogue import Catalogue, Service, Target
    from probe.cli.agreeing import Asking
    from probe.placing import Cost
    from probe.plan import Options


def agreed(
    asking: "Asking",
    chosen: "tuple[Service, ...]",
    options: "Options",
    url: str | None,
    *,
    agree: bool,
) -> "Options":
    """The options with the far end, if there is one and the user agrees. Raises ConfigError, or typer.Exit."""
    from probe import consent, placing
    from probe.plan import jobs
    from probe.toml_file import ConfigError

    catalogue, kept = asking.catalogue, consent.read(asking.home)
    given = catalogue.settings.far_end
    named = url is not None
    url = given.url if url is None else url
    if not url:
        _tell_of_loops(catalogue, chosen, options)
        return options
    try:
        options = replace(options, far_end=placing.far_end(url, given.trust))
    except ValueError as error:
        raise ConfigError("--far-end", _shown(url), str(error)) from None
    assert options.far_end is not None
    targets = [job.target for job in jobs(catalogue, chosen, options)]
    cost = placing.cost(targets, catalogue)
    if not named and cost.octets and _advised_against(asking, asking.country or kept.country):
        return replace(options, far_end=None)
    if not cost.octets or agree or options.far_end.host in kept.far_ends:
        return options
    text = asking_for_calls(options.far_end.host, targets, cost)
    if not sys.stdin.isatty():
        how = _('Nobody is there to agree: say --agree, or --far-end "" to measure without calls.')
        raise fail(f"{text}\n{how}")
    sys.stderr.write(f"{text}\n")
    if not confirmed(_("Place them?")):
        return replace(options, far_end=None)
    _remember(asking.home, options.far_end.host)
    return options


def asking_for_calls(host: str, targets: "Sequence[Target]", cost: "Cost") -> str:
    """What test calls are, whom they go to and what they cost."""
    text = _(
        "This places test calls to {host}: {what}.\n"
        "To whoever watches this network they look like calls to that machine. Its operator sees your address while"
        " they last.\n"
        "They take about {minutes} and {megabytes} each way. You are asked once for each far end."
    )
    return text.format(host=host, what=_what(targets), **_said(cost))


def _advised_against(asking: "Asking", country: str) -> bool:
    """Whether test calls are left out here unless a far end is named; says so."""
    from probe.cli.agreeing import advice

    note = advice(asking.configs, country)
    if note is None or "calls" not in note.avoid:
        return False
    text = _("test calls are left out in {name}; --far-end URL places them all the same")
    name = note.words.get(language(), note).name
    sys.stderr.write(f"probe: {text.format(name=name)}\n")
    return True


def _what(targets: "Sequence[Target]") -> str:
    from probe.steps import Call

    calls = any(isinstance(step, Call) for target in targets for step in target.steps)
    if calls:
        return _("one WebRTC call, and flows that look like calls of the services you chose")
    return _("flows that look like calls of the services you chose")


def _said(cost: "Cost") -> dict[str, str]:
    minutes = _("{count} minutes").format(count=f"{cost.seconds / 60:.0f}")
    seconds = _("{count} seconds").format(count=f"{cost.seconds:.0f}")
    megabytes = _("{count} MB").format(count=f"{cost.octets / 1e6:.1f}")
    return {"minutes": minutes if cost.seconds > 90 else seconds, "megabytes": megabytes}


def _tell_of_loops(catalogue: "Catalogue", chosen: "tuple[Service, ...]", options: "Options") -> None:
    """A TURN server in the settings is the user's own word; what it costs is said all the same."""
    from probe import placing
    from probe.plan import jobs

    loops = [job.target for job in jobs(catalogue, chosen, options) if job.target.at == "turn"]
    cost = placing.cost(loops, catalogue)
    if cost.octets:
        said = _said(cost)
        text = _("calls to yourself go through {host}, about {minutes} and {megabytes} each way.")
        sys.stderr.write(f"probe: {text.format(host=loops[0].host, **said)}\n")


def _shown(url: str) -> str:
    """The URL without the key, and without a password that should not be in it."""
    head = url.partition("#")[0]
    scheme, mark, rest = head.partition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}"


def _remember(home: Path, host: str) -> None:
    import msgspec

    from probe import consent

    kept = consent.read(home)
    try:
        consent.keep(home, msgspec.structs.replace(kept, far_ends=(*kept.far_ends, host)))
    except OSError as error:
        from probe.cli.consent_words import not_written

        sys.stderr.write(f"probe: {not_written(consent.path(home), str(error.strerror))}\n")
