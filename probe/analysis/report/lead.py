"""What a report says first: what may be claimed, or else what these runs saw and why nothing is claimed of it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from probe.analysis.claims import TROUBLED, Claim
from probe.analysis.compare import ENOUGH_VANTAGES, Comparison, Entry
from probe.analysis.report import words
from probe.analysis.sentences import grounds, headed, phrases, sentence
from probe.analysis.stretches import LEAST_HOUSEHOLDS, LEAST_OF_ONE, LEAST_UNITS
from probe.language import _, _n
from probe.record import plain
from probe.words import mechanism

_NAMED = 4  # columns that a sentence names
_SAID = 30  # claims with their grounds
_HEADLINES = ("fails", "intermittent", "degraded", "down")
_SEVERITY = ("blocked", "likely_blocked", "unreachable", "degraded", "down", "lately")


@dataclass(frozen=True)
class Ground:
    """A claim in a sentence, and how sure it is and what speaks against it in others."""

    sentence: str
    grounds: list[str]


@dataclass(frozen=True)
class Lead:
    """The first sentence, those that follow it, and how sure all of that is."""

    first: str
    more: list[str]
    claimed: bool
    grounds: list[Ground]
    changes: list[Ground]
    unsure: list[str]
    beyond: int  # claims that are not shown


def lead(comparison: Comparison, claims: Sequence[Claim] | None, titles: Mapping[str, str]) -> Lead:
    """What may be claimed, if anything may; else what the runs saw."""
    names = _names(comparison, claims or (), titles)
    tested = [_harmless(claim) for claim in claims or () if claim.what in TROUBLED]
    heads = headed(list(map(_harmless, claims or ())), names=names)
    saw = _saw(comparison, titles)
    changes = [claim for claim in tested if claim.what not in _HEADLINES]
    first, more = (heads[0].text, [one.text for one in heads[1:]]) if heads else (saw[0], saw[1:])
    return Lead(
        first=first,
        more=more,
        claimed=bool(heads),
        grounds=[Ground(one.text, grounds(one.claim)) for one in heads[:_SAID]],
        changes=[Ground(f"{sentence(one, names=names)}.", grounds(one)) for one in changes[:_SAID]],
        unsure=_unsure(comparison, claims),
        beyond=max(0, len(heads) - _SAID) + max(0, len(changes) - _SAID),
    )


def _harmless(claim: Claim) -> Claim:
    said = mechanism(claim.mechanism)
    own = plain(claim.mechanism)
    return replace(
        claim,
        networks=tuple(map(words.name, claim.networks)),
        mechanism=said if said == own else f"{said} ({own})",
    )


def _names(comparison: Comparison, claims: Sequence[Claim], titles: Mapping[str, str]) -> dict[str, str]:
    services = {entry.service for entry in comparison.entries} | {claim.service for claim in claims}
    return {one: words.service(one, titles) for one in services} | {
        claim.country: words.country(claim.country) for claim in claims
    }


@dataclass(frozen=True)
class _Fate:
    """What several services have in common: how they fail, where, and among how many columns."""

    state: str
    purpose: str
    keys: tuple[str, ...]
    of: int


def _saw(comparison: Comparison, titles: Mapping[str, str]) -> list[str]:
    """What failed in these runs, the largest first, then how the rest fared."""
    judged = [e for e in comparison.entries if e.units and e.purpose in words.PURPOSES]
    if not judged:
        return [_("These runs allow no statement about messages or calls.")]
    fates = _fates(judged)
    if not fates:
        columns = words.columns_of(comparison.by, len({entry.key for entry in judged}))
        return [
            _("Whatever these runs could judge worked or was answered: {columns}.").format(columns=columns)
        ]
    said = [_fate(fate, services, comparison, titles) for fate, services in fates]
    sound = [entry for entry in judged if not _fails(entry)]
    if any(entry.bad for entry in sound):
        said.append(_("Everything else that they could judge worked most of the time."))
    elif sound:
        said.append(_("Everything else that they could judge worked or was answered."))
    return said


def _fails(entry: Entry) -> bool:
    return words.look(entry) in _SEVERITY


def _fates(judged: Sequence[Entry]) -> list[tuple[_Fate, list[str]]]:
    of: dict[tuple[str, str], int] = defaultdict(int)
    where: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for entry in judged:
        of[entry.service, entry.purpose] += 1
        if _fails(entry):
            where[entry.service, entry.purpose, words.look(entry)].append(entry.key)
    grouped: dict[_Fate, list[str]] = defaultdict(list)
    for (service, purpose, state), keys in where.items():
        grouped[_Fate(state, purpose, tuple(sorted(keys)), of[service, purpose])].append(service)

    def rank(one: tuple[_Fate, list[str]]) -> tuple[int, int]:
        return -len(one[0].keys) * len(one[1]), _SEVERITY.index(one[0].state)

    return sorted(grouped.items(), key=rank)


def _fate(fate: _Fate, services: Sequence[str], comparison: Comparison, titles: Mapping[str, str]) -> str:
    listed = words.listed([words.service(one, titles) for one in services])
    what = phrases()["subject"].format(purpose=words.purpose(fate.purpose), service=listed)
    verbs = {
        "blocked": _("In these runs {what} were blocked on {where}."),
        "likely_blocked": _("In these runs {what} failed on {where}, and worked elsewhere at that time."),
        "unreachable": _("In these runs {what} failed on {where}; why is open."),
        "degraded": _("In these runs {what} were impaired on {where}."),
        "down": _("In these runs {what} failed everywhere they were tried: {where}."),
        "lately": _("In the last hours of these runs, and not in most of all, {what} failed on {where}."),
    }
    return verbs[fate.state].format(what=what, where=_where(fate, comparison))


def _where(fate: _Fate, comparison: Comparison) -> str:
    names = words.column_names(comparison)
    named = words.listed([names[key] for key in fate.keys]) if len(fate.keys) <= _NAMED else ""
    if fate.of == 1:
        return named
    if len(fate.keys) == fate.of:
        said = _("all {columns}").format(columns=words.columns_of(comparison.by, fate.of))
    else:
        said = words.part_of(comparison.by, len(fate.keys), fate.of)
    return f"{said} ({named})" if named else said


def _unsure(comparison: Comparison, claims: Sequence[Claim] | None) -> list[str]:
    """Why nothing is claimed, or what limits what is."""
    said = []
    if claims is None:
        said.append(
            _("Nobody asked for claims, so none are made: this is what the runs saw, and no finding.")
        )
    elif not any(claim.what in _HEADLINES for claim in claims):
        said.append(
            _(
                "Nothing is claimed of any network. A claim needs {households} households or more that each measured"
                " in {each} hours at least, {units} such hours in all, and has to be more than chance gives."
            ).format(households=LEAST_HOUSEHOLDS, each=LEAST_OF_ONE, units=LEAST_UNITS)
        )
    few = [column for column in comparison.columns if column.vantages < ENOUGH_VANTAGES]
    if few:
        part = words.part_of(comparison.by, len(few), len(comparison.columns))
        said.append(
            _(
                "Measured from one place alone: {part}. That shows what happened there, and not how it is for others."
            ).format(part=part)
        )
    return [
        *said,
        *_doubts(claims or ()),
        _("Volunteers measure where and when they can: this is no sample of a country."),
    ]


def _doubts(claims: Sequence[Claim]) -> list[str]:
    """Of what too little was seen, summed up over all services."""
    counts: dict[str, int] = defaultdict(int)
    for claim in claims:
        if claim.what == "insufficient":
            for doubt in claim.against:
                counts[doubt.about] += 1
    texts = {
        "too_few": lambda n: _n(
            "For {count} service and purpose too few households or hours were measured.",
            "For {count} services and purposes too few households or hours were measured.", n),
        "disagree": lambda n: _n(
            "For {count} service and purpose households disagree.",
            "For {count} services and purposes households disagree.", n),
        "chance": lambda n: _n(
            "For {count} service and purpose failures may be chance.",
            "For {count} services and purposes failures may be chance.", n),
        "version": lambda n: _n(
            "For {count} service and purpose failures came with another version of the probe.",
            "For {count} services and purposes failures came with another version of the probe.", n),
        "everywhere": lambda n: _n(
            "For {count} service and purpose failures were seen in every country.",
            "For {count} services and purposes failures were seen in every country.", n),
    }  # fmt: skip
    return [
        texts[about](count).format(count=count) for about, count in sorted(counts.items()) if about in texts
    ]
