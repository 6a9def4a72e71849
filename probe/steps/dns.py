"""Look a name up with one resolver, and keep listening for a second, different answer."""

import asyncio
import random
import secrets
import struct
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Literal

import msgspec

from probe.dialogue import Dialogue, Heard, converse, listen, read, send
from probe.failure import Malformed, Rejected, Silent, Unexpected
from probe.record import Record, peer_text
from probe.step import Facts, Flow, Need, Step
from probe.steps.dns_names import form

if TYPE_CHECKING:
    import dns.message
    import dns.name
    import dns.rdatatype

Type = Literal["A+AAAA", "A", "AAAA", "TXT", "SRV", "PTR"]
_RETRY = (2.0, 3.0, 4.0)  # seconds to wait after each transmission; a first query is easily lost
_EDNS_PAYLOAD = 1232
_TRUNCATED = 0x02  # TC, in the third byte (RFC 1035 section 4.1.1)
_MAX_RECORDS = 64
_MAX_FURTHER = 8
_MAX_HTTP = 65535


class Answer(Record):
    """One answer to a question: response code, records as text, when, and the TTL its packet arrived with."""

    rcode: str
    records: tuple[str, ...] = ()
    at: float = 0.0
    reply_ttl: int | None = None
    soa: str = ""


class DnsFacts(Facts):
    """The first answer, and later ones that contradict it (two different answers mean injection)."""

    name: str
    type: Type
    answer: Answer
    further: tuple[Answer, ...] = ()
    tries: int = 1
    truncated: bool = False


class Dns(Step):
    """Ask one question: over UDP, an open stream (RFC 7858, RFC 7766), HTTPS (`path`, RFC 8484), or the system."""

    name: str = ""  # empty: the target's host
    type: Type = "A+AAAA"
    path: str = ""  # ask by HTTP on the open stream
    system: bool = False
    linger: float = 3.0  # how long to keep listening after the first UDP answer
    # Of SRV and PTR records only names of this form are kept, for others to follow (dns_names.py).
    like: str = ""
    seconds: float = 12.0

    def __post_init__(self) -> None:
        if self.like:
            form(self.like)
            if self.type not in ("SRV", "PTR"):
                raise ValueError("like goes with type SRV or PTR")

    @property
    def needs(self) -> Need:
        """The system resolver needs no address of ours."""
        return "name" if self.system else "stream" if self.path else "address"

    async def run(self, flow: Flow) -> DnsFacts:
        """Ask. Raises Rejected with the response code, Unexpected "NODATA", or Silent; facts are `partial`."""
        name = self.name or flow.host
        questions = [Question(name, kind) for kind in _kinds(self.type)]
        if self.system:
            answers = [await _system(flow, name)]
        elif self.path:
            answers = await self._https_all(flow, questions)
        elif flow.link is not None:
            answers = await converse(flow.link, on_stream(questions))
        else:
            return await self._udp(flow, questions)
        return _checked(self._kept(DnsFacts(name=name, type=self.type, answer=_merged(answers))))

    def _kept(self, facts: DnsFacts) -> DnsFacts:
        """Facts in which a name that is not of the expected form is not written down."""
        if not self.like:
            return facts
        wanted = form(self.like)

        def kept(answer: Answer) -> Answer:
            records = (r if wanted.read(r, self.type) else "a name of another form" for r in answer.records)
            return msgspec.structs.replace(answer, records=tuple(records))

        further = tuple(map(kept, facts.further))
        return msgspec.structs.replace(facts, answer=kept(facts.answer), further=further)

    async def _udp(self, flow: Flow, questions: "list[Question]") -> DnsFacts:
        link = await flow.udp()
        first, tries = await converse(link, over_udp(questions))
        truncated = [q for q, a in zip(questions, first, strict=True) if a is None]
        answers = [answer for answer in first if answer is not None]
        if truncated:
            answers += await self._over_tcp(flow, truncated)
        facts = DnsFacts(
            name=questions[0].name,
            type=self.type,
            answer=_merged(answers),
            tries=tries,
            truncated=bool(truncated),
        )
        flow.announce(facts)
        further = await converse(link, _contradictions(questions, answers, self.linger))
        return _checked(self._kept(msgspec.structs.replace(facts, further=further)))

    async def _over_tcp(self, flow: Flow, questions: "list[Question]") -> list[Answer]:
        """An answer that did not fit is asked for again over TCP (RFC 7766 section 5)."""
        link = await flow.net.dial_tcp(flow.address, flow.port)
        flow.sockets.append(link)
        return await converse(link, on_stream(questions))

    async def _https_all(self, flow: Flow, questions: "list[Question]") -> list[Answer]:
        if flow.alpn == "h2":  # both at once on one connection
            return list(await asyncio.gather(*(self._https(flow, question) for question in questions)))
        return [await self._https(flow, question) for question in questions]

    async def _https(self, flow: Flow, question: "Question") -> Answer:
        from probe.http_link import exchange

        headers = [
            ("host", flow.host),
            ("accept", "application/dns-message"),
            ("content-type", "application/dns-message"),
        ]
        wire = question.wire(identifier=0)  # zero, so that caches on the way can help (RFC 8484 section 4.1)
        url = f"https://resolver{self.path}"
        response, body, complete, (_, ended) = await exchange(
            flow, "POST", url, headers=headers, content=wire, cap=_MAX_HTTP
        )
        if response.status_code != 200:
            raise Unexpected("the resolver's web server refuses", code=str(response.status_code))
        answer = question.read(body, at=ended, identifier=0) if complete else None
        if answer is None:
            raise Malformed("the body is not an answer to our question")
        return answer


