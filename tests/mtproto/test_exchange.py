import contextlib
import struct

import pytest
from hypothesis import strategies as st

from probe.demo.telegram_stand_in import TelegramStandIn, throwaway_key
from probe.failure import Malformed, Rejected, StepError, Unexpected, Untrusted
from probe.mtproto import crypto, tl
from probe.mtproto.exchange import Exchange
from tests.fuzz import fuzz
from tests.mtproto import vectors as v

KNOWN = crypto.keys(v.TELEGRAM)
OK = tl.pack_message(tl.server_dh_params_ok(tl.ServerDHParams(v.NONCE, v.SERVER_NONCE, v.ANSWER)), 1)


def documented() -> Exchange:
    """An exchange that draws the nonces of the documented example."""
    draws = {16: v.NONCE, 32: v.NEW_NONCE}
    return Exchange(KNOWN, 2, lambda size: draws.get(size, bytes(size)))


def asked() -> Exchange:
    """The documented exchange after its first answer."""
    exchange = documented()
    exchange.take_res_pq(v.RES_PQ)
    return exchange


def test_the_documented_exchange_is_a_proof() -> None:
    exchange = documented()
    first = exchange.req_pq()
    pq = exchange.take_res_pq(v.RES_PQ)
    second = tl.read_req_dh_params(exchange.req_dh(v.P, v.Q))
    exchange.take_dh(OK)

    assert first == v.REQ_PQ[20:]
    assert pq == v.PQ
    assert (second.p, second.q, second.fingerprint) == (v.P, v.Q, v.FINGERPRINT)
    assert (exchange.stage, exchange.server_time) == ("proved", v.SERVER_TIME)


def test_what_is_sealed_for_the_server_is_read_with_the_private_key_only() -> None:
    server = TelegramStandIn(key=throwaway_key())
    exchange = Exchange(crypto.keys(server.pem), -4)
    nonce = tl.read_req_pq_multi(exchange.req_pq())
    exchange.take_res_pq(
        tl.pack_message(tl.res_pq(tl.ResPQ(nonce, v.SERVER_NONCE, v.PQ, server.fingerprints)), 1)
    )
    sealed = tl.read_req_dh_params(exchange.req_dh(v.P, v.Q)).encrypted_data
    inner = tl.read_p_q_inner_data_dc(server.open_sealed(sealed))

    assert (inner.pq, inner.p, inner.q, inner.dc) == (v.PQ, v.P, v.Q, -4)
    assert (inner.nonce, inner.server_nonce) == (nonce, v.SERVER_NONCE)
    with pytest.raises(Malformed):
        TelegramStandIn("other_key").open_sealed(sealed)


def test_nonces_are_fresh_and_secret() -> None:
    questions = [Exchange(KNOWN, 2) for _ in range(50)]

    assert len({one.req_pq() for one in questions}) == 50
    assert len({one._new_nonce for one in questions}) == 50
    assert all(one._new_nonce not in one.req_pq() for one in questions)


def test_the_answer_to_another_question_says_nothing() -> None:
    exchange = Exchange(KNOWN, 2)
    with pytest.raises(Malformed) as caught:
        exchange.take_res_pq(v.RES_PQ)

    assert caught.value.code == "nonce"
    assert exchange.stage == "opened"


def test_a_server_without_a_known_key_may_have_a_new_one() -> None:
    exchange = documented()
    answer = tl.ResPQ(v.NONCE, v.SERVER_NONCE, v.PQ, (v.FINGERPRINT[::-1], b"another!"))
    with pytest.raises(Unexpected) as caught:
        exchange.take_res_pq(tl.pack_message(tl.res_pq(answer), 1))

    assert caught.value.code == "unknown-key"
    assert (exchange.stage, exchange.key) == ("spoke", None)


