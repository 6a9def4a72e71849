"""How a call would have sounded: the E-model's rating R and its mean opinion score (MOS). Pure.

Three scales of one model: ITU-T G.107 (narrow-band, R up to 93.2), G.107.1 (wide-band, to 129) and G.107.2
(full-band, to 148), each without its acoustic inputs, which a probe does not have. A score is a summary for
people; it names its model and carries its inputs, so that it can be computed again.
"""

import math
from typing import NamedTuple

from probe.media.quality import ENOUGH, Direction, RoundTrip
from probe.record import Record

PACKET = 0.02  # seconds of sound in a packet
BURSTY = 1.5  # burst ratio from which the loss is not random
_ONSET = 0.1  # seconds of delay that cost nothing (mT; with sT = 1 in editions since 2014, unverified)


class Codec(NamedTuple):
    """What a codec costs by itself (Ie), and how well it bears random and bursty loss (Bpl)."""

    name: str
    ie: float
    bpl: float
    bursty_bpl: float


# M. Alahmadi, 2021: published estimates, as there are no ITU values for Opus. That they are meant for the full-band
# scale is unverified.
OPUS = Codec("Opus SWB VBR 25", 20.2, 11.3, 9.2)
OPUS_WIDE = Codec("Opus WB VBR 13", 20.0, 19.5, 16.9)
# ITU-T G.113 appendix I, from memory: unverified. Its Bpl is for random loss; BurstR in the formula does the rest.
G711 = Codec("G.711 with concealment", 0.0, 25.1, 25.1)


class Score(Record):
    """A score with its inputs: `delay` in seconds from mouth to ear, `loss` the share that was not heard in time."""

    model: str
    r: float
    mos: float
    delay: float
    loss: float
    burst_ratio: float
    ie: float
    bpl: float


def delay_impairment(delay: float) -> float:
    """Idd for a delay of so many seconds (G.107 section 7.4)."""
    if delay <= _ONSET:
        return 0.0
    x = math.log2(delay / _ONSET)
    return 25 * (_bend(x) - 3 * _bend(x / 3) + 2)


def _bend(x: float) -> float:
    return math.pow(1 + x**6, 1 / 6)


def narrowband(delay: float, loss: float, *, ie: float, bpl: float, burst_ratio: float = 1.0) -> float:
    """R of G.107; `loss` is a share from 0 to 1, `delay` seconds."""
    return 93.2 - delay_impairment(delay) - _equipment(95, loss, ie, bpl, burst_ratio)


def wideband(delay: float, loss: float, *, ie: float, bpl: float, burst_ratio: float = 1.0) -> float:
    """R of G.107.1, on its own scale. Whether the burst ratio belongs here is unverified; 1 leaves it out."""
    return 129 - delay_impairment(delay) - _equipment(95, loss, ie, bpl, burst_ratio)


def fullband(delay: float, loss: float, *, ie: float, bpl: float, burst_ratio: float = 1.0) -> float:
    """R of G.107.2, on its own scale."""
    return 148 - 1.48 * delay_impairment(delay) - _equipment(132, loss, ie, bpl, burst_ratio)


WIDEBAND, FULLBAND = 1.29, 1.48  # what R is divided by before it becomes a MOS


def mos(r: float, scale: float = 1.0) -> float:
    """The opinion score, 1 to 4.5, of a rating (G.107 annex B).

    The cubic dips below 1 between R = 0 and 6.5, and would rise as a call gets worse: the floor is everywhere.
    """
    r = r / scale
    if r <= 0:
        return 1.0
    if r >= 100:
        return 4.5
    return max(1.0, 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6)


def score(one: Direction, rtt: RoundTrip | None, *, playout: float = 0.1) -> Score | None:
    """The score of this direction as today's calls are coded. None below ENOUGH packets.

    `playout` is how long the receiver waits, in seconds; what comes later is lost to it. Without a round trip the
    network's part of the delay counts as nothing, which makes the score a bound from above. The Bpl for bursty loss
    was fitted to bursty loss, so the burst ratio chooses it and does not enter the formula again.
    """
    if one.sent < ENOUGH:
        return None
    bpl = OPUS.bursty_bpl if one.burst_ratio > BURSTY else OPUS.bpl
    delay, loss = _mouth_to_ear(rtt, playout), one.effective_loss(playout)
    r = fullband(delay, loss, ie=OPUS.ie, bpl=bpl)
    codec = OPUS._replace(bpl=bpl)
    return _score(f"G.107.2 fullband, {OPUS.name}", r, FULLBAND, one, delay, loss, codec)


def other_scales(one: Direction, rtt: RoundTrip | None, *, playout: float = 0.1) -> tuple[Score, ...]:
    """The same direction on the wide-band scale and as an old telephone call, which is what most other tools compute.

    Opus' constants on the wide-band scale are estimates too (unverified). Empty below ENOUGH packets.
    """
    if one.sent < ENOUGH:
        return ()
    delay, loss = _mouth_to_ear(rtt, playout), one.effective_loss(playout)
    wide = wideband(delay, loss, ie=OPUS_WIDE.ie, bpl=OPUS_WIDE.bpl)
    narrow = narrowband(delay, loss, ie=G711.ie, bpl=G711.bpl, burst_ratio=one.burst_ratio)
    return (
        _score(f"G.107.1 wideband, {OPUS_WIDE.name}", wide, WIDEBAND, one, delay, loss, OPUS_WIDE),
        _score(f"G.107 narrowband, {G711.name}", narrow, 1.0, one, delay, loss, G711),
    )


def _equipment(ceiling: float, loss: float, ie: float, bpl: float, burst_ratio: float) -> float:
    """Ie,eff. A burst ratio below 1 (loss more regular than chance) is outside the formula."""
    percent = 100 * loss  # the formula's own unit
    return ie + (ceiling - ie) * percent / (percent / max(1.0, burst_ratio) + bpl)


def _mouth_to_ear(rtt: RoundTrip | None, playout: float) -> float:
    return (rtt.median / 2 if rtt else 0.0) + PACKET + playout


def _score(
    model: str, r: float, scale: float, one: Direction, delay: float, loss: float, codec: Codec
) -> Score:
    return Score(
        model=model,
        r=round(r, 2),
        mos=round(mos(r, scale), 3),
        delay=round(delay, 6),
        loss=round(loss, 6),
        burst_ratio=one.burst_ratio,
        ie=codec.ie,
        bpl=codec.bpl,
    )
