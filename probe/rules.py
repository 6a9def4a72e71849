"""The table that says what one target's tries mean. First match wins; ids are append-only.

Words, never scores: the state is chosen by the kind of evidence. An artefact or a contrast gives
`blocked`. A failure beside healthy controls whose cause stays open gives `unreachable`, and a second
vantage point may settle it later. Whatever our own side or a sick network explains gives `inconclusive`.

In `mechanism` and `because`, {step} is the layer that failed, {action} what happened to it, {code} the
peer's own code, {port} the port.
"""

from collections.abc import Callable
from dataclasses import dataclass

from probe import contrast
from probe.contrast import SILENCE, Case
from probe.failure import Kind
from probe.model import State
from probe.reading import OWN, identity_shown

VERSION = 1

_ACTION = {
    Kind.TIMEOUT: "dropped",
    Kind.SILENT: "dropped",
    Kind.RESET: "reset",
    Kind.CLOSED: "closed",
    Kind.REFUSED: "refused",
    Kind.UNREACHABLE: "rejected",
    Kind.REJECTED: "rejected",
    Kind.MALFORMED: "garbled",
    Kind.UNTRUSTED: "untrusted",
    Kind.UNEXPECTED: "unexpected",
}


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One line of the table."""

    id: str
    when: Callable[[Case], bool]
    state: State
    mechanism: str = ""
    because: str

    def words(self, case: Case) -> dict[str, str]:
        """What the placeholders stand for in this case."""
        kind = case.reading.kind
        return {
            "step": case.reading.step or "tcp",
            "action": _ACTION.get(kind, "failed") if kind else "failed",
            "code": contrast.failure_code(case),
            "port": str(case.reading.port),
        }


def _nothing_tried(case: Case) -> bool:
    return not case.reading.tries(*OWN)


def _our_fault(case: Case) -> bool:
    return not case.reading.failed(*OWN) and not case.reading.passed(*OWN)


def _works(case: Case) -> bool:
    return bool(case.reading.passed(*OWN))


def _step(*names: str) -> Callable[[Case], bool]:
    return lambda case: case.reading.step in names


def _kind(*kinds: Kind) -> Callable[[Case], bool]:
    return lambda case: case.reading.kind in kinds


def _all(*conditions: Callable[[Case], bool]) -> Callable[[Case], bool]:
    return lambda case: all(condition(case) for condition in conditions)


def _any(*conditions: Callable[[Case], bool]) -> Callable[[Case], bool]:
    return lambda case: any(condition(case) for condition in conditions)


def _not(condition: Callable[[Case], bool]) -> Callable[[Case], bool]:
    return lambda case: not condition(case)


def _fails(at_least: int) -> Callable[[Case], bool]:
    return lambda case: contrast.all_ours_fail(case, at_least)


def _refused_by_status(case: Case) -> bool:
    return contrast.failure_code(case) in ("403", "451")


def _dates_are_wrong(case: Case) -> bool:
    return contrast.failure_code(case) in ("expired", "not_yet_valid")


def _genuine_under_another_name(case: Case) -> bool:
    return any(identity_shown(chain) for chain in case.reading.passed("other_name", "no_name"))


_untrusted = _kind(Kind.UNTRUSTED)
_named = _step("tls", "http", "quic")
_cut = _kind(Kind.TIMEOUT, Kind.SILENT, Kind.RESET, Kind.CLOSED, Kind.MALFORMED, Kind.REJECTED)
_datagrams = _all(_step("stun", "turn"), lambda case: case.reading.is_udp)
_innocent = contrast.innocent_names_pass

RULES: tuple[Rule, ...] = (
    Rule(
        id="none.tried",
        when=_nothing_tried,
        state="not_tested",
        because="no address of it was tried over this address family",
    ),
    Rule(id="works", when=_works, state="reachable", because="it answered as expected"),
    Rule(
        id="ours",
        when=_our_fault,
        state="inconclusive",
        because="the test could not be completed on this machine",
    ),
    # STUN without its cookie passes where STUN with it is silent: nothing but a look at the payload does that.
    Rule(
        id="stun.payload",
        when=_all(_datagrams, _fails(2), contrast.is_silent, contrast.answers_without_cookie),
        state="blocked",
        mechanism="stun.dropped.payload",
        because="STUN requests vanish; the same request without its magic cookie is answered by the same address",
    ),
    Rule(
        id="stun.payload.everywhere",
        when=_all(_datagrams, _fails(2), contrast.is_silent, contrast.cookie_is_dropped_everywhere),
        state="blocked",
        mechanism="stun.dropped.payload",
        because="no STUN request on this network is answered, and requests without the magic cookie are",
    ),
    Rule(
        id="udp.port",
        when=_all(_datagrams, _fails(2), contrast.is_silent, contrast.port_is_silent_at_controls),
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
        when=_all(_step("http"), _kind(Kind.UNEXPECTED), _refused_by_status),
        state="unreachable",
        mechanism="service.refuses",
        because="the service itself answers with status {code}",
    ),
    Rule(
        id="service.answers",
        when=_kind(Kind.UNEXPECTED),
        state="unreachable",
        mechanism="service.unexpected",
        because="an answer came, but not the one this service gives ({code})",
    ),
    Rule(
        id="tls.dates",
        when=_all(_untrusted, _dates_are_wrong),
        state="unreachable",
        mechanism="tls.untrusted.date",
        because="the certificate is outside its dates; that is the service's mistake as often as anything else",
    ),
    Rule(
        id="tls.replaced.name",
        when=_all(_untrusted, _fails(2), _genuine_under_another_name),
        state="blocked",
        mechanism="tls.replaced.name",
        because="a false certificate comes only when the service's name is said; the server has the true one",
    ),
    Rule(
        id="tls.replaced.follows",
        when=_all(_untrusted, _fails(2), contrast.stranger_follows_the_name),
        state="blocked",
        mechanism="tls.replaced.name",
        because="the same false certificate comes from an unrelated server when the service's name is said there",
    ),
    Rule(
        id="tls.replaced.any",
        when=_all(_untrusted, _fails(2), contrast.stranger_takes_any_name),
        state="blocked",
        mechanism="tls.replaced",
        because="at the service's address somebody nobody knows has a certificate for whatever name is said, also for"
        " one that is not the service's",
    ),
    Rule(
        id="tls.replaced.several",
        when=_all(_untrusted, _fails(2), contrast.same_stranger_everywhere),
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
        id="name.everywhere",
        when=_all(_named, _cut, _fails(2), contrast.name_fails_elsewhere),
        state="blocked",
        mechanism="{step}.{action}.name",
        because="the service's name fails at unrelated servers too, which answer under their own names",
    ),
    Rule(
        id="name.early",
        when=_all(_named, contrast.reset_too_early, _innocent),
        state="blocked",
        mechanism="{step}.{action}.name",
        because="saying the service's name is answered by a reset that is faster than the server can be; other"
        " names pass",
    ),
    Rule(
        id="early",
        when=_all(_named, contrast.reset_too_early),
        state="blocked",
        mechanism="{step}.{action}",
        because="connections are reset faster than the server can answer",
    ),
    Rule(
        id="name.unheard",
        when=_all(_named, _fails(3), contrast.never_acknowledged, _innocent),
        state="blocked",
        mechanism="{step}.{action}.name",
        because="packets with the service's name never arrive; those with other names do, at the same address",
    ),
    Rule(
        id="name.proved",
        # Not for an alert: that is a server speaking, and servers refuse names for reasons of their own.
        when=_all(
            _step("tls", "quic"),
            _cut,
            _not(_kind(Kind.REJECTED)),
            _fails(4),
            _innocent,
            contrast.server_proved_itself,
        ),
        state="blocked",
        mechanism="{step}.{action}.name",
        because="the server is up and proves to be the service when another name is said, and fails under its own",
    ),
    Rule(
        id="http.unheard",
        when=_all(_step("http"), _fails(3), contrast.never_acknowledged),
        state="blocked",
        mechanism="http.dropped",
        because="the encrypted handshake completes every time, and then nothing we send arrives any more",
    ),
    Rule(
        id="name.open",
        when=_all(_named, _cut, _innocent),
        state="unreachable",
        mechanism="{step}.{action}",
        because="it fails under its own name and other names pass, but the server itself may do that; the extended"
        " tests can tell",
    ),
    Rule(
        id="service.alert",
        when=_all(_named, _kind(Kind.REJECTED)),
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
        when=_all(_step("tcp"), contrast.other_port_passes),
        state="unreachable",
        mechanism="tcp.{action}.port",
        because="port {port} does not answer and another port of the same address does; office and guest networks"
        " do this",
    ),
    Rule(
        id="tcp.address",
        when=_step("tcp"),
        state="unreachable",
        mechanism="tcp.{action}.address",
        because="the address does not answer; whether it is down or cut off from here, another network must tell",
    ),
    Rule(
        id="udp.unconfirmed",
        when=_all(_datagrams, _not(contrast.is_known_to_answer)),
        state="inconclusive",
        because="it is silent, but it was never confirmed that it answers strangers",
    ),
    Rule(
        id="udp.address",
        when=_all(_datagrams, _fails(2), contrast.is_silent, contrast.relays_are_silent_but_alive),
        state="blocked",
        mechanism="udp.dropped.address",
        because="UDP to the service's relays vanishes while their machines are up and other servers answer UDP",
    ),
    Rule(
        id="udp.rejected",
        when=_all(_datagrams, _fails(2), _kind(Kind.UNREACHABLE), contrast.relays_are_silent_but_alive),
        state="blocked",
        mechanism="udp.rejected.address",
        because="a router on the way rejects UDP to the service's relays, whose machines are up",
    ),
    Rule(
        id="udp.refused",
        when=_all(_datagrams, _kind(Kind.REFUSED)),
        state="unreachable",
        mechanism="udp.refused",
        because="nobody listens at the relay's port",
    ),
    Rule(
        id="udp.open",
        when=_all(_datagrams, _any(_kind(*SILENCE), _kind(Kind.UNREACHABLE))),
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


def decide(case: Case) -> Rule:
    """The first rule that matches; the last one always does."""
    return next(rule for rule in RULES if rule.when(case))
