"""One paced flow at the far end (docs/paced-flow.md): what arrives, what is answered. No socket, no clock of its own.

credit = bytes of the request for the flow + bytes heard  >=  bytes answered, always
an answer carries a word; until a stamp with that word comes back, 20 packets are answered and 64 believed
"""

import secrets
from collections.abc import Callable
from typing import NamedTuple

from probe.far_end.protocol import NewFlow
from probe.far_end.receive_log import Ended, ReceiveLog
from probe.far_end.tickets import Session
from probe.media.stamp import SIZE, Sealer, Stamp
from probe.media.template import MAX_SIZE, Memory, Template, TemplateError

UNPROVED_ANSWERS = 20
UNPROVED_BELIEVED = 64
MOST_MOVES = 8


class PacketKind(NamedTuple):
    """One kind of packet: where its stamp is, its answer, and the least size that it has."""

    stamp_at: int | None
    down: Template | None
    memory: Memory
    least: int


def packet_kinds(asked: NewFlow) -> tuple[PacketKind, ...]:
    """What was asked for, its templates read. Raises ValueError with one sentence."""
    if all(one.stamp_at is None for one in asked.packets):
        raise ValueError("no kind of packet has a stamp, so the flow could not be known")
    same: dict[str, bytes] = {}  # constant in the whole flow; counters are each packet's own
    found = []
    for index, one in enumerate(asked.packets):
        try:
            down = Template(one.down) if one.down is not None else None
        except TemplateError as error:
            raise ValueError(f"packets[{index}].down {error}") from None
        found.append(PacketKind(one.stamp_at, down, Memory(same=same), one.least))
    return tuple(found)


class PacedFlow:
    """A flow from its request to its log.

    `paid` is the size of the request, which counts as credit; `most` the octets that its session may spend; `clock`
    gives seconds. Raises ValueError with one sentence for a request that cannot be met.
    """

    def __init__(
        self, asked: NewFlow, paid: int, session: Session, most: int, clock: Callable[[], float]
    ) -> None:
        key = bytes.fromhex(asked.key)
        self._kinds = packet_kinds(asked)
        self._up, self._down = Sealer(key, "up"), Sealer(key, "down")
        self._places = sorted({one.stamp_at for one in self._kinds if one.stamp_at is not None})
        unstamped = [one.least for one in self._kinds if one.stamp_at is None and one.down is not None]
        self._least_echoed = min(unstamped, default=MAX_SIZE + 1)
        self._paid, self._most, self._clock = paid, most, clock
        self._word, self._old_words = _new_word(), {0}
        self._trusted = False  # that answers get to where they are sent
        self._answers = self._believed = self._moves = 0
        self._number = -1  # of the packet that was heard last, -1: it had none
        self.asked, self.session = asked, session
        self.born = clock()
        self.ended_at = 0.0
        self.log = ReceiveLog()

    def open(self, data: bytes) -> Stamp | None:
        """The stamp of a packet of this flow, None if it has none."""
        for index, place in enumerate(self._places):
            stamp = self._up.open(data[place : place + SIZE])
            if stamp is not None:
                if stamp.kind >= len(self._kinds) or self._kinds[stamp.kind].stamp_at != place:
                    return None
                if index:  # the next packet is likely to be of the same kind
                    self._places.insert(0, self._places.pop(index))
                return stamp
        return None

    def hear(self, data: bytes, at: float, stamp: Stamp | None = None) -> bytes | None:
        """Take in a packet that arrived at `at` from where the flow is known to come from; the answer, if there is one.

        `stamp` is given where it was opened already.
        """
        log = self.log
        if log.ended:
            return None
        size = len(data)
        log.octets_in += size
        log.packets_in += 1
        self.session.octets += size
        if self.session.octets > self._most or log.is_full:
            self.end("octets")
            return None
        stamp = stamp or self.open(data)
        if stamp is not None:
            fresh = log.hear(stamp.number, at)
            self._prove(stamp.word)
        if not self._trusted:
            self._believed += 1
            if self._believed > UNPROVED_BELIEVED:
                self.end("unproved")
        if log.ended:
            return None
        if stamp is None:
            return self._echo(data)
        return self._answer(stamp, size) if fresh else None

    def take_back(self, answer: bytes) -> None:
        """The answer could not be sent."""
        self.log.octets_out -= len(answer)
        if self._number >= 0:
            self.log.keep_silent(self._number)

    def may_move(self, stamp: Stamp) -> bool:
        """Whether a packet from elsewhere shows that the flow comes from there now: a NAT has changed its mind.

        Then the new place has to prove itself again.
        """
        if self.log.ended or not self._trusted or stamp.word != self._word or self._moves >= MOST_MOVES:
            return False
        self._moves += 1
        self._old_words.add(self._word)
        self._word, self._trusted = _new_word(), False
        self._answers = self._believed = 0
        return True

    @property
    def is_movable(self) -> bool:
        """Whether a stamp could make it move."""
        return self._trusted and not self.log.ended and self._moves < MOST_MOVES

    def end(self, why: Ended) -> None:
        """It is over, if it is not yet."""
        if not self.log.ended:
            self.log.ended, self.ended_at = why, self._clock()

    def _prove(self, word: int) -> None:
        if word == self._word:
            self._trusted = self.log.proved = True
        elif word not in self._old_words:
            self.end(
                "unproved"
            )  # somebody who knows the key and not the word: whoever forges a source guesses

    def _echo(self, data: bytes) -> bytes | None:
        self._number = -1
        if not self._least_echoed <= len(data) <= MAX_SIZE or not self._may_answer(len(data)):
            return None
        return data

    def _answer(self, stamp: Stamp, size: int) -> bytes | None:
        kind = self._kinds[stamp.kind]
        self._number = stamp.number
        if kind.down is None or not self._may_answer(kind.down.sized(size)):
            self.log.keep_silent(stamp.number)
            return None
        mark = self._down.seal(stamp._replace(word=self._word, micros=self.log.micros(self._clock())))
        return kind.down.render(kind.memory, mark, size)

    def _may_answer(self, size: int) -> bool:
        """Whether so many bytes may be answered; if so they count as answered."""
        log = self.log
        if not self._trusted and self._answers >= UNPROVED_ANSWERS:
            return False
        if log.octets_out + size > self._paid + log.octets_in:
            return False
        self._answers += 1
        log.octets_out += size
        return True


def _new_word() -> int:
    return 1 + secrets.randbelow(0xFFFF)
