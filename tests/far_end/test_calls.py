"""Calls over the real HTTP side with real ICE and DTLS-SRTP: what comes back, what is counted, how they end."""

import asyncio
import logging
import os
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

import httpx
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probe.far_end.house import House
from probe.far_end.protocol import CALLS, KEY_HEADER, WHIP, Heard, Refusal
from probe.far_end.settings import FarEndSettings, Limits, TurnServer
from probe.far_end.tickets import Refused
from probe.media.stamp import KEY, SIZE, Sealer, Stamp
from probe.record import holds_address
from probe.webrtc import Packet, Peer
from tests.far_end.guest import Guest, numbers, times
from tests.far_end.house import Visitor, far_end
from tests.loopback import HERE

SDP = {"content-type": "application/sdp"}


@dataclass
class Caller:
    """A call in progress, from the caller's side."""

    visitor: Visitor
    peer: Peer
    path: str
    back: list[Packet]
    links: list[str] = field(default_factory=list)

    async def hears(self, count: int) -> None:
        """Wait until so many packets came back."""
        async with asyncio.timeout(10):
            while len(self.back) < count:
                await asyncio.sleep(0.005)

    async def log(self, method: str = "GET") -> Heard:
        """What the far end heard."""
        return await self.visitor.heard(self.path, method)


@asynccontextmanager
async def call(
    visitor: Visitor, *, key: bytes | None = None, setup: Literal["active", "passive"] = "passive"
) -> AsyncIterator[Caller]:
    """A call that is up."""
    back: list[Packet] = []
    peer = Peer(clock=time.monotonic, on_packet=back.append, local=(HERE,))
    try:
        async with asyncio.timeout(20):
            headers = SDP | ({KEY_HEADER: key.hex()} if key else {})
            offer = await peer.offer()
            response = await visitor.client.post(f"{WHIP}?setup={setup}", content=offer, headers=headers)
            assert response.status_code == 201, response.text
            assert response.headers["content-type"] == "application/sdp"
            await peer.accept(response.text)
            await peer.ice()
            await peer.dtls()
            yield Caller(visitor, peer, response.headers["location"], back, response.headers.get_list("link"))
    finally:
        await peer.close()


@pytest.mark.parametrize("setup", ["passive", "active"])
async def test_our_own_payloads_come_back_with_the_far_ends_stamp(
    setup: Literal["active", "passive"],
) -> None:
    key, sizes = os.urandom(KEY), [random.randint(40, 160) for _ in range(50)]
    up, down, word = Sealer(key, "up"), Sealer(key, "down"), 0
    async with far_end() as visitor:
        await visitor.greet()
        async with call(visitor, key=key, setup=setup) as caller:
            rest = [os.urandom(size) for size in sizes]
            for number, payload in enumerate(rest):
                media: Literal["audio", "video"] = "audio" if number % 5 else "video"
                mark = up.seal(Stamp(0, number, word, number))
                caller.peer.send(media, mark + payload, timestamp=number * 960)
                await caller.hears(number + 1)
                answer = caller.back[-1].payload
                stamp = down.open(answer[:SIZE])
                assert stamp is not None
                assert (stamp.number, answer[SIZE:]) == (number, payload)
                word = stamp.word
            heard = await caller.log("DELETE")

    assert numbers(heard) == list(range(50))
    assert times(heard) == sorted(times(heard))
    assert (heard.proved, heard.mute, heard.packets_in) == (True, (), 50)
    assert heard.octets_in == heard.octets_out == sum(sizes) + 50 * SIZE
    assert {(one.media, one.received, one.expected) for one in heard.streams} == {
        ("audio", 40, 40),
        ("video", 10, 10),
    }


async def test_payloads_of_anybody_else_come_back_as_they_are() -> None:
    async with far_end() as visitor:
        await visitor.greet()
        async with call(visitor) as caller:
            sent = [os.urandom(random.randint(1, 200)) for _ in range(20)]
            for index, payload in enumerate(sent):
                caller.peer.send("audio", payload, timestamp=index * 960, marker=index == 0)
            await caller.hears(20)
            heard = await caller.log()

    assert [packet.payload for packet in caller.back] == sent
    assert [packet.timestamp for packet in caller.back] == [n * 960 for n in range(20)]
    assert [packet.marker for packet in caller.back] == [True] + [False] * 19
    assert (heard.numbers, heard.ended, heard.packets_in) == ((), "", 20)


