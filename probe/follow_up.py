"""What to ask next, given what failed. Pure.

The first round asks every target as it stands. What failed is asked again, and beside it the question
whose answer tells the causes apart: another name to the same address, another port, STUN without its
cookie, TCP to an address that is silent over UDP. One more round repeats whatever began to look like
a contrast, because one failure beside one success is luck as often as interference.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec

from probe.catalogue import Target
from probe.failure import Kind
from probe.model import Chain, Variant
from probe.plan import Address, Leg, needs_address
from probe.steps import AnyStep, Http, Quic, Stun, Tcp, Tls, Websocket


@dataclass(frozen=True, kw_only=True)
class Situation:
    """What follow-ups may use, and whether the user agreed to deliberate triggers."""

    innocent_name: str
    control_addresses: Sequence[str]
    deliberate: bool
    spare: Sequence[Address] = ()  # addresses of the target that were not tried yet


def follow_ups(target: Target, done: Sequence[Chain], situation: Situation) -> list[Leg]:
    """What to ask next, given every chain so far. Empty when nothing more can be learned."""
    legs: list[Leg] = []
    if not needs_address(target):  # a look-up asks three times by itself
        return legs
    for family in (4, 6):
        first = [c for c in done if c.variant == "target" and c.family == family]
        broken = [c for c in first if failed_at(c) is not None]
        turn = _round(done, family)
        if turn > 2 or not any_broken(first) or any(map(_has_had_enough, broken)):
            continue
        for chain in broken[: 2 if turn == 1 else 1]:
            legs += _ask_again(target, chain, turn, done, situation)
        if turn == 1 and len(broken) == len(first):
            legs += _fresh_address(target, family, situation)
    return legs


def any_broken(first: Sequence[Chain]) -> bool:
    """Whether first tries failed, and none of them for a reason on this machine, which asking cannot change."""
    broken = [chain for chain in first if failed_at(chain) is not None]
    return bool(broken) and not any(map(_is_about_us, broken))


def recheck(target: Target, done: Sequence[Chain]) -> list[Leg]:
    """The target's own steps once more, per family in which all of its first tries went through.

    Asked when another target of the service failed: did this one work only because it was asked earlier?
    """
    legs: list[Leg] = []
    if not needs_address(target):
        return legs
    for family in (4, 6):
        first = [c for c in done if c.variant == "target" and c.family == family]
        if first and all(failed_at(chain) is None for chain in first):
            address = Address(ip=first[0].ip or "", said_by=first[0].said_by)
            legs.append(
                Leg(variant="again", address=address, port=target.port, host=target.host, steps=target.steps)
            )
    return legs


def _round(done: Sequence[Chain], family: int) -> int:
    """Which round of follow-ups comes next for this family: 1, 2, or 3 for none."""
    again = sum(1 for chain in done if chain.family == family and chain.variant == "again")
    broken = sum(1 for c in done if c.variant == "target" and c.family == family and failed_at(c) is not None)
    return 1 if again == 0 else 2 if again <= min(2, broken) else 3


def failed_at(chain: Chain) -> str | None:
    """The step a chain failed in, or None."""
    last = chain.observations[-1] if chain.observations else None
    return last.step if last is not None and last.failure is not None else None


def _is_about_us(chain: Chain) -> bool:
    failure = chain.observations[-1].failure
    if failure is None:
        return False
    # No route for a whole family is the machine's own situation.
    return not failure.kind.is_evidence or failure.code == "ENETUNREACH"


def _has_had_enough(chain: Chain) -> bool:
    """A peer that says it is asked too often (HTTP's 429; MTProto's has a minus) is not asked once more."""
    failure = chain.observations[-1].failure
    return failure is not None and failure.code in ("-429", "429")


def _ask_again(
    target: Target, chain: Chain, turn: int, done: Sequence[Chain], situation: Situation
) -> list[Leg]:
    address = Address(ip=chain.ip or "", said_by=chain.said_by)
    base = Leg(variant="again", address=address, port=target.port, host=target.host, steps=target.steps)
    repeats = 1 if turn == 1 else 2
    legs = [base] * repeats
    match failed_at(chain):
        case "tcp":
            if turn == 1:
                legs.append(_tcp_only(base, "other_port", 80 if target.port == 443 else 443))
        case "tls" | "http" | "websocket" | "quic":
            if turn == 1 or _contrast_begins(done, chain.family):
                legs += _other_names(base, situation, repeats)
            if situation.deliberate:
                legs += _elsewhere(base, situation, named=turn == 2 or _refused_with_words(chain))
        case "mtproto" | "noise" | "threema" if _is_in_the_open(target) and not _refused_with_words(chain):
            legs += [replace(base, variant="other_bytes", steps=_greeted(base.steps, situation))] * repeats
            if situation.deliberate:
                legs += _bytes_elsewhere(base, situation, other=turn == 1)
        case "stun" | "turn" | "reflector" | "echo" | "dtls" as step if not _is_stream(target):
            legs += _beside_silence(base, step, turn, done)
        case _:
            pass
    if turn == 2 and _refused_with_words(chain):
        legs = []
    return legs


def _fresh_address(target: Target, family: int, situation: Situation) -> list[Leg]:
    """One machine of several may be down: the same question at an address not tried yet."""
    fresh = [address for address in situation.spare if address.family == family][:1]
    return [
        Leg(variant="target", address=address, port=target.port, host=target.host, steps=target.steps)
        for address in fresh
    ]


def _refused_with_words(chain: Chain) -> bool:
    """A peer that answered "no" in its own protocol has been heard; a second repetition adds nothing."""
    failure = chain.observations[-1].failure
    return failure is not None and failure.kind in (Kind.UNEXPECTED, Kind.REJECTED, Kind.UNTRUSTED)


def _contrast_begins(done: Sequence[Chain], family: int) -> bool:
    others = ("other_name", "no_name", "other_hello")
    return any(failed_at(c) is None for c in done if c.family == family and c.variant in others)


def _is_stream(target: Target) -> bool:
    return isinstance(target.steps[0], Tcp)


def _tcp_only(leg: Leg, variant: Variant, port: int) -> Leg:
    return replace(leg, variant=variant, port=port, steps=(Tcp(seconds=6.0),))


def _other_names(leg: Leg, situation: Situation, repeats: int) -> list[Leg]:
    innocent = _with_name(leg.steps, situation.innocent_name)
    legs = [replace(leg, variant="other_name", steps=innocent)] * repeats
    legs.append(replace(leg, variant="no_name", steps=_with_name(leg.steps, "none")))
    if any(isinstance(step, Tls) for step in leg.steps):
        legs += [replace(leg, variant="other_hello", steps=_with_hello(leg.steps))] * repeats
    return legs


def _elsewhere(leg: Leg, situation: Situation, *, named: bool) -> list[Leg]:
    """The service's name to somebody else's addresses: it sets off a name filter on purpose.

    A round before, an innocent name goes there: a server that minds every name but its own tells nothing. Not in
    the same round, for a filter may cut off everything towards an address at which a name was said.
    """
    same_family = [ip for ip in situation.control_addresses if (":" in ip) == (":" in leg.address.ip)]
    steps = _up_to_tls(leg.steps)
    variant: Variant = "name_to_control" if named else "other_to_control"
    return [
        replace(
            leg,
            variant=variant,
            address=Address(ip=ip, said_by=("control",)),
            steps=steps if named else _with_name(steps, situation.innocent_name),
        )
        for ip in dict.fromkeys(same_family)
    ][:2]


def _is_in_the_open(target: Target) -> bool:
    """Whether a protocol of the service's own follows TCP, where everybody on the way can read it."""
    return len(target.steps) == 2 and isinstance(target.steps[0], Tcp)


