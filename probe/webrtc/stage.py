"""The stages of a call, and how one ends for good."""

from typing import Literal

Stage = Literal["gather", "ice", "dtls", "media"]
Reason = Literal["unanswered", "denied", "alert", "identity", "bytes", "hung_up", "lost", "closed"]


class StageFailed(ConnectionError):
    """A stage ended for good, and why.

    ice: `unanswered` (no check was), `denied` (the relay does not reach the other side; code: its STUN error).
    dtls: `unanswered`, `alert` (code: its number), `identity` (another certificate than announced), `bytes` (not
    acceptable DTLS).
    media: `hung_up` (the other side ended the call in good order). Any of them: `lost` (no consent any more, or the
    socket broke; the cause is the operating system's error if it named one). Any stage: `closed`, by our own `close`.
    """

    def __init__(self, stage: Stage, reason: Reason, code: str = "") -> None:
        super().__init__(f"{stage}: {reason}")
        self.stage, self.reason, self.code = stage, reason, code
