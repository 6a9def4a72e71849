"""What tells causes apart in media through a relay: predicates over a case, named after what they show. Pure."""

from probe import relay_media
from probe.call_outcome import is_sad
from probe.contrast import Case
from probe.model import Chain
from probe.reading import OWN, Reading, failure_of, is_slow_start

_FAIR = 0.2  # of the first packets to controls that may be lost, for the line to be no excuse


def _own(case: Case) -> list[Chain]:
    return [chain for chain in case.reading.tries(*OWN) if relay_media.directions(chain)]


def suffers(case: Case) -> bool:
    """Three tries, and one and the same way was held down in each."""
    own = [relay_media.damage(chain) for chain in _own(case)]
    return len(own) >= relay_media.TRIES and any(all(way in one for one in own) for way in ("up", "down"))


def line_is_fair(case: Case) -> bool:
    """Controls answered, hardly any of them only when asked again; and flows to the far end, where there is one, did
    not suffer alike."""
    stun = case.controls.health("stun", case.reading.family)
    seen = [
        o for r in case.controls.readings(case.reading.family) for c in r.tries(*OWN) for o in c.observations
        if o.failure is None and o.step in ("tcp", "stun", "turn")
    ]  # fmt: skip
    again = sum(map(is_slow_start, seen))
    media = case.controls.readings(case.reading.family, roles=("media",))
    return stun.good and len(seen) >= 4 and again <= _FAIR * len(seen) and all(map(_is_fair, media))


def _is_fair(reading: Reading) -> bool:
    tried = reading.tries(*OWN)
    return not tried or not all(map(is_sad, tried))


def is_cut(case: Case) -> bool:
    """Three tries, and each ended in silence after media had come."""
    own = _own(case)
    codes = [
        ended.failure.code for c in own if (ended := failure_of(c)) is not None and ended.failure is not None
    ]
    return len(own) >= relay_media.TRIES and codes.count("cut") == len(own)


def is_poor(case: Case) -> bool:
    """Media suffered whenever it was tried."""
    return bool(_own(case)) and all(map(relay_media.damage, _own(case)))


def is_relayed(case: Case) -> bool:
    """Whether media went through a relay."""
    return bool(_own(case))


def words(case: Case) -> dict[str, str]:
    """What the placeholders of these rules stand for."""
    found = [relay_media.damage(chain) for chain in _own(case)]
    ways = [way for way in ("up", "down") if found and all(way in one for one in found)]
    first = next((one[way] for one in found for way in ways), None)
    loss = max((100 * one[way].loss for one in found for way in ways if way in one), default=0.0)
    kind = first.kind if first is not None and first.kind in ("policed", "shaped") else "thinned"
    return {"damage": kind, "lost": f"{loss:.0f} %"}
