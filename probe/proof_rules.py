"""Rules for services that prove who they are in a protocol of their own; rows of the table in `rules`."""

from probe import contrast, proof_contrast
from probe.contrast import SILENCE
from probe.failure import Kind
from probe.rule import Rule, all_of, fails, kind, not_, step

_open = proof_contrast.is_in_the_open

# Before the controls are asked: what one peer did to one key needs no comparison.
IMPOSTOR_RULES: tuple[Rule, ...] = (
    Rule(
        id="proof.impostor",
        when=all_of(proof_contrast.is_an_impostor, fails(2), step("mtproto", "noise")),
        state="blocked",
        mechanism="{step}.impersonated",
        because="whoever answers at this address names the service's key and cannot use it: it is not the service",
    ),
    Rule(
        id="proof.impostor.beside",
        when=all_of(proof_contrast.is_an_impostor, fails(2), proof_contrast.proved_elsewhere),
        state="blocked",
        mechanism="{step}.impersonated",
        because="whoever answers at this address does not hold the service's key, and other machines of the service"
        " do: it is not the service",
    ),
    Rule(
        id="proof.impostor.open",
        when=proof_contrast.is_an_impostor,
        state="unreachable",
        mechanism="{step}.impersonated",
        because="whoever answers does not hold the key that the catalogue has: somebody else, or the service has"
        " changed its key; another vantage point must tell",
    ),
    Rule(
        id="proof.key.beside",
        when=all_of(proof_contrast.shows_a_new_key, fails(2), proof_contrast.proved_elsewhere),
        state="unreachable",
        mechanism="{step}.impersonated",
        because="the peer shows another key than the service does elsewhere in this run: somebody in between, or a"
        " change of keys that has just begun",
    ),
    Rule(
        id="proof.outdated",
        when=proof_contrast.is_news,
        state="inconclusive",
        mechanism="catalogue.outdated",
        because="the handshake is sound, and its key or its form is one that this catalogue does not know ({code}):"
        " catalogue outdated; get a newer one and measure again",
    ),
)

PROOF_RULES: tuple[Rule, ...] = (
    Rule(
        id="proof.unheard",
        when=all_of(_open, fails(3), contrast.never_acknowledged, proof_contrast.other_bytes_arrive),
        state="blocked",
        mechanism="{step}.{action}.protocol",
        because="the first bytes of the service's protocol never arrive; other bytes do, at the same address and"
        " port",
    ),
    Rule(
        id="proof.early",
        when=all_of(_open, contrast.reset_too_early, proof_contrast.other_bytes_arrive),
        state="blocked",
        mechanism="{step}.{action}.protocol",
        because="the first bytes of the service's protocol are answered by a reset that is faster than the server"
        " can be; other bytes pass",
    ),
    Rule(
        id="proof.early.any",
        when=all_of(_open, contrast.reset_too_early),
        state="blocked",
        mechanism="{step}.{action}",
        because="connections are reset faster than the server can answer",
    ),
    Rule(
        id="proof.elsewhere",
        when=all_of(_open, fails(3), proof_contrast.fails_at_controls),
        state="blocked",
        mechanism="{step}.{action}.protocol",
        because="the first bytes of the service's protocol are not answered by unrelated servers either, and other"
        " bytes are",
    ),
    Rule(
        id="proof.form",
        when=all_of(_open, kind(*SILENCE, Kind.RESET), proof_contrast.another_form_passes),
        state="blocked",
        mechanism="{step}.{action}.fingerprint",
        because="one form of the service's protocol gets no answer, and another form of it does at the same address"
        " and port",
    ),
    Rule(
        id="proof.cut",
        when=all_of(_open, proof_contrast.answer_is_unheard),
        state="blocked",
        mechanism="{step}.cut.protocol",
        because="the service's first answer comes every time, and then nothing we send arrives any more",
    ),
    Rule(
        id="proof.busy",
        when=all_of(proof_contrast.is_proving, lambda case: contrast.failure_code(case) == "-429"),
        state="inconclusive",
        because="the service says that too many connections come from this address",
    ),
    Rule(
        id="proof.refused",
        when=all_of(proof_contrast.is_proving, kind(Kind.REJECTED)),
        state="unreachable",
        mechanism="{step}.rejected",
        because="something that speaks the service's protocol refuses ({code})",
    ),
    Rule(
        id="proof.garbled",
        when=all_of(proof_contrast.is_proving, kind(Kind.MALFORMED)),
        state="unreachable",
        mechanism="{step}.garbled",
        because="what answers does not speak the service's protocol ({code}): a proxy or filter on the way, or the"
        " service has changed it",
    ),
    Rule(
        id="proof.stops",
        when=all_of(_open, proof_contrast.fell_silent),
        state="unreachable",
        mechanism="{step}.cut",
        because="the service's first answer comes and nothing after it; a fault of the service looks the same",
    ),
    Rule(
        id="proof.open",
        when=all_of(_open, not_(kind(Kind.REFUSED))),
        state="unreachable",
        mechanism="{step}.{action}",
        because="the connection opens, and the first bytes of the service's protocol get no answer; a fault of the"
        " service looks the same, and the extended tests can tell",
    ),
)
