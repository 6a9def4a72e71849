import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.failure import Malformed
from probe.noise.protobuf import blob, integer, read, write
from tests.fuzz import fuzz

VALUES = st.one_of(st.integers(0, 2**64 - 1), st.binary(max_size=300))


@given(st.dictionaries(st.integers(1, 2**29 - 1), VALUES, max_size=12))
def test_what_is_written_is_read(fields: dict[int, int | bytes]) -> None:
    assert read(write(*fields.items()), code="x") == fields


def test_the_examples_of_the_encoding_guide() -> None:
    assert read(bytes.fromhex("089601"), code="x") == {1: 150}
    assert read(bytes.fromhex("120774657374696e67"), code="x") == {2: b"testing"}
    assert read(bytes.fromhex("1a03089601"), code="x") == {3: bytes.fromhex("089601")}
    assert read(bytes.fromhex("08feffffffffffffffff01"), code="x") == {1: 2**64 - 2}


def test_kinds_that_we_never_write_are_skipped_and_the_last_of_a_repeated_field_counts() -> None:
    data = bytes.fromhex("0d01020304110102030405060708") + write((3, 1), (3, 2))

    assert integer(read(data, code="x"), 3, bits=32) == 2


def test_a_field_of_another_kind_is_as_good_as_missing() -> None:
    fields = read(write((1, 5), (2, b"five")), code="x")

    assert (blob(fields, 1), integer(fields, 2, bits=32), blob(fields, 9)) == (b"", 0, b"")


def test_an_integer_is_cut_to_its_bits() -> None:
    assert integer(read(write((1, 2**32 + 7)), code="x"), 1, bits=32) == 7


@pytest.mark.parametrize(
    "data",
    [
        "08",  # no value
        "0880",  # a number that does not end
        "08" + "ff" * 11,  # a number of more than ten bytes
        "0a05616263",  # longer than the message
        "0affffffffffffffffff01",  # longer than anything
        "0000",  # field number 0
        "0b",  # a group
        "0c",
        "0f",  # a kind that does not exist
        "0901",  # half a fixed64
    ],
)
def test_what_is_not_protobuf_is_malformed_with_the_callers_code(data: str) -> None:
    with pytest.raises(Malformed) as caught:
        read(bytes.fromhex(data), code="hello")
    assert caught.value.code == "hello"


def test_nesting_costs_nothing_because_nobody_follows_it() -> None:
    data = b""
    for _ in range(3000):
        data = write((3, data))

    assert len(blob(read(data, code="x"), 3)) < len(data)


@fuzz("noise protobuf", st.binary(max_size=400))
def test_no_bytes_whatever_break_the_reader(data: bytes) -> None:
    try:
        fields = read(data, code="x")
    except Malformed:
        return
    assert all(number > 0 for number in fields)
