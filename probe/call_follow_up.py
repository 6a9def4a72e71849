"""What to ask next of a test call or a paced flow that did not go well. Pure.

Whatever is minded in a call, its payload, its port, its DTLS hello or its being a call at all, shows in which of its
likenesses get through: the same sizes and times in other bytes, at another port, with another hello, through a relay.
A moment of bad luck shows there too, so likenesses go beside the call or between two tries of it, never after all.
"""

from collections.abc import Sequence
from dataclasses import replace

import msgspec

from probe.call_outcome import RATES, code_of, cut_of, damages, is_clean, is_sad, is_test, media_stages
from probe.catalogue import Catalogue, Target
from probe.diagnosis import POLICED
from probe.far_end.talk import StageFacts
from probe.media.shape import OTHER_PORT, Profile, has_cookie
from probe.model import Chain, Variant
from probe.plan import Leg
from probe.steps import AnyStep, Call, Media
from probe.steps.call import Path

_SECONDS = 12.0  # of media in a follow-up
_LARGE = 4.0  # seconds of large packets
_OTHER_RATE = 1.5  # times as much or as little: from there on a limit of rate differs from plain loss
_PROFILES = ("half", "voice")  # profiles that may stand beside a flow's own, to tell these apart
_HELLOS: tuple[Variant, ...] = ("other_hello", "their_hello")
_RELAYS: tuple[tuple[Variant, Path], ...] = (
    ("by_turn_udp", "turn-udp"), ("by_turn_tcp", "turn-tcp"), ("by_turn_tls", "turn-tls"),
)  # fmt: skip


def follow_ups(target: Target, done: Sequence[Chain], catalogue: Catalogue, leg: Leg) -> list[Leg]:
    """What to ask next, given every chain so far; `leg` is the first one. Empty when nothing more can be learned.

    Three own tries, and two of what they are compared with: each before or beside an own try, and after another.
    """
    own = [chain for chain in done if chain.variant in ("target", "again")]
    if not own or not all(is_test(chain) and is_sad(chain) for chain in own):
        return []
    step = target.steps[-1]
    if not isinstance(step, Media | Call):
        return []
    step = _as_long_as_it_takes(step, own, catalogue)
    match len(own):
        case 1:
            return _first_round(step, own[0], catalogue, leg)
        case 2:
            return _second_round(step, done, catalogue, leg)
        case _:
            return []


def _first_round(step: Media | Call, own: Chain, catalogue: Catalogue, leg: Leg) -> list[Leg]:
    again = _leg(leg, "again", step)
    if isinstance(step, Call):
        return [*_parts(step, own, catalogue, leg), again, *_other_calls(step, own, leg)]
    if not _has_likenesses(step):
        return [again]
    return [
        _leg(leg, "as_random", msgspec.structs.replace(step, disguise="random")),
        again,
        _leg(leg, "as_generic", msgspec.structs.replace(step, disguise="generic")),
    ]


def _second_round(step: Media | Call, done: Sequence[Chain], catalogue: Catalogue, leg: Leg) -> list[Leg]:
    passed = {chain.variant for chain in done if is_clean(chain)}
    if "as_random" not in passed and _are_limited(done):
        return _beside_tcp(step, leg)
    if isinstance(step, Call):
        return _second_round_of_a_call(step, done, passed, catalogue, leg)
    if not _has_likenesses(step):
        return []
    if "as_random" not in passed:
        asked = any(chain.variant == "as_port" for chain in done)
        return [] if asked else [_leg(leg, "as_port", msgspec.structs.replace(step, disguise="port"))]
    silent = any(code_of(chain) for chain in done if chain.variant == "target")
    step = step if silent else _at_another_rate(step, catalogue)
    random = msgspec.structs.replace(step, disguise="random")
    found = [_leg(leg, "as_random", random), _leg(leg, "again", step)]
    if silent and has_cookie(catalogue.shapes[step.shape]):
        found.append(_leg(leg, "as_cookie", msgspec.structs.replace(step, disguise="cookie")))
    return found


def _second_round_of_a_call(
    step: Call, done: Sequence[Chain], passed: set[Variant], catalogue: Catalogue, leg: Leg
) -> list[Leg]:
    own = next(chain for chain in done if chain.variant == "target")
    alike = all(code_of(c) == "cut" for c in done if c.variant in ("target", "again", "as_random"))
    if not alike and not passed.intersection(("as_random", *_HELLOS)):
        return []
    parts = [one for one in _parts(step, own, catalogue, leg) if _tells_more(one.variant, passed)]
    hellos = [one for one in _other_calls(step, own, leg) if one.variant in passed.intersection(_HELLOS)]
    if any(chain.variant == "their_hello" and code_of(chain) == "cut" for chain in done):
        # A hello that is cut as well is no contrast any more, and can tell what the rule counts.
        slower = msgspec.structs.replace(step, hello_from="them", profiles=_slower(own, step, catalogue))
        hellos.append(_leg(leg, "their_hello", slower))
    return [*parts, *hellos, _leg(leg, "again", step)]


def _are_limited(done: Sequence[Chain]) -> bool:
    """Whatever the bytes, media came at a rate of the line's choosing."""
    tried = [chain for chain in done if chain.variant in ("target", "again", "as_random") and is_test(chain)]
    kinds = [{damage.kind for damage in damages(chain) if damage is not None} for chain in tried]
    random = any(chain.variant == "as_random" for chain in tried)
    return random and not any(map(code_of, tried)) and any(kind & set(RATES) for kind in kinds)


