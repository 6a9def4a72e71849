import pytest
from hypothesis import strategies as st

from tests.fuzz import REGISTRY, fuzz, load, run


def test_a_target_is_fed_as_many_examples_as_asked_and_its_failure_comes_out() -> None:
    seen: list[int] = []

    @fuzz("counting", st.integers())
    def counts(number: int) -> None:
        seen.append(number)

    @fuzz("failing", st.integers())
    def fails(number: int) -> None:
        assert number < 1000

    try:
        assert run("counting", 700) == len(seen) == 700
        with pytest.raises(AssertionError):
            run("failing", 2000)
    finally:
        del REGISTRY["counting"], REGISTRY["failing"]


def test_every_parser_of_a_peers_bytes_is_registered() -> None:
    load()

    assert set(REGISTRY) >= {
        "mtproto objects",
        "mtproto framing",
        "mtproto channel",
        "mtproto exchange",
        "mtproto pq",
        "telegram fallback configuration",
        "telegram fallback carriers",
    }