def _greeted(steps: Sequence[AnyStep], situation: Situation) -> tuple[AnyStep, ...]:
    """A TLS hello with an innocent name in place of the service's own first bytes; any answer will do."""
    return (steps[0], Tls(sni=situation.innocent_name, identity="recorded", seconds=6.0))


def _bytes_elsewhere(leg: Leg, situation: Situation, *, other: bool) -> list[Leg]:
    """The service's first bytes to somebody else's addresses, which sets off a filter of its protocol on purpose; a
    round before, a question in plain HTTP, to see that they take notice of bytes that are not TLS."""
    same_family = [ip for ip in situation.control_addresses if (":" in ip) == (":" in leg.address.ip)]
    variant: Variant = "other_bytes_to_control" if other else "bytes_to_control"
    return [
        replace(
            leg,
            variant=variant,
            address=Address(ip=ip, said_by=("control",)),
            port=443,
            steps=(leg.steps[0], Http(seconds=6.0)) if other else leg.steps,
        )
        for ip in dict.fromkeys(same_family)
    ][:2]


def _with_name(steps: Sequence[AnyStep], name: str) -> tuple[AnyStep, ...]:
    """The same steps saying another name; who answers is recorded, and no particular answer is expected."""
    changed: list[AnyStep] = []
    for step in steps:
        match step:
            case Tls() | Quic():
                changed.append(msgspec.structs.replace(step, sni=name, identity="recorded"))
            case Http():
                changed.append(Http(method=step.method, path=step.path, cap=step.cap, seconds=step.seconds))
            case Websocket():  # under another name no upgrade is to be had: any answer will do
                changed.append(Http(path=step.path, seconds=step.seconds))
                break
            case _:
                changed.append(step)
    return tuple(changed)


def _with_hello(steps: Sequence[AnyStep]) -> tuple[AnyStep, ...]:
    return tuple(msgspec.structs.replace(s, hello="short") if isinstance(s, Tls) else s for s in steps)


def _up_to_tls(steps: Sequence[AnyStep]) -> tuple[AnyStep, ...]:
    kept: list[AnyStep] = []
    for step in steps:
        match step:
            case Tls() | Quic():
                kept.append(msgspec.structs.replace(step, identity="recorded"))
                break
            case _:
                kept.append(step)
    return tuple(kept)


def _beside_silence(leg: Leg, step: str, turn: int, done: Sequence[Chain]) -> list[Leg]:
    """An address is silent over UDP: does it answer without the STUN cookie, does it answer TCP at all?"""
    last = leg.steps[-1]
    # Silence to a service's own dialect is no silence to STUN: then the cookie is not what differs.
    knows_classic = step == "turn" or (isinstance(last, Stun) and last.dialect == "rfc8489")
    if turn == 1:
        tcp = [_tcp_only(leg, "tcp", port) for port in dict.fromkeys((leg.port, 443))]
        return [_classic(leg), *tcp] if knows_classic else tcp
    answered = any(c.variant == "classic" and failed_at(c) is None for c in done)
    return [_classic(leg)] if knows_classic and answered else []


def _classic(leg: Leg) -> Leg:
    return replace(leg, variant="classic", steps=(Stun(dialect="rfc3489"),))
