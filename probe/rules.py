"""The table that says what one target's tries mean. First match wins; ids are append-only.

Words, never scores: the state is chosen by the kind of evidence. An artefact or a contrast gives
`blocked`. A failure beside healthy controls whose cause stays open gives `unreachable`, and a second
vantage point may settle it later. Whatever our own side or a sick network explains gives `inconclusive`.

In `mechanism` and `because`, {step} is the layer that failed, {action} what happened to it, {code} the
peer's own code, {port} the port, {until} and {since} the times (UTC) around a change.
"""

from probe import contrast
from probe.call_contrast import is_test_call
from probe.call_rules import CALL_RULES
from probe.contrast import SILENCE, Case
from probe.failure import Kind
from probe.proof_rules import IMPOSTOR_RULES, PROOF_RULES
from probe.reading import OWN, identity_shown
from probe.relay_contrast import is_relayed
from probe.relay_rules import RELAY_RULES
from probe.rule import Rule, all_of, any_of, fails, kind, not_, step

VERSION = 4


def _nothing_tried(case: Case) -> bool:
    return not case.reading.tries(*OWN)


def _our_fault(case: Case) -> bool:
    return not case.reading.failed(*OWN) and not case.reading.passed(*OWN)


def _works(case: Case) -> bool:
    return bool(case.reading.passed(*OWN))


def _refused_by_status(case: Case) -> bool:
    return contrast.failure_code(case) in ("403", "451")


def _dates_are_wrong(case: Case) -> bool:
    return contrast.failure_code(case) in ("expired", "not_yet_valid", "not-yet-valid")


def _genuine_under_another_name(case: Case) -> bool:
    return any(identity_shown(chain) for chain in case.reading.passed("other_name", "no_name"))


_untrusted = kind(Kind.UNTRUSTED)
_named = step("tls", "http", "websocket", "quic")
_cut = kind(Kind.TIMEOUT, Kind.SILENT, Kind.RESET, Kind.CLOSED, Kind.MALFORMED, Kind.REJECTED)
_stun = all_of(step("stun", "turn"), lambda case: case.reading.is_udp)
_datagrams = all_of(step("stun", "turn", "reflector", "echo", "dtls"), lambda case: case.reading.is_udp)
_innocent = contrast.innocent_names_pass

