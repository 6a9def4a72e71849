"""Factor the number a Telegram server asks to be factored: a product of two primes below 2^32, some 10 ms of work.

The work comes in slices of less than a millisecond, so that a caller who measures other things at the same time can let
them have their turn in between. What is no such product is refused after a bounded number of steps.
"""

from collections.abc import Generator
from math import gcd

from probe.failure import Malformed

_WITNESSES = (
    2,
    3,
    5,
    7,
    11,
    13,
    17,
    19,
    23,
    29,
    31,
    37,
)  # decide every number below 3.3e24 (Sorenson, Webster)
_BATCH = 128  # steps between two gcds
_SLICE = 8  # batches between two turns of others
# Brent's method finds a factor below 2^32 in about 2^17 steps; sixteen times that without one is bad luck or bad will.
_MOST_STEPS = 1 << 21


def factoring(pq: int) -> Generator[None, None, tuple[int, int]]:
    """Yields at least once a millisecond; returns both prime factors, the smaller first.

    Raises Malformed "pq" for what is not a product of two odd primes. (R. P. Brent, "An improved Monte Carlo
    factorization algorithm", 1980.)
    """
    if pq < 15 or pq % 2 == 0 or is_prime(pq):
        raise Malformed("not a product of two odd primes", code="pq")
    spent = 0
    for constant in range(1, 20):
        factor, steps = yield from _brent(pq, constant, _MOST_STEPS - spent)
        spent += steps
        if factor and is_prime(factor) and is_prime(pq // factor):
            return min(factor, pq // factor), max(factor, pq // factor)
        if factor or spent >= _MOST_STEPS:
            break
    raise Malformed("not a product of two odd primes", code="pq")


def factor(pq: int) -> tuple[int, int]:
    """Both factors at once. Raises Malformed."""
    work = factoring(pq)
    try:
        while True:
            next(work)
    except StopIteration as end:
        found: tuple[int, int] = end.value
        return found


def _brent(n: int, constant: int, most: int) -> Generator[None, None, tuple[int, int]]:
    """A factor of n or 0, and the steps that it took."""
    y, reach, steps, found, slices = 2, 1, 0, 1, 0
    x = saved = y
    while found == 1:
        x = y
        for _ in range(reach):
            y = (y * y + constant) % n
        done = 0
        while done < reach and found == 1:
            saved, product = y, 1
            for _ in range(min(_BATCH, reach - done)):
                y = (y * y + constant) % n
                product = product * abs(x - y) % n
            found, done, slices = gcd(product, n), done + _BATCH, slices + 1
            if slices % _SLICE == 0:
                yield
        steps += 2 * reach
        reach *= 2
        if steps > most:
            return 0, steps
    if found == n:  # the batch held both factors: walk it again one by one
        found, y = 1, saved
        while found == 1:
            y = (y * y + constant) % n
            found = gcd(abs(x - y), n)
    return (0 if found == n else found), steps


def is_prime(n: int) -> bool:
    """Miller and Rabin's test, which decides for numbers of this size."""
    if n < 2:
        return False
    for prime in _WITNESSES:
        if n % prime == 0:
            return n == prime
    odd, twos = n - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    return all(_passes(n, witness, odd, twos) for witness in _WITNESSES)


def _passes(n: int, witness: int, odd: int, twos: int) -> bool:
    x = pow(witness, odd, n)
    if x in (1, n - 1):
        return True
    for _ in range(twos - 1):
        x = x * x % n
        if x == n - 1:
            return True
    return False
