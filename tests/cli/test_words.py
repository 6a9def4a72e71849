from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.cli import words
from probe.failure import Failure, Kind
from probe.model import Observation, Regime, State, Variant, Verdict
from probe.steps import AnyFacts, DtlsFacts, EchoFacts, MtprotoFacts, ReflectorFacts
from probe.words import FAILURES, STATES
from tests.build import NOON


def test_every_state_regime_variant_and_kind_has_words() -> None:
    assert set(STATES) == set(words.COLOURS) == set(get_args(State))
    assert set(words.REGIMES) == set(get_args(Regime))
    assert set(words.VARIANTS) == set(get_args(Variant))
    assert set(FAILURES) == {kind.value for kind in Kind}


def test_no_word_is_stronger_than_what_was_done() -> None:
    proved = Verdict(state="reachable", identity="proved")

    assert words.state("messaging", proved) == "works"
    assert words.state("calls", proved) == "answers"
    assert words.state("messaging", Verdict(state="reachable", identity="not proved")) == "answers"
    assert words.state("messaging", None) == "not tested"


def test_families_are_told_apart_only_when_they_differ() -> None:
    split = Verdict(state="degraded", families={"4": "blocked", "6": "reachable"})

    assert words.families(split) == " (IPv4 BLOCKED, IPv6 works)"
    assert words.families(Verdict(state="blocked", families={"4": "blocked", "6": "blocked"})) == ""


@given(st.text())
def test_a_strangers_text_cannot_move_the_cursor_or_turn_the_line(text: str) -> None:
    shown = words.plain(text)

    assert not any(
        ord(char) < 32 or 0x7F <= ord(char) < 0xA0 or char in "\u202e\u2066\u200f" for char in shown
    )


def test_a_failed_step_says_how_and_how_much() -> None:
    failed = Observation(
        id=1, step="tls", at=NOON, seconds=0.25, sent=517, failure=Failure(kind=Kind.RESET, code="ECONNRESET")
    )

    assert words.rung(failed) == "tls 250 ms reset (ECONNRESET), 517 B sent, 0 B received"


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (ReflectorFacts(rtt=0.1, sent=10, answered=7, rtts=(0.1,) * 7), "[7 of 10 answered]"),
        (EchoFacts(rtt=0.1, sent=5, answered=5, answers="5+"), "[5 of 5 answered]"),
        (EchoFacts(rtt=0.1, sent=100, answered=25, answers="25+ 75-"), "[25 of 100 answered: 25+ 75-]"),
        (DtlsFacts(hello_sha256="", hello_bytes=1, flights=3, reached="server_hello"), "[server_hello]"),
        (
            DtlsFacts(hello_sha256="", hello_bytes=1, flights=3, reached="finished", pinned=True),
            "[finished, pinned certificate]",
        ),
        (MtprotoFacts(transport="full", stage="spoke", identity="not proved"), "[spoke]"),
        (MtprotoFacts(transport="full", stage="proved", identity="proved"), "[proved]"),
    ],
)
def test_a_relays_answer_is_told_by_how_much_of_it_came(facts: AnyFacts, said: str) -> None:
    assert words.rung(Observation(id=1, step="x", at=NOON, seconds=0.1, facts=facts)).endswith(f"ok {said}")
