"""Play the peer of a dialogue from a script: no socket, no clock."""

from collections.abc import Iterable
from typing import Any

from probe.dialogue import Dialogue, Heard, Listen, Read, Send, T
from probe.failure import Closed


def play(
    dialogue: Dialogue[T], script: Iterable[bytes | None | Heard], *, tick: float = 0.01
) -> tuple[list[bytes], T]:
    """Run a dialogue; `script` is what it reads or hears in turn (None is silence, the end is a closed stream).

    Returns what it sent and what it returned. Time moves by `tick` per act and by the whole wait on silence.
    """
    sent: list[bytes] = []
    lines = iter(script)
    answer: Any = None
    now, rest = 0.0, b""
    try:
        while True:
            act = dialogue.send(answer)
            now += tick
            match act:
                case Send():
                    sent.append(act.data)
                    answer = now
                case Read():
                    while len(rest) < act.size:
                        piece = next(lines, None)
                        if piece is None:
                            raise Closed("the script ended")
                        rest += piece.data if isinstance(piece, Heard) else piece
                    answer, rest = rest[: act.size], rest[act.size :]
                case Listen():
                    heard = Heard(rest, now) if rest else next(lines, None)
                    rest = b""
                    if isinstance(heard, bytes):
                        heard = Heard(heard, now)
                    if heard is None:
                        now += act.seconds
                    answer = heard
    except StopIteration as end:
        return sent, end.value
    finally:
        dialogue.close()
