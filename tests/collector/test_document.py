"""Bytes of any kind: a result file, one to be kept aside, or refused with the line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.collector.document import check
from probe.collector.protocol import Refused
from tests.collector.sender import NOW, result, status_of
from tests.fuzz import fuzz

RUN = "0f1e2d3c4b5a6978"
EXACT = result(RUN)


def test_a_result_file_is_kept() -> None:
    assert check(EXACT, RUN, NOW) == "kept"


@given(
    st.one_of(
        st.binary(max_size=300), st.text(max_size=300).map(lambda text: text.encode("utf-8", "surrogatepass"))
    )
)
def test_bytes_of_any_kind_are_refused(raw: bytes) -> None:
    for exact in (raw, raw + b"\n", EXACT + b"\xff" + raw):
        with pytest.raises(Refused) as caught:
            check(exact, RUN, NOW)

        assert (caught.value.status, caught.value.error) == (422, "run")
        assert len(caught.value.reason) <= 300


@fuzz("collector document", st.tuples(st.integers(0, len(EXACT) - 1), st.binary(min_size=1, max_size=4)))
def test_a_file_with_some_other_bytes_is_a_result_file_or_refused(given: tuple[int, bytes]) -> None:
    at, other = given
    assert status_of(lambda: check(EXACT[:at] + other + EXACT[at + len(other) :], RUN, NOW)) in (0, 422)


@given(st.integers(1, len(EXACT) - 1))
def test_a_file_that_is_cut_off_is_refused_unless_the_cut_is_between_lines(at: int) -> None:
    if EXACT[at - 1 : at] == b"\n":
        assert check(EXACT[:at], RUN, NOW) == "kept"
    else:
        with pytest.raises(Refused, match="is cut off"):
            check(EXACT[:at], RUN, NOW)
