"""Ask a TURN server for an allocation (RFC 8656): the refusal proves life, credentials prove relaying."""

import base64
import hmac
import secrets
import struct
from collections.abc import Callable
from typing import Literal

import msgspec

from probe.dialogue import Dialogue, Heard, Link, converse, listen, send
from probe.failure import Malformed, Rejected, Unexpected
from probe.record import peer_text
from probe.step import Facts, Flow, Step
from probe.steps.stun import Exchange, on_stream, over_udp
from probe.stun_message import HEADER, Attribute, Message, Method, decode, long_term_key, pack_address

Dialect = Literal["rfc8656", "microsoft"]
_UDP = b"\x11\0\0\0"  # REQUESTED-TRANSPORT, RFC 8656 section 18.7
_LIFE = 300  # seconds that time-limited credentials are good for
_DATAGRAMS = 3
_WAIT = 1.5  # seconds for datagrams to come back through the relay
_MAX_FRAME = 4096


class TurnFacts(Facts):
    """How the server answered, and, with credentials, whether datagrams came back through the relay.

    `rtt` as in the stun step. `code` is that of the first answer: 401 is what a server with long-term
    credentials must say to a stranger (RFC 8489 section 9.2.4), 0 is success.
    """

    rtt: float
    transmissions: int
    code: int
    realm: str = ""
    software: str = ""
    dialect: Dialect = "rfc8656"
    allocated: bool = False
    lifetime: int = 0
    looped: int = 0
    loop_rtt: float | None = None


class Turn(Step):
    """Allocate. `realm` is expected unless empty; with credentials also a permission and a loop to ourselves."""

    realm: str = ""
    dialect: Dialect = "rfc8656"
    username: str = ""
    password: str = ""
    secret: str = ""  # time-limited credentials are made from it (draft-uberti-behave-turn-rest)
    transmissions: int = 5
    seconds: float = 15.0

    async def run(self, flow: Flow) -> TurnFacts:
        """Ask. Raises Silent, Rejected (credentials refused) or Unexpected (another realm)."""
        link: Link = flow.link or await flow.udp()
        ask = on_stream if link.is_stream else self._retransmit
        padded = self.dialect == "rfc8656"
        exchanged = await converse(link, ask(first_request(self.dialect), padded=padded))
        refused = exchanged.answers[0][0]
        facts = self._facts(exchanged)
        if self.realm and facts.code == 401 and facts.realm != self.realm:
            raise Unexpected("a TURN server of somebody else", code="realm", partial=facts)
        username, password = credentials(
            self.username, self.password, self.secret, flow.net.utc().timestamp()
        )
        if not username or refused.error_code != 401:
            return facts
        session = _Session(username, password, refused)
        return await converse(link, session.loop(ask, facts, stream=link.is_stream))

    def _retransmit(
        self, request: Message, *, key: bytes | None = None, padded: bool = True
    ) -> Dialogue[Exchange]:
        return over_udp(request, self.transmissions, key=key, padded=padded)

    def _facts(self, exchanged: Exchange) -> TurnFacts:
        answer = exchanged.answers[0][0]
        # The Microsoft dialect swaps the numbers of REALM and NONCE and puts the realm in quotes.
        realm = answer.get(Attribute.REALM if self.dialect == "rfc8656" else Attribute.NONCE) or b""
        return TurnFacts(
            rtt=round(exchanged.rtt, 6),
            transmissions=exchanged.transmissions,
            code=answer.error_code,
            realm=peer_text(realm).strip('"'),
            software=peer_text(answer.get(Attribute.SOFTWARE) or b""),
            dialect=self.dialect,
            allocated=answer.class_ == "success",
        )


def credentials(username: str, password: str, secret: str, now: float) -> tuple[str, str]:
    """User name and password; with a secret time-limited ones (draft-uberti-behave-turn-rest section 2.2)."""
    if not secret:
        return username, password
    limited = f"{int(now) + _LIFE}:{username or 'probe'}"
    return limited, base64.b64encode(hmac.digest(secret.encode(), limited.encode(), "sha1")).decode()


def first_request(dialect: Dialect) -> Message:
    """An Allocate request of a stranger: 28 bytes, or the 68 bytes of Microsoft's clients."""
    transaction = secrets.token_bytes(12)
    if dialect == "rfc8656":
        return Message(Method.ALLOCATE, "request", transaction, ((Attribute.REQUESTED_TRANSPORT, _UDP),))
    # Magic cookie, version, MS service quality and sequence attributes as Microsoft's clients send them.
    attributes = (
        (0x000F, bytes.fromhex("72c64bc6")),
        (0x8037, bytes.fromhex("00000002")),
        (0x8008, bytes.fromhex("00000006")),
        (0x8006, bytes.fromhex("00000001")),
        (0x0010, bytes.fromhex("00002ee0")),
        (0x8055, bytes.fromhex("00020002")),
    )
    return Message(Method.ALLOCATE, "request", transaction, attributes)