class Question:
    """One question with its own id; it writes itself and knows its answers.

    `verbatim` keeps texts as they came, for a reader that derives something from them and forgets them.
    """

    def __init__(self, name: str, kind: str, *, verbatim: bool = False) -> None:
        self.name, self.kind, self.verbatim = name, kind, verbatim
        self.identifier = secrets.randbelow(65536)

    def wire(self, *, identifier: int | None = None) -> bytes:
        """The query's bytes. Raises Malformed for a name the DNS cannot carry."""
        # What is `verbatim` is asked once, and its name may hold the volunteer's address: it is not remembered.
        query = (_query if self.verbatim else _known_query)(self.name, self.kind)
        return struct.pack("!H", self.identifier if identifier is None else identifier) + query[2:]

    def parse(self, data: bytes, *, identifier: int | None = None) -> "dns.message.Message | None":
        """The message, if it is a response to this question."""
        import dns.flags
        import dns.message

        wanted = self.identifier if identifier is None else identifier
        if len(data) < 12 or struct.unpack_from("!H", data)[0] != wanted:
            return None
        try:
            message = dns.message.from_wire(data, ignore_trailing=True, raise_on_truncation=False)
            asked = message.question[0] if message.question else None
            same = asked is None or (asked.name, asked.rdtype) == self._asked
        except Exception:  # noqa: BLE001 - dnspython raises many types for hostile bytes
            return None
        return message if message.flags & dns.flags.QR and same else None

    @cached_property
    def _asked(self) -> "tuple[dns.name.Name, dns.rdatatype.RdataType]":
        import dns.name
        import dns.rdatatype

        return dns.name.from_text(self.name), dns.rdatatype.from_text(self.kind)

    def read(
        self, data: bytes, *, at: float, ttl: int | None = None, identifier: int | None = None
    ) -> Answer | None:
        """The answer in these bytes, or None if they are not one."""
        import dns.rcode

        message = self.parse(data, identifier=identifier)
        if message is None:
            return None
        return Answer(
            rcode=dns.rcode.to_text(message.rcode()),
            records=tuple(_records(message, self.kind, verbatim=self.verbatim))[:_MAX_RECORDS],
            at=round(at, 6),
            reply_ttl=ttl,
            soa=_soa(message),
        )


def _query(name: str, kind: str) -> bytes:
    """A query with identifier 0. Raises Malformed for a name the DNS cannot carry."""
    import dns.exception
    import dns.message

    try:
        query = dns.message.make_query(name, kind, use_edns=0, payload=_EDNS_PAYLOAD, id=0)
    except dns.exception.DNSException as error:
        raise Malformed("the name cannot be asked for") from error
    return query.to_wire()


_known_query = lru_cache(maxsize=512)(_query)  # every resolver is asked for the same names


def _kinds(wanted: Type) -> tuple[str, ...]:
    return ("A", "AAAA") if wanted == "A+AAAA" else (wanted,)


def _records(message: "dns.message.Message", kind: str, *, verbatim: bool) -> list[str]:
    import dns.rdatatype

    texts = []
    for rrset in message.answer:
        if rrset.rdtype != dns.rdatatype.from_text(kind):
            continue
        for rdata in rrset:
            text = str(rdata)
            keep = verbatim or kind in ("A", "AAAA", "SRV")
            texts.append(text if keep else peer_text(text.strip('"')))
    return texts


def _soa(message: "dns.message.Message") -> str:
    import dns.rdatatype

    owners = [str(rrset.name) for rrset in message.authority if rrset.rdtype == dns.rdatatype.SOA]
    return peer_text(owners[0]) if owners else ""


