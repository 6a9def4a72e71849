"""What tells causes apart in test calls and paced flows: predicates over a case, named after what they show. Pure.

A poor line, a full one, a far end in trouble and a router that forgets make calls fail as a filter does. None of them
knows bytes: beside a call, or between two tries of it, what looks like nobody's fares no better. So nothing is said of
a filter without three own tries and two of the same sizes and times in other bytes, and while HTTPS to the same far
end lived and its log was there.
"""

from collections.abc import Iterable, Sequence

from probe import call_limits
from probe.call_outcome import (
    RATES,
    Cut,
    Ways,
    code_of,
    cut_of,
    is_clean,
    is_sad,
    is_test,
    length,
    lived,
    media_stages,
    port,
    spread,
    unit,
    when,
)
from probe.contrast import Case
from probe.failure import Kind
from probe.model import Chain, Variant
from probe.reading import OWN, Reading, at_step

RELAYED: tuple[Variant, ...] = ("by_turn_udp", "by_turn_tcp", "by_turn_tls")
OTHER_BYTES: tuple[Variant, ...] = ("as_random",)
# Three own tries and two others: of a line that is dead half of the time for a whole try one in 32 looks like that,
# and none that is dead for everybody at once.
ENOUGH, CONTRASTS = 3, 2
_ALIKE = 0.3  # by so much the length of cuts may differ, and be one rule's
_EARLY = 10.0  # seconds: routers forget a flow after 20 and more, and none in the middle of its first packets
_HANDSHAKE = 1000  # bytes: the largest datagrams of a DTLS handshake are hardly larger
_LONGER = 2.0  # seconds that other bytes must go on beyond a cut


def is_test_call(case: Case) -> bool:
    """Whether the target is a call or flow to the far end."""
    return case.reading.measurement.at == "far-end"


def is_call(case: Case) -> bool:
    """Whether it is a WebRTC call, rather than a paced flow."""
    return any(at_step(chain, "call") for chain in case.reading.tries(*OWN))


def tested(case: Case) -> list[Chain]:
    """Own tries that came to the call or flow itself, and were not spoiled by this machine or ended by the far end."""
    return [chain for chain in case.reading.tries(*OWN) if is_test(chain)]


def goes_well(case: Case) -> bool:
    """One of the own tries went through unharmed."""
    return any(map(is_clean, tested(case)))


def all_sad(case: Case) -> bool:
    """At least two own tries, and none went through unharmed."""
    return len(tested(case)) >= 2 and not goes_well(case)


def suffers_thrice(case: Case) -> bool:
    """Three own tries, none unharmed, and each while the far end lived and listened."""
    own = tested(case)
    return len(own) >= ENOUGH and all(is_sad(c) and lived(c) for c in own) and not luck_decides(case)


def is_refused(case: Case) -> bool:
    """The far end or its relay answered no, or nonsense."""
    kinds = (Kind.REJECTED, Kind.MALFORMED, Kind.UNEXPECTED, Kind.CLOSED, Kind.RESET)
    return any(o.failure is not None and o.failure.kind in kinds for o in case.reading.failures)


def passed(case: Case, *variants: Variant) -> list[Chain]:
    """Likenesses of this kind that went through unharmed."""
    return [c for c in case.reading.tries(*variants) if is_clean(c) and lived(c)]


def suffered(case: Case, *variants: Variant) -> list[Chain]:
    """Likenesses of this kind that did not."""
    return [c for c in case.reading.tries(*variants) if is_test(c) and is_sad(c)]


def pass_beside(case: Case, *variants: Variant) -> bool:
    """Likenesses of this kind went through, twice at least and never not, beside own tries or between two of them."""
    good = [chain for chain in passed(case, *variants) if _is_beside(chain, tested(case))]
    return len(good) >= CONTRASTS and not suffered(case, *variants)


def _is_beside(chain: Chain, own: Sequence[Chain]) -> bool:
    """At the same time as an own try, or after one and before another: then no change of the line tells them apart."""
    begins, ends = when(chain)
    times = [when(one) for one in own]
    overlaps = any(start <= ends and begins <= stop for start, stop in times)
    return overlaps or (any(stop < begins for _, stop in times) and any(start > ends for start, _ in times))


def another_hello_passes(case: Case) -> bool:
    """Calls got through with another hello of ours; or with the other side's, and with ours through a relay, for a far
    end that cannot take a hello would look the same."""
    if code(case) == "cut" and not is_cut_by_a_rule(case):
        return False
    theirs = pass_beside(case, "their_hello") and bool(passed(case, *RELAYED))
    return pass_beside(case, "other_hello") or theirs


