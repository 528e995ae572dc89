"""A loss statement as one picture: what was lost as intervals, the surest and largest loss first."""

from __future__ import annotations

import functools
import math

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from data_contracts import BANNER, LossItem, LossStatement
from medkd.pictures.colours import NEGATIVE, POSITIVE, png

#: Most rows of losses and of gains; the record has them all.
MOST_LOSSES, MOST_GAINS = 14, 4
#: Pixels: height of a row, width of its words and of the plot, what stands round them.
_ROW, _WORDS, _PLOT, _MARGIN, _TOP, _BOTTOM = 38, 450, 420, 24, 84, 62
_INK, _PALE, _GRID = (40, 40, 40), (130, 130, 130), (225, 225, 225)
#: Sure losses are orange, sure gains blue, and both are filled: who sees no colour tells them by the side of zero.
_LOSS, _GAIN, _UNSURE = POSITIVE, NEGATIVE, (130, 130, 130)


def draw_loss_statement(statement: LossStatement) -> bytes:
    """Return a PNG: a row per figure, its interval against zero, the figures of teacher and student in words.

    Thick lines are each figure's own 95 % interval, thin ones reach to the bounds for all figures together; filled points are sure.

    Args:
        statement: with at least one figure.
    """
    gains = statement.gains[:MOST_GAINS]
    rows = [*statement.losses[:MOST_LOSSES], *reversed(gains)] or list(statement.unchanged[:MOST_LOSSES])
    width, height = 2 * _MARGIN + _WORDS + _PLOT, _TOP + _ROW * len(rows) + _BOTTOM
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    draw.text((_MARGIN, 10), f"{statement.subject}, seed {statement.seed}: lost against its teacher", fill=_INK, font=_font(15))
    draw.text((_MARGIN, 32), _counts(statement, len(rows)), fill=_INK, font=_font(11))
    limit = _limit(rows)
    _draw_axis(draw, _TOP + _ROW * len(rows), limit)
    for place, item in enumerate(rows):
        _draw_row(draw, _TOP + _ROW * place, item, limit)
    note = "thick: 95 % interval over patients; thin: bounds for all figures together; filled: sure; orange: worse, blue: better"
    draw.text((_MARGIN, height - 28), note, fill=_PALE, font=_font(10), anchor="lm")
    draw.text((width / 2, height - 12), BANNER, fill=(120, 120, 120), font=_font(10), anchor="mm")
    return png(np.asarray(image))


@functools.cache  # Pillow unpacks the font anew each time it is asked, which takes longer than all the drawing
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _counts(statement: LossStatement, shown: int) -> str:
    sure, gained = len(statement.sure_losses), sum(item.sure for item in statement.gains)
    return f"{statement.figures} figures looked at: {sure} surely worse, {gained} surely better; {shown} shown, worst first"


def _limit(rows: list[LossItem]) -> float:
    """Return how far the axis goes to either side: the furthest bound, rounded up to a tenth."""
    furthest = max(max(abs(item.simultaneous_low), abs(item.simultaneous_high)) for item in rows)
    return max(0.1, min(1.0, math.ceil(furthest * 10 - 1e-9) / 10))


def _x(value: float, limit: float) -> float:
    return _MARGIN + _WORDS + _PLOT * (1 + max(-1.0, min(1.0, value / limit))) / 2


def _draw_axis(draw: ImageDraw.ImageDraw, bottom: int, limit: float) -> None:
    for share in (-1.0, -0.5, 0.0, 0.5, 1.0):
        x = _x(share * limit, limit)
        draw.line([(x, _TOP - 8), (x, bottom)], fill=_INK if share == 0 else _GRID, width=1)
        draw.text((x, bottom + 9), "0" if share == 0 else f"{share * limit:+.2f}", fill=_INK, font=_font(11), anchor="mm")
    draw.text((_x(-limit / 2, limit), _TOP - 18), "student better", fill=_GAIN, font=_font(11), anchor="mm")
    draw.text((_x(limit / 2, limit), _TOP - 18), "student worse", fill=_LOSS, font=_font(11), anchor="mm")


def _draw_row(draw: ImageDraw.ImageDraw, top: int, item: LossItem, limit: float) -> None:
    worse = item.loss.mean > 0
    colour = _UNSURE if not item.sure else _LOSS if worse else _GAIN
    draw.text((_MARGIN, top + 2), _fitted(draw, item.what), fill=_INK, font=_font(12))
    figures = f"teacher {item.teacher:.3f}, student {item.student:.3f}; {item.loss.n} patients"
    draw.text((_MARGIN, top + 18), figures, fill=_PALE, font=_font(11))
    y = top + _ROW / 2
    draw.line([(_x(item.simultaneous_low, limit), y), (_x(item.simultaneous_high, limit), y)], fill=colour, width=1)
    draw.line([(_x(item.loss.low, limit), y), (_x(item.loss.high, limit), y)], fill=colour, width=4)
    x = _x(item.loss.mean, limit)
    draw.ellipse([x - 5, y - 5, x + 5, y + 5], fill=colour if item.sure else "white", outline=colour, width=2)


def _fitted(draw: ImageDraw.ImageDraw, text: str) -> str:
    """Return as much of a text as stands beside the plot."""
    if draw.textlength(text, font=_font(12)) <= _WORDS - 12:
        return text
    while draw.textlength(f"{text}...", font=_font(12)) > _WORDS - 12:
        text = text[:-1]
    return f"{text}..."