def over_udp(questions: list[Question]) -> Dialogue[tuple[list[Answer | None], int]]:
    """Ask all questions on one socket; None stands for a truncated answer. Raises Silent.

    The same query is sent again after two, three and four seconds, so that one lost packet is no failure.
    """
    answers: dict[int, Answer | None] = {}
    now = 0.0
    for number, wait in enumerate(_RETRY, 1):
        for index, question in enumerate(questions):
            if index not in answers:
                now = yield from send(question.wire())
        until = now + wait * random.uniform(0.9, 1.1)
        while now < until and len(answers) < len(questions):
            heard = yield from listen(until - now)
            if heard is None:
                break
            now = heard.at
            _sort_in(heard, questions, answers)
        if len(answers) == len(questions):
            return [answers[index] for index in range(len(questions))], number
    if answers:  # one of A and AAAA was answered, the other never: some resolvers are like that
        return [answers.get(i, Answer(rcode="NOERROR")) for i in range(len(questions))], len(_RETRY)
    raise Silent("the resolver did not answer", code=str(len(_RETRY)))


def _sort_in(heard: Heard, questions: list[Question], answers: dict[int, Answer | None]) -> None:
    for index, question in enumerate(questions):
        answer = question.read(heard.data, at=heard.at, ttl=heard.ttl)
        if answer is not None and index not in answers:
            answers[index] = None if heard.data[2] & _TRUNCATED else answer


def _contradictions(
    questions: list[Question], first: list[Answer], seconds: float
) -> Dialogue[tuple[Answer, ...]]:
    """Keep listening; keep every later answer that says something else than the first."""
    told = {(answer.rcode, frozenset(answer.records)) for answer in first}
    further: list[Answer] = []
    now, until = 0.0, seconds
    while now < until and len(further) < _MAX_FURTHER:
        try:
            heard = yield from listen(until - now)
        except OSError:  # an ICMP error after a good answer takes nothing back
            break
        if heard is None:
            break
        now = heard.at
        for question in questions:
            answer = question.read(heard.data, at=heard.at, ttl=heard.ttl)
            if answer is not None and (answer.rcode, frozenset(answer.records)) not in told:
                told.add((answer.rcode, frozenset(answer.records)))
                further.append(answer)
    return tuple(further)


def on_stream(questions: list[Question]) -> Dialogue[list[Answer]]:
    """Ask on a stream, each message behind its length (RFC 7766 section 8). Raises Malformed."""
    wires = [question.wire() for question in questions]
    yield from send(b"".join(struct.pack("!H", len(wire)) + wire for wire in wires))
    answers: dict[int, Answer] = {}
    for _ in range(2 * len(questions)):
        size = yield from read(2)
        data = yield from read(struct.unpack("!H", size)[0])
        at = yield from send(b"")
        for index, question in enumerate(questions):
            answer = question.read(data, at=at)
            if answer is not None:
                answers.setdefault(index, answer)
        if len(answers) == len(questions):
            return [answers[index] for index in range(len(questions))]
    raise Malformed("the stream carries no answer to our question")


async def _system(flow: Flow, name: str) -> Answer:
    import socket

    began = flow.net.now()
    try:
        found = await flow.net.system_lookup(name)
    except socket.gaierror as error:
        code = next((word for word in _GAI if getattr(socket, word, None) == error.errno), "EAI")
        if code == "EAI_AGAIN":  # nobody gave a usable answer in time
            raise TimeoutError from None
        raise Rejected("the system's resolver has no answer", code=code) from None
    except UnicodeError:
        raise Malformed("the name cannot be asked for") from None
    return Answer(rcode="NOERROR", records=tuple(found[:_MAX_RECORDS]), at=round(flow.net.now() - began, 6))


_GAI = ("EAI_NONAME", "EAI_NODATA", "EAI_AGAIN", "EAI_FAIL", "EAI_SYSTEM", "EAI_FAMILY", "EAI_MEMORY")


def _merged(answers: list[Answer]) -> Answer:
    """A and AAAA as one: good if either has records, else the worse response code."""
    best = next((a for a in answers if a.records), None)
    worst = next((a for a in answers if a.rcode != "NOERROR"), answers[0])
    chosen = best or worst
    return msgspec.structs.replace(chosen, records=tuple(r for answer in answers for r in answer.records))


def _checked(facts: DnsFacts) -> DnsFacts:
    if facts.answer.rcode != "NOERROR":
        raise Rejected("the resolver answers with an error", code=facts.answer.rcode, partial=facts)
    if not facts.answer.records:
        raise Unexpected("the name has no such record", code="NODATA", partial=facts)
    return facts