Ask = Callable[..., Dialogue[Exchange]]


class _Session:
    """An authenticated conversation: who we are, and the server's latest realm and nonce."""

    def __init__(self, username: str, password: str, refused: Message) -> None:
        self._username = username.encode()
        self._realm = refused.get(Attribute.REALM) or b""
        self._nonce = refused.get(Attribute.NONCE) or b""
        self._key = long_term_key(username, self._realm.decode("utf-8", "replace"), password)

    def loop(self, ask: Ask, facts: TurnFacts, *, stream: bool) -> Dialogue[TurnFacts]:
        """Allocate, permit ourselves, send ourselves datagrams through the relay, let go again."""
        granted = yield from self._ask(ask, Method.ALLOCATE, (Attribute.REQUESTED_TRANSPORT, _UDP))
        if granted.class_ == "error":
            facts = msgspec.structs.replace(facts, code=granted.error_code)
            raise Rejected("the server refuses our credentials or our request", code=str(granted.error_code),
                           partial=facts)  # fmt: skip
        relayed = granted.address(Attribute.XOR_RELAYED_ADDRESS)
        if relayed is None:
            raise Malformed("an allocation without a relayed address")
        lifetime = int.from_bytes(granted.get(Attribute.LIFETIME) or b"\0", "big")
        facts = msgspec.structs.replace(facts, allocated=True, lifetime=lifetime)
        permission = yield from self._ask(ask, Method.CREATE_PERMISSION, relayed)
        looped, rtt = 0, None
        if permission.class_ == "success":
            looped, rtt = yield from _send_to_ourselves(relayed, stream=stream)
        yield from self._ask(ask, Method.REFRESH, (Attribute.LIFETIME, b"\0\0\0\0"))
        return msgspec.structs.replace(facts, looped=looped, loop_rtt=rtt)

    def _ask(self, ask: Ask, method: Method, what: tuple[int, bytes] | tuple[str, int]) -> Dialogue[Message]:
        """Ask with integrity; a stale nonce (438) is replaced once (RFC 8489 section 9.2.5)."""
        answer = yield from self._once(ask, method, what)
        if answer.error_code == 438:
            self._nonce = answer.get(Attribute.NONCE) or b""
            answer = yield from self._once(ask, method, what)
        return answer

    def _once(self, ask: Ask, method: Method, what: tuple[int, bytes] | tuple[str, int]) -> Dialogue[Message]:
        transaction = secrets.token_bytes(12)
        first, second = what
        if isinstance(first, str) and isinstance(second, int):
            wanted = (int(Attribute.XOR_PEER_ADDRESS), pack_address(first, second, transaction))
        else:
            assert isinstance(first, int)
            assert isinstance(second, bytes)
            wanted = (first, second)
        request = Message(
            method,
            "request",
            transaction,
            (
                wanted,
                (Attribute.USERNAME, self._username),
                (Attribute.REALM, self._realm),
                (Attribute.NONCE, self._nonce),
            ),
        )
        exchanged = yield from ask(request, key=self._key)
        return exchanged.answers[0][0]


def _send_to_ourselves(relayed: tuple[str, int], *, stream: bool) -> Dialogue[tuple[int, float | None]]:
    """Send indications to our own relayed address; count those that come back as Data indications."""
    sent: dict[bytes, float] = {}
    for _ in range(_DATAGRAMS):
        transaction, payload = secrets.token_bytes(12), secrets.token_bytes(32)
        peer = (Attribute.XOR_PEER_ADDRESS, pack_address(*relayed, transaction))
        indication = Message(Method.SEND, "indication", transaction, (peer, (Attribute.DATA, payload)))
        sent[payload] = yield from send(indication.encode())
    back, rtt, until = 0, None, max(sent.values()) + _WAIT
    now, rest = max(sent.values()), b""
    while sent and now < until:
        heard: Heard | None = yield from listen(until - now)
        if heard is None:
            break
        now = heard.at
        frames, rest = _frames(rest + heard.data) if stream else ([heard.data], b"")
        for frame in frames:
            at = sent.pop(_relayed_payload(frame), None)
            if at is not None:
                back, rtt = back + 1, rtt if rtt is not None else round(now - at, 6)
    return back, rtt


def _frames(data: bytes) -> tuple[list[bytes], bytes]:
    """The whole messages at the start of a stream, and what is left."""
    frames = []
    while len(data) >= HEADER:
        size = HEADER + struct.unpack_from("!H", data, 2)[0]
        if size > _MAX_FRAME:
            raise Malformed("a message that no relay would send")
        if len(data) < size:
            break
        frames.append(data[:size])
        data = data[size:]
    return frames, data


def _relayed_payload(frame: bytes) -> bytes:
    try:
        message = decode(frame)
    except Malformed:
        return b""
    return message.get(Attribute.DATA) or b"" if message.method == Method.DATA else b""
