"""Claims in the reader's language: every phrase stands in one table, and nothing else here is language."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import lru_cache
from math import ceil, floor
from typing import NamedTuple

from probe.analysis.claims import TROUBLE, Claim, Doubt, Span
from probe.analysis.dates import day
from probe.language import _, _n, language


class Headline(NamedTuple):
    """A sentence that may stand alone, and the claim it rests on."""

    text: str
    claim: Claim


def phrases() -> Mapping[str, str]:
    """Every phrase that has no number that changes its words, by what it is for, in the reader's language."""
    return _phrases(language())


@lru_cache(maxsize=4)
def _phrases(_language: str) -> Mapping[str, str]:
    return {
        "calls": _("calls"),
        "messaging": _("messages"),
        "web": _("its web version"),
        "fails": _("{subject} fail on {networks}{since}"),
        "intermittent": _("{subject} fail now and then on {networks}"),
        "degraded": _("{subject} get through impaired on {networks}{since}"),
        "differs": _("{subject} fail on {access} networks only{since}"),
        "began": _("{subject} began to fail on {networks}{since}"),
        "ended": _("{subject} failed on {networks}{since}{until}"),
        "down": _("{subject} failed in every country at once{since}{until}"),
        "works": _("{subject} work on {networks}"),
        "insufficient": _("of {subject} on {networks} there is too little to say"),
        "subject": _("{purpose} on {service}"),
        "tentative": _("It seems that {sentence}"),
        "rest_works": _("{purpose} work"),
        "all": _("all {of} networks of {country}"),
        "all_named": _("both networks of {country}"),
        "since": _(" since {day}"),
        "since_between": _(" since between {first} and {last}"),
        "until": _(" until {day}"),
        "until_between": _(" until between {first} and {last}"),
        "somewhere": _("an unknown country"),
        "mobile": _("mobile"),
        "fixed": _("fixed"),
        "interference": _("Interference is proven: {mechanism}."),
        "interference_unnamed": _("Interference is proven."),
        "works elsewhere": _("In other countries it works in the same hours."),
        "fails everywhere": _("It fails in other countries too: no network is blamed."),
        "open": _("Whether it is cut off or down is open."),
        "firm": _("Firm: the chance that any such claim of this report is false is at most 5 %."),
        "tentative_sure": _("Tentative: of all claims of this report at most a tenth are false."),
        "loss_up": _(
            "Of what is sent {low} to {high} points more are lost than with other services in the same hours."
        ),
        "loss_down": _(
            "Of what is received {low} to {high} points more are lost than with other services in the same hours."
        ),
        "rtt_ms": _(
            "A round trip takes {low} to {high} ms longer than with other services in the same hours."
        ),
        "setup_s": _(
            "Setting up takes {low} to {high} times as long as with other services in the same hours."
        ),
        "cause": _("Nobody in another country measured it in these hours."),
    }


def _counted(phrase: str, count: int, of: int) -> str:
    """The phrases whose words depend on a number."""
    match phrase:
        case "some":
            return _n("{count} of {of} network of {country}", "{count} of {of} networks of {country}", of)
        case "numbers":
            return _n(
                "{failing} of {of} household-hours failed, {households} household; another household there would "
                "see {low} to {high} percent fail.",
                "{failing} of {of} household-hours failed, {households} households; another household there would "
                "see {low} to {high} percent fail.",
                count,
            )
        case "dissent":
            return _n(
                "{count} of {of} household sees it otherwise.",
                "{count} of {of} households see it otherwise.",
                of,
            )
        case "too_few":
            return _n(
                "Too few households or hours on {count} network.",
                "Too few households or hours on {count} networks.",
                count,
            )
        case "disagree":
            return _n(
                "Households disagree on {count} network.", "Households disagree on {count} networks.", count
            )
        case "chance":
            return _n("It may be chance on {count} network.", "It may be chance on {count} networks.", count)
        case "version":
            return _n(
                "On {count} network it came with another version of the probe.",
                "On {count} networks it came with another version of the probe.",
                count,
            )
        case "everywhere":
            return _n(
                "On {count} network it fails, as in every other country.",
                "On {count} networks it fails, as in every other country.",
                count,
            )
        case "works_on":
            return _n(
                "It works on {count} other network of the country.",
                "It works on {count} other networks of the country.",
                count,
            )
        case _:
            return phrases()[phrase]