def other_bytes_pass(case: Case) -> bool:
    """The same sizes and times in bytes that are nobody's went through, between the same machines, to the same port,
    for longer than it takes to be cut; and so they did for every other target of the run."""
    cut = max((cut.seconds for cut in _cuts(tested(case))), default=0.0)
    short = [c for c in passed(case, *OTHER_BYTES) if code(case) == "cut" and length(c) < cut + _LONGER]
    return pass_beside(case, *OTHER_BYTES) and not short and not _others_suffer(case)


def luck_decides(case: Case) -> bool:
    """Flows to the far end that were alike in everything fared differently, in more than one case of five: of several
    lines behind one address one may be bad, and which flows it takes is chance."""
    tried = [
        [chain for chain in r.tries(*variants) if is_test(chain)]
        for r in case.everything
        if r.measurement.at == "far-end"
        for variants in (OWN, OTHER_BYTES)
    ]
    alike = [chains for chains in tried if len(chains) >= 2]
    mixed = [chains for chains in alike if len({is_sad(chain) for chain in chains}) > 1]
    return 5 * len(mixed) > len(alike)


def _others_suffer(case: Case) -> bool:
    """More than one in five flows of such bytes to the same port suffered, whichever target they were beside."""
    ports = {port(chain) for chain in case.reading.tries(*OTHER_BYTES)}
    there = [r for r in case.everything if r.measurement.at == "far-end"]
    flows = [c for r in there for c in r.tries(*OTHER_BYTES)] + _control_flows(case)
    flows = [chain for chain in flows if is_test(chain) and port(chain) in ports]
    return 5 * sum(map(is_sad, flows)) > len(flows)


def other_bytes_suffer(case: Case) -> bool:
    """They did not go through either, wherever they were tried."""
    tried = [c for c in case.reading.tries(*OTHER_BYTES) if is_test(c)] + _control_flows(case)
    return bool(tried) and all(map(is_sad, tried))


def controls(case: Case) -> list[Reading]:
    """Flows to the far end that look like nobody's."""
    return case.controls.readings(case.reading.family, roles=("media",))


def _control_flows(case: Case) -> list[Chain]:
    return [chain for r in controls(case) for chain in r.tries(*OWN) if is_test(chain)]


def code(case: Case) -> str:
    """Where most own tries ended in silence: ice, dtls, opening, media, cut; "" where media limped to its end."""
    codes = [one for chain in tested(case) if (one := code_of(chain))]
    most = max(codes, key=codes.count, default="")
    return most if 2 * codes.count(most) > len(tested(case)) else ""


def is_silenced(case: Case) -> bool:
    """Every own try ended in silence."""
    return all(code_of(chain) for chain in tested(case))


def it_is_not_the_far_end(case: Case) -> bool:
    """What a call suffers from is not the doing of its far end, nor of a router.

    A far end's firewall may have closed the ports of calls, its WebRTC may be broken, and it follows flows, but not
    calls, to where a forgetful router moves them. So the part of the call that is minded has to suffer alone, too,
    where random bytes pass; or the call is cut as only a rule cuts. And no call through a relay suffered, which meets
    the same far end. A flow is that part itself.
    """
    if not is_call(case):
        return True
    return not suffered(case, *RELAYED) and (is_cut_by_a_rule(case) or a_part_suffers(case))


def a_relay_would_help(case: Case) -> bool:
    """The same, where a call through a relay shows that the far end's WebRTC works: its port and routers remain, and
    for a handshake a path on which large packets are lost whatever is in them."""
    if code(case) == "dtls":
        return all(_packet_size(chain) >= _HANDSHAKE for chain in passed(case, *OTHER_BYTES))
    return code(case) == "media" or is_cut_by_a_rule(case) or a_part_suffers(case)


def _packet_size(chain: Chain) -> float:
    downs = [stage.down for stage in media_stages(chain)]
    return sum(one.bytes_sent for one in downs) / max(1, sum(one.sent for one in downs))


def is_cut_by_a_rule(case: Case) -> bool:
    """Every own try was cut early, both ways at once, after the same number of packets, bytes or seconds."""
    cuts = _cuts(tested(case))
    return (
        len(cuts) >= ENOUGH
        and len(cuts) == len(tested(case))
        and all(cut.at_once and cut.seconds < _EARLY for cut in cuts)
        and spread(cuts) <= _ALIKE
    )


def a_part_suffers(case: Case) -> bool:
    """Connectivity checks or RTP alone suffered, twice at least and never not."""
    part: Variant = "as_stun" if code(case) == "ice" else "as_generic"
    return len(suffered(case, part)) >= CONTRASTS and not passed(case, part)