def _beside_tcp(step: Media | Call, leg: Leg) -> list[Leg]:
    """Is it the line that is narrow, or are datagrams held down on it?"""
    plain = step if isinstance(step, Media) else Media(shape="rtp", trust=step.trust, at_most=step.at_most)
    plain = msgspec.structs.replace(plain, profiles=step.profiles)
    stream = _leg(leg, "over_tcp", msgspec.structs.replace(plain, transport="tcp", port=OTHER_PORT))
    random = _leg(leg, "as_random", msgspec.structs.replace(plain, disguise="random"))
    return [stream, random, stream, _leg(leg, "again", step)]


def _tells_more(variant: Variant, passed: set[Variant]) -> bool:
    """A part of a call that passed has said what it can; random bytes have to pass twice."""
    return variant == "as_random" or variant not in passed


def _has_likenesses(step: Media) -> bool:
    return not step.disguise and step.shape != "random"


def _parts(step: Call, own: Chain, catalogue: Catalogue, leg: Leg) -> list[Leg]:
    """Beside a call, at its sizes and times: random bytes, and the part of it that may be minded, without the rest.

    Where a call was cut, its RTP goes at another rate: which number stays the same tells what the rule counts.
    """
    plain = Media(shape="rtp", trust=step.trust, at_most=step.at_most, profiles=step.profiles)
    parts: list[tuple[Variant, Media]] = [("as_random", msgspec.structs.replace(plain, disguise="random"))]
    match code_of(own):
        case "ice":
            stun = msgspec.structs.replace(plain, shape="stun-ice")
            parts.append(("as_stun", stun))
            parts.append(("as_cookie", msgspec.structs.replace(stun, disguise="cookie")))
        case "dtls" if "video" in catalogue.profiles:  # as large as a handshake's
            large = msgspec.structs.replace(parts[0][1], profiles=("video",), at_most=_LARGE)
            parts = [("as_random", large)]
        case "media":
            parts.append(("as_generic", plain))
        case "cut":
            slower = _slower(own, step, catalogue)
            parts.append(("as_generic", msgspec.structs.replace(plain, profiles=slower)))
        case _:
            pass
    return [_leg(leg, variant, part) for variant, part in parts if part.shape in catalogue.shapes]


def _slower(own: Chain, step: Call, catalogue: Catalogue) -> tuple[str, ...]:
    """Half the rate, if a cut after so many seconds would come in time."""
    cut, half = cut_of(own), catalogue.profiles.get("half")
    in_time = cut is not None and half is not None and cut.seconds + 3.0 < half.seconds
    return ("half",) if in_time else step.profiles


def _other_calls(step: Call, own: Chain, leg: Leg) -> list[Leg]:
    """Other hellos, where one was said; and relays, where the direct call died."""
    code, found = code_of(own), list[Leg]()
    if code in ("dtls", "media", "cut"):
        found.append(_leg(leg, "other_hello", msgspec.structs.replace(step, hello="permuted")))
        found.append(_leg(leg, "their_hello", msgspec.structs.replace(step, hello_from="them")))
    if code:
        found += [_leg(leg, variant, msgspec.structs.replace(step, path=path)) for variant, path in _RELAYS]
    return found


def _as_long_as_it_takes(step: Media | Call, own: Sequence[Chain], catalogue: Catalogue) -> Media | Call:
    """The step in which what happened before would happen again: shorter than the first try, for it costs."""
    dated = [d.seconds for c in own for d in damages(c) if d is not None and d.seconds is not None]
    if dated or code_of(own[0]):
        return msgspec.structs.replace(step, at_most=max([_SECONDS, *(1.5 * at + 6.0 for at in dated)]))
    if len(media_stages(own[0])) < 2:
        return step
    other, worst = _two_rates(media_stages(own[0]), catalogue)
    return msgspec.structs.replace(step, profiles=(other.name, worst.name), at_most=other.seconds + _SECONDS)


def _two_rates(stages: Sequence[StageFacts], catalogue: Catalogue) -> tuple[Profile, Profile]:
    """The stage that suffered most and one of another rate before it; without video where speech suffers."""
    speech = [stage for stage in stages if stage.profile != "video"]
    enough = len(speech) > 1 and max(map(_loss, speech)) >= POLICED
    some = speech if enough else stages
    worst = max(some, key=_loss)
    rest = [catalogue.profiles[stage.profile] for stage in some if stage.profile != worst.profile]
    one = catalogue.profiles[worst.profile]
    return max(rest, key=lambda other: _ratio(other, one), default=one), one


def _loss(stage: StageFacts) -> float:
    return max(one.effective_loss(0.2) for one in (stage.up, stage.down) if one is not None)


def _at_another_rate(step: Media, catalogue: Catalogue) -> Media:
    """Once more at another rate after its own, where media limped at one rate alone."""
    names = step.profiles or catalogue.shapes[step.shape].profiles
    if len(names) > 1:
        return step
    own = catalogue.profiles[names[0]]
    others = [catalogue.profiles[name] for name in _PROFILES if name in catalogue.profiles]
    other = next((one for one in others if _ratio(one, own) >= _OTHER_RATE), None)
    if other is None:
        return step
    return msgspec.structs.replace(step, profiles=(own.name, other.name), at_most=own.seconds + _SECONDS)


def _ratio(one: Profile, other: Profile) -> float:
    """By how much their rates differ, as a factor of 1 or more."""
    rates = sorted((one.octets / one.seconds, other.octets / other.seconds))
    return rates[1] / max(rates[0], 1.0)


def _leg(leg: Leg, variant: Variant, step: AnyStep) -> Leg:
    return replace(leg, variant=variant, steps=(*leg.steps[:-1], step))
