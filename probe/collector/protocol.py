"""What a collector says and hears (docs/upload-protocol.md)."""

from probe.record import Record

RUNS = "/v1/runs"
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


class Refusal(Record):
    """The body of every 4xx and 5xx."""

    error: str
    reason: str


class Refused(Exception):
    """A request that is not granted; `retry` is after how many seconds it is worth asking again."""

    def __init__(self, status: int, error: str, reason: str, *, retry: float | None = None) -> None:
        super().__init__(reason)
        self.status, self.error, self.reason, self.retry = status, error, reason, retry
