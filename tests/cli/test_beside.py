import pytest

from probe.cli.beside import differences, mechanism
from probe.model import Judgement, Verdict

CUT = Verdict(
    state="blocked", mechanism="media.cut.packets", because="it passes for 26 packets (0.5 s), then not"
)


def network(calls: Verdict) -> Judgement:
    return Judgement(rules=1, regime="normal", services={"tincan": {"calls": calls}})


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        (CUT, "media cut after 26 packets"),
        (Verdict(state="blocked", mechanism="media.cut"), "media cut after some packets"),
        (Verdict(state="blocked", mechanism="dns.nxdomain"), "the resolver denies its name"),
        (Verdict(state="blocked", mechanism="noise.impersonated"), "somebody else answers in its place"),
        (Verdict(state="unreachable", mechanism="mtproto.cut"), "cut off after its first answer"),
        (Verdict(state="blocked", mechanism="http.dropped"), "http.dropped"),
        (Verdict(state="blocked", mechanism="a\x1b[31m"), "a?[31m"),
    ],
)
def test_a_mechanism_is_said_in_words_with_the_numbers_of_its_reason(verdict: Verdict, said: str) -> None:
    assert mechanism(verdict) == said


def test_only_what_differs_between_networks_is_said() -> None:
    fine = Verdict(state="reachable")

    assert differences([("one", network(fine)), ("two", network(fine))]) == [
        "No difference between these networks."
    ]
    assert differences([("one", network(fine)), ("two", network(CUT)), ("three", network(CUT))]) == [
        'tincan, calls: answers on "one"; BLOCKED (media cut after 26 packets) on "two" and "three".'
    ]
