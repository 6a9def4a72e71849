"""What the operator sees of a collector: counts and times, of nobody in particular."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

KIND = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Figures:
    """In Prometheus' text format."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._answers = Counter(
            "callreach_answers", "Answers by status and, of refusals, by reason.", ("status", "error"),
            registry=self._registry,
        )  # fmt: skip
        self._request = Histogram(
            "callreach_request_seconds", "From a run's head to its acknowledgement.",
            buckets=_SECONDS, registry=self._registry,
        )  # fmt: skip
        self._commit = Histogram(
            "callreach_commit_seconds", "One batch onto the disk.", buckets=_SECONDS, registry=self._registry
        )
        self._committed = Counter("callreach_committed", "Wishes in batches.", registry=self._registry)
        self.failed = Counter(
            "callreach_commits_failed", "Batches refused by the disk.", registry=self._registry
        )
        self._octets = Gauge("callreach_waiting_bytes", "Bytes not yet on the disk.", registry=self._registry)
        # Looked up once: a label costs more than what it counts.
        self._known: dict[tuple[int, str], Counter] = {}

    def answered(self, status: int, error: str = "") -> None:
        """An answer was given."""
        counter = self._known.get((status, error))
        if counter is None:
            counter = self._known[status, error] = self._answers.labels(str(status), error)
        counter.inc()

    def acknowledged(self, seconds: float) -> None:
        """A run was."""
        self._request.observe(seconds)

    def committed(self, count: int, seconds: float) -> None:
        """A batch was."""
        self._committed.inc(count)
        self._commit.observe(seconds)

    def text(self, waiting: int) -> bytes:
        """All of it."""
        self._octets.set(waiting)
        return generate_latest(self._registry)
