import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.failure import Malformed
from probe.mtproto.pq import factor, factoring, is_prime
from tests.fuzz import fuzz
from tests.mtproto import vectors as v


def test_the_documented_number_is_factored() -> None:
    assert factor(v.PQ) == (v.P, v.Q)


@pytest.mark.parametrize(
    "pq",
    [
        *(3, 9, 2 * 1780931429, 4, 1, 0),
        1780931429,  # a prime
        2**61 - 1,  # a large one
        3 * 5 * 7,
        2**63 - 1,  # seven factors
        1000003 * 1000033 * 1000037,
    ],
)
def test_what_is_no_product_of_two_odd_primes_is_malformed(pq: int) -> None:
    with pytest.raises(Malformed) as caught:
        factor(pq)

    assert caught.value.code == "pq"


@pytest.mark.parametrize("pq", [3 * 5, 3 * 1000003, 4294967291 * 2147483647])
def test_small_unequal_and_largest_factors_are_found(pq: int) -> None:
    p, q = factor(pq)

    assert p * q == pq
    assert p < q
    assert is_prime(p)
    assert is_prime(q)


def test_the_work_comes_in_slices() -> None:
    assert len(list(factoring(v.PQ))) > 5


@given(st.integers(2, 1 << 20), st.integers(2, 1 << 20))
def test_a_number_is_prime_only_if_it_has_no_factor(one: int, other: int) -> None:
    assert not is_prime(one * other)
    assert is_prime(one) == all(one % small for small in range(2, int(one**0.5) + 1))


@fuzz("mtproto pq", st.integers(0, (1 << 63) - 1))
def test_no_number_whatever_is_more_than_malformed(pq: int) -> None:
    try:
        p, q = factor(pq)
    except Malformed:
        return
    assert p * q == pq
    assert is_prime(p)
    assert is_prime(q)
