"""What states and steps are called in a report, in the reader's language, and foreign names made harmless."""

from collections.abc import Mapping, Sequence

from probe.analysis.compare import Column, Comparison, Entry
from probe.analysis.expressions import By
from probe.analysis.sentences import phrases
from probe.language import N_, _, _n
from probe.record import plain
from probe.words import SHOWN, STATES, shown

PURPOSES = ("messaging", "calls")
_ISOLATED, _END = "\u2068", "\u2069"  # Unicode Bidirectional Algorithm (UAX 9) 2.4: first strong isolate
# In the order in which a call or a message meets them.
STEPS = (
    "dns", "tcp", "tls", "http", "websocket", "greeting", "mtproto", "noise", "threema", "fallback", "quic",
    "stun", "turn", "reflector", "echo", "dtls", "media", "call", "reflectorloop", "loop",
)  # fmt: skip
# Letters, so that no state is told by its colour alone, and none by a letter of one language.
SYMBOLS = {
    "reachable": "✓", "answers": "✓", "media": "✓", "degraded": "▲", "blocked": "✕", "likely_blocked": "✕?",
    "unreachable": "○", "lately": "!", "down": "↓", "inconclusive": "~", "not_tested": "–",
}  # fmt: skip


def name(text: str) -> str:
    """A foreign name: harmless, and of no influence on the order in which its neighbours are written."""
    return f"{_ISOLATED}{plain(text)}{_END}"


def bare(text: str) -> str:
    """A text as a terminal wants it, which shows what isolates names."""
    return text.translate({ord(_ISOLATED): None, ord(_END): None})


def look(entry: Entry) -> str:
    """The key of an entry's word and symbol."""
    return "lately" if entry.lately else shown(entry.purpose, entry.verdict)


def states() -> Mapping[str, str]:
    """One word or two for each state."""
    said = STATES | SHOWN | {"lately": N_("failed last")}
    return {key: _(said[key]) for key in SYMBOLS}


def meanings() -> Mapping[str, str]:
    """One sentence for each state, and what it does not mean where that is easily mistaken."""
    return {
        "reachable": _(
            "The far end answered and proved who it is. This is no proof that nothing interferes."
        ),
        "answers": _(
            "Something answered where it should; who, was not proved. For calls: the service's servers answered"
            " the first packets, and no call was placed."
        ),
        "media": _("A call of our own was placed, and its media came through both ways for the time tested."),
        "degraded": _("It works, and some of it is proven to be interfered with."),
        "blocked": _(
            "A forged answer, or two tries that differ in one thing, prove interference. Who ordered it is not"
            " measured."
        ),
        "likely_blocked": _("It failed here and worked elsewhere at that time. That is no proof."),
        "unreachable": _("It failed here while the network was fine. The service may be down, or cut off."),
        "lately": _(
            "It failed in the last hours that were measured, and not in most of all. Whether that lasts is open."
        ),
        "down": _("It failed everywhere at that time. No network is blamed."),
        "inconclusive": _("It was tried, and the network or the machine allowed no statement."),
        "not_tested": _("It was not tried. This is not the same as working."),
    }


def steps() -> Mapping[str, str]:
    """What a step does; steps that are not here are called by their own name."""
    return {
        "tcp": _("TCP: the connection"),
        "tls": _("TLS: the encrypted channel and the certificate"),
        "http": _("HTTP: the answer of the web server"),
        "websocket": _("WebSocket: the lasting connection"),
        "mtproto": _("MTProto: Telegram's handshake and proof of identity"),
        "noise": _("Noise: WhatsApp's handshake and proof of identity"),
        "quic": _("QUIC: the connection over UDP"),
        "stun": _("STUN: the first question of a call to a relay"),
        "turn": _("TURN: a place on a relay"),
        "reflector": _("Telegram's relay: its first answer"),
        "dtls": _("DTLS: the encrypted channel of a call"),
        "media": _("Media: a flow in the shape of the service's calls"),
        "call": _("A WebRTC call of our own"),
        "loop": _("A call to ourselves through a relay"),
        "reflectorloop": _("Media through the service's own relay"),
    }


def column_names(comparison: Comparison) -> dict[str, str]:
    """What each column is called: what people wrote themselves in quotation marks."""
    return {column.key: _column(column, comparison.by) for column in comparison.columns}


def _column(column: Column, by: By) -> str:
    if by == "country":
        return country(column.key)
    if by == "day":
        return plain(column.key)
    if by in ("kind", "family"):
        return {
            "mobile": _("mobile"), "fixed": _("fixed"), "wifi": _("Wi-Fi"),
            "other": _("other"), "unknown": _("unknown"),
        }.get(column.key, plain(column.key))  # fmt: skip
    if column.key == "unknown":
        return _("unknown network")
    if column.name.startswith("AS"):
        return name(column.name)
    return _("“{name}”").format(name=name(column.name))


def country(code: str) -> str:
    """A country's name in the reader's language; what is no country's code stays as it is."""
    from babel import Locale

    from probe.analysis.dates import locale

    known = Locale.parse(locale()).territories
    return str(known[code]) if len(code) == 2 and code in known else plain(code)


def columns_of(by: By, count: int) -> str:
    """So many of what is compared."""
    return {
        "asn": lambda: _n("{count} network", "{count} networks", count),
        "country": lambda: _n("{count} country", "{count} countries", count),
        "label": lambda: _n("{count} label", "{count} labels", count),
        "kind": lambda: _n("{count} kind of network", "{count} kinds of network", count),
        "family": lambda: _n("{count} address family", "{count} address families", count),
        "day": lambda: _n("{count} day", "{count} days", count),
    }[by]().format(count=count)


def part_of(by: By, count: int, of: int) -> str:
    """So many of so many of what is compared."""
    return {
        "asn": lambda: _n("{count} of {of} network", "{count} of {of} networks", of),
        "country": lambda: _n("{count} of {of} country", "{count} of {of} countries", of),
        "label": lambda: _n("{count} of {of} label", "{count} of {of} labels", of),
        "kind": lambda: _n("{count} of {of} kind of network", "{count} of {of} kinds of network", of),
        "family": lambda: _n("{count} of {of} address family", "{count} of {of} address families", of),
        "day": lambda: _n("{count} of {of} day", "{count} of {of} days", of),
    }[by]().format(count=count, of=of)


def listed(parts: Sequence[str]) -> str:
    """ "A, B and C", as the reader's language has it."""
    from babel.lists import format_list

    from probe.analysis.dates import locale

    return str(format_list(list(parts), locale=locale()))


def purpose(one: str) -> str:
    """Messages or calls."""
    return phrases().get(one, plain(one))


def service(one: str, titles: Mapping[str, str]) -> str:
    """A service as people write it."""
    return plain(titles.get(one) or one.title())
