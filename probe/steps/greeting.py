"""Read what a peer says first without being asked: a JSON object in which some values are known.

Discord's gateway says `op` 10 to whoever opens its WebSocket; nothing is sent in return.
"""

import codecs
import json
from typing import Annotated, Any, TypeAlias

from msgspec import Meta

from probe.dialogue import Dialogue, converse, listen
from probe.failure import Malformed, StepError, Unexpected
from probe.step import Facts, Flow, Need, Step

Value: TypeAlias = str | int | bool
_SLACK = 10  # characters by which JSON that is cut off may seem wrong before its end: "-Infinit", "\u12"


class GreetingFacts(Facts):
    """When the first bytes came (seconds), how many were read, and which expected keys had another value, or none."""

    first_byte: float | None = None
    size: int = 0
    differing: tuple[str, ...] = ()


class Greeting(Step):
    """The first JSON object of a stream. Its keys in `expect_json` must have these values."""

    expect_json: dict[str, Value] = {}  # needed
    cap: Annotated[int, Meta(ge=64, le=65536)] = 16384

    def __post_init__(self) -> None:
        if not self.expect_json:
            raise ValueError("expect_json is needed: what the first message has")

    @property
    def needs(self) -> Need:
        """An open stream."""
        return "stream"

    async def run(self, flow: Flow) -> GreetingFacts:
        """Listen. Raises Malformed ("json"), Unexpected (the key), Closed or TimeoutError, the facts as `partial`."""
        words = Words(self.cap)
        try:
            said = await converse(flow.stream(), words.dialogue(self.seconds))
        except StepError as error:
            error.partial = words.facts()
            raise
        finally:
            flow.learned = words.facts()
        differing = tuple(key for key, value in self.expect_json.items() if not _is(said.get(key), value))
        facts = words.facts(differing)
        if differing:
            detail = "the first message is not the one this service says"
            raise Unexpected(detail, code=differing[0], partial=facts)
        return facts


class Words:
    """A JSON object that comes in pieces."""

    def __init__(self, cap: int) -> None:
        self._cap, self._size, self._text = cap, 0, ""
        self._at: float | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def dialogue(self, patience: float) -> Dialogue[dict[str, Any]]:
        """Listen until the object is whole."""
        now = 0.0
        while True:
            heard = yield from listen(patience - now)
            if heard is None:
                raise TimeoutError
            now, self._at = heard.at, heard.at if self._at is None else self._at
            if (said := self._take(heard.data)) is not None:
                return said

    def _take(self, data: bytes) -> dict[str, Any] | None:
        """The object, or None while it may still become one. Raises Malformed."""
        data = data[: self._cap - self._size]
        self._size += len(data)
        try:
            self._text = (self._text + self._decoder.decode(data)).lstrip()
            if self._text[:1] not in ("", "{"):
                raise ValueError
            said: dict[str, Any] = json.JSONDecoder().raw_decode(self._text)[0]
        except json.JSONDecodeError as error:
            cut_off = error.msg.startswith("Unterminated") or error.pos >= len(self._text) - _SLACK
            if cut_off and self._size < self._cap:
                return None
        except (ValueError, RecursionError):
            pass
        else:
            return said
        raise Malformed("the first message is not a JSON object", code="json")

    def facts(self, differing: tuple[str, ...] = ()) -> GreetingFacts:
        """What is known by now."""
        at = None if self._at is None else round(self._at, 6)
        return GreetingFacts(first_byte=at, size=self._size, differing=differing)


def _is(said: object, expected: Value) -> bool:
    """True is 1 to Python, and not to JSON."""
    return type(said) is type(expected) and said == expected
