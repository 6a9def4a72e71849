"""How states, regimes, steps and failures are said to people."""

from typing import TYPE_CHECKING

from probe.language import N_, _, apart, said
from probe.record import plain as plain
from probe.words import FAILURES, SHOWN, STATES, shown, word

if TYPE_CHECKING:
    from probe.failure import Failure
    from probe.model import Chain, Observation, Verdict

COLOURS = {
    "reachable": "green",
    "degraded": "yellow",
    "blocked": "bold red",
    "likely_blocked": "red",
    "unreachable": "magenta",
    "down": "magenta",
    "inconclusive": "cyan",
    "not_tested": "dim",
}
REGIMES = {
    "normal": N_("normal"),
    "offline": N_("offline"),
    "portal": N_("sign-in page (captive portal)"),
    "no_udp": N_("no UDP"),
    "allowlist": N_("allowlist: only listed addresses pass"),
    "foreign_slow": N_("foreign traffic slowed"),
    "too_poor": N_("too poor to judge"),
    "ipv6_broken": N_("IPv6 broken"),
    "intercepted": N_("TLS intercepted locally"),
    "clock_wrong": N_("this machine's clock is wrong"),
    "tunnelled": N_("VPN or proxy active"),
}
VARIANTS = {
    "target": N_("as the app does it"),
    "again": N_("once more"),
    "other_name": N_("with an innocent name"),
    "no_name": N_("without a name"),
    "other_hello": N_("with another TLS hello"),
    "name_to_control": N_("this name at an unrelated server"),
    "other_to_control": N_("an innocent name there"),
    "other_port": N_("another port"),
    "classic": N_("STUN without its cookie"),
    "tcp": N_("does it answer TCP?"),
    "other_bytes": N_("a TLS hello instead"),
    "bytes_to_control": N_("these first bytes at an unrelated server"),
    "other_bytes_to_control": N_("a plain question there"),
    "as_random": N_("the same in nobody's bytes"),
    "as_generic": N_("the same in plain STUN and RTP"),
    "as_cookie": N_("the same with another STUN cookie"),
    "as_stun": N_("its STUN alone"),
    "as_port": N_("the same at another port"),
    "over_tcp": N_("the same over TCP"),
    "their_hello": N_("the far end sends the DTLS hello"),
    "by_turn_udp": N_("through TURN over UDP"),
    "by_turn_tcp": N_("through TURN over TCP"),
    "by_turn_tls": N_("through TURN over TLS"),
}
# What rules put into their reasons, and findings into theirs; `said` finds it here.
_FILLED_IN = (
    N_("both ways"), N_("on the way up"), N_("on the way down"), N_("{share} lost"), N_("{rate} kbit/s, {lost}"),
    N_("this machine changed networks during the run"), N_("this machine lost its network during the run"),
    N_("this machine slept, or its clock was set, during the run"),
)  # fmt: skip


def footnote(*, called: bool) -> str:
    """What the best words of the table mean."""
    if called:
        return _(
            "works: the far end answered and proved who it is. answers: something answered where it should; who, was"
            " not proved. media passes: a call of our own was placed, and its media came through both ways for the"
            " time tested."
        )
    return _(
        "works: the far end answered and proved who it is. answers: something answered where it should; who, was not"
        " proved. No call was placed."
    )


def reason(because: str) -> str:
    """Why, in the reader's language; files keep it in English."""
    return said(plain(because))


def purpose(name: str) -> str:
    """What a service is used for, as the table's heads say it."""
    return {"messaging": _("messages"), "calls": _("calls"), "web": _("website")}.get(name, plain(name))


def state(purpose: str, verdict: "Verdict | None") -> str:
    """One word or two for a verdict's state, no stronger than what was done."""
    return word(STATES | SHOWN, "not_tested" if verdict is None else shown(purpose, verdict))


def label(verdict: "Verdict") -> str:
    """A verdict's mechanism, or its rule where the cause stays open; "partly" where the rest works."""
    name = plain(verdict.mechanism or verdict.rule)
    return _("{name}, partly").format(name=name) if verdict.partly else apart(name)


def families(verdict: "Verdict") -> str:
    """How the address families differ, if they do."""
    if len(set(verdict.families.values())) < 2:
        return ""
    fates = ", ".join(
        f"IPv{plain(one)} {word(STATES, state)}" for one, state in sorted(verdict.families.items())
    )
    return f" ({fates})"


def why(verdict: "Verdict") -> str:
    """The mechanism and the reason."""
    mechanism = f"{apart(plain(verdict.mechanism))}: " if verdict.mechanism else ""
    return mechanism + reason(verdict.because) + families(verdict)


def rung(observation: "Observation") -> str:
    """One step in words: what was done, how long it took, how it ended."""
    took = _("{step} {milliseconds} ms").format(
        step=observation.step, milliseconds=f"{1000 * observation.seconds:.0f}"
    )
    if observation.failure is None:
        return f"{took} {_('ok')}{_learned(observation)}"
    failure, sizes = observation.failure, ""
    if observation.sent:
        sizes = ", " + _("{sent} B sent, {received} B received").format(
            sent=observation.sent, received=observation.received
        )
    return f"{took} {failed(failure)}{sizes}{_learned(observation)}"


def failed(failure: "Failure") -> str:
    """How it failed, and the peer's own code for it."""
    code = f" ({apart(plain(failure.code))})" if failure.code else ""
    return word(FAILURES, failure.kind) + code


def _learned(observation: "Observation") -> str:
    from probe.step import Proof

    facts = observation.facts
    if observation.step in ("media", "call", "loop", "reflectorloop") and facts is not None:
        from probe.cli.media_words import AnyMedia, summary

        return f" [{summary(facts)}]" if isinstance(facts, AnyMedia) else ""
    if isinstance(facts, Proof):
        return f" [{plain(facts.stage)}]"
    pinned = ", " + _("pinned certificate") if getattr(facts, "pinned", False) else ""
    for name in ("status", "identity", "code", "realm", "reached"):
        value = getattr(facts, name, None)
        if value:
            return f" [{apart(plain(str(value)))}{pinned}]"
    answered, sent = getattr(facts, "answered", None), getattr(facts, "sent", None)
    if isinstance(answered, int) and isinstance(sent, int):
        runs = getattr(facts, "answers", "")
        text = _("{answered} of {sent} answered").format(answered=answered, sent=sent)
        return f" [{text}{f': {plain(runs)}' if answered < sent and runs else ''}]"
    return ""


def place(chain: "Chain") -> str:
    """Where a chain went, and who said that address."""
    where = f"[{chain.ip}]" if chain.ip and ":" in chain.ip else chain.ip or chain.host
    told = (
        ", " + _("said by {resolvers}").format(resolvers=plain(", ".join(chain.said_by)))
        if chain.said_by
        else ""
    )
    return f"{apart(plain(f'{where}:{chain.port}'))} ({word(VARIANTS, chain.variant)}{told})"
