"""Ask a STUN server for a Binding (RFC 8489), over UDP or on an open stream."""

import random
import secrets
import struct
from collections.abc import Callable
from typing import Literal

from probe.dialogue import Dialogue, Heard, converse, listen, read, send
from probe.failure import Malformed, Silent, Unexpected
from probe.record import Private, Record, peer_text
from probe.step import Facts, Flow, Step
from probe.stun_message import COOKIE, HEADER, Attribute, Class, Message, Method, decode

Dialect = Literal["rfc8489", "rfc3489", "whatsapp"]
# Gaps between transmissions (seconds), each stretched or shrunk by up to a fifth: a filter that learns a
# rhythm must not decide the result.
_GAPS = (0.5, 1.0, 2.0, 2.0, 2.0)
_AFTERWARDS = 0.3  # a second answer that contradicts the first comes at once
_MAX_ANSWERS = 16
_MAX_STREAM_MESSAGE = 4096
# WhatsApp's keep-alive and its answer: bare headers whose types do not have the class bits of RFC 8489.
KEEP_ALIVE, KEPT_ALIVE = 0x0801, 0x0802


class StunAnswer(Record):
    """One answer: when, of which class, with which code, and the TTL it arrived with."""

    at: float
    kind: Literal["success", "error"]
    code: int = 0
    reply_ttl: int | None = None


class StunFacts(Facts):
    """Round trip, transmissions, every answer; of the mapped address only family and whether it is public.

    `rtt` is seconds from the latest transmission before the first answer; with more than one transmission
    the answer may belong to an earlier one, so it is then a lower bound.
    """

    rtt: float
    transmissions: int
    answers: tuple[StunAnswer, ...]
    dialect: Dialect
    mapped_family: int = 0
    mapped_public: bool = False
    software: str = ""


class Stun(Step):
    """A Binding request; over UDP retransmitted with random gaps."""

    # rfc3489 has no magic cookie; whatsapp is that service's keep-alive in a STUN header, over UDP only.
    dialect: Dialect = "rfc8489"
    transmissions: int = 5
    seconds: float = 15.0  # all transmissions take 9 at most; a busy machine takes longer

    async def run(self, flow: Flow) -> StunFacts:
        """Ask. Raises Silent (code: transmissions) when nothing was answered; any answer is proof of life."""
        if self.dialect == "whatsapp":
            exchanged = await converse(await flow.udp(), keep_alive(self.transmissions))
        elif flow.link is not None:
            exchanged = await converse(flow.link, on_stream(binding(self.dialect)))
        else:
            exchanged = await converse(await flow.udp(), over_udp(binding(self.dialect), self.transmissions))
        return _facts(flow, self.dialect, exchanged)


def binding(dialect: Dialect) -> Message:
    """A Binding request without attributes: 20 bytes."""
    return Message(Method.BINDING, "request", secrets.token_bytes(16 if dialect == "rfc3489" else 12))


class Exchange(Record):
    """A request that was answered: the answers with their times, and what it took."""

    answers: tuple[tuple[Message, Heard], ...]
    transmissions: int
    rtt: float


def over_udp(
    request: Message, transmissions: int, *, key: bytes | None = None, padded: bool = True
) -> Dialogue[Exchange]:
    """Send, and send again with random gaps, until an answer to this very request comes. Raises Silent."""
    return _transmit(
        request.encode(key=key), lambda data: answer_to(request, data, padded=padded), transmissions
    )


def keep_alive(transmissions: int) -> Dialogue[Exchange]:
    """WhatsApp's keep-alive, 20 bytes, the same way; all its answer says is that it came. Raises Silent."""
    answer = Message(Method.BINDING, "success", secrets.token_bytes(12))
    said, awaited = (
        struct.pack("!HHI", kind, 0, COOKIE) + answer.transaction for kind in (KEEP_ALIVE, KEPT_ALIVE)
    )
    return _transmit(said, lambda data: answer if data == awaited else None, transmissions)


