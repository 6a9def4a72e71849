import pytest

from probe.model import Verdict
from probe.words import mechanism


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        (
            Verdict(
                state="blocked",
                mechanism="media.cut.packets",
                because="it passes for 26 packets (0.5 s), then not",
            ),
            "media cut after 26 packets",
        ),
        (Verdict(state="blocked", mechanism="media.cut"), "media cut after some packets"),
        (Verdict(state="blocked", mechanism="dns.nxdomain"), "the resolver denies its name"),
        (Verdict(state="blocked", mechanism="noise.impersonated"), "somebody else answers in its place"),
        (Verdict(state="unreachable", mechanism="mtproto.cut"), "cut off after its first answer"),
        (Verdict(state="blocked", mechanism="http.dropped"), "http.dropped"),
        (Verdict(state="blocked", mechanism="a\x1b[31m"), "a?[31m"),
    ],
)
def test_a_mechanism_is_said_in_words_with_the_numbers_of_its_reason(verdict: Verdict, said: str) -> None:
    assert mechanism(verdict.mechanism or "", verdict.because) == said
