import base64
import struct

import pytest
from hypothesis import strategies as st

from probe.demo.telegram_config import config_data, seal
from probe.demo.telegram_stand_in import TelegramStandIn, throwaway_key
from probe.failure import Malformed, Untrusted
from probe.mtproto import crypto
from probe.mtproto.simple_config import Endpoint, read_config, unsealed
from tests.fuzz import fuzz

OURS = crypto.keys(TelegramStandIn().pem)
DATA = config_data(1_700_000_000, 1_800_000_000, (443, 80, 8888))


def test_a_sealed_configuration_is_opened_whatever_stands_between_its_characters() -> None:
    text = seal(DATA, throwaway_key())
    for said in (text, f'"{text}"', "\n".join(text[at : at + 64] for at in range(0, 344, 64))):
        config = read_config(unsealed(said, OURS))
        assert (config.date, config.expires) == (1_700_000_000, 1_800_000_000)
        assert config.rules == ((Endpoint(443, False), Endpoint(80, True), Endpoint(8888, False)),)


def test_any_of_the_known_keys_may_have_sealed_it() -> None:
    other = crypto.keys(TelegramStandIn(key=throwaway_key(1)).pem)

    assert unsealed(seal(DATA, throwaway_key(1)), OURS + other).startswith(DATA)


def test_a_seal_of_somebody_elses_is_untrusted() -> None:
    with pytest.raises(Untrusted) as caught:
        unsealed(seal(DATA, throwaway_key(1)), OURS)

    assert caught.value.code == "signature"


@pytest.mark.parametrize("at", [0, 100, 255])
def test_one_changed_bit_breaks_the_seal(at: int) -> None:
    raw = bytearray(base64.b64decode(seal(DATA, throwaway_key())))
    raw[at] ^= 1
    with pytest.raises(Untrusted):
        unsealed(base64.b64encode(raw).decode(), OURS)


@pytest.mark.parametrize(
    "text",
    ["", "A" * 343, "A" * 345, "=" * 344, "A" * 340 + "====", "A" * 343 + "=", "A=" * 172, "<html>" * 40],
)
def test_what_is_no_sealed_text_is_malformed(text: str) -> None:
    with pytest.raises(Malformed) as caught:
        unsealed(text, OURS)

    assert caught.value.code == "blob"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(208),
        DATA[:4] + bytes(4) + DATA[8:],
        DATA[:16] + struct.pack("<I", 65) + DATA[20:],
        DATA[:-8],
        DATA.replace(struct.pack("<I", 0xD433AD73), bytes(4)),
    ],
    ids=["empty", "zeros", "no constructor", "too many rules", "cut short", "another endpoint"],
)
def test_a_genuine_configuration_in_another_form_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed) as caught:
        read_config(data)

    assert caught.value.code == "config"


@fuzz(
    "telegram fallback configuration", st.tuples(st.binary(max_size=80), st.integers(0, 208), st.booleans())
)
def test_no_bytes_whatever_raise_anything_but_malformed(example: tuple[bytes, int, bool]) -> None:
    junk, at, cut = example
    for data in (junk, DATA[:at] + junk + (b"" if cut else DATA[at + len(junk) :])):
        try:
            read_config(data)
        except Malformed:
            continue
