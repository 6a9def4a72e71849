"""A whole flow of a shape, both directions, as it would leave and come back."""

import os
import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from probe.media.shape import Kind, Shape, kinds
from probe.media.stamp import KEY, Sealer, Stamp
from probe.media.template import Memory


class Seen(NamedTuple):
    """One packet: which kind, which way, its bytes, and the stamp that was sealed into it."""

    kind: Kind
    up: bool
    data: bytes
    stamp: Stamp


class Ends:
    """The probe and the far end of one flow."""

    def __init__(self, shape: Shape) -> None:
        self.kinds = kinds(shape)
        key = os.urandom(KEY)
        self.up, self.down = Sealer(key, "up"), Sealer(key, "down")
        self._probe, self._far_end = Memory(), Memory()
        self._number = 0

    def exchange(self, index: int, wanted: int = 200) -> Iterator[Seen]:
        """A packet of this kind, and its answer."""
        kind, stamp = self.kinds[index], Stamp(index, self._number, 0, 20_000 * self._number)
        self._number += 1
        data = kind.up.render(self._probe, self.up.seal(stamp), wanted)
        yield Seen(kind, True, data, stamp)
        if kind.down is not None:
            answer = kind.down.render(self._far_end, self.down.seal(stamp), len(data))
            yield Seen(kind, False, answer, stamp)


def flow(shape: Shape, sizes: Sequence[int], media: int) -> list[Seen]:
    """The opening, what goes beside once, then so many packets of media of sizes between these two."""
    ends, dice = Ends(shape), random.Random(1)
    order = [i for i, kind in enumerate(ends.kinds) if kind.role == "opening" for _ in range(kind.times)]
    order += [i for i, kind in enumerate(ends.kinds) if kind.role == "beside"]
    order += [i for i, kind in enumerate(ends.kinds) if kind.role == "media"] * media
    return [seen for index in order for seen in ends.exchange(index, dice.randint(sizes[0], sizes[-1]))]
