from collections.abc import Callable

import pytest
from hypothesis import strategies as st

from probe.demo.whatsapp_stand_in import Signer
from probe.failure import Malformed, StepError, Unexpected, Untrusted
from probe.noise import protobuf
from probe.noise.certificates import Chain, problem, read_chain
from tests.fuzz import fuzz
from tests.noise import recorded

ROOT, MIDDLE, STRANGER = (Signer(bytes([number]) * 32) for number in (1, 2, 3))
STATIC = bytes(range(32))
NOW = 1_750_000_000
DAY = 86400


def made(
    *,
    root: Signer = ROOT,
    middle: Signer = MIDDLE,
    key: bytes = STATIC,
    leaf_issuer: int = 3,
    middle_issuer: int = 0,
    leaf_days: tuple[int, int] = (-1, 1),
    middle_days: tuple[int, int] = (-2, 2),
) -> Chain:
    def signed(serial: int, issuer: int, key: bytes, days: tuple[int, int], signer: Signer) -> bytes:
        begins, ends = (NOW + day * DAY for day in days)
        details = protobuf.write((1, serial), (2, issuer), (3, key), (4, begins), (5, ends))
        return protobuf.write((1, details), (2, signer.sign(details)))

    return read_chain(
        protobuf.write(
            (1, signed(329, leaf_issuer, key, leaf_days, middle)),
            (2, signed(3, middle_issuer, MIDDLE.public, middle_days, root)),
        )
    )


def test_the_recorded_chain_says_what_was_recorded() -> None:
    leaf, intermediate = read_chain(recorded.CHAIN)

    assert (leaf.serial, leaf.issuer, leaf.key) == (329, 3, recorded.STATIC)
    assert (intermediate.serial, intermediate.issuer) == (3, 0)
    assert intermediate.key.hex() == "1c51a9ac303994c6c8d0b92ea1878a533476599cc599fbea35997d9aa90cce62"
    assert (
        problem(Chain(leaf, intermediate), recorded.STATIC, [recorded.ROOT], int(recorded.NOW.timestamp()))
        is None
    )


def test_a_chain_in_order_proves_the_key_under_any_of_several_roots() -> None:
    assert problem(made(), STATIC, [STRANGER.public, ROOT.public], NOW) is None


@pytest.mark.parametrize(
    ("make", "error", "code"),
    [
        (lambda: made(root=STRANGER), Unexpected, "unknown-root"),
        (lambda: made(middle=STRANGER), Untrusted, "signature"),
        (lambda: made(key=bytes(32)), Untrusted, "static"),
        (lambda: made(leaf_issuer=4), Unexpected, "issuer"),
        (lambda: made(middle_issuer=1), Unexpected, "issuer"),
        (lambda: made(leaf_days=(-9, -1)), Untrusted, "expired"),
        (lambda: made(leaf_days=(1, 9)), Untrusted, "not-yet-valid"),
        (lambda: made(middle_days=(-9, -1)), Untrusted, "expired"),
        (lambda: made(middle_days=(1, 9)), Untrusted, "not-yet-valid"),
        # what comes first
        (lambda: made(root=STRANGER, middle=STRANGER, key=bytes(32)), Unexpected, "unknown-root"),
        (lambda: made(key=bytes(32), leaf_days=(-9, -1)), Untrusted, "static"),
    ],
)
def test_what_does_not_prove_it_has_its_own_code(
    make: Callable[[], Chain], error: type[StepError], code: str
) -> None:
    wrong = problem(make(), STATIC, [ROOT.public], NOW)

    assert type(wrong) is error
    assert wrong.code == code


def test_validity_includes_its_ends_and_skew_says_by_how_much_it_is_missed() -> None:
    leaf = made().leaf

    assert [leaf.skew(NOW + off) for off in (-DAY, 0, DAY)] == [0, 0, 0]
    assert (leaf.skew(NOW - DAY - 5), leaf.skew(NOW + DAY + 7)) == (-5, 7)


def test_a_validity_beyond_all_calendars_is_cut_to_the_last_date() -> None:
    chain = made(leaf_days=(-1, 2**45))

    assert chain.leaf.not_after == 253402300799
    assert problem(chain, STATIC, [ROOT.public], NOW) is None


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        protobuf.write((1, recorded.LEAF)),
        protobuf.write((1, recorded.LEAF), (2, recorded.INTERMEDIATE[:-1])),
        protobuf.write((1, recorded.LEAF), (2, protobuf.write((1, b""), (2, bytes(64))))),
        protobuf.write((1, 1), (2, 2)),
    ],
)
def test_a_chain_that_is_none_is_malformed(payload: bytes) -> None:
    with pytest.raises(Malformed) as caught:
        read_chain(payload)
    assert caught.value.code == "certificate"


DAMAGED = st.builds(
    lambda at, change: recorded.CHAIN[:at] + change + recorded.CHAIN[at + len(change) :],
    st.integers(0, 240),
    st.binary(max_size=60),
)


@fuzz("noise certificates", DAMAGED)
def test_no_damage_whatever_breaks_the_check_or_passes_it(payload: bytes) -> None:
    try:
        chain = read_chain(payload)
    except Malformed:
        return
    wrong = problem(chain, recorded.STATIC, [recorded.ROOT], int(recorded.NOW.timestamp()))
    assert wrong is not None or chain == read_chain(recorded.CHAIN)
