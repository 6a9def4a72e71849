import asyncio
import contextlib
import errno
import itertools
import logging
import re
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Literal

import pytest

from probe.failure import Malformed
from probe.webrtc import Media, Packet, Peer, StageFailed
from tests.loopback import HERE
from tests.webrtc.calls import Call, a_call, two_peers


def nobody(_: Packet) -> None:
    """Who hears nothing."""


async def test_a_hundred_packets_of_both_media_come_back_as_they_went() -> None:
    async with a_call() as call:
        sent = []
        for i in range(100):
            media: Media = "video" if i % 3 else "audio"
            payload = bytes([i]) * (900 if i % 3 else 60)
            at = call.caller.send(media, payload, timestamp=2**32 - 5 + i, marker=i % 2 == 0)
            sent.append((media, payload, (2**32 - 5 + i) % 2**32, i % 2 == 0, at))
        await call.hears(100)

        assert [(p.media, p.payload, p.timestamp, p.marker) for p in call.heard] == [one[:4] for one in sent]
        assert all(p.arrived >= one[4] for p, one in zip(call.heard, sent, strict=True))
        for media in ("audio", "video"):
            numbers = [p.sequence for p in call.heard if p.media == media]
            assert all(b == (a + 1) % 65536 for a, b in itertools.pairwise(numbers))
            assert len({p.ssrc for p in call.heard if p.media == media}) == 1
        assert call.caller.candidates == call.callee.candidates == ("host", "host")


async def test_the_far_end_may_put_its_own_bytes_into_what_it_sends_back() -> None:
    async with a_call() as call:
        went: list[float | None] = []
        # The far end's own packets: it answers with another payload, twice as long.
        call.callee._carrier._on_packet = lambda p: went.append(
            call.callee.reflect(p, p.payload + b"stamped")
        )
        call.caller.send("audio", b"mine ", timestamp=0)
        await call.hears(1)

        assert call.heard[0].payload == b"mine stamped"
        assert went[0] is not None
        assert went[0] <= call.heard[0].arrived


async def test_what_the_call_cannot_carry_is_not_reflected_and_does_not_end_it() -> None:
    async with a_call() as call:
        packet = Packet("audio", 1, 100, 0, False, b"", 0.0)

        assert call.callee.reflect(packet, bytes(1600)) is None
        assert call.callee.reflect(packet, b"fits") is not None
        await call.hears(1)


async def test_either_side_can_be_made_to_send_the_hello() -> None:
    seen = {}
    setups: tuple[Literal["active", "passive"], ...] = ("active", "passive")
    for setup in setups:
        async with a_call(setup) as call:
            ours, theirs = call.caller.dtls_facts, call.callee.dtls_facts
            assert ours is not None
            assert theirs is not None
            assert ours.hello_sha256 == theirs.hello_sha256
            assert (ours.version, ours.srtp) == ("DTLSv1.2", "SRTP_AEAD_AES_256_GCM")
            assert (ours.cipher, ours.resent, ours.hello_datagrams) == (theirs.cipher, 0, 1)
            seen[setup] = ours.hello_from, theirs.hello_from

    assert seen == {"active": ("peer", "us"), "passive": ("us", "peer")}


async def test_the_other_hello_has_another_digest_and_completes_the_handshake() -> None:
    hellos, digests = [], []
    for kind in ("library", "permuted"):
        async with a_call("passive", hello=kind) as call:
            facts = call.callee.dtls_facts
            assert facts is not None
            assert facts.hello_bytes == len(call.caller.hello)
            hellos.append(call.caller.hello)
            digests.append(facts.hello_digest)
            call.caller.send("audio", b"", timestamp=0)
            await call.hears(1)

    assert digests[0] != digests[1]
    usual, other = hellos
    assert bytes.fromhex("001d00170018") not in other
    groups = bytes.fromhex("000a000c000a")  # the extension's number and both its lengths
    assert groups + bytes.fromhex("001d0017") in usual
    assert groups + bytes.fromhex("00170018") in other


