"""The scorecards of a recipe as one picture: each figure's bar an arm, with its interval and what each seed had."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from data_contracts import BANNER, Estimate, Scorecard
from medkd.pictures.colours import png
from medkd.registry.metric_notes import metric_note

#: Figures that are drawn where a card has them, in this order, and how many at most.
SHOWN = (
    "auc_debiased", "auc", "auc_same_bias", "auc_reversed", "dice", "dice_uncued", "dice_misplaced", "hausdorff_95", "ece", "agreement",
    "relevance_mass_accuracy", "pointing", "marker_effect", "dice_to_teacher",
)  # fmt: skip
MOST_SHOWN = 9
#: Pixels of a panel: its width, the names' share of it, a bar and the space round it, what stands above.
_WIDTH, _NAMES, _BAR, _STEP, _TOP, _EDGE = 400, 130, 14, 24, 40, 16
_COLUMNS = 3
_INK, _GRID, _PALE, _BARS, _TEACHER = (40, 40, 40), (225, 225, 225), (120, 120, 120), (33, 102, 172), (120, 120, 120)


def draw_scorecards(title: str, cards: Sequence[Scorecard]) -> bytes:
    """Return a PNG with a panel a figure: the bar is an arm's mean, the line its 95 % interval, dots are its seeds."""
    names = [name for name in SHOWN if any(name in card.figures for card in cards)][:MOST_SHOWN]
    rows = max(1, -(-len(names) // _COLUMNS))
    high = _TOP + len(cards) * _STEP + _EDGE
    image = Image.new("RGB", (_COLUMNS * _WIDTH + _EDGE, 40 + rows * high + 20), "white")
    draw = ImageDraw.Draw(image)
    draw.text((_EDGE, 12), f"{title}: mean over seeds, 95 % interval, dots are seeds", fill=_INK, font=ImageFont.load_default(15))
    for place, name in enumerate(names):
        corner = (_EDGE + place % _COLUMNS * _WIDTH, 40 + place // _COLUMNS * high)
        _draw_panel(draw, corner, name, [card for card in cards if name in card.figures])
    draw.text((image.width / 2, image.height - 10), BANNER, fill=_PALE, font=ImageFont.load_default(10), anchor="mm")
    return png(np.asarray(image))


def _draw_panel(draw: ImageDraw.ImageDraw, corner: tuple[int, int], name: str, cards: Sequence[Scorecard]) -> None:
    left, top = corner
    small, note = ImageFont.load_default(11), metric_note(name)
    said = ", ".join(part for part in (note.unit, note.direction) if part) if note else ""
    draw.text((left, top + 6), name, fill=_INK, font=ImageFont.load_default(13))
    draw.text((left + _WIDTH - _EDGE - 8, top + 9), said, fill=_PALE, font=small, anchor="ra")
    begin, length = left + _NAMES, _WIDTH - _NAMES - 60
    figures = [card.figures[name] for card in cards]
    low, high = _range(figures)

    def x(value: float) -> float:
        return begin + (min(max(value, low), high) - low) / (high - low) * length

    bottom = top + _TOP + len(cards) * _STEP - 6
    draw.line([(x(0.0), top + _TOP - 6), (x(0.0), bottom)], fill=_GRID, width=2)
    for row, (card, figure) in enumerate(zip(cards, figures, strict=True)):
        middle = top + _TOP + row * _STEP + _BAR / 2
        draw.text((begin - 6, middle), card.subject.rpartition("/")[2], fill=_INK, font=small, anchor="rm")
        ends = sorted((x(0.0), x(figure.mean)))
        draw.rectangle([ends[0], middle - _BAR / 2, ends[1], middle + _BAR / 2], fill=_TEACHER if card.role == "teacher" else _BARS)
        draw.line([(x(figure.low), middle), (x(figure.high), middle)], fill=_INK, width=2)
        for value in card.per_seed.get(name, ()):
            if value is not None:
                draw.ellipse([x(value) - 3, middle - 3, x(value) + 3, middle + 3], fill="white", outline=_INK)
        draw.text(
            (begin + length + 6, middle),
            f"{figure.mean:.3f}" if abs(figure.mean) < 100 else f"{figure.mean:.0f}",
            fill=_INK,
            font=small,
            anchor="lm",
        )


def _range(figures: Sequence[Estimate]) -> tuple[float, float]:
    """Return what a panel shows: from 0 to the largest bound, or from the least where that is below 0; shares go to 1."""
    low, high = min([0.0, *(one.low for one in figures)]), max(one.high for one in figures)
    return low, 1.0 if 0.5 < high <= 1.0 else high if high > low else low + 1.0
