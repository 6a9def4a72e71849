"""How many runs one key may send: a bucket of tokens for each, and not more buckets than fit."""

from collections import OrderedDict
from collections.abc import Callable

from probe.collector.protocol import Refused

_HOUR = 3600.0
_BUCKETS = 50_000  # keys remembered, some 200 bytes each; the one longest silent is forgotten first


class Rates:
    """`hourly` runs at once and so many an hour again. `clock` gives seconds that only grow."""

    def __init__(self, hourly: int, clock: Callable[[], float]) -> None:
        self._hourly, self._clock = hourly, clock
        self._buckets: OrderedDict[bytes, tuple[float, float]] = OrderedDict()

    def look(self, key: bytes) -> None:
        """Refuse a key that has no token, without taking one: nothing has shown yet that the sender holds it."""
        tokens, _ = self._bucket(key)
        if tokens < 1:
            wait = (1 - tokens) * _HOUR / self._hourly
            raise Refused(429, "rate", f"a key may send {self._hourly} runs an hour", retry=wait)

    def take(self, key: bytes) -> None:
        """Take a token: the signature was right. Raises Refused."""
        self.look(key)
        tokens, now = self._bucket(key)
        self._buckets[key] = tokens - 1, now
        self._buckets.move_to_end(key)
        if len(self._buckets) > _BUCKETS:
            self._buckets.popitem(last=False)

    def _bucket(self, key: bytes) -> tuple[float, float]:
        now = self._clock()
        tokens, at = self._buckets.get(key, (float(self._hourly), now))
        return min(self._hourly, tokens + (now - at) * self._hourly / _HOUR), now