RULES: tuple[Rule, ...] = (
    Rule(
        id="none.tried",
        when=_nothing_tried,
        state="not_tested",
        because="no address of it was tried over this address family",
    ),
    *CALL_RULES,
    *RELAY_RULES,
    Rule(
        id="changed",
        when=lambda case: case.reading.change is not None,
        state="inconclusive",
        because="it worked until {until} UTC and failed from {since} on: something changed during the run; measure"
        " again",
    ),
    Rule(id="works", when=_works, state="reachable", because="it answered as expected"),
    Rule(
        id="ours",
        when=_our_fault,
        state="inconclusive",
        because="the test could not be completed on this machine",
    ),
    Rule(
        id="detour",
        when=lambda case: case.reading.is_detour,
        state="inconclusive",
        because="this machine sends it another way than the rest (a VPN for some addresses), so it says nothing of"
        " the network",
    ),
    *IMPOSTOR_RULES,
    # STUN without its cookie passes where STUN with it is silent: nothing but a look at the payload does that.
    Rule(
        id="stun.payload",
        when=all_of(_stun, fails(2), contrast.is_silent, contrast.answers_without_cookie),
        state="blocked",
        mechanism="stun.dropped.payload",
        because="STUN requests vanish; the same request without its magic cookie is answered by the same address",
    ),
    Rule(
        id="stun.payload.everywhere",
        when=all_of(_stun, fails(2), contrast.is_silent, contrast.cookie_is_dropped_everywhere),
        state="blocked",
        mechanism="stun.dropped.payload",
        because="no STUN request on this network is answered, and requests without the magic cookie are",
    ),
    Rule(
        id="udp.port",
        when=all_of(_stun, fails(2), contrast.is_silent, contrast.port_is_silent_at_controls),
        state="blocked",
        mechanism="udp.dropped.port",
        because="UDP port {port} is silent at unrelated servers too, while they answer on other ports",
    ),
    Rule(
        id="control.none",
        when=lambda case: case.health.total == 0,
        state="inconclusive",
        because="there was no control of the same kind to compare with",
    ),
    Rule(
        id="control.poor",
        when=lambda case: not case.health.good,
        state="inconclusive",
        because="the controls of the same kind failed too, so this is about the network",
    ),
    Rule(
        id="service.refuses",
        when=all_of(step("http"), kind(Kind.UNEXPECTED), _refused_by_status),
        state="unreachable",
        mechanism="service.refuses",
        because="the service itself answers with status {code}",
    ),
    Rule(
        id="service.answers",
        when=kind(Kind.UNEXPECTED),
        state="unreachable",
        mechanism="service.unexpected",
        because="an answer came, but not the one this service gives ({code})",
    ),
    Rule(
        id="tls.dates",
        when=all_of(_untrusted, _dates_are_wrong),
        state="unreachable",
        mechanism="{step}.untrusted.date",
        because="the certificate is outside its dates; that is the service's mistake as often as anything else",
    ),
    *PROOF_RULES,
    Rule(
        id="tls.replaced.name",
        when=all_of(_untrusted, fails(2), _genuine_under_another_name),
        state="blocked",
        mechanism="tls.replaced.name",
        because="a false certificate comes only when the service's name is said; the server has the true one",
    ),
    Rule(
        id="tls.replaced.follows",
        when=all_of(_untrusted, fails(2), contrast.stranger_follows_the_name),
        state="blocked",
        mechanism="tls.replaced.name",
        because="the same false certificate comes from an unrelated server when the service's name is said there",
    ),
    Rule(
        id="tls.replaced.any",
        when=all_of(_untrusted, fails(2), contrast.stranger_takes_any_name),
        state="blocked",
        mechanism="tls.replaced",
        because="at the service's address somebody nobody knows has a certificate for whatever name is said, also for"
        " one that is not the service's",
    ),
    Rule(
        id="tls.replaced.several",
        when=all_of(_untrusted, fails(2), contrast.same_stranger_everywhere),
        state="blocked",
        mechanism="tls.replaced",
        because="several services show certificates of one unknown issuer while the controls are genuine",
    ),
    Rule(
        id="tls.untrusted",
        when=_untrusted,
        state="unreachable",
        mechanism="tls.untrusted",
        because="the certificate does not check out ({code}): interception, a change at the service, or an outdated"
        " catalogue; another vantage point must tell",
    ),
    Rule(
        id="hello.filtered",
        when=all_of(
            _named,
            _cut,
            fails(3),
            contrast.another_hello_passes,
            any_of(contrast.never_acknowledged, contrast.reset_too_early),
        ),
        state="degraded",
        mechanism="{step}.{action}.fingerprint",
        because="one program's TLS hello does not get through and another one with the same name does, at the same"
        " address",
    ),
    Rule(
        id="name.everywhere",
        when=all_of(_named, _cut, fails(2), contrast.name_fails_elsewhere),
        state="blocked",
        mechanism="{step}.{action}.name",
        because="the service's name fails at unrelated servers too, which answer under their own names",
    ),
    Rule(
        id="name.early",
        when=all_of(_named, contrast.reset_too_early, _innocent),
        state="blocked",
        mechanism="{step}.{action}.name",
        because="saying the service's name is answered by a reset that is faster than the server can be; other"
        " names pass",
    ),
    Rule(
        id="early",
        when=all_of(_named, contrast.reset_too_early),
        state="blocked",
        mechanism="{step}.{action}",
        because="connections are reset faster than the server can answer",
    ),
    Rule(
        id="name.unheard",
        when=all_of(_named, fails(3), contrast.never_acknowledged, _innocent),
        state="blocked",
        mechanism="{step}.{action}.name",
        because="packets with the service's name never arrive; those with other names do, at the same address",
    ),
    Rule(
        id="name.proved",
        # Not for an alert or an orderly end: that is a server speaking, one whose backend is gone, say.
        when=all_of(
            step("tls", "quic"),
            kind(*SILENCE, Kind.RESET),
            fails(4),
            _innocent,
            contrast.server_proved_itself,
        ),
        state="blocked",
        mechanism="{step}.{action}.name",
        because="the server is up and proves to be the service when another name is said, and fails under its own",
    ),
    Rule(
        id="http.unheard",
        when=all_of(step("http", "websocket"), fails(3), contrast.never_acknowledged),
        state="blocked",
        mechanism="http.dropped",
        because="the encrypted handshake completes every time, and then nothing we send arrives any more",
    ),
    Rule(
        id="hello.open",
        when=all_of(_named, _cut, contrast.another_hello_passes),
        state="inconclusive",
        because="another TLS hello with the same name passes: a filter or the service's own door looks at the"
        " program's fingerprint, so this says nothing of the app",
    ),
    Rule(
        id="name.open",
        when=all_of(_named, _cut, _innocent),
        state="unreachable",
        mechanism="{step}.{action}",
        because="it fails under its own name and other names pass, but the server itself may do that; the extended"
        " tests can tell",
    ),
    Rule(
        id="service.alert",
        when=all_of(_named, kind(Kind.REJECTED)),
        state="unreachable",
        mechanism="{step}.rejected",
        because="the other side refuses the handshake ({code})",
    ),
    Rule(
        id="address.open",
        when=_named,
        state="unreachable",
        mechanism="{step}.{action}",
        because="the connection opens, and then {step} fails whatever name is said; a fault of the service looks"
        " the same",
    ),
    Rule(
        id="tcp.port",
        when=all_of(step("tcp"), contrast.other_port_passes),
        state="unreachable",
        mechanism="tcp.{action}.port",
        because="port {port} does not answer and another port of the same address does; office and guest networks"
        " do this",
    ),
    Rule(
        id="tcp.address",
        when=step("tcp"),
        state="unreachable",
        mechanism="tcp.{action}.address",
        because="the address does not answer; whether it is down or cut off from here, another network must tell",
    ),
    Rule(
        id="udp.unconfirmed",
        when=all_of(_datagrams, not_(contrast.is_known_to_answer)),
        state="inconclusive",
        because="it is silent, but it was never confirmed that it answers strangers",
    ),
    Rule(
        id="udp.address",
        when=all_of(_datagrams, fails(2), contrast.is_silent, contrast.relays_are_silent_but_alive),
        state="blocked",
        mechanism="udp.dropped.address",
        because="UDP to the service's relays vanishes while their machines are up and other servers answer UDP",
    ),
    Rule(
        id="udp.rejected",
        when=all_of(_datagrams, fails(2), kind(Kind.UNREACHABLE), contrast.relays_are_silent_but_alive),
        state="blocked",
        mechanism="udp.rejected.address",
        because="a router on the way rejects UDP to the service's relays, whose machines are up",
    ),
    Rule(
        id="udp.refused",
        when=all_of(_datagrams, kind(Kind.REFUSED)),
        state="unreachable",
        mechanism="udp.refused",
        because="nobody listens at the relay's port",
    ),
    Rule(
        id="udp.open",
        when=all_of(_datagrams, any_of(kind(*SILENCE), kind(Kind.UNREACHABLE))),
        state="unreachable",
        mechanism="udp.{action}",
        because="the relay is silent; whether it is down or cut off from here, another network must tell",
    ),
    Rule(
        id="other",
        when=lambda case: True,
        state="unreachable",
        mechanism="{step}.{action}",
        because="{step} fails while controls are fine",
    ),
)


# All of CALL_RULES ask for a test call, and all of RELAY_RULES for media through a relay: for what is none they need
# not be asked.
_NOT_OF_CALLS = tuple(rule for rule in RULES if rule not in CALL_RULES)
_OF_ALL = tuple(rule for rule in _NOT_OF_CALLS if rule not in RELAY_RULES)


def decide(case: Case) -> Rule:
    """The first rule that matches; the last one always does."""
    table = RULES if is_test_call(case) else _NOT_OF_CALLS if is_relayed(case) else _OF_ALL
    return next(rule for rule in table if rule.when(case))
