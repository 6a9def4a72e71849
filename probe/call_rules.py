"""The part of the table that judges test calls and paced flows. They come before the rules for everything else.

{what} is the mechanism, {way} the direction, {packets} and {after} what had passed before a cut (packets of both
directions, seconds), {limit} what was left or lost, {relays} how relays were reached.
"""

from probe import call_contrast as calls
from probe.contrast import Case
from probe.model import Variant
from probe.reading import OWN
from probe.rule import Condition, Rule, all_of, any_of


def _code(*codes: str) -> Condition:
    return lambda case: calls.code(case) in codes


def _passed(*variants: Variant) -> Condition:
    return lambda case: bool(calls.passed(case, *variants))


def _before_the_test(case: Case) -> bool:
    return not calls.tested(case) and bool(case.reading.failures)


def _in_its_middle(case: Case) -> bool:
    return not calls.tested(case) and bool(case.reading.passed(*OWN))


_test = calls.is_test_call
_sad = all_of(_test, calls.all_sad)
_silenced = all_of(_test, calls.suffers_thrice, calls.is_silenced)
_limited = all_of(_test, calls.suffers_thrice, calls.is_limited, calls.other_bytes_pass, calls.line_is_wide)
_alike_by_a_rule = all_of(calls.is_cut_alike, calls.is_cut_by_a_rule)

CALL_RULES: tuple[Rule, ...] = (
    Rule(
        id="call.works",
        when=all_of(_test, calls.is_call, calls.goes_well),
        state="reachable",
        because="a call of our own was placed, and its media passed both ways for the time tested",
    ),
    Rule(
        id="media.works",
        when=all_of(_test, calls.goes_well),
        state="reachable",
        because="a flow of this shape passed both ways for the time tested, to our own far end",
    ),
    Rule(
        id="media.detour",
        when=all_of(_test, lambda case: case.reading.is_detour),
        state="inconclusive",
        because="this machine reaches the far end another way than the rest (a VPN for some addresses), so it says"
        " nothing of the network",
    ),
    Rule(
        id="far_end.refuses",
        when=all_of(_test, calls.is_refused),
        state="inconclusive",
        because="the far end does not take the test ({code})",
    ),
    Rule(
        id="far_end.unreachable",
        when=all_of(_test, _before_the_test),
        state="inconclusive",
        because="the far end cannot be reached over HTTPS, or hung up ({step} fails), so nothing was tested",
    ),
    Rule(
        id="far_end.ends",
        when=all_of(_test, _in_its_middle),
        state="inconclusive",
        because="the far end ended the test or did not answer it, for reasons of its own, so it says nothing",
    ),
    Rule(
        id="call.hello",
        when=all_of(_silenced, calls.is_call, _code("dtls", "media", "cut"), calls.another_hello_passes),
        state="degraded",
        mechanism="dtls.dropped.hello",
        because="calls die when this program sends its DTLS hello, and live with another hello or another sender: a"
        " filter knows the fingerprint, so this says nothing of an app's own",
    ),
    Rule(
        id="call.relayed",
        when=all_of(
            _silenced,
            calls.is_call,
            any_of(all_of(calls.other_bytes_pass, calls.a_relay_would_help), _alike_by_a_rule),
            _passed(*calls.RELAYED),
        ),
        state="degraded",
        mechanism="{what}",
        because="direct calls do not get through ({what}), and calls through a relay do ({relays})",
    ),
    Rule(
        id="media.cut",
        when=all_of(_silenced, _code("cut"), calls.other_bytes_pass, calls.it_is_not_the_far_end),
        state="blocked",
        mechanism="{what}",
        because="media passes for {packets} packets ({after} s) and then nothing does, every time; the same sizes and"
        " times in bytes that are nobody's go on",
    ),
    Rule(
        id="call.cut.alike",
        when=all_of(_silenced, calls.is_call, _code("cut"), _alike_by_a_rule),
        state="blocked",
        mechanism="{what}",
        because="every UDP flow to the far end, call or not, is cut off after {packets} packets ({after} s); a new one"
        " works again",
    ),
    Rule(
        id="media.cut.alike",
        when=all_of(_sad, _code("cut"), calls.is_cut_alike),
        state="inconclusive",
        mechanism="{what}",
        because="every UDP flow to the far end is cut off after {packets} packets ({after} s), whatever its shape:"
        " a filter of all flows, a router that forgets, or the far end's own network; whether the service's relays are"
        " spared cannot be seen from here",
    ),
    Rule(
        id="media.dropped",
        when=all_of(
            _silenced,
            _code("ice", "opening", "media"),
            calls.other_bytes_pass,
            calls.it_is_not_the_far_end,
        ),
        state="blocked",
        mechanism="{what}",
        because="packets of this shape vanish, every time; the same sizes and times in bytes that are nobody's pass"
        " between the same two machines",
    ),
    Rule(
        id="media.limited.unusable",
        when=all_of(_limited, calls.speech_suffers),
        state="blocked",
        mechanism="{what}",
        because="media is thinned {way} until nobody can talk ({limit}), and the same in bytes that are nobody's is"
        " not",
    ),
    Rule(
        id="media.limited",
        when=_limited,
        state="degraded",
        mechanism="{what}",
        because="media is held down {way} ({limit}), and the same in bytes that are nobody's is not",
    ),
    Rule(
        id="media.limited.udp",
        when=all_of(_test, calls.suffers_thrice, calls.datagrams_are_limited, calls.line_is_wide),
        state="degraded",
        mechanism="{what}",
        because="UDP to the far end is held down {way} ({limit}), whatever is in it, and TCP between the same two"
        " machines is not: on this network, or at the far end's",
    ),
    Rule(
        id="media.port",
        when=all_of(_sad, calls.only_this_port_is_shut),
        state="inconclusive",
        because="nothing passes at this UDP port of the far end, and another port does; its own firewall looks the"
        " same",
    ),
    Rule(
        id="media.nothing",
        when=all_of(_sad, calls.other_bytes_suffer),
        state="inconclusive",
        because="UDP to the far end suffers whatever is in it, so this says nothing of calls",
    ),
    Rule(
        id="media.open",
        when=_sad,
        state="inconclusive",
        because="media to the far end suffers, and what it is compared with does not tell why",
    ),
    Rule(
        id="media.once",
        when=all_of(_test, lambda case: bool(calls.tested(case))),
        state="inconclusive",
        because="a call or flow failed once, and there was no second try",
    ),
)