async def test_a_number_is_answered_once() -> None:
    key = os.urandom(KEY)
    async with far_end() as visitor:
        await visitor.greet()
        async with call(visitor, key=key) as caller:
            for _ in range(2):
                caller.peer.send("audio", Sealer(key, "up").seal(Stamp(0, 4, 0, 0)), timestamp=0)
            caller.peer.send("audio", Sealer(key, "up").seal(Stamp(0, 5, 0, 0)), timestamp=0)
            await caller.hears(2)
            heard = await caller.log()

    assert numbers(heard) == [4, 4, 5]
    assert len(caller.back) == 2


async def test_whip_hands_out_the_turn_server() -> None:
    turn = TurnServer(host="relay.example", secret="between us two", udp=3482, tcp=0, tls=5349)  # noqa: S106
    async with far_end(turn=turn) as visitor:
        await visitor.greet()
        async with call(visitor) as caller:
            links = caller.links

    assert [link.split(";")[0] for link in links] == [
        "<turn:relay.example:3482?transport=udp>",
        "<turns:relay.example:5349?transport=tcp>",
    ]
    assert all('rel="ice-server"' in link and 'credential-type="password"' in link for link in links)


async def test_behind_a_one_to_one_nat_the_answer_names_the_address_that_is_seen() -> None:
    async with far_end(seen_as={HERE: "203.0.113.5"}) as visitor:
        await visitor.greet()
        peer = Peer(clock=time.monotonic, on_packet=lambda packet: None, local=(HERE,))
        response = await visitor.client.post(WHIP, content=await peer.offer(), headers=SDP)
        await peer.close()
    candidates = [line for line in response.text.splitlines() if line.startswith("a=candidate:")]

    assert candidates
    assert all(line.split()[4] == "203.0.113.5" for line in candidates)


async def test_hanging_up_ends_it_and_the_log_stays() -> None:
    async with far_end() as visitor:
        await visitor.greet()
        async with call(visitor) as caller:
            caller.peer.send("audio", b"x", timestamp=0)
            await caller.hears(1)
            assert (await caller.log("DELETE")).ended == "closed"
            assert (await caller.log()).packets_in == 1
        assert visitor.far_end.house.calls._live == {}


async def test_a_call_ends_with_its_time_and_a_session_with_its_bytes() -> None:
    async with far_end(limits=Limits(seconds=1.0, octets=10_000)) as visitor:
        await visitor.greet()
        async with call(visitor) as caller, call(visitor) as greedy:
            for index in range(12):
                greedy.peer.send("audio", bytes(1000), timestamp=index)
            await greedy.hears(9)
            await asyncio.sleep(2.3)
            ended = [(await caller.log()).ended, (await greedy.log()).ended]

    assert ended == ["time", "octets"]
    assert len(greedy.back) <= 10


async def test_more_calls_than_there_is_room_for_are_refused_with_a_time_to_come_back() -> None:
    async with far_end(limits=Limits(calls=1, per_session=1)) as visitor:
        await visitor.greet()
        peer = Peer(clock=time.monotonic, on_packet=lambda packet: None, local=(HERE,))
        offer = await peer.offer()
        async with call(visitor) as caller:
            again = await visitor.client.post(WHIP, content=offer, headers=SDP)
            await visitor.greet()
            other = await visitor.client.post(WHIP, content=offer, headers=SDP)
            strange = await visitor.client.get(caller.path)
        await peer.close()

    assert [again.status_code, other.status_code, strange.status_code] == [429, 503, 404]
    assert other.headers["retry-after"] == "10"


async def test_where_no_calls_are_taken_it_is_said_in_the_welcome() -> None:
    async with far_end(limits=Limits(calls=0)) as visitor:
        assert not (await visitor.greet()).webrtc
        refused = await visitor.client.post(WHIP, content="v=0", headers=SDP)

    assert refused.status_code == 503