@pytest.mark.parametrize("at", [0, 1, 31])
def test_wrong_nonces_around_the_second_answer_are_malformed(at: int) -> None:
    wrong = bytearray(OK)
    wrong[24 + at] ^= 1
    exchange = asked()
    with pytest.raises(Malformed) as caught:
        exchange.take_dh(bytes(wrong))

    assert (caught.value.code, exchange.stage) == ("nonce", "offered")


@pytest.mark.parametrize("at", [0, 15, 20, 40, 575])
def test_a_second_answer_with_one_wrong_bit_is_an_impostors(at: int) -> None:
    answer = bytearray(v.ANSWER)
    answer[at] ^= 1
    exchange = asked()
    with pytest.raises(Untrusted) as caught:
        exchange.take_dh(sealed_as(bytes(answer)))

    assert caught.value.code == "impostor"
    assert (exchange.stage, exchange.server_time) == ("offered", None)


@pytest.mark.parametrize("nonces", [(v.NONCE, bytes(16)), (bytes(16), v.SERVER_NONCE)])
def test_an_answer_sealed_around_other_nonces_is_an_impostors(nonces: tuple[bytes, bytes]) -> None:
    inner = tl.ServerDHInnerData(*nonces, 3, bytes(256), bytes(256), v.SERVER_TIME)
    exchange = asked()
    with pytest.raises(Untrusted):
        exchange.take_dh(sealed_as(sealed(inner)))

    assert exchange.stage == "offered"


@pytest.mark.parametrize("size", [0, 16, 32, 576])
def test_an_answer_of_zeros_is_an_impostors(size: int) -> None:
    with pytest.raises(Untrusted):
        asked().take_dh(sealed_as(bytes(size)))


def test_an_answer_that_is_not_of_whole_blocks_is_malformed() -> None:
    with pytest.raises(Malformed) as caught:
        asked().take_dh(sealed_as(v.ANSWER[:-1]))

    assert caught.value.code == "message"


def test_a_refusal_is_rejected() -> None:
    body = struct.pack("<I", tl.SERVER_DH_PARAMS_FAIL) + v.NONCE + v.SERVER_NONCE + bytes(16)
    with pytest.raises(Rejected) as caught:
        asked().take_dh(tl.pack_message(body, 1))

    assert caught.value.code == "dh-fail"


def test_an_older_answer_does_not_fit_a_new_exchange() -> None:
    draws = {16: v.NONCE}
    exchange = Exchange(KNOWN, 2, lambda size: draws.get(size, b"\x07" * size))
    exchange.take_res_pq(v.RES_PQ)
    with pytest.raises(Untrusted):
        exchange.take_dh(OK)


def sealed(inner: tl.ServerDHInnerData) -> bytes:
    return crypto.seal_answer(tl.server_dh_inner_data(inner), v.ANSWER_KEY, v.ANSWER_IV)


def sealed_as(answer: bytes) -> bytes:
    return tl.pack_message(tl.server_dh_params_ok(tl.ServerDHParams(v.NONCE, v.SERVER_NONCE, answer)), 1)


def test_an_answer_sealed_by_the_holder_of_the_key_is_a_proof() -> None:
    inner = tl.ServerDHInnerData(v.NONCE, v.SERVER_NONCE, 3, bytes(256), bytes(256), v.SERVER_TIME)
    exchange = asked()
    exchange.take_dh(sealed_as(sealed(inner)))

    assert exchange.stage == "proved"


@fuzz(
    "mtproto exchange",
    st.tuples(st.sampled_from([v.RES_PQ, OK]), st.integers(0, 680), st.binary(max_size=60), st.booleans()),
)
def test_no_answers_whatever_prove_anything(example: tuple[bytes, int, bytes, bool]) -> None:
    good, at, junk, cut = example
    answer = good[:at] + junk + (b"" if cut else good[at + len(junk) :])
    first, second = documented(), asked()
    with contextlib.suppress(StepError):
        first.take_res_pq(answer)
    with contextlib.suppress(StepError):
        second.take_dh(answer)
    assert first.stage in ("opened", "spoke", "offered")
    assert second.stage == "offered" or v.ANSWER in answer
