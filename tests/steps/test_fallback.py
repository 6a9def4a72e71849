import json
import time
from typing import Any

import msgspec
import pytest
from hypothesis import strategies as st

from probe.demo.stand_ins import Pages, WebServer
from probe.demo.telegram_config import as_dns_json, as_firestore, config_data, seal
from probe.demo.telegram_stand_in import TelegramStandIn, throwaway_key
from probe.failure import Kind, Malformed, StepError, Unexpected, Untrusted
from probe.record import line
from probe.step import Flow
from probe.steps import AnyStep, Fallback, FallbackFacts, Tcp
from probe.steps.fallback import carried
from tests.fuzz import fuzz
from tests.loopback import flow, stream_server

ANCHORS = {"telegram-config": TelegramStandIn().pem}
DAY = 86400
NOW = int(time.time())
TEXT = seal(
    config_data(NOW - 3 * DAY - DAY // 2, NOW + 90 * DAY + DAY // 2, (443, 8888, 443)), throwaway_key()
)


async def fetched(body: bytes, step: Fallback, status: int = 200) -> FallbackFacts:
    pages: Pages = {"/there": (status, {}, body)}

    async def asked(to: Flow) -> FallbackFacts:
        await Tcp().run(to)
        return await step.run(to)

    async with stream_server(WebServer(pages).serve) as port, flow(port, anchors=ANCHORS) as to:
        return await asked(to)


@pytest.mark.parametrize(
    ("carrier", "body"),
    [
        ("dns-json", as_dns_json(TEXT)),
        ("json", json.dumps(TEXT).encode()),
        ("firestore", as_firestore(TEXT)),
    ],
)
async def test_a_genuine_configuration_is_counted_over_every_carrier(carrier: Any, body: bytes) -> None:
    facts = await fetched(body, Fallback(carrier=carrier, path="/there"))

    assert facts == FallbackFacts(
        status=200,
        sealed=True,
        days_old=3,
        days_left=90,
        rules=1,
        endpoints=3,
        with_secret=1,
        ports=(443, 8888),
    )


async def test_nothing_that_is_written_says_which_configuration_it_was() -> None:
    other = seal(
        config_data(NOW - 3 * DAY - DAY // 3, NOW + 90 * DAY + DAY // 3, (8888, 443, 443)), throwaway_key()
    )
    written = [
        line(await fetched(as_dns_json(text), Fallback(path="/there"))) for text in (TEXT, other)
    ]  # fmt: skip

    assert written[0] == written[1]
    assert b"203.0.113" not in written[0]


@pytest.mark.parametrize(
    ("body", "status", "error", "code"),
    [
        (as_dns_json(TEXT), 403, Unexpected, "403"),
        (b"<html>no</html>", 200, Unexpected, "json"),
        (b'["list"]', 200, Unexpected, "json"),
        (b"[" * 10_000, 200, Unexpected, "json"),
        (b'{"Status": 3}', 200, Unexpected, "NXDOMAIN"),
        (b'{"Status": 2}', 200, Unexpected, "dns"),
        (b'{"Status": 0}', 200, Unexpected, "NODATA"),
        (b'{"Status": 0, "Answer": [{"type": 1, "data": "203.0.113.1"}]}', 200, Unexpected, "NODATA"),
        (b'{"Status": 0, "Answer": [7, {"type": 16, "data": 7}]}', 200, Malformed, "blob"),
        (as_dns_json("A" * 342 + "=="), 200, Untrusted, "signature"),
        (as_dns_json(TEXT) + b" " * 20_000, 200, Unexpected, "length"),
    ],
)
async def test_what_is_not_a_genuine_configuration_has_its_code(
    body: bytes, status: int, error: type[StepError], code: str
) -> None:
    with pytest.raises(error) as caught:
        await fetched(body, Fallback(path="/there"), status)

    assert caught.value.code == code
    assert caught.value.partial == FallbackFacts(status=status)


async def test_a_genuine_configuration_in_an_unknown_form_is_known_to_be_genuine() -> None:
    with pytest.raises(Malformed) as caught:
        await fetched(as_dns_json(seal(bytes(208), throwaway_key())), Fallback(path="/there"))

    assert caught.value.code == "config"
    assert caught.value.partial == FallbackFacts(status=200, sealed=True)


@pytest.mark.parametrize(
    ("since", "until", "ports", "kind", "code"),
    [
        (-9 * DAY, -DAY, (443,), Kind.UNTRUSTED, "expired"),
        (2 * DAY, 9 * DAY, (443,), Kind.UNTRUSTED, "not-yet-valid"),
        (-DAY, DAY, (), Kind.UNEXPECTED, "empty"),
    ],
)
async def test_a_genuine_configuration_may_be_of_no_use_and_is_counted_all_the_same(
    since: int, until: int, ports: tuple[int, ...], kind: Kind, code: str
) -> None:
    text = seal(config_data(NOW + since, NOW + until, ports), throwaway_key())
    with pytest.raises(StepError) as caught:
        await fetched(as_dns_json(text), Fallback(path="/there"))

    assert (caught.value.kind, caught.value.code) == (kind, code)
    assert isinstance(caught.value.partial, FallbackFacts)
    assert caught.value.partial.sealed


def test_strings_of_a_record_are_put_together_longest_first() -> None:
    for data in (f'"{TEXT[:255]}" "{TEXT[255:]}"', f'"{TEXT[255:]}""{TEXT[:255]}"', TEXT):
        body = json.dumps({"Status": 0, "Answer": [{"type": 16, "data": data}]}).encode()
        assert carried("dns-json", body) == TEXT


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "path is needed"),
        ({"path": "there"}, "begins with /"),
        ({"path": "/", "carrier": "pigeon"}, "pigeon"),
        ({"path": "/", "trust": "system"}, "names no RSA key"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_the_configuration(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=says):
        msgspec.convert({"step": "fallback"} | fields, AnyStep)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["Status", "Answer", "type", "data", "fields", "stringValue"]), inner
        )
    ),
    max_leaves=12,
)


@fuzz(
    "telegram fallback carriers",
    st.tuples(
        st.sampled_from(["dns-json", "json", "firestore"]),
        st.binary(max_size=60) | JSON.map(lambda one: json.dumps(one).encode()),
    ),
)
def test_no_answer_whatever_raises_anything_but_unexpected(example: tuple[str, bytes]) -> None:
    try:
        carried(*example)
    except Unexpected:
        return
