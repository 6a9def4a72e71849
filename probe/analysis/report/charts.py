"""Charts as inline SVG, drawn by matplotlib without text of strangers: their names are put in afterwards, escaped.

Colours are the page's own variables, so that a chart follows light and dark and prints. Shapes and sizes do not
depend on the machine: text stays text, and nothing random or dated is written.
"""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Colours that nobody would choose, and what stands for them in the page.
_INK, _BAD, _CHANGE, _SOFT = "#010101", "#020202", "#030303", "#040404"
_COLOURS = {_INK: "var(--ink)", _BAD: "var(--bad-line)", _CHANGE: "var(--change)", _SOFT: "var(--rule)"}
_INCHES, _ROW, _EDGE, _TOP = 7.2, 0.3, 0.34, 0.1  # width; heights of a row, of the axis of time, and above
_LEFT = 0.24  # of the width, for names
_ROOM = 28  # characters of a name
_HEIGHT = 0.78  # of a row, when everything fails


@dataclass(frozen=True)
class Row:
    """A line of a chart: at these times this share of that many units failed; changes are intervals of time."""

    name: str
    times: Sequence[datetime]
    shares: Sequence[float]
    changes: Sequence[tuple[datetime, datetime]] = ()


@dataclass(frozen=True)
class Band:
    """A figure over time: its middle, and from the least to the most; `top` is the end of its scale."""

    name: str
    times: Sequence[datetime]
    middle: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


@dataclass(frozen=True)
class Frame:
    """What all charts of a page share: from when to when, how long one mark lasts, and where days are named."""

    first: float
    last: float
    width: float
    ticks: Sequence[tuple[float, str]]


def strips(rows: Sequence[Row], frame: Frame, *, title: str, description: str) -> Markup:
    """One line per row: bars for the share that failed, a base line where it was measured, bands where it changed."""
    figure, axes = _figure(len(rows), frame)
    for at, row in enumerate(reversed(rows)):
        starts = [_day(time) for time in row.times]
        # Bars of one height that touch are one: a month has few of them.
        axes.broken_barh([(x, frame.width) for x in starts], (at, 0.04), facecolor=_INK, linewidth=0)
        bars = [(x, share) for x, share in zip(starts, row.shares, strict=True) if share > 0]
        axes.bar(
            [x for x, _share in bars],
            [_HEIGHT * share for _x, share in bars],
            width=frame.width * 0.92,
            bottom=at,
            align="edge",
            color=_BAD,
            linewidth=0,
        )
        for begin, end in row.changes:
            axes.add_patch(_band(_day(begin), max(_day(end), _day(begin) + frame.width), at))
    axes.set_ylim(-0.08, len(rows))
    return _svg(figure, {f"row{at}": row.name for at, row in enumerate(reversed(rows))}, title, description)


def bands(rows: Sequence[Band], frame: Frame, *, top: float, title: str, description: str) -> Markup:
    """One line per row: the middle, and a shade from the least to the most, on one scale up to `top`."""
    figure, axes = _figure(len(rows), frame)
    for at, row in enumerate(reversed(rows)):
        axes.axhline(at, color=_SOFT, linewidth=0.6)
        x = [_day(time) + frame.width / 2 for time in row.times]

        def scaled(values: Sequence[float], at: int = at) -> list[float]:
            return [at + _HEIGHT * min(1.0, value / top) for value in values]

        axes.fill_between(x, scaled(row.low), scaled(row.high), color=_BAD, alpha=0.3, linewidth=0)
        axes.plot(x, scaled(row.middle), color=_INK, linewidth=1.2, marker="o", markersize=2)
    axes.set_ylim(-0.08, len(rows))
    return _svg(figure, {f"row{at}": row.name for at, row in enumerate(reversed(rows))}, title, description)


def frame(first: datetime, last: datetime, width: float, ticks: Sequence[tuple[datetime, str]]) -> Frame:
    """From these times; `width` in days."""
    return Frame(_day(first), _day(last) + width, width, [(_day(at), said) for at, said in ticks])


def _day(at: datetime) -> float:
    return at.timestamp() / 86400


def _figure(rows: int, frame: Frame) -> "tuple[Figure, Axes]":
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    height = rows * _ROW + _EDGE + _TOP
    figure = Figure(figsize=(_INCHES, height))
    FigureCanvasSVG(figure)
    figure.patch.set_visible(False)
    axes = figure.add_axes((_LEFT, _EDGE / height, 0.98 - _LEFT, rows * _ROW / height))
    axes.patch.set_visible(False)
    for side in ("top", "left", "right"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_SOFT)
    axes.set_xlim(frame.first, frame.last)
    axes.set_yticks([])
    # Words of the page, too, are put in afterwards: matplotlib reads dollars as formulas.
    axes.set_xticks(
        [at for at, _said in frame.ticks], [f"tick{n}" for n in range(len(frame.ticks))], fontsize=8
    )
    axes.tick_params(colors=_INK, length=3, color=_SOFT)
    for at in range(rows):
        axes.text(
            -0.015, (at + 0.38) / (rows + 0.08), f"row{at}",
            transform=axes.transAxes, ha="right", va="center", fontsize=8.5, color=_INK,
        )  # fmt: skip
    figure.ticks = {f"tick{n}": said for n, (_at, said) in enumerate(frame.ticks)}  # type: ignore[attr-defined]
    return figure, axes


def _band(begin: float, end: float, at: int) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle(
        (begin, at), end - begin, 0.96, facecolor=_CHANGE, alpha=0.3, edgecolor=_CHANGE, linewidth=0.8
    )


def _svg(figure: "Figure", names: Mapping[str, str], title: str, description: str) -> Markup:
    import matplotlib as mpl

    drawn = io.StringIO()
    # The salt keeps names apart that two charts of one page would share.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": f"{title} {description}"}):
        figure.savefig(drawn, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    said = {**names, **figure.ticks}  # type: ignore[attr-defined]
    body = drawn.getvalue().partition("<svg")[2].partition(">")[2]
    body = re.sub(r"<style.*?</style>", "", body, flags=re.DOTALL)
    body = re.sub(r"-?\d+\.\d{2,}", lambda found: f"{float(found[0]):.1f}", body)
    # The page's own font; and names of groups, which several charts of one page would share.
    body = re.sub(r"font-family: [^;\"]*;?\s?", "", body)
    body = re.sub(r'<g id="[^"]*"', "<g", body)
    body = re.sub(r"\s+", " ", body)
    for colour, variable in _COLOURS.items():
        body = body.replace(colour, variable)
    body = re.sub(r">((?:row|tick)\d+)<", lambda found: f">{escape(_short(said[found[1]]))}<", body)
    width, height = (round(72 * inches) for inches in figure.get_size_inches())
    head = Markup('<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {w} {h}">').format(
        w=width, h=height
    )
    head += Markup("<title>{title}</title><desc>{description}</desc>").format(
        title=title, description=description
    )
    return head + Markup(body)  # noqa: S704 - matplotlib's own markup; what it was given to write is escaped above


def _short(name: str) -> str:
    """As much of a name as there is room for; what isolates it is closed again."""
    cut = name if len(name) <= _ROOM else f"{name[: _ROOM - 1]}…"
    return cut + "\u2069" * (cut.count("\u2068") - cut.count("\u2069"))