Accept = Callable[[bytes], Message | None]


def _transmit(data: bytes, accept: Accept, transmissions: int) -> Dialogue[Exchange]:
    for number in range(1, transmissions + 1):
        sent_at = yield from send(data)
        gap = _GAPS[min(number, len(_GAPS)) - 1] * random.uniform(0.8, 1.2)
        first = yield from _await_answer(accept, sent_at + gap, sent_at)
        if first is not None:
            rest = yield from _afterwards(accept, first[1].at)
            return Exchange(answers=(first, *rest), transmissions=number, rtt=first[1].at - sent_at)
    raise Silent(f"no answer to {transmissions} transmissions", code=str(transmissions))


def _await_answer(accept: Accept, until: float, now: float) -> Dialogue[tuple[Message, Heard] | None]:
    while now < until:
        heard = yield from listen(until - now)
        if heard is None:
            return None
        now = heard.at
        answer = accept(heard.data)
        if answer is not None:
            return answer, heard
    return None


def _afterwards(accept: Accept, now: float) -> Dialogue[list[tuple[Message, Heard]]]:
    until, more = now + _AFTERWARDS, list[tuple[Message, Heard]]()
    while len(more) < _MAX_ANSWERS:
        try:
            answer = yield from _await_answer(accept, until, now)
        except OSError:  # an ICMP error after a good answer takes nothing back
            break
        if answer is None:
            break
        more.append(answer)
        now = answer[1].at
    return more


def on_stream(request: Message, *, key: bytes | None = None, padded: bool = True) -> Dialogue[Exchange]:
    """Send once on a stream, whose framing is the header's length field (RFC 8489 section 6.2.2)."""
    sent_at = yield from send(request.encode(key=key))
    header = yield from read(HEADER)
    (length,) = struct.unpack_from("!H", header, 2)
    if header[0] & 0xC0 or struct.unpack_from("!I", header, 4)[0] != COOKIE or length > _MAX_STREAM_MESSAGE:
        raise Malformed("the stream does not speak STUN")
    body = yield from read(length)
    at = yield from send(b"")
    answer = answer_to(request, header + body, padded=padded)
    if answer is None:
        raise Unexpected("an answer to another request", code="transaction")
    heard = Heard(header + body, at)
    return Exchange(answers=((answer, heard),), transmissions=1, rtt=at - sent_at)


def answer_to(request: Message, data: bytes, *, padded: bool = True) -> Message | None:
    """The message, if it answers this request; anything else on the socket is not for us."""
    try:
        message = decode(data, padded=padded, classic=len(request.transaction) == 16)
    except Malformed:
        return None
    answers: tuple[Class, ...] = ("success", "error")
    same = message.transaction == request.transaction and message.method == request.method
    return message if same and message.class_ in answers else None


def _facts(flow: Flow, dialect: Dialect, exchanged: Exchange) -> StunFacts:
    first = exchanged.answers[0][0]
    mapped = first.address(Attribute.XOR_MAPPED_ADDRESS) or first.address(Attribute.MAPPED_ADDRESS)
    seen = Private(*mapped) if mapped else None
    if seen is not None:
        flow.mapped.append(seen)
    return StunFacts(
        rtt=round(exchanged.rtt, 6),
        transmissions=exchanged.transmissions,
        answers=tuple(_answer(message, heard) for message, heard in exchanged.answers),
        dialect=dialect,
        mapped_family=seen.family if seen else 0,
        mapped_public=seen.is_public if seen else False,
        software=peer_text(first.get(Attribute.SOFTWARE) or b""),
    )


def _answer(message: Message, heard: Heard) -> StunAnswer:
    return StunAnswer(
        at=round(heard.at, 6),
        kind="success" if message.class_ == "success" else "error",
        code=message.error_code,
        reply_ttl=heard.ttl,
    )
