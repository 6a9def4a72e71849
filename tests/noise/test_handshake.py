from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from probe.dialogue import Dialogue, Heard, Listen
from probe.failure import Malformed, StepError, Unexpected, Untrusted
from probe.noise import protobuf
from probe.noise.frames import frame
from probe.noise.handshake import Handshake
from tests.fuzz import fuzz
from tests.noise import recorded
from tests.noise.recorded import played, server_hello
from tests.play import play


def flipped(data: bytes, bit: int = 0) -> bytes:
    return data[: bit // 8] + bytes([data[bit // 8] ^ 1 << bit % 8]) + data[bit // 8 + 1 :]


def test_the_recorded_handshake_proves_the_server_in_one_message_each_way() -> None:
    handshake = recorded.fresh()

    sent, _ = play(handshake.dialogue((recorded.ROOT,), recorded.NOW, 9.7), [server_hello()])

    assert sent == [bytes.fromhex("57410603 000024 12220a20") + recorded.CLIENT_PUBLIC]
    assert len(sent[0]) == 43
    assert (handshake.stage, handshake.static) == ("proved", recorded.STATIC)
    assert handshake.state.h.hex() == recorded.H_FINAL
    assert handshake.rtt == pytest.approx(0.01)


def test_every_intermediate_value_of_the_recorded_handshake_is_ours() -> None:
    handshake = recorded.fresh()
    state = handshake.state
    assert state.h.hex() == recorded.H_HEADER
    handshake.hello()
    assert state.h.hex() == recorded.H_CLIENT
    state.mix_hash(recorded.SERVER_EPHEMERAL)
    assert state.h.hex() == recorded.H_SERVER
    state.mix_key(handshake._shared(recorded.SERVER_EPHEMERAL))
    assert state.ck.hex() == recorded.CK_FIRST
    assert state.decrypt_and_hash(recorded.SEALED_STATIC, "the static key") == recorded.STATIC
    assert state.h.hex() == recorded.H_STATIC
    state.mix_key(handshake._shared(recorded.STATIC))
    assert state.ck.hex() == recorded.CK_SECOND
    assert state.decrypt_and_hash(recorded.SEALED_CHAIN, "the chain") == recorded.CHAIN
    assert state.h.hex() == recorded.H_FINAL
    assert len(recorded.CHAIN) == 241


@given(st.integers(1, 400))
def test_an_answer_may_come_in_pieces(size: int) -> None:
    whole = server_hello()

    handshake = played(*(whole[at : at + size] for at in range(0, len(whole), size)))

    assert handshake.stage == "proved"


def test_fields_of_newer_versions_are_ignored() -> None:
    said = protobuf.write(
        (1, recorded.SERVER_EPHEMERAL), (2, recorded.SEALED_STATIC), (3, recorded.SEALED_CHAIN), (4, b"x" * 64),
        (5, b"padding"), (6, b"y" * 64), (99, 7),
    )  # fmt: skip

    assert played(frame(protobuf.write((3, said), (7, 1)))).stage == "proved"


@given(st.integers(0, 48 * 8 - 1), st.integers(0, 257 * 8 - 1))
def test_one_flipped_bit_in_either_ciphertext_does_not_decrypt(one: int, other: int) -> None:
    for answer in (
        server_hello(static=flipped(recorded.SEALED_STATIC, one)),
        server_hello(chain=flipped(recorded.SEALED_CHAIN, other)),
    ):
        with pytest.raises(Malformed) as caught:
            played(answer)
        assert caught.value.code == "decrypt"


def test_another_header_is_another_transcript() -> None:
    key = X25519PrivateKey.from_private_bytes(recorded.CLIENT_PRIVATE)
    handshake = Handshake(recorded.PATTERN, bytes.fromhex("57410503"), key)

    with pytest.raises(Malformed) as caught:
        play(handshake.dialogue((recorded.ROOT,), recorded.NOW, 9.7), [server_hello()])

    assert (caught.value.code, handshake.stage) == ("decrypt", "answered")


@pytest.mark.parametrize(
    ("now", "code"),
    [
        (datetime(2025, 3, 1, tzinfo=UTC), "not-yet-valid"),
        (datetime(2025, 8, 1, tzinfo=UTC), "expired"),
        (datetime(2031, 1, 1, tzinfo=UTC), "expired"),
    ],
)
def test_a_clock_outside_the_validity_is_its_own_failure(now: datetime, code: str) -> None:
    with pytest.raises(Untrusted) as caught:
        played(server_hello(), now=now)

    assert caught.value.code == code


def test_a_root_that_the_catalogue_does_not_know_is_unexpected_and_not_an_impostor() -> None:
    with pytest.raises(Unexpected) as caught:
        played(server_hello(), root=recorded.STATIC)

    assert caught.value.code == "unknown-root"


LOW_ORDER = [bytes(32), b"\x01" + bytes(31), bytes.fromhex("ec" + "ff" * 30 + "7f")]


@pytest.mark.parametrize("key", LOW_ORDER)
def test_a_key_of_low_order_is_malformed(key: bytes) -> None:
    with pytest.raises(Malformed) as caught:
        played(server_hello(ephemeral=key))

    assert caught.value.code == "hello"


@pytest.mark.parametrize(
    ("answer", "error", "code"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", Malformed, "http"),
        (b"<html>blocked</html>", Malformed, "http"),
        (b"<!DOCTYPE html>", Malformed, "http"),
        (bytes.fromhex("15030300020228"), Malformed, "tls"),
        (bytes.fromhex("160301020001"), Malformed, "tls"),
        (b"SSH-2.0-x\r\n", Malformed, "frame"),
        (b"\xff\xff\xff" + bytes(60), Malformed, "frame"),
        (frame(b""), Malformed, "hello"),
        (frame(b"\x00" * 20), Malformed, "hello"),
        (frame(protobuf.write((4, b"x" * 80))), Malformed, "hello"),
        (frame(protobuf.write((3, 5))), Malformed, "hello"),
        (frame(protobuf.write((3, protobuf.write((1, b"x" * 32))))), Malformed, "hello"),
        (server_hello(chain=b"x" * 15), Malformed, "hello"),
        (
            frame(protobuf.write((3, protobuf.write((1, b"x" * 32), (4, b"y" * 99))))),
            Unexpected,
            "unknown-pattern",
        ),
    ],
)
def test_an_answer_of_another_kind_is_known_by_its_code(
    answer: bytes, error: type[StepError], code: str
) -> None:
    with pytest.raises(error) as caught:
        played(answer)

    assert caught.value.code == code


def test_silence_is_a_timeout() -> None:
    with pytest.raises(TimeoutError):
        played(None)


def waits(dialogue: Dialogue[None], pieces: bytes) -> list[float]:
    """How long the dialogue was ready to wait for each of these bytes, of which one comes per second."""
    asked: list[float] = []
    answer: object = None
    try:
        while True:
            act = dialogue.send(answer)
            if isinstance(act, Listen):
                asked.append(act.seconds)
                at = len(asked)
                answer = Heard(pieces[at - 1 : at], at) if act.seconds > 0 else None
            else:
                answer = 0.0
    except TimeoutError:
        return asked


def test_a_byte_that_comes_does_not_begin_the_wait_anew() -> None:
    dialogue = recorded.fresh().dialogue((recorded.ROOT,), recorded.NOW, 5.0)

    assert waits(dialogue, server_hello()) == [5.0, 4.0, 3.0, 2.0, 1.0, 0.0]


ANSWERS = st.lists(st.one_of(st.none(), st.binary(max_size=400)), max_size=6)
# Structure that a blind byte rarely hits: frames around messages around anything, and the recorded answer, damaged.
FRAMED = st.one_of(
    st.binary(max_size=400).map(frame),
    st.binary(max_size=400).map(lambda data: frame(protobuf.write((3, data)))),
    st.builds(
        server_hello,
        ephemeral=st.binary(min_size=32, max_size=32),
        static=st.binary(min_size=40, max_size=56),
        chain=st.binary(max_size=300),
    ),
    st.tuples(st.integers(0, 340), st.binary(min_size=1, max_size=40)).map(
        lambda cut: server_hello()[: cut[0]] + cut[1] + server_hello()[cut[0] + len(cut[1]) :]
    ),
)


def never_an_exception_of_ours(answers: list[bytes | None]) -> None:
    """Whatever comes: proved only by the recorded bytes, otherwise an error that a step may raise."""
    try:
        played(*answers)
    except (StepError, TimeoutError, StopIteration):
        return
    assert b"".join(answer or b"" for answer in answers).startswith(server_hello())


@fuzz("noise dialogue", ANSWERS)
def test_no_bytes_whatever_break_the_dialogue(answers: list[bytes | None]) -> None:
    never_an_exception_of_ours([*answers, None])


@fuzz("noise hello", FRAMED)
def test_no_frame_whatever_breaks_the_dialogue(answer: bytes) -> None:
    never_an_exception_of_ours([answer, None])