def headlines(claims: Sequence[Claim], *, names: Mapping[str, str] | None = None) -> list[str]:
    """One sentence for each service and country in trouble, what works of it included; firm ones first."""
    return [one.text for one in headed(claims, names=names)]


def headed(claims: Sequence[Claim], *, names: Mapping[str, str] | None = None) -> list[Headline]:
    """The headlines with their claims.

    `names` gives services and countries as people read them, where the claim's own word will not do.
    """
    names = names or {}
    grouped: dict[tuple[str, str], list[Claim]] = defaultdict(list)
    for claim in claims:
        grouped[claim.service, claim.country].append(claim)
    made = []
    for group in grouped.values():
        trouble = [claim for claim in group if claim.what in (*TROUBLE, "down")]
        for claim in trouble:
            troubled = {one.purpose for one in trouble}
            rest = [one.purpose for one in group if one.what == "works" and one.purpose not in troubled]
            parts = [sentence(claim, names=names)]
            parts += [_say("rest_works", purpose=_say(purpose)) for purpose in dict.fromkeys(rest)]
            headline = Headline("; ".join(parts) + ".", claim)
            made.append((claim.sure != "firm", -len(claim.networks), headline))
    return [headline for *_rank, headline in sorted(made, key=lambda one: one[:2])]


def sentence(claim: Claim, *, names: Mapping[str, str] | None = None) -> str:
    """The claim in one sentence without its full stop, such as "Calls on Telegram fail on 3 of 4 networks of X"."""
    names = names or {}
    said = _say(
        claim.what,
        subject=_say(
            "subject", purpose=_say(claim.purpose), service=_named(claim.service, names, title=True)
        ),
        networks=_networks(claim, names),
        access=_say(claim.access) if claim.access else "",
        since=_span("since", claim.since),
        until=_span("until", claim.until),
    )
    return _say("tentative", sentence=said) if claim.sure == "tentative" else said[:1].upper() + said[1:]


def grounds(claim: Claim) -> list[str]:
    """Why it is said, how sure it is, and what speaks against it, in sentences."""
    numbers = claim.numbers
    said = [
        _counted("numbers", numbers.households, numbers.of).format(
            failing=numbers.failing,
            of=numbers.of,
            households=numbers.households,
            low=floor(100 * numbers.low),
            high=ceil(100 * numbers.high),
        )
    ]
    if claim.sure:
        said.append(_say("firm" if claim.sure == "firm" else "tentative_sure"))
        named = claim.cause == "interference" and not claim.mechanism
        said.append(_say("interference_unnamed" if named else claim.cause, mechanism=claim.mechanism))
    for excess in claim.excess:
        scale = 100 if excess.metric.startswith("loss") else 1
        low, high = (f"{scale * end:.2g}" if end < 100 else f"{end:.0f}" for end in (excess.low, excess.high))
        said.append(_say(excess.metric, low=low, high=high))
    return said + [doubt_in_words(doubt) for doubt in claim.against]


def doubt_in_words(doubt: Doubt) -> str:
    """One sentence."""
    return _counted(doubt.about, doubt.count, doubt.of).format(count=doubt.count, of=doubt.of)


def _say(phrase: str, **words: object) -> str:
    known = phrases()
    return known[phrase].format(**words) if phrase in known else phrase


def _named(word: str, names: Mapping[str, str], *, title: bool = False) -> str:
    return names.get(word, word.title() if title else word)


def _networks(claim: Claim, names: Mapping[str, str]) -> str:
    country = _named(claim.country, names) if claim.country else _say("somewhere")
    count = len(claim.networks)
    if claim.of == count == 1 or claim.what == "insufficient":
        return ", ".join(claim.networks)
    if count == claim.of:
        return _say("all_named" if count == 2 else "all", of=count, country=country)
    return _counted("some", count, claim.of).format(count=count, of=claim.of, country=country)


def _span(word: str, span: Span | None) -> str:
    if span is None:
        return ""
    if span.by - span.after <= timedelta(hours=24) or span.after.date() == span.by.date():
        return _say(word, day=day(span.by))
    return _say(f"{word}_between", first=day(span.after), last=day(span.by))