def only_this_port_is_shut(case: Case) -> bool:
    """Nothing got through, and the same does at another port."""
    if code(case) not in ("ice", "opening", "media"):
        return False
    return bool(passed(case, "as_stun" if is_call(case) else "as_port"))


def _cuts(chains: Iterable[Chain]) -> list[Cut]:
    return [cut for chain in chains if (cut := cut_of(chain)) is not None]


def is_cut_alike(case: Case) -> bool:
    """Every own try, and every flow beside it whatever its bytes, ended after the same number of packets or seconds."""
    beside = [*case.reading.tries("as_random", "as_generic"), *_control_flows(case)]
    everybody = [*tested(case), *(chain for chain in beside if is_test(chain))]
    cuts = _cuts(everybody)
    if len(cuts) < ENOUGH + 1 or len(cuts) < len(everybody) or not all(map(lived, everybody)):
        return False
    return spread(cuts) <= _ALIKE


def _harmed(case: Case, *beside: Variant) -> Ways:
    """Where media suffered in every own try and not in these likenesses beside them."""
    spared = [chain for chain in passed(case, *beside) if _is_beside(chain, tested(case))]
    return call_limits.harmed(tested(case), spared, CONTRASTS)


def is_limited(case: Case) -> bool:
    """Media came through to the end, and was lost or held up where the same in other bytes was not."""
    return not any(map(code_of, tested(case))) and bool(_harmed(case, *OTHER_BYTES))


def datagrams_are_limited(case: Case) -> bool:
    """Media had a rate of the line's choosing, whatever its bytes, and none where the same went over TCP."""
    others, where = suffered(case, *OTHER_BYTES), _harmed(case, "over_tcp")
    found = call_limits.limit(tested(case), where)
    return (
        not any(map(code_of, [*tested(case), *others]))
        and len(others) >= CONTRASTS
        and not passed(case, *OTHER_BYTES)
        and not suffered(case, "over_tcp")
        and found is not None
        and found.kind in RATES
    )


def _where(case: Case) -> Ways:
    return _harmed(case, *OTHER_BYTES) or _harmed(case, "over_tcp")


def line_is_wide(case: Case) -> bool:
    """Downloads of the same run were faster than what suffered, and than what several flows at once need."""
    speeds = case.controls.speeds()
    return not speeds or 8 * max(speeds) >= call_limits.line_needed(_where(case))


def speech_suffers(case: Case) -> bool:
    """In every own try one direction was too poor for people to talk."""
    return call_limits.speech_suffers(tested(case))


def what(case: Case) -> str:
    """The mechanism, only as deep as the evidence goes."""
    minds_cookie = bool(passed(case, "as_cookie")) and not suffered(case, "as_cookie")
    asked_cookie = bool(case.reading.tries("as_cookie"))
    generic = bool(suffered(case, "as_generic")) and not passed(case, "as_generic")
    match code(case):
        case "ice" | "opening" if minds_cookie:
            return "stun.dropped.payload"
        case "ice":
            return "stun.dropped"
        case "opening" if asked_cookie and generic:
            return "stun.dropped"
        case "dtls":
            return "dtls.dropped"
        case "media" if generic:
            return "media.dropped.shape"
        case "media" | "opening":
            return "media.dropped" if is_call(case) else "media.dropped.payload"
        case "cut":
            return f"media.cut{_unit(case)}"
        case _:
            return _how_limited(case)


def _unit(case: Case) -> str:
    found = unit(_cuts(tested(case)), _cuts(suffered(case, "as_generic", "their_hello")))
    return f".{found}" if found else ""


def _how_limited(case: Case) -> str:
    where = _where(case)
    found, way = call_limits.limit(tested(case), where), call_limits.way(tested(case), where)
    if found is not None and found.kind in RATES:
        return f"media.{found.kind}.rate"
    return f"media.{'thinned' if found is not None else 'lossy'}.{way}"


def words(case: Case) -> dict[str, str]:
    """What the placeholders of call rules stand for in this case."""
    cuts, where = _cuts(tested(case)), _where(case)
    found, way = call_limits.limit(tested(case), where), call_limits.way(tested(case), where)
    losses = [100 * one.loss for one in where.values()]
    lost = f"{max(losses, default=0.0):.0f} % lost"
    return {
        "what": what(case),
        "way": {"both": "both ways", "up": "on the way up", "down": "on the way down"}[way],
        "packets": str(min((cut.packets for cut in cuts), default=0)),
        "after": f"{min((cut.seconds for cut in cuts), default=0.0):.1f}",
        "limit": f"{found.rate / 1000:.0f} kbit/s, {lost}" if found is not None and found.rate else lost,
        "relays": ", ".join(
            dict.fromkeys(c.variant.removeprefix("by_turn_").upper() for c in passed(case, *RELAYED))
        ),
    }