async def test_a_caller_who_never_comes_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("probe.far_end.calls._CONNECT_SECONDS", 0.2)
    async with far_end() as visitor:
        await visitor.greet()
        peer = Peer(clock=time.monotonic, on_packet=lambda packet: None, local=(HERE,))
        response = await visitor.client.post(WHIP, content=await peer.offer(), headers=SDP)
        await peer.close()
        await asyncio.sleep(0.5)
        heard = await visitor.heard(response.headers["location"])

    assert (heard.ended, heard.packets_in) == ("closed", 0)


@pytest.mark.parametrize("line", ["a=ice-ufrag", "a=ice-pwd", "a=fingerprint", "m="])
async def test_an_offer_without_what_it_needs_is_refused_in_words(line: str) -> None:
    async with far_end() as visitor:
        await visitor.greet()
        peer = Peer(clock=time.monotonic, on_packet=lambda packet: None, local=(HERE,))
        offer = await peer.offer()
        await peer.close()
        broken = "".join(one for one in offer.splitlines(keepends=True) if not one.startswith(line))
        response = await visitor.client.post(WHIP, content=broken, headers=SDP)

    assert response.status_code == 400
    assert msgspec.json.decode(response.content, type=Refusal).reason.startswith(
        "the offer cannot be answered: "
    )


async def _offer() -> str:
    peer = Peer(clock=time.monotonic, on_packet=lambda packet: None, local=(HERE,))
    try:
        return await peer.offer()
    finally:
        await peer.close()


@settings(max_examples=100)
@given(
    st.lists(
        st.tuples(st.sampled_from(["drop", "double", "cut", "change"]), st.integers(0, 10**6)), max_size=6
    )
)
def test_no_offer_whatever_is_our_mistake(changes: list[tuple[str, int]]) -> None:
    lines = asyncio.run(_offer()).splitlines(keepends=True)
    for what, where in changes:
        index = where % len(lines)
        line = lines[index]
        match what:
            case "drop":
                lines[index] = ""
            case "double":
                lines.insert((where // 7) % len(lines), line)
            case "cut":
                lines[index] = line[: where % (len(line) + 1)]
            case "change" if line:
                place = where % len(line)
                lines[index] = line[:place] + chr(where % 250 + 1) + line[place + 1 :]

    async def ask() -> int:
        status = 201
        house = House.build(FarEndSettings(listen=("127.0.0.1:0",), media=(HERE,)), time.monotonic, time.time)
        session = house.tickets.session(house.tickets.admit(HERE, ""))
        try:
            name, answer = await house.calls.answer("".join(lines), None, "passive", session)
            assert answer.startswith("v=0")
            await house.calls.heard(name, session, end=True)
        except Refused as refused:
            status = refused.status
        await house.calls.close()
        assert session.live == 0
        return status

    assert asyncio.run(ask()) in (201, 400)


async def test_a_call_leaves_no_address_in_any_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with far_end() as visitor:
        await visitor.greet()
        async with call(visitor) as caller:
            caller.peer.send("audio", b"x", timestamp=0)
            await caller.hears(1)
            await caller.log("DELETE")

    texts = [record.getMessage() for record in caplog.records if not record.name.startswith("http")]
    assert not [text for text in texts if holds_address(text)]


async def test_an_offer_that_is_too_long_is_not_read() -> None:
    async with far_end() as visitor:
        await visitor.greet()
        response: httpx.Response = await visitor.client.post(
            WHIP, content="v=0\r\n" + "a" * 70_000, headers=SDP
        )

    assert response.status_code == 413


async def test_flows_and_calls_share_what_a_session_may_have() -> None:
    async with far_end(limits=Limits(per_session=2)) as visitor:
        (port,) = (await visitor.greet()).udp
        await visitor.flow(Guest(port))
        async with call(visitor) as caller:
            refused = await visitor.client.post("/v1/flows", content=msgspec.json.encode(Guest(port).asked))
            await caller.log("DELETE")
        await visitor.flow(Guest(port))

    assert refused.status_code == 429
    assert caller.path.startswith(f"{CALLS}/")
