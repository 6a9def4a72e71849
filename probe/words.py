"""What states, failures and mechanisms are called, wherever they are shown: in English, marked for translators."""

import re
from collections.abc import Mapping

from probe.language import N_, _
from probe.model import Purpose, Verdict
from probe.record import plain

STATES = {
    "reachable": N_("works"),
    "degraded": N_("impaired"),
    "blocked": N_("BLOCKED"),
    "likely_blocked": N_("likely blocked"),
    "unreachable": N_("unreachable"),
    "down": N_("down"),
    "inconclusive": N_("inconclusive"),
    "not_tested": N_("not tested"),
}
# Words for `reachable` where less, or more, was shown than that the far end proved who it is.
SHOWN = {"answers": N_("answers"), "media": N_("media passes")}
FAILURES = {
    "timeout": N_("no answer in time"),
    "refused": N_("refused"),
    "reset": N_("reset"),
    "closed": N_("closed too early"),
    "unreachable": N_("no way there"),
    "malformed": N_("not this protocol"),
    "rejected": N_("answered no"),
    "untrusted": N_("identity does not check out"),
    "unexpected": N_("unexpected answer"),
    "silent": N_("silence"),
    "unsupported": N_("not possible on this machine"),
    "interrupted": N_("interrupted"),
    "internal": N_("error in the probe"),
}
# The first one whose beginning fits; those that are not here are said by their own name. What is in braces is a number
# that the verdict's reason gives before that word.
_MECHANISMS = (
    ("media.cut", N_("media cut after {packets} packets")),
    ("media.dropped", N_("media of its shape vanishes")),
    ("stun.dropped.payload", N_("STUN vanishes")),
    ("noise.impersonated", N_("somebody else answers in its place")),
    ("mtproto.impersonated", N_("somebody else answers in its place")),
    ("mtproto.cut", N_("cut off after its first answer")),
    ("tls.reset.name", N_("its name in TLS is answered by a reset")),
    ("dns.nxdomain", N_("the resolver denies its name")),
)


def shown(purpose: Purpose | str, verdict: Verdict) -> str:
    """The key of the word for a verdict in STATES or SHOWN: no stronger than what was done."""
    if verdict.state == "reachable" and verdict.rule == "call.works":
        return "media"
    if verdict.state == "reachable" and (purpose == "calls" or verdict.identity != "proved"):
        return "answers"
    return verdict.state


def word(words: Mapping[str, str], name: str) -> str:
    """In the reader's language; a name that only a later version knows is said as it is."""
    return _(words[name]) if name in words else plain(name)


def mechanism(own: str, because: str = "") -> str:
    """A mechanism as people say it, or its own name; `because` is the verdict's reason in English."""
    text = next((_(words) for beginning, words in _MECHANISMS if own.startswith(beginning)), plain(own))
    for thing in re.findall(r"\{(\w+)\}", text):
        number = re.search(rf"(\d+) {thing}", because)
        text = text.replace(f"{{{thing}}}", number[1] if number else _("some"))
    return text