async def test_each_peer_has_the_hello_it_was_made_with() -> None:
    async with a_call("active", hello="permuted") as call:  # the callee sends it, and is an ordinary one
        facts = call.callee.dtls_facts
    async with a_call("passive") as call:
        usual = call.callee.dtls_facts

    assert facts is not None
    assert usual is not None
    assert facts.hello_digest == usual.hello_digest


Stop = Callable[[Call], Awaitable[object]]


async def _gather(call: Call) -> None:
    await call.caller.offer()


async def _check(call: Call) -> None:
    answer = await call.callee.answer(await call.caller.offer())
    await call.caller.accept(re.sub(r"(udp \d+ \S+) \d+", r"\1 9", answer))
    await call.caller.ice()  # nobody answers


async def _shake(call: Call) -> None:
    await call.signal("passive")
    await asyncio.gather(call.caller.ice(), call.callee.ice())
    await call.caller.dtls()  # nobody answers


@pytest.mark.parametrize("stage", [_gather, _check, _shake])
@pytest.mark.parametrize("rounds", [0, 1, 2, 5, 40])
async def test_close_leaves_nothing_in_whatever_stage_it_comes(stage: Stop, rounds: int) -> None:
    async with two_peers() as call:
        running = asyncio.ensure_future(stage(call))
        for _ in range(rounds):
            await asyncio.sleep(0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize("stage", [_check, _shake])
async def test_a_stage_that_is_closed_from_elsewhere_says_so(stage: Stop) -> None:
    async with two_peers() as call:
        running = asyncio.ensure_future(stage(call))
        await asyncio.sleep(0.1)
        await call.caller.close()
        with pytest.raises(StageFailed) as caught:
            await running

    assert caught.value.reason == "closed"


async def test_a_deadline_around_a_stage_is_a_timeout() -> None:
    async with two_peers() as call:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await _check(call)


async def test_close_ends_even_if_its_caller_is_cancelled_and_may_be_repeated() -> None:
    async with a_call() as call:
        closing = asyncio.ensure_future(call.caller.close())
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.gather(closing, return_exceptions=True)
        await call.caller.close()
        await call.caller.close()


async def test_a_call_that_the_other_side_ends_says_so() -> None:
    async with a_call() as call:
        await call.caller.close()
        with pytest.raises(StageFailed) as caught:
            await _send_on(call.callee)
        with pytest.raises(StageFailed) as ours:
            call.caller.send("audio", b"", timestamp=0)

    assert (caught.value.stage, caught.value.reason) == ("media", "hung_up")
    assert ours.value.reason == "closed"


async def _send_on(peer: Peer) -> None:
    while True:
        peer.send("audio", b"", timestamp=0)
        await asyncio.sleep(0.01)


async def test_who_waits_for_the_end_is_told_it() -> None:
    async with a_call() as call:
        waiting = asyncio.ensure_future(call.callee.ended())
        await call.caller.close()
        end, own = await waiting, await call.caller.ended()

    assert (end.reason, own.reason) == ("hung_up", "closed")


async def test_a_path_without_consent_is_a_lost_one() -> None:
    async with a_call() as call:
        await call.caller._agent.close()  # what aioice does when consent has run out, half a minute later
        end = await call.caller.ended()
        with pytest.raises(StageFailed) as caught:
            call.caller.send("audio", b"", timestamp=0)

    assert end.reason == caught.value.reason == "lost"


async def test_a_call_may_be_made_over_ipv6() -> None:
    try:
        async with a_call(local=("::1",)) as call:
            call.caller.send("audio", b"six", timestamp=0)
            await call.hears(1)
            assert call.caller.candidates == ("host", "host")
    except OSError as error:
        if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
            raise
        pytest.skip("no IPv6 on loopback")


async def test_an_address_that_is_not_ours_is_no_place_to_call_from() -> None:
    peer = Peer(clock=time.monotonic, on_packet=nobody, local=("198.51.100.7",))
    with pytest.raises(OSError, match="assign") as caught:
        await peer.offer()
    await peer.close()

    assert caught.value.errno == errno.EADDRNOTAVAIL


async def test_without_a_choice_every_address_but_loopback_is_offered() -> None:
    peer = Peer(clock=time.monotonic, on_packet=nobody)
    with contextlib.suppress(OSError):  # there may be no network at all
        offer = await peer.offer()
        assert " typ host" in offer
        assert " 127.0.0.1 " not in offer.split("a=mid:0")[1]
    await peer.close()


async def test_a_peer_cannot_cost_memory_by_changing_its_source() -> None:
    async with a_call() as call:
        carrier = call.caller._carrier
        stream = carrier._streams["audio"]
        for ssrc in range(100, 200):
            stream.ssrc = ssrc
            call.caller.send("audio", b"", timestamp=0)
        await call.hears(8)
        await asyncio.sleep(0.02)

    assert len({packet.sequence for packet in call.heard}) == 8


async def test_another_certificate_than_announced_ends_the_handshake() -> None:
    async with two_peers() as call:
        offer = await call.caller.offer()
        answer = await call.callee.answer(offer)
        await call.caller.accept(answer.replace(_fingerprint(answer), _fingerprint(offer)))
        await asyncio.gather(call.caller.ice(), call.callee.ice())
        ends = await asyncio.gather(call.caller.dtls(), call.callee.dtls(), return_exceptions=True)

    assert isinstance(ends[0], StageFailed)
    assert (ends[0].stage, ends[0].reason) == ("dtls", "identity")


def _fingerprint(description: str) -> str:
    return next(line for line in description.splitlines() if line.startswith("a=fingerprint:"))


async def test_an_offer_with_a_local_name_is_answered_without_asking_for_it() -> None:
    async with two_peers() as call:
        offer = await call.caller.offer()
        hidden = offer.replace(" 127.0.0.1 ", " 5e1f1ce0-0000-4000-8000-000000000000.local ")
        assert hidden != offer
        answer = await call.callee.answer(hidden)

        # There is nothing to call, and yet the call comes about: its checks show where the caller is.
        assert call.callee._agent.remote_candidates == []
        await call.caller.accept(answer)
        await call.connect()
        assert call.callee.candidates == ("host", "prflx")
        assert call.caller.candidates == ("host", "host")


async def test_a_callee_sends_to_no_address_that_did_not_call() -> None:
    loop, asked = asyncio.get_running_loop(), []

    class Bystander(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            asked.append(data)

    transport, _ = await loop.create_datagram_endpoint(Bystander, local_addr=(HERE, 0))
    port = transport.get_extra_info("sockname")[1]
    async with two_peers() as call:
        offer = await call.caller.offer()
        line = next(line for line in offer.splitlines() if line.startswith("a=candidate:"))
        words = line.split()
        bystander = " ".join([*words[:5], str(port), *words[6:]])
        await call.caller.accept(await call.callee.answer(offer.replace(line, f"{line}\r\n{bystander}")))
        await call.connect()
        await asyncio.sleep(0.1)
    transport.close()

    assert asked == []


async def test_an_answer_without_an_address_is_refused_at_once() -> None:
    async with two_peers() as call:
        answer = await call.callee.answer(await call.caller.offer())
        with pytest.raises(Malformed):
            await call.caller.accept(answer.replace(" 127.0.0.1 ", " hidden.local "))


async def test_an_offer_that_has_chosen_who_begins_is_not_overruled() -> None:
    async with two_peers() as call:
        offer = (await call.caller.offer()).replace("a=setup:actpass", "a=setup:active")
        with pytest.raises(Malformed):
            await call.callee.answer(offer, setup="active")
        assert "a=setup:passive" in await call.callee.answer(offer)


STUN = bytes.fromhex("000100082112a442") + bytes(12)  # a Binding request with eight bytes of attributes
GARBAGE = [
    b"",
    *(
        bytes([first]) + bytes([200 if size % 2 else 111]) * (size - 1)
        for first in (0, 1, 3, 20, 22, 25, 63, 64, 128, 144, 191, 255)
        for size in (1, 2, 11, 12, 13, 24, 25, 60, 1499, 1501, 4000)
    ),
    *(
        STUN + bytes.fromhex(attribute + body)
        for attribute in ("0006", "0024", "8029", "0020", "0009", "000c", "8028")
        for body in ("0001ff000000", "0004ffffffff", "ffff00000000")
    ),
]


async def test_garbage_neither_raises_in_the_loop_nor_ends_the_call() -> None:
    loop, raised = asyncio.get_running_loop(), []
    loop.set_exception_handler(lambda _, context: raised.append(context))
    async with a_call() as call:
        address = call.callee._agent.local_candidates[0]
        stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        stranger.connect((address.host, address.port))
        for datagram in GARBAGE:
            stranger.send(datagram)
            await asyncio.sleep(0)  # the socket's buffer is small
        call.caller.send("audio", b"still there", timestamp=0)
        await call.hears(1)
        stranger.close()

    assert raised == []


async def test_what_a_peer_may_encrypt_need_not_be_rtp() -> None:
    loop, raised = asyncio.get_running_loop(), []
    loop.set_exception_handler(lambda _, context: raised.append(context))
    async with a_call() as call:
        carrier = call.caller._carrier
        session = carrier._outgoing
        assert session is not None
        good = carrier._streams["audio"].next(b"x", 0, False)
        odd = [
            bytes([0xB0]) + good[1:],  # padding of nonsense length, an extension that is not there
            good[:12] + b"\xbe\xde\x00\x01\x4f\x00\x00\x00",  # an extension element that is cut off
            bytes([good[0]]) + bytes([77]) + good[2:],  # a payload type nobody agreed on
        ]
        for i, packet in enumerate(odd):
            call.caller._agent.send_now(
                session.protect(packet[:2] + (50 + i).to_bytes(2, "big") + packet[4:])
            )
        for report in (
            b"\x80\xc8\x00\x06" + bytes(24),
            b"\x9f\xce\x00\x01" + bytes(4),
            b"\x81\xcd\x00\x05" + bytes(20),
        ):
            call.caller._agent.send_now(session.protect_rtcp(report))
        call.caller.send("audio", b"still there", timestamp=0)
        await call.hears(1)

    assert raised == []
    assert call.heard[-1].payload == b"still there"


async def test_media_that_overtakes_the_end_of_the_handshake_is_not_lost() -> None:
    async with two_peers() as call:
        await call.signal("passive")
        await asyncio.gather(call.caller.ice(), call.callee.ice())
        finished = asyncio.ensure_future(call.caller.dtls())
        shaking = asyncio.ensure_future(call.callee.dtls())
        while (
            not shaking.done()
        ):  # the callee is ready first: its last flight completes the caller's handshake
            await asyncio.sleep(0)
        call.callee.send("audio", b"first", timestamp=0)
        await finished
        await call.hears(1)

    assert call.heard[0].payload == b"first"


async def test_addresses_do_not_get_into_any_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        async with a_call():
            pass

    assert not [one for one in caplog.records if one.name.split(".")[0] in ("aioice", "aiortc")]


async def test_a_packet_after_another_goes_out_with_the_time_it_went() -> None:
    async with a_call() as call:
        before = time.monotonic()
        at = [call.caller.send("audio", b"", timestamp=0) for _ in range(3)]

    assert before <= at[0] <= at[1] <= at[2] <= time.monotonic()


async def test_sending_what_was_not_agreed_is_our_own_mistake() -> None:
    async with two_peers() as call:
        await call.signal()
        with pytest.raises(RuntimeError):
            call.caller.send("audio", b"", timestamp=0)
    peer = Peer(clock=time.monotonic, on_packet=nobody)
    with pytest.raises(ValueError, match="wants no video"):
        peer.send("video", b"", timestamp=0)
    await peer.close()
