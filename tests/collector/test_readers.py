"""Whose token is right."""

import pytest

from probe.collector.readers import Readers, digest, new_token
from tests.collector.sender import status_of

TOKEN, DIGEST = new_token()


@pytest.mark.parametrize("header", [f"Bearer {TOKEN}", f"bearer  {TOKEN} "], ids=["usual", "odd"])
def test_any_reader_of_several_is_let_in(header: str) -> None:
    readers = Readers((digest("another"), DIGEST, digest("a third")))

    assert status_of(lambda: readers.admit(header)) == 0


@pytest.mark.parametrize(
    "header",
    ["", TOKEN, "Bearer", "Bearer ", f"Basic {TOKEN}", f"Bearer {DIGEST}", f"Bearer {TOKEN}x", "Bearer \xff"],
    ids=[
        "none",
        "bare",
        "empty",
        "blank",
        "basic",
        "digest",
        "longer",
        "binary",
    ],  # a token is new in every process
)
def test_nobody_else_is(header: str) -> None:
    assert status_of(lambda: Readers((DIGEST,)).admit(header)) == 401


def test_without_readers_there_is_nothing_to_be_let_in_to() -> None:
    assert status_of(lambda: Readers(()).admit(f"Bearer {TOKEN}")) == 404


def test_a_token_is_as_random_as_a_key_and_never_the_same() -> None:
    assert len({new_token()[0] for _ in range(100)}) == 100
    assert len(TOKEN) >= 43
    assert TOKEN not in DIGEST
