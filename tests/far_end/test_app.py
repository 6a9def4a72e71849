"""The HTTP side, request by request, and with requests of any kind."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from probe.far_end.app import make_app
from probe.far_end.house import House
from probe.far_end.protocol import CALLS, FLOWS, KEY_HEADER, MAX_REQUEST, PING, SESSION, WHIP, Heard, Refusal
from probe.far_end.settings import FarEndSettings, Limits, TurnServer
from tests.far_end.guest import Clock, Guest
from tests.far_end.house import Visitor

KEY = "the key of this far end"
TURN = TurnServer(host="relay.example", secret="between us two", udp=3482, tcp=0, tls=5349)  # noqa: S106


def house(**settings: Any) -> House:
    made = House.build(FarEndSettings(listen=("127.0.0.1:0",), **settings), Clock(), Clock(1_800_000_000.0))
    made.flows.listen("udp", 1)
    return made


@asynccontextmanager
async def visitor(within: House | None = None, client: str = "192.0.2.1") -> AsyncIterator[Visitor]:
    """Somebody who talks to the application itself; what should not happen, raises."""

    def raise_it(error: Exception) -> None:
        raise error

    transport = httpx.ASGITransport(make_app(within or house(), raise_it), client=(client, 1234))
    async with httpx.AsyncClient(transport=transport, base_url="http://far-end.example") as http:
        yield Visitor(http)


def reason(response: httpx.Response) -> str:
    """The sentence of a refusal, which has its form."""
    refusal = msgspec.json.decode(response.content, type=Refusal)
    assert response.headers["content-type"] == "application/json"
    if refusal.retry is not None:
        assert int(response.headers["retry-after"]) >= refusal.retry
    return refusal.reason


async def test_a_session_says_what_there_is() -> None:
    async with visitor(house(turn=TURN, limits=Limits(per_session=3))) as guest:
        welcome = await guest.greet()

    assert (welcome.version, welcome.udp, welcome.tcp, welcome.webrtc) == (1, (1,), (), True)
    assert welcome.most.flows == 3
    assert welcome.turn is not None
    assert (welcome.turn.host, welcome.turn.udp, welcome.turn.tcp, welcome.turn.tls) == (
        "relay.example",
        3482,
        0,
        5349,
    )
    assert welcome.turn.username.startswith("1800001800:")


async def test_a_wrong_access_key_and_too_many_sessions_are_refused() -> None:
    async with visitor(house(keys=(KEY,), limits=Limits(sessions=2))) as guest:
        wrong = await guest.client.post(SESSION, json={"key": "a guess"})
        await guest.greet(KEY)
        many = await guest.client.post(SESSION, json={"key": KEY})

    assert (wrong.status_code, reason(wrong)) == (401, "this access key is not known here")
    assert (many.status_code, reason(many)) == (429, "too many sessions were begun from this address")
    assert int(many.headers["retry-after"]) == 3600


async def test_a_flow_is_announced_its_log_read_and_ended() -> None:
    async with visitor() as guest:
        await guest.greet()
        made = await guest.flow(Guest())
        path = f"{FLOWS}/{made.id}"
        logs = [await guest.heard(path), await guest.heard(path, "DELETE"), await guest.heard(path)]

    assert [log.ended for log in logs] == ["", "closed", "closed"]
    assert logs[0] == Heard()


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "sentence"),
    [
        ("POST", SESSION, b"", 400, "not JSON"),
        ("POST", SESSION, b"{", 400, "not JSON"),
        ("POST", SESSION, b"[" * 60_000, 400, "Expected `object`"),
        ("POST", SESSION, b'{"key": 7}', 400, "Expected `str`, got `int` - at `$.key`"),
        ("POST", SESSION, b'{"key": "\xff"}', 400, "not JSON"),
        ("POST", SESSION, b" " * (MAX_REQUEST + 1), 413, "at most 65536 bytes"),
        ("POST", FLOWS, b"{}", 400, "missing required field `transport`"),
        ("POST", WHIP, b"v=0", 415, "an offer is application/sdp"),
        ("GET", f"{FLOWS}/abc", b"", 404, "no such flow"),
        ("DELETE", f"{CALLS}/abc", b"", 404, "no such call"),
        ("GET", "/nowhere", b"", 404, "nothing here"),
        ("GET", f"{FLOWS}/a/b", b"", 404, "nothing here"),
        ("GET", SESSION, b"", 405, "cannot be done"),
        ("GET", WHIP, b"", 405, "cannot be done"),
        ("PATCH", f"{CALLS}/abc", b"", 405, "cannot be done"),
        ("BREW", "/", b"", 405, "cannot be done"),
    ],
)
async def test_what_cannot_be_done_is_refused_in_one_sentence(
    method: str, path: str, body: bytes, status: int, sentence: str
) -> None:
    async with visitor() as guest:
        await guest.greet()
        response = await guest.client.request(method, path, content=body)

    assert response.status_code == status
    assert sentence in reason(response)
    assert ("allow" in response.headers) == (status == 405)


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("transport", "sctp", "Invalid enum value 'sctp' - at `$.transport`"),
        ("port", 70_000, "<= 65535 - at `$.port`"),
        ("port", 9, "nobody listens on udp port 9 here"),
        ("key", "abc", "matching regex"),
        ("packets", [], "length >= 1"),
        ("packets", [{"stamp_at": 0, "down": "{stamp"}], "packets[0].down cannot be read"),
        ("packets", [{"stamp_at": None, "down": None}], "no kind of packet has a stamp"),
        ("packets", [{"stamp_at": 0, "down": None}] * 17, "length <= 16"),
    ],
)
async def test_a_flow_that_cannot_be_is_refused_by_the_field_that_is_wrong(
    field: str, value: object, sentence: str
) -> None:
    asked = json.loads(msgspec.json.encode(Guest().asked)) | {field: value}
    async with visitor() as guest:
        await guest.greet()
        response = await guest.client.post(FLOWS, json=asked)

    assert response.status_code == (409 if value == 9 else 400)
    assert sentence in reason(response)


@pytest.mark.parametrize("method", ["GET", "DELETE", "POST"])
@pytest.mark.parametrize("token", [None, "Bearer", "Bearer x", "Basic abc", "Bearer " + "A" * 44])
async def test_without_a_token_there_is_nothing(method: str, token: str | None) -> None:
    paths = {"GET": (PING, f"{FLOWS}/a", f"{CALLS}/a"), "DELETE": (f"{FLOWS}/a",), "POST": (FLOWS, WHIP)}[
        method
    ]
    async with visitor() as guest:
        for path in paths:
            response = await guest.client.request(
                method, path, headers={"authorization": token} if token else {}, content=b"{}"
            )
            assert response.status_code == 401
            assert response.headers["www-authenticate"] == "Bearer"
            assert "token" in reason(response)


async def test_a_heartbeat_is_answered_with_nothing() -> None:
    async with visitor() as guest:
        await guest.greet()
        response = await guest.client.get(PING)

    assert (response.status_code, response.content) == (204, b"")


@pytest.mark.parametrize(
    ("headers", "query", "sentence"),
    [
        ({KEY_HEADER: "short"}, "", "32 lower-case hexadecimal digits"),
        ({KEY_HEADER: "A" * 32}, "", "32 lower-case hexadecimal digits"),
        ({}, "?setup=actpass", "setup is active or passive"),
        ({}, "", "the offer cannot be answered"),
    ],
)
async def test_an_offer_that_cannot_be_answered_is_refused_in_words(
    headers: dict[str, str], query: str, sentence: str
) -> None:
    within = house()
    async with visitor(within) as guest:
        await guest.greet()
        kind = {"content-type": "application/sdp; charset=utf-8"}
        response = await guest.client.post(WHIP + query, content=b"v=0\r\n", headers=kind | headers)
        await within.calls.close()

    assert response.status_code == 400
    assert sentence in reason(response)
    assert within.calls._calls == within.calls._live == {}


async def test_preflight_is_answered_to_anybody_and_whip_says_what_it_takes() -> None:
    async with visitor() as guest:
        plain, whip = [await guest.client.options(path) for path in (FLOWS, WHIP)]

    assert plain.status_code == whip.status_code == 200
    assert whip.headers["accept-post"] == "application/sdp"
    assert "accept-post" not in plain.headers
    assert KEY_HEADER in plain.headers["access-control-allow-headers"]


async def test_every_answer_has_the_headers_that_keep_it_harmless() -> None:
    async with visitor() as guest:
        answers = [
            await guest.client.get("/"),
            await guest.client.get("/nowhere"),
            await guest.client.options(WHIP),
            await guest.client.post(SESSION, json={}),
        ]

    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["access-control-allow-origin"] == "*"
    assert "script-src 'self'" in answers[0].headers["content-security-policy"]


async def test_behind_a_proxy_the_client_is_the_one_the_proxy_names_last() -> None:
    limits = Limits(sessions=1)
    async with visitor(house(proxied=True, limits=limits), client="127.0.0.1") as guest:
        for forged in ("198.51.100.1", "198.51.100.2"):
            named = {"x-forwarded-for": f"{forged}, 192.0.2.1"}
            last = await guest.client.post(SESSION, json={}, headers=named)
        other = await guest.client.post(SESSION, json={}, headers={"x-forwarded-for": "192.0.2.2"})
    async with visitor(house(limits=limits)) as guest:
        await guest.greet()
        pretended = await guest.client.post(SESSION, json={}, headers={"x-forwarded-for": "192.0.2.2"})

    assert [last.status_code, other.status_code, pretended.status_code] == [429, 201, 429]


async def test_a_body_that_never_ends_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("probe.far_end.app._BODY_SECONDS", 0.05)

    async def drip() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" "
            await asyncio.sleep(0.01)

    async with visitor() as guest:
        response = await guest.client.post(SESSION, content=drip())

    assert response.status_code in (400, 408)


async def test_our_own_mistakes_are_told_to_the_operator_and_not_to_the_guest() -> None:
    told: list[Exception] = []
    within = house()
    object.__setattr__(within, "tickets", None)
    transport = httpx.ASGITransport(make_app(within, told.append))
    async with httpx.AsyncClient(transport=transport, base_url="http://far-end.example") as http:
        response = await http.post(SESSION, json={})

    assert (response.status_code, reason(response)) == (500, "the far end has made a mistake")
    assert isinstance(told[0], AttributeError)


jsons = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=12)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=9), inner, max_size=4)
    ),
    max_leaves=8,
)
almost = st.fixed_dictionaries(
    {},
    optional={
        "transport": st.one_of(jsons, st.sampled_from(["udp", "tcp"])),
        "port": st.one_of(jsons, st.just(1)),
        "key": st.one_of(jsons, st.just("ab" * 16)),
        "packets": st.one_of(
            jsons,
            st.lists(
                st.fixed_dictionaries(
                    {},
                    optional={
                        "stamp_at": st.integers(-1, 1400),
                        "down": st.text("{}stampfilrndo:0123456789 '"),
                    },
                ),
                max_size=3,
            ),
        ),
    },
)
bodies = st.one_of(
    st.binary(max_size=300),
    jsons.map(lambda value: json.dumps(value).encode()),
    almost.map(lambda value: json.dumps(value).encode()),
)


@settings(max_examples=150)
@given(
    st.sampled_from(["GET", "POST", "DELETE", "PUT", "HEAD", "OPTIONS", "PATCH"]),
    st.one_of(
        st.sampled_from(
            [SESSION, FLOWS, WHIP, PING, "/", f"{FLOWS}/x", f"{CALLS}/x", f"{WHIP}?setup=passive"]
        ),
        st.text("abc/.%?{}é", max_size=10).map(lambda text: f"/{text}"),
    ),
    bodies,
    st.dictionaries(
        st.sampled_from(
            ["authorization", "content-type", KEY_HEADER, "x-forwarded-for", "content-length-of-me"]
        ),
        st.text(st.characters(codec="latin-1", categories=["L", "N", "P"]), max_size=20).map(
            lambda text: text.encode("latin-1")
        ),
        max_size=4,
    ),
)
def test_no_request_whatever_is_our_mistake(
    method: str, path: str, body: bytes, headers: dict[str, bytes]
) -> None:
    async def ask() -> None:
        within = house()
        async with visitor(within) as guest:
            await guest.greet()
            sent = {b"content-type": b"application/sdp"}
            sent |= {name.encode(): value for name, value in headers.items()}
            try:
                response = await guest.client.request(method, path, content=body, headers=sent)
            except httpx.InvalidURL:  # "//" begins a host, and not every host is one: it was never asked
                reject()
            await within.calls.close()
        assert response.status_code < 500
        if response.status_code >= 400 and method != "HEAD":
            assert reason(response)

    asyncio.run(ask())
