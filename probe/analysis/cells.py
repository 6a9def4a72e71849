"""The unit of comparison: what one household saw of one service on one network in one hour."""

from datetime import datetime

from probe.record import Record


class Cell(Record):
    """One vantage x network x hour x service x purpose.

    `vantage` is the pseudonym of one household or source, `hour` is UTC and truncated. Of `runs` runs,
    `usable` allow a statement; of these `failing` say that it does not get through, and of those `likely`
    are no more than likely to be interference. `states` and `mechanisms` count verdicts by their words.
    Times are seconds (`setup_s`) and milliseconds (`rtt_ms`), losses are shares from 0 to 1.
    """

    service: str
    purpose: str
    asn: int
    country: str
    network: str
    kind: str
    family: int
    label: str
    vantage: str
    hour: datetime
    runs: int
    failing: int
    likely: int
    usable: int
    states: dict[str, int]
    mechanisms: dict[str, int]
    setup_s: tuple[float, ...]
    loss_up: tuple[float, ...]
    loss_down: tuple[float, ...]
    rtt_ms: tuple[float, ...]
