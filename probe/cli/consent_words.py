"""What a volunteer reads before anything is sent. One place, so that it can be translated whole."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from probe.language import _, language

if TYPE_CHECKING:
    from probe.catalogue import Catalogue
    from probe.countries import Country


def explanation(catalogue: "Catalogue", collectors: Sequence[str]) -> str:
    """The whole of what is agreed to, in paragraphs; raise `consent.WORDING` when it says something new."""
    limits = catalogue.settings.limits
    asked = ", ".join(dict.fromkeys(r.operator for r in catalogue.settings.resolvers if r.operator))
    messengers = [s for s in catalogue.services if any(target.at == "endpoint" for target in s.targets)]
    said = {
        "services": len(messengers),
        "megabytes": f"{limits.bytes / 1e6:.0f}",
        "seconds": f"{limits.seconds:.0f}",
        "resolvers": asked or _("nobody else"),
        "collectors": ", ".join(collectors) or _("nobody: no collector is set"),
    }
    return "\n\n".join(_wrapped(text.format(**said)) for text in _paragraphs())


def _paragraphs() -> list[str]:
    return [
        _("Before anything is sent, please read what this program does."),
        _(
            "WHAT IS SENT. It looks up the names of {services} messengers at your own resolver and at public"
            " ones ({resolvers}), connects to the messengers' servers and begins as their apps begin. No account,"
            " no phone number, no message, no call to anybody, no content pages. A run takes at most {seconds}"
            " seconds and {megabytes} MB, test calls apart."
        ),
        _(
            "TO WHOM IT LOOKS LIKE WHAT. To your provider, your employer or whoever else runs this network: a"
            " phone on which {services} messengers start at once, many times if you set a timer. To the"
            " messengers: a visitor who leaves at once. To learn which network this is, public servers are asked"
            " how they see your address, and one of them gets a question that holds it."
        ),
        _(
            "WHO CAN SEE IT. Everybody on the way sees which servers are contacted, and those servers see your"
            " address, as with anything you do online. Nothing is hidden and nothing is circumvented."
        ),
        _(
            "WHAT IS NEVER KEPT. Your addresses, the name of your Wi-Fi, the name of this machine, hardware"
            " addresses, accounts, your place. What is kept is text on this machine that you can read: the"
            " network's number and country, times, and what each server answered."
        ),
        _(
            "WHERE RESULTS GO. Nowhere unless you agree to that too. Results would go to: {collectors}. They"
            " are signed with a key made for this network alone, which `probe consent forget` throws away."
        ),
        _(
            "HOW FAR TESTS GO. default: what the apps do. extended: also says blocked services' names to"
            " unrelated servers and sends flows to call relays, which a filter may notice. all: everything,"
            " experiments too. Test calls are asked about apart, for each far end."
        ),
        _(
            "WHAT TO WEIGH. We know of nobody who came to harm by such tests, and that is no guarantee. In some"
            " countries contacting some services draws attention. On a network that is not yours (work, school)"
            " measuring may break its rules. If in doubt, do not."
        ),
        _(
            "HOW TO STOP. Ctrl-C stops a run at once. `probe consent withdraw` stops timers and uploads;"
            " with --erase it also erases what is kept."
        ),
    ]


def country_note(country: "Country") -> str:
    """What to know of a country, and who says so."""
    confidence = {"high": _("sure"), "medium": _("fairly sure"), "low": _("not sure")}[country.confidence]
    said = country.words.get(language(), country)
    return _wrapped(
        _("{name}: {note} (Source: {source}; {confidence}. Not legal advice.)").format(
            name=said.name.upper(),
            note=said.note,
            source=country.source,
            confidence=confidence,
        )
    )


def whats_new(lacking: Sequence[str]) -> str:
    """What makes it ask again."""
    return _wrapped(
        _("The tests have changed since you agreed. New: {what}.").format(what=", ".join(lacking))
    )


def question(tests: str) -> str:
    """The question about tests."""
    return _("Do you agree to the {tests} tests?").format(tests=tests)


def question_country() -> str:
    """The question where one measures; it is asked so that nothing must be sent to find out."""
    return _("In which country do you measure (two letters, or - to not say)")


def question_upload(host: str) -> str:
    """The question about results."""
    return _("May results be sent to {host}?").format(host=host)


def nobody_there_to_agree() -> str:
    """Where there is no terminal to ask on before a run."""
    return _("Nobody is there to agree: say --agree, or `probe consent --agree` once and for all.")


def nobody_there_for_uploads(host: str) -> str:
    """The same before an upload."""
    text = _("Nobody is there to agree: say --agree, or `probe consent --agree --upload` for {host}.")
    return text.format(host=host)


def nobody_there_to_erase() -> str:
    """The same before everything is erased."""
    return _("Nobody is there to agree: say --yes with --erase.")


def nothing_was_sent() -> str:
    """After a no."""
    return _("nothing was sent")


def agreed(path: Path) -> str:
    """After a yes."""
    return _("Agreed. It is kept in {path}; `probe consent withdraw` takes it back.").format(path=path)


def question_erase() -> str:
    """The question before everything is erased."""
    return _("Erase results, the queue with runs that were not sent, receipts and keys?")


def not_written(path: Path, reason: str) -> str:
    """Where an agreement cannot be kept."""
    return _("{path}: cannot be written ({reason}); you will be asked again").format(path=path, reason=reason)


def _wrapped(text: str) -> str:
    """In lines of 79 columns; Chinese letters take two each."""
    from rich.cells import cell_len

    return textwrap.fill(text, 79 * len(text) // max(cell_len(text), len(text)))
