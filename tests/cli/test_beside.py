from probe.cli.beside import differences
from probe.model import Judgement, Verdict

CUT = Verdict(
    state="blocked", mechanism="media.cut.packets", because="it passes for 26 packets (0.5 s), then not"
)


def network(calls: Verdict) -> Judgement:
    return Judgement(rules=1, regime="normal", services={"tincan": {"calls": calls}})


def test_only_what_differs_between_networks_is_said() -> None:
    fine = Verdict(state="reachable")

    assert differences([("one", network(fine)), ("two", network(fine))]) == [
        "No difference between these networks."
    ]
    assert differences([("one", network(fine)), ("two", network(CUT)), ("three", network(CUT))]) == [
        'tincan, calls: answers on "one"; BLOCKED (media cut after 26 packets) on "two" and "three".'
    ]
