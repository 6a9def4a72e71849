import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.failure import Malformed
from probe.mtproto import tl
from tests.fuzz import fuzz
from tests.mtproto import vectors as v

READERS: tuple[Callable[[bytes], object], ...] = (
    tl.read_message,
    tl.read_req_pq_multi,
    tl.read_res_pq,
    tl.read_p_q_inner_data_dc,
    tl.read_req_dh_params,
    tl.read_server_dh_params,
    tl.read_server_dh_inner_data,
)
GOOD = (
    v.REQ_PQ, v.RES_PQ, v.REQ_PQ[20:], v.RES_PQ[20:], v.INNER,
    tl.req_dh_params(tl.ReqDHParams(v.NONCE, v.SERVER_NONCE, v.P, v.Q, v.FINGERPRINT, bytes(256))),
    tl.server_dh_params_ok(tl.ServerDHParams(v.NONCE, v.SERVER_NONCE, v.ANSWER)),
    tl.server_dh_inner_data(tl.ServerDHInnerData(v.NONCE, v.SERVER_NONCE, 3, bytes(256), bytes(256), 1)),
)  # fmt: skip


def test_the_first_question_is_byte_for_byte_the_documented_one() -> None:
    message_id = struct.unpack_from("<Q", v.REQ_PQ, 8)[0]

    assert tl.pack_message(tl.req_pq_multi(v.NONCE), message_id) == v.REQ_PQ
    assert tl.read_req_pq_multi(tl.read_message(v.REQ_PQ)) == v.NONCE


def test_the_documented_answer_is_read_though_it_says_it_is_longer() -> None:
    answer = tl.read_res_pq(tl.read_message(v.RES_PQ))

    assert (answer.nonce, answer.server_nonce, answer.pq) == (v.NONCE, v.SERVER_NONCE, v.PQ)
    assert [one.hex() for one in answer.fingerprints] == [
        "a5b7f709355fc30b",
        "216be86c022bb4c3",
        "85fd64de851d9dd0",
    ]
    assert tl.res_pq(answer) == v.RES_PQ[20:]


def test_what_stands_behind_an_object_or_a_message_is_ignored() -> None:
    exact = tl.pack_message(v.RES_PQ[20:], 1)
    longer = tl.pack_message(v.RES_PQ[20:] + b"\xff" * 76, 1)

    assert tl.read_res_pq(tl.read_message(longer)) == tl.read_res_pq(tl.read_message(exact + b"tail"))


def test_what_goes_inside_rsa_is_byte_for_byte_the_documented_one() -> None:
    inner = tl.InnerData(v.PQ, v.P, v.Q, v.NONCE, v.SERVER_NONCE, v.NEW_NONCE, 2)

    assert tl.p_q_inner_data_dc(inner) == v.INNER
    assert tl.read_p_q_inner_data_dc(v.INNER) == inner


def test_a_media_data_centre_is_negative() -> None:
    inner = tl.InnerData(v.PQ, v.P, v.Q, v.NONCE, v.SERVER_NONCE, v.NEW_NONCE, -2)

    assert tl.p_q_inner_data_dc(inner)[-4:] == b"\xfe\xff\xff\xff"
    assert tl.read_p_q_inner_data_dc(tl.p_q_inner_data_dc(inner)).dc == -2


def test_the_second_question_has_320_bytes_and_is_read_back() -> None:
    question = tl.ReqDHParams(v.NONCE, v.SERVER_NONCE, v.P, v.Q, v.FINGERPRINT, bytes(range(256)))
    body = tl.req_dh_params(question)

    assert len(body) == 320
    assert body[60:64] == bytes.fromhex("fe000100")
    assert tl.read_req_dh_params(body) == question


def test_a_refusal_of_the_exchange_is_no_answer() -> None:
    refusal = struct.pack("<I", tl.SERVER_DH_PARAMS_FAIL) + bytes(48)

    assert tl.read_server_dh_params(refusal) is None
    with pytest.raises(Malformed):
        tl.read_server_dh_params(refusal[:-1])


@pytest.mark.parametrize(
    ("read", "data", "code"),
    [
        (tl.read_message, v.RES_PQ[:19], "message"),
        (tl.read_message, b"\x01" + v.RES_PQ[1:], "message"),
        (tl.read_res_pq, v.RES_PQ[20:-1], "message"),
        (tl.read_res_pq, b"\0" + v.RES_PQ[21:], "message"),
        (tl.read_res_pq, v.RES_PQ[20:68] + struct.pack("<II", 0x1CB5C415, 65) + bytes(65 * 8), "message"),
        (tl.read_res_pq, v.RES_PQ[20:56] + b"\x09" + b"\xff" * 9 + bytes(2) + v.RES_PQ[68:], "pq"),
        (tl.read_res_pq, v.RES_PQ[20:56] + b"\x08" + b"\xff" * 8 + bytes(3) + v.RES_PQ[68:], "pq"),
        (tl.read_res_pq, v.RES_PQ[20:56] + b"\xff" + v.RES_PQ[57:], "message"),
        (tl.read_server_dh_params, v.RES_PQ[20:], "message"),
        (tl.read_p_q_inner_data_dc, v.INNER[:-1], "message"),
    ],
)  # fmt: skip
def test_what_is_not_such_an_object_is_malformed(
    read: Callable[[bytes], object], data: bytes, code: str
) -> None:
    with pytest.raises(Malformed) as caught:
        read(data)

    assert caught.value.code == code


@given(st.binary(max_size=70_000))
def test_a_string_of_any_length_is_padded_and_read_back(data: bytes) -> None:
    packed = tl.pack_bytes(data)

    assert len(packed) % 4 == 0
    assert tl.Reader(packed).bytes() == data


@fuzz("mtproto objects", st.tuples(st.binary(max_size=120), st.sampled_from(GOOD), st.integers(0, 700)))
def test_no_bytes_whatever_raise_anything_but_malformed(example: tuple[bytes, bytes, int]) -> None:
    junk, good, at = example
    for read in READERS:
        for data in (junk, good[:at] + junk, good[:at] + junk + good[at + len(junk) :]):
            try:
                read(data)
            except Malformed:
                continue
