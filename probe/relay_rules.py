"""The part of the table that judges media through a service's own relay, and calls to ourselves through TURN.

{damage} is what happened, {lost} the share that was lost. Which direction suffers cannot be told: whatever goes
through a relay goes up and comes down.
"""

from probe import relay_contrast as relays
from probe.rule import Rule, all_of

RELAY_RULES: tuple[Rule, ...] = (
    Rule(
        id="relay.cut",
        when=all_of(relays.is_cut, relays.line_is_fair),
        state="unreachable",
        mechanism="media.cut",
        because="media passes through the relay and then no more, every time, while other machines answer; whether it"
        " is cut or does not serve strangers, another network must tell",
    ),
    Rule(
        id="relay.limited",
        when=all_of(relays.suffers, relays.line_is_fair),
        state="degraded",
        mechanism="media.{damage}",
        because="media through the relay is held down ({lost} lost), while the line to other machines"
        " loses hardly anything",
    ),
    Rule(
        id="relay.poor",
        when=relays.is_poor,
        state="inconclusive",
        because="media through the relay suffers, and so may the line",
    ),
)
