"""What a collector says and hears (docs/upload-protocol.md)."""

from typing import Annotated

from msgspec import Meta

from probe.record import Record

RUNS = "/v1/runs"
SEGMENTS = "/v1/segments"
SEGMENT = "application/zstd"
HEALTH = "/healthz"
METRICS = "/metrics"
OPENAPI = "/openapi.json"


class Receipt(Record):
    """These bytes were received then; `signature` is the collector's over the rest. Keys stand in their order."""

    collector: str
    received: str
    run: str
    sha256: str
    signature: str = ""


class Sealed(Record):
    """A segment that is complete, as readers may have it: its bytes are at SEGMENTS/SHA256."""

    name: Annotated[str, Meta(pattern="^[0-9A-Za-z-]{1,80}$")]
    octets: Annotated[int, Meta(ge=0, le=1 << 40)]
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class Listing(Record):
    """Every segment that there is, oldest first."""

    segments: tuple[Sealed, ...]


class Refusal(Record):
    """The body of every 4xx and 5xx."""

    error: str
    reason: str


class Refused(Exception):
    """A request that is not granted; `retry` is after how many seconds it is worth asking again."""

    def __init__(self, status: int, error: str, reason: str, *, retry: float | None = None) -> None:
        super().__init__(reason)
        self.status, self.error, self.reason, self.retry = status, error, reason, retry
