"""Claims in English: every phrase stands in one table, and nothing else here is language."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from probe.analysis.claims import TROUBLE, Claim, Doubt, Span

PHRASES: Mapping[str, str] = {
    "calls": "calls",
    "messaging": "messages",
    "web": "its web version",
    "fails": "{subject} fail on {networks}{since}",
    "intermittent": "{subject} fail now and then on {networks}",
    "degraded": "{subject} get through impaired on {networks}{since}",
    "differs": "{subject} fail on {access} networks only{since}",
    "began": "{subject} began to fail on {networks}{since}",
    "ended": "{subject} failed on {networks}{since}{until}",
    "down": "{subject} failed in every country at once{since}{until}",
    "works": "{subject} work on {networks}",
    "insufficient": "of {subject} on {networks} there is too little to say",
    "subject": "{purpose} on {service}",
    "tentative": "It seems that {sentence}",
    "rest_works": "{purpose} work",
    "one": "{name}",
    "all": "all {of} networks of {country}",
    "all_named": "both networks of {country}",
    "some": "{count} of {of} networks of {country}",
    "since": " since {day}",
    "since_between": " since between {first} and {last}",
    "until": " until {day}",
    "until_between": " until between {first} and {last}",
    "somewhere": "an unknown country",
    "mobile": "mobile",
    "fixed": "fixed",
    "day": "{day} {month}",
    "interference": "Interference is proven: {mechanism}.",
    "interference_unnamed": "Interference is proven.",
    "works elsewhere": "In other countries it works in the same hours.",
    "fails everywhere": "It fails in other countries too: no network is blamed.",
    "open": "Whether it is cut off or down is open.",
    "firm": "Firm: the chance that any such claim of this report is false is at most 5 %.",
    "tentative_sure": "Tentative: of all claims of this report at most a tenth are false.",
    "numbers": "{failing} of {of} household-hours failed, {households} households; another household there would "
    "see {low} % to {high} % fail.",
    "loss_up": "Of what is sent {low} to {high} points more are lost than with other services in the same hours.",
    "loss_down": "Of what is received {low} to {high} points more are lost than with other services in the same hours.",
    "rtt_ms": "A round trip takes {low} to {high} ms longer than with other services in the same hours.",
    "setup_s": "Setting up takes {low} to {high} times as long as with other services in the same hours.",
    "dissent": "{count} of {of} households see it otherwise.",
    "cause": "Nobody in another country measured it in these hours.",
    "too_few": "Too few households or hours on {count}.",
    "disagree": "Households disagree on {count}.",
    "chance": "It may be chance on {count}.",
    "version": "On {count} it came with another version of the probe.",
    "everywhere": "On {count} it fails, as in every other country.",
    "works_on": "It works on {count} other networks of the country.",
}  # fmt: skip
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December",
)  # fmt: skip


def headlines(claims: Sequence[Claim], *, names: Mapping[str, str] | None = None) -> list[str]:
    """One sentence for each service and country in trouble, what works of it included; firm ones first.

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
            made.append((claim.sure != "firm", -len(claim.networks), "; ".join(parts) + "."))
    return [text for *_, text in sorted(made, key=lambda one: one[:2])]


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
        _say(
            "numbers",
            failing=numbers.failing,
            of=numbers.of,
            households=numbers.households,
            low=round(100 * numbers.low),
            high=round(100 * numbers.high),
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
    return _say(doubt.about, count=doubt.count, of=doubt.of)


def _say(phrase: str, **words: object) -> str:
    return PHRASES[phrase].format(**words) if phrase in PHRASES else phrase


def _named(word: str, names: Mapping[str, str], *, title: bool = False) -> str:
    return names.get(word, word.title() if title else word)


def _networks(claim: Claim, names: Mapping[str, str]) -> str:
    country = _named(claim.country, names) if claim.country else _say("somewhere")
    count = len(claim.networks)
    if claim.of == count == 1 or claim.what == "insufficient":
        return ", ".join(claim.networks)
    if count == claim.of:
        return _say("all_named" if count == 2 else "all", of=count, country=country)
    return _say("some", count=count, of=claim.of, country=country)


def _span(word: str, span: Span | None) -> str:
    if span is None:
        return ""
    if span.by - span.after <= timedelta(hours=24) or span.after.date() == span.by.date():
        return _say(word, day=_day(span.by))
    return _say(f"{word}_between", first=_day(span.after), last=_day(span.by))


def _day(moment: datetime) -> str:
    return _say("day", day=moment.day, month=MONTHS[moment.month - 1])
