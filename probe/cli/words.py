"""How states, regimes, steps and failures are said to people."""

from typing import TYPE_CHECKING

from probe.record import plain as plain

if TYPE_CHECKING:
    from probe.model import Chain, Observation, Verdict

STATES = {
    "reachable": "works",
    "degraded": "impaired",
    "blocked": "BLOCKED",
    "likely_blocked": "likely blocked",
    "unreachable": "unreachable",
    "down": "down",
    "inconclusive": "inconclusive",
    "not_tested": "not tested",
}
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
    "normal": "normal",
    "offline": "offline",
    "portal": "sign-in page (captive portal)",
    "no_udp": "no UDP",
    "allowlist": "allowlist: only listed addresses pass",
    "foreign_slow": "foreign traffic slowed",
    "too_poor": "too poor to judge",
    "ipv6_broken": "IPv6 broken",
    "intercepted": "TLS intercepted locally",
    "clock_wrong": "this machine's clock is wrong",
    "tunnelled": "VPN or proxy active",
}
VARIANTS = {
    "target": "as the app does it",
    "again": "once more",
    "other_name": "with an innocent name",
    "no_name": "without a name",
    "other_hello": "with another TLS hello",
    "name_to_control": "this name at an unrelated server",
    "other_to_control": "an innocent name there",
    "other_port": "another port",
    "classic": "STUN without its cookie",
    "tcp": "does it answer TCP?",
    "other_bytes": "a TLS hello instead",
    "bytes_to_control": "these first bytes at an unrelated server",
    "other_bytes_to_control": "a plain question there",
    "as_random": "the same in nobody's bytes",
    "as_generic": "the same in plain STUN and RTP",
    "as_cookie": "the same with another STUN cookie",
    "as_stun": "its STUN alone",
    "as_port": "the same at another port",
    "over_tcp": "the same over TCP",
    "their_hello": "the far end sends the DTLS hello",
    "by_turn_udp": "through TURN over UDP",
    "by_turn_tcp": "through TURN over TCP",
    "by_turn_tls": "through TURN over TLS",
}
FAILURES = {
    "timeout": "no answer in time",
    "refused": "refused",
    "reset": "reset",
    "closed": "closed too early",
    "unreachable": "no way there",
    "malformed": "not this protocol",
    "rejected": "answered no",
    "untrusted": "identity does not check out",
    "unexpected": "unexpected answer",
    "silent": "silence",
    "unsupported": "not possible on this machine",
    "interrupted": "interrupted",
    "internal": "error in the probe",
}
FOOTNOTE = (
    "works: the far end answered and proved who it is. answers: something answered where it should; who, was not"
    " proved."
)
NO_CALL = " No call was placed."
CALLED = (
    " media passes: a call of our own was placed, and its media came through both ways for the time tested."
)


def state(purpose: str, verdict: "Verdict | None") -> str:
    """One word or two for a verdict's state, no stronger than what was done."""
    if verdict is None:
        return STATES["not_tested"]
    if verdict.state == "reachable" and verdict.rule == "call.works":
        return "media passes"
    if verdict.state == "reachable" and (purpose == "calls" or verdict.identity != "proved"):
        return "answers"
    return STATES.get(verdict.state, plain(verdict.state))


def label(verdict: "Verdict") -> str:
    """A verdict's mechanism, or its rule where the cause stays open; "partly" where the rest works."""
    said = verdict.mechanism or verdict.rule
    return plain(f"{said}, partly" if verdict.partly else said)


def families(verdict: "Verdict") -> str:
    """How the address families differ, if they do."""
    if len(set(verdict.families.values())) < 2:
        return ""
    said = ", ".join(
        f"IPv{one} {STATES.get(state, state)}" for one, state in sorted(verdict.families.items())
    )
    return plain(f" ({said})")


def why(verdict: "Verdict") -> str:
    """The mechanism and the reason."""
    because = f"{verdict.mechanism}: {verdict.because}" if verdict.mechanism else verdict.because
    return plain(because) + families(verdict)


def rung(observation: "Observation") -> str:
    """One step in words: what was done, how long it took, how it ended."""
    took = f"{observation.step} {1000 * observation.seconds:.0f} ms"
    if observation.failure is None:
        return f"{took} ok{_learned(observation)}"
    failure = observation.failure
    code = f" ({plain(failure.code)})" if failure.code else ""
    sizes = f", {observation.sent} B sent, {observation.received} B received" if observation.sent else ""
    return f"{took} {FAILURES.get(failure.kind, failure.kind)}{code}{sizes}{_learned(observation)}"


def _learned(observation: "Observation") -> str:
    from probe.step import Proof

    facts = observation.facts
    if observation.step in ("media", "call", "loop", "reflectorloop") and facts is not None:
        from probe.cli.media_words import AnyMedia, summary

        return f" [{plain(summary(facts))}]" if isinstance(facts, AnyMedia) else ""
    if isinstance(facts, Proof):
        return f" [{plain(facts.stage)}]"
    pinned = ", pinned certificate" if getattr(facts, "pinned", False) else ""
    for name in ("status", "identity", "code", "realm", "reached"):
        value = getattr(facts, name, None)
        if value:
            return f" [{plain(str(value))}{pinned}]"
    answered, sent = getattr(facts, "answered", None), getattr(facts, "sent", None)
    if isinstance(answered, int) and isinstance(sent, int):
        runs = getattr(facts, "answers", "")
        return plain(f" [{answered} of {sent} answered{f': {runs}' if answered < sent and runs else ''}]")
    return ""


def place(chain: "Chain") -> str:
    """Where a chain went, and who said that address."""
    where = f"[{chain.ip}]" if chain.ip and ":" in chain.ip else chain.ip or chain.host
    said = f", said by {', '.join(chain.said_by)}" if chain.said_by else ""
    return plain(f"{where}:{chain.port} ({VARIANTS.get(chain.variant, chain.variant)}{said})")
