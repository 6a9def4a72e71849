"""The lines of a run on their way to its file."""

from collections.abc import Callable
from dataclasses import dataclass, field

from probe.model import AnyLine, Run


@dataclass
class Lines:
    """The lines of a run. The first one names the vantage point: until it is known, others wait behind it."""

    sink: Callable[[AnyLine], None]
    header: Run | None = None
    rest: list[AnyLine] = field(default_factory=list)

    def begin(self, header: Run) -> None:
        """The first line, and those that waited."""
        self.sink(header)
        self.header = header
        for line in self.rest:
            self.sink(line)

    def keep(self, line: AnyLine) -> None:
        """One more line."""
        self.rest.append(line)
        if self.header is not None:
            self.sink(line)
