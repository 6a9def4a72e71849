"""The columns of the four kinds of rows, and the Parquet they are kept in.

Every row says where and when it is from, so that no question needs a join. Times are UTC without a zone: a zone
would make "day" depend on whose laptop asks. Ids are text: not every engine reads Parquet's own type for them.
"""

from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, get_type_hints

if TYPE_CHECKING:
    import pyarrow as pa

VERSION = 1  # of the columns; a reader refuses rows of another
VERSION_KEY, TABLE_KEY = b"callreach.rows", b"callreach.table"  # what a Parquet file of ours says of itself


class Place(NamedTuple):
    """When and where a run was made. `network` is the AS, else the label, else empty; `vantage` a pseudonym."""

    run: str
    started: datetime
    network: str
    asn: int
    as_name: str
    country: str
    kind: str
    label: str
    vantage: str


class RunRow(NamedTuple):
    """One run. What ends in `_stored` is what was thought then."""

    place: Place
    source: str  # "callreach" or "ooni"
    software: str
    format: int
    tests: str
    tunnel: bool
    regime: str
    regime_stored: str
    rules: int
    rules_stored: int
    ended: str
    seconds: float
    sent: int
    received: int
    disturbed: bool


class MeasurementRow(NamedTuple):
    """One endpoint of one target: its own tries (not the follow-ups) over one address family.

    outcome   "works", "fails", or "nothing": nothing that says anything about peer or path
    step      where most tries failed, with that failure's kind and code
    nameless  no resolver gave an address; `denied`: because every one of them says there is no such name
    """

    place: Place
    service: str
    target: str
    purpose: str
    group: str
    role: str
    at: str
    host: str
    ip: str
    port: int
    family: int
    outcome: str
    step: str
    failure: str
    code: str
    tries: int
    passed: int
    nameless: bool
    denied: bool


class ObservationRow(NamedTuple):
    """One step done once. Look-ups have a resolver and no service."""

    place: Place
    service: str
    target: str
    purpose: str
    variant: str
    resolver: str
    host: str
    ip: str
    port: int
    family: int
    observation: int
    step: str
    at: datetime
    seconds: float
    sent: int
    received: int
    failure: str
    code: str
    rtt_ms: float | None
    loss_up: float | None
    loss_down: float | None


class VerdictRow(NamedTuple):
    """One verdict: of all families together (`family` 0), and of each (4, 6); one of each for a run and purpose.

    setup_s          seconds until a chain or call of its own was complete, median
    loss_up, _down   share of the packets of its test calls and flows
    rtt_ms           median round trip, milliseconds
    """

    place: Place
    service: str
    purpose: str
    family: int
    state: str
    mechanism: str
    rule: str
    because: str
    identity: str
    evidence: tuple[int, ...]
    regime: str
    rules: int
    state_stored: str
    mechanism_stored: str
    rules_stored: int
    setup_s: float | None
    loss_up: float | None
    loss_down: float | None
    rtt_ms: float | None


Row: TypeAlias = RunRow | MeasurementRow | ObservationRow | VerdictRow


class Rows(NamedTuple):
    """The rows of one document."""

    run: RunRow
    measurements: list[MeasurementRow]
    observations: list[ObservationRow]
    verdicts: list[VerdictRow]


TABLES: dict[str, type] = {
    "run": RunRow, "measurement": MeasurementRow, "observation": ObservationRow, "verdict": VerdictRow,
}  # fmt: skip


def columns(table: str) -> list[str]:
    """The columns of a table: those of the place first."""
    return [*Place._fields, *list(get_type_hints(TABLES[table]))[1:]]


@cache
def schema(table: str) -> "pa.Schema":
    """The Arrow schema of a table, marked with its name and the version of the columns."""
    import pyarrow as pa

    kinds: dict[Any, pa.DataType] = {
        str: pa.string(),
        int: pa.int64(),
        float: pa.float64(),
        bool: pa.bool_(),
        datetime: pa.timestamp("ms"),
        float | None: pa.float64(),
        tuple[int, ...]: pa.list_(pa.int64()),
    }
    hints = get_type_hints(Place) | get_type_hints(TABLES[table])
    fields = [pa.field(name, kinds[hints[name]]) for name in columns(table)]
    return pa.schema(fields, metadata={VERSION_KEY: str(VERSION).encode(), TABLE_KEY: table.encode()})
